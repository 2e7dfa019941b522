package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const tencentKeys = `url: "%s", secret_id: AKIDtestId, secret: testSecretKeyAbc, app_id: "1400000001", sign_name: 消防值班, template: "1000001", variables: [place, kind]`

// TestTencentSignatures are the vectors of facts/push.md, 5: the vendor's published ones and ours.
func TestTencentSignatures(t *testing.T) {
	cvm := [][2]string{{"content-type", "application/json; charset=utf-8"}, {"host", "cvm.tencentcloudapi.com"}}
	body := []byte(`{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`)
	for secret, want := range map[string]string{
		"Gu5t9xGARNpq86cd98joQYCN3*******": "2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c",
		"Gu5t9xGARNpq86cd98joQYCN3EXAMPLE": "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
	} {
		got := tencentSign("cvm", cvm, time.Unix(1551113065, 0), body, "AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", secret)
		if !strings.HasSuffix(got, "/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, Signature="+want) {
			t.Errorf("%s: %s", secret, got)
		}
	}
	own := []byte(`{"PhoneNumberSet":["+8613800000001"],"SmsSdkAppId":"1400000001","SignName":"消防值班","TemplateId":"1000001","TemplateParamSet":["3F-301","烟感报警"]}`)
	if got := hexSHA256(string(own)); got != "bca706de747fb1a4bf7209497d8b0568b9e1ae350dd926bfd9197cbdef56725a" {
		t.Errorf("body %s", got)
	}
	sms := [][2]string{{"content-type", tencentType}, {"host", "sms.tencentcloudapi.com"}, {"x-tc-action", "sendsms"}}
	if got := tencentSign("sms", sms, time.Unix(1760000000, 0), own, "id", "testSecretKeyAbc"); !strings.HasSuffix(got, "/2025-10-09/sms/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature=5df4609bd9d95ded26ff33670f4f2c3a5a8e6a95d406350c47eddda837213a1a") {
		t.Errorf("own: %s", got)
	}
}

// TestTencentBodyAndDate: the body that is sent is that of the vector, byte for byte, and its date is that of UTC, which is
// yesterday's in China until 08:00.
func TestTencentBodyAndDate(t *testing.T) {
	h, s := serve(t, says(200, `{"Response":{"SendStatusSet":[{"SerialNo":"1","PhoneNumber":"+8613800000001","Code":"Ok"}]}}`))
	c := sender(t, "tencent_sms", tencentKeys, s.URL).(*tencentSMS)
	c.now = func() time.Time { return time.Date(2025, 10, 9, 23, 30, 0, 0, time.UTC).In(county) }
	m := onDuty("alarm.raised")
	m.To = m.To[:1]
	m.Alarm.ZonePath, m.Alarm.DeviceName, m.Alarm.Name = "3F-301", "", "烟感"
	if _, err := c.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	got := h.requests()[0]
	want := `{"PhoneNumberSet":["+8613800000001"],"SmsSdkAppId":"1400000001","SignName":"消防值班","TemplateId":"1000001","TemplateParamSet":["3F-301","烟感 报警"]}`
	if string(got.body) != want || !strings.Contains(got.header.Get("Authorization"), "/2025-10-09/sms/") || got.header.Get("X-TC-Timestamp") != "1760052600" || got.header.Get("X-TC-Region") != "ap-guangzhou" {
		t.Errorf("%s\n%v", got.body, got.header)
	}
}

// tencentPlatform verifies the signature by its definition, has its own clock, and answers for each number as fate says.
func tencentPlatform(t *testing.T, now func() time.Time, fate func(number string) string) (*receiver, string) {
	h := &receiver{}
	mac := func(key []byte, text string) []byte {
		sum := hmac.New(sha256.New, key)
		sum.Write([]byte(text))
		return sum.Sum(nil)
	}
	hash := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		all := h.requests()
		body := string(all[len(all)-1].body)
		stamp, _ := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
		date := time.Unix(stamp, 0).UTC().Format("2006-01-02")
		canonical := "POST\n/\n\ncontent-type:application/json; charset=utf-8\nhost:" + r.Host + "\nx-tc-action:sendsms\n\ncontent-type;host;x-tc-action\n" + hash(body)
		text := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s/sms/tc3_request\n%s", stamp, date, hash(canonical))
		want := hex.EncodeToString(mac(mac(mac(mac([]byte("TC3testSecretKeyAbc"), date), "sms"), "tc3_request"), text))
		fail := func(code string) {
			fmt.Fprintf(w, `{"Response":{"Error":{"Code":%q,"Message":"x"},"RequestId":"r"}}`, code)
		}
		var got struct{ PhoneNumberSet []string }
		switch err := json.Unmarshal([]byte(body), &got); {
		case !strings.HasSuffix(r.Header.Get("Authorization"), "Signature="+want):
			fail("AuthFailure.SignatureFailure")
		case now().Sub(time.Unix(stamp, 0)).Abs() > 5*time.Minute:
			fail("AuthFailure.SignatureExpire")
		case err != nil || r.Header.Get("X-TC-Version") != "2021-01-11" || r.Header.Get("X-TC-Action") != "SendSms":
			fail("InvalidParameterValue.TemplateParameterFormatError")
		default:
			var set []string
			for i, n := range got.PhoneNumberSet {
				code := fate(n)
				set = append(set, fmt.Sprintf(`{"SerialNo":"2019:%d","PhoneNumber":%q,"Fee":1,"SessionContext":"","Code":%q,"Message":"x","IsoCode":"CN"}`, i, n, code))
			}
			fmt.Fprintf(w, `{"Response":{"SendStatusSet":[%s],"RequestId":"r"}}`, strings.Join(set, ","))
		}
	}
	return h, serveReceiver(t, h)
}

// TestTencentSMS (NO01): each number has its own answer, and who has the message gets it once.
func TestTencentSMS(t *testing.T) {
	busy := map[string]string{"+8613900000002": "LimitExceeded.PhoneNumberThirtySecondLimit"}
	fate := func(number string) string {
		if code := busy[number]; code != "" {
			return code
		}
		return "Ok"
	}
	h, url := tencentPlatform(t, time.Now, fate)
	c := sender(t, "tencent_sms", tencentKeys, url)
	if _, err := c.Send(context.Background(), onDuty("alarm.raised")); outcomeOf(err) != "retry 30s" || strings.Contains(err.Error(), "13900000002") {
		t.Errorf("one has just got one: %v", err)
	}
	busy = nil
	receipt, err := c.Send(context.Background(), onDuty("alarm.raised"))
	if err != nil || receipt != "2019:0 2019:0" {
		t.Errorf("%q %v", receipt, err)
	}
	if got := string(h.requests()[1].body); strings.Contains(got, "13800000001") || !strings.Contains(got, "+8613900000002") {
		t.Errorf("sent again: %s", got)
	}
	busy = map[string]string{"+8613800000001": "FailedOperation.PhoneNumberInBlacklist", "+8613900000002": "InternalError.Timeout"}
	if _, err := c.Send(context.Background(), onDuty("alarm.cleared")); outcomeOf(err) != "retry" {
		t.Errorf("one is blocked, one may come: %v", err)
	}
	busy = nil
	if _, err := c.Send(context.Background(), onDuty("alarm.cleared")); outcomeOf(err) != "never" || !strings.Contains(err.Error(), "1 accepted") {
		t.Errorf("one is blocked: %v", err)
	}
	if _, err := c.Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "never" {
		t.Errorf("for nobody: %v", err)
	}
}

// TestTencentWithAWrongClock (NO17) reaches people all the same.
func TestTencentWithAWrongClock(t *testing.T) {
	h, url := tencentPlatform(t, func() time.Time { return time.Now().Add(-48 * time.Hour) }, func(string) string { return "Ok" })
	if _, err := sender(t, "tencent_sms", tencentKeys, url).Send(context.Background(), onDuty("alarm.raised")); err != nil || h.count() != 2 {
		t.Errorf("%v after %d", err, h.count())
	}
	if _, err := sender(t, "tencent_sms", strings.Replace(tencentKeys, "KeyAbc", "x", 1), url).Send(context.Background(), onDuty("alarm.raised")); outcomeOf(err) != "never" {
		t.Errorf("a wrong secret: %v", err)
	}
}

// TestTencentCodes (NO02): each code, of the request or of a number, is accepted, tried again, or refused.
func TestTencentCodes(t *testing.T) {
	m := onDuty("alarm.raised")
	m.To = m.To[:1]
	var rows, whole []answered
	for code, want := range map[string]string{
		"Ok": "accepted", "InternalError": "retry", "InternalError.OtherError": "retry", "RequestLimitExceeded": "retry", "LimitExceeded.DeliveryFrequencyLimit": "retry",
		"LimitExceeded.PhoneNumberThirtySecondLimit": "retry 30s", "LimitExceeded.PhoneNumberOneHourLimit": "retry 1h0m0s", "LimitExceeded.PhoneNumberDailyLimit": "retry 1h0m0s",
		"LimitExceeded.PhoneNumberSameContentDailyLimit": "retry 1h0m0s", "InvalidParameterValue.IncorrectPhoneNumber": "never", "FailedOperation.SignatureIncorrectOrUnapproved": "never",
		"FailedOperation.TemplateIncorrectOrUnapproved": "never", "FailedOperation.InsufficientBalanceInSmsPackage": "never", "FailedOperation.PhoneNumberInBlacklist": "never",
		"UnsupportedOperation.UnsupportedRegion": "never", "AuthFailure.SignatureExpire": "never", "AuthFailure.SecretIdNotFound": "never", "What.Is.This": "retry",
	} {
		rows = append(rows, answered{200, fmt.Sprintf(`{"Response":{"SendStatusSet":[{"SerialNo":"1","PhoneNumber":"+8613800000001","Code":%q,"Message":"x"}]}}`, code), want})
		if code != "Ok" {
			whole = append(whole, answered{200, fmt.Sprintf(`{"Response":{"Error":{"Code":%q,"Message":"x"}}}`, code), want})
		}
	}
	rows = append(rows, answered{200, `{"Response":{"SendStatusSet":[{"SerialNo":"1","PhoneNumber":"+861","Code":"Ok"}]}}`, "retry"},
		answered{200, `{"Response":{"SendStatusSet":[]}}`, "retry"}, answered{200, `{"Response":{"Error":{"Code":"Ok"}}}`, "retry"},
		answered{200, `{"Response":{"SendStatusSet":[{"SerialNo":"1","PhoneNumber":"+8613800000001"}]}}`, "retry"})
	checkAnswers(t, "tencent_sms", tencentKeys, m, append(rows, whole...))
	checkTable(t, tencentCodes, func(b []byte) (string, string) {
		_, _, numbers := tencentAnswer(b)
		if len(numbers) == 0 {
			return "", ""
		}
		return numbers[0].code, numbers[0].says
	}, rows)
}

func FuzzTencentAnswer(f *testing.F) {
	for _, s := range []string{`{"Response":{"SendStatusSet":[{"SerialNo":"1","PhoneNumber":"+861","Code":"Ok"}]}}`, `{"Response":{"Error":{"Code":"InternalError"}}}`, `{"Response":null}`, `{}`, ``, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		results := map[string]result{}
		c := &tencentSMS{wire: &wire{mask: masking(nil), now: noonClock}}
		err := c.sort(reply{status: 200, body: body}, []string{"+861"}, results)
		if err == nil && results["+861"] == (result{}) && !strings.Contains(string(body), "+861") && !strings.Contains(string(body), "\\u") {
			t.Errorf("%q was accepted for a number that it does not name", body)
		}
	})
}
