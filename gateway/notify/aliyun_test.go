package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/gateway/duty"
)

const (
	aliyunSMSKeys   = `url: "%s", access_key_id: LTAItestKeyId, secret: testSecretAbc, sign_name: 消防值班, template: SMS_100000001`
	aliyunVoiceKeys = `url: "%s", access_key_id: LTAItestKeyId, secret: testSecretAbc, template: TTS_100000001`
)

// TestAliyunSignatures are the vectors of facts/push.md, 4: the vendor's published ones and ours.
func TestAliyunSignatures(t *testing.T) {
	published := map[string]string{"AccessKeyId": "testId", "Action": "SendSms", "Format": "XML", "OutId": "123", "PhoneNumbers": "15300000001", "RegionId": "cn-hangzhou",
		"SignName": "阿里云短信测试专用", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "45e25e9b-0a6f-4070-8c85-2956eda1b466", "SignatureVersion": "1.0",
		"TemplateCode": "SMS_71390007", "TemplateParam": `{"customer":"test"}`, "Timestamp": "2017-07-12T02:42:19Z", "Version": "2017-05-25"}
	if got := aliyunV1("GET", published, "testSecret"); got != "zJDF+Lrzhj/ThnlvIToysFRq6t4=" {
		t.Errorf("published V1: %s", got)
	}
	own := map[string]string{"AccessKeyId": "LTAItestKeyId", "Action": "SendSms", "Format": "JSON", "PhoneNumbers": "13800000001", "RegionId": "cn-hangzhou",
		"SignName": "消防值班", "SignatureMethod": "HMAC-SHA1", "SignatureNonce": "8b0d2a7e-0001-4c1e-9a5b-000000000001", "SignatureVersion": "1.0",
		"TemplateCode": "SMS_100000001", "TemplateParam": `{"place":"3F-301","kind":"烟感报警"}`, "Timestamp": "2025-10-09T08:53:20Z", "Version": "2017-05-25"}
	if got := aliyunV1("POST", own, "testSecretAbc"); got != "/g7zXNY2OWWDHR+Sc/DNtrYmjd0=" {
		t.Errorf("own V1: %s", got)
	}
	header := func(action, version, date, nonce string) http.Header {
		h := http.Header{}
		for _, pair := range [][2]string{{"x-acs-action", action}, {"x-acs-version", version}, {"x-acs-date", date}, {"x-acs-signature-nonce", nonce}, {"x-acs-content-sha256", hexSHA256("")}} {
			h.Set(pair[0], pair[1])
		}
		return h
	}
	got := aliyunV3("POST", map[string]string{"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}, "ecs.cn-shanghai.aliyuncs.com",
		header("RunInstances", "2014-05-26", "2023-10-26T10:22:32Z", "3156853299f313e23d1673dc12e1703d"), "YourAccessKeyId", "YourAccessKeySecret")
	if !strings.HasSuffix(got, "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0") {
		t.Errorf("published V3: %s", got)
	}
	got = aliyunV3("POST", map[string]string{"CalledNumber": "13800000001", "PlayTimes": "2", "TtsCode": "TTS_100000001", "TtsParam": `{"place":"3F-301"}`}, "dyvmsapi.aliyuncs.com",
		header("SingleCallByTts", "2017-05-25", "2025-10-09T08:53:20Z", "8b0d2a7e00014c1e9a5b000000000002"), "LTAItestKeyId", "testSecretAbc")
	if !strings.HasSuffix(got, "Signature=b62c4ae6a60ea6d9aa82a300ffc990b250bf6df2475104e279b5085ce8e7cabc") {
		t.Errorf("own V3: %s", got)
	}
}

func TestAliyunEscape(t *testing.T) {
	if got := aliyunEscape("a b*~+/=烟"); got != "a%20b%2A~%2B%2F%3D%E7%83%9F" {
		t.Error(got)
	}
}

// aliyunPlatform verifies both signatures by their definitions, has its own clock, takes a nonce once, and answers as fate says.
type aliyunPlatform struct {
	*receiver
	url   string
	now   func() time.Time
	fate  func(number string) string // a code, "" for OK
	calls []url.Values
	used  map[string]bool
}

func newAliyunPlatform(t *testing.T) *aliyunPlatform {
	p := &aliyunPlatform{receiver: &receiver{}, now: time.Now, fate: func(string) string { return "" }, used: map[string]bool{}}
	p.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", p.now().UTC().Format(http.TimeFormat))
		p.mu.Lock()
		defer p.mu.Unlock()
		form := r.URL.Query()
		stamp, nonce, genuine := r.Header.Get("x-acs-date"), r.Header.Get("x-acs-signature-nonce"), p.genuineV3(r)
		if r.Header.Get("Authorization") == "" {
			form, _ = url.ParseQuery(string(p.got[len(p.got)-1].body))
			stamp, nonce, genuine = form.Get("Timestamp"), form.Get("SignatureNonce"), genuineV1(form)
		}
		at, err := time.Parse(time.RFC3339, stamp)
		code := p.fate(form.Get("CalledNumber") + form.Get("PhoneNumbers"))
		switch {
		case !genuine:
			code = "SignatureDoesNotMatch"
		case err != nil || p.now().Sub(at).Abs() > 15*time.Minute:
			code = "InvalidTimeStamp.Expired"
		case p.used[nonce] || nonce == "":
			code = "SignatureNonceUsed"
		}
		p.used[nonce] = true
		if code != "" {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"Code":%q,"Message":"Specified %s","RequestId":"r"}`, code, code)
			return
		}
		p.calls = append(p.calls, form)
		fmt.Fprintf(w, `{"Code":"OK","Message":"OK","RequestId":"r",%s}`, map[bool]string{true: `"BizId":"900619746936498440^0"`, false: `"CallId":"116012^100000"`}[form.Has("PhoneNumbers")])
	}
	p.url = serveReceiver(t, p.receiver)
	return p
}

func genuineV1(form url.Values) bool {
	var pairs []string
	for name := range form {
		if name != "Signature" {
			pairs = append(pairs, rfc3986(name)+"="+rfc3986(form.Get(name)))
		}
	}
	slices.Sort(pairs)
	sum := hmac.New(sha1.New, []byte("testSecretAbc&"))
	fmt.Fprintf(sum, "POST&%%2F&%s", rfc3986(strings.Join(pairs, "&")))
	return form.Get("Signature") == base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

func (p *aliyunPlatform) genuineV3(r *http.Request) bool {
	var pairs []string
	for name, values := range r.URL.Query() {
		pairs = append(pairs, rfc3986(name)+"="+rfc3986(values[0]))
	}
	slices.Sort(pairs)
	names := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	canonical := "POST\n/\n" + strings.Join(pairs, "&") + "\nhost:" + r.Host + "\n"
	for _, name := range names[1:] {
		canonical += name + ":" + r.Header.Get(name) + "\n"
	}
	canonical += "\n" + strings.Join(names, ";") + "\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	hash := sha256.Sum256([]byte(canonical))
	sum := hmac.New(sha256.New, []byte("testSecretAbc"))
	sum.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(hash[:])))
	return strings.HasSuffix(r.Header.Get("Authorization"), "Signature="+hex.EncodeToString(sum.Sum(nil))) && r.Header.Get("x-acs-action") == "SingleCallByTts"
}

// rfc3986 escapes each byte that is not unreserved.
func rfc3986(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("-_.~", rune(c)) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// onDuty is a message for two people with numbers, and one without.
func onDuty(event string) Message {
	m := alarmed(event)
	m.To = []duty.Person{personOnDuty, {Name: "李四", Phone: "+8613900000002"}, {Name: "王五"}, {Name: "张三", Phone: "+8613800000001"}}
	return m
}

// TestAliyunSMS (NO01): one signed request for all numbers, with short variables; the receipt is the BizId.
func TestAliyunSMS(t *testing.T) {
	p := newAliyunPlatform(t)
	c := sender(t, "aliyun_sms", aliyunSMSKeys, p.url)
	for range 2 { // a nonce is used once
		if receipt, err := c.Send(context.Background(), onDuty("alarm.raised")); err != nil || receipt != "900619746936498440^0" {
			t.Fatalf("%q %v", receipt, err)
		}
	}
	got := p.calls[0]
	var said map[string]string
	if err := json.Unmarshal([]byte(got.Get("TemplateParam")), &said); err != nil || got.Get("PhoneNumbers") != "13800000001,13900000002" || got.Get("Action") != "SendSms" ||
		got.Get("SignName") != "消防值班" || fmt.Sprint(said) != "map[kind:燃气高报 报警 place:一层/厨房 厨房燃气探测器 time:12:00:05]" {
		t.Errorf("%v %v", got, said)
	}
	if _, err := c.Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "never" || !strings.Contains(err.Error(), "nobody with a phone number") {
		t.Errorf("for nobody: %v", err)
	}
	if _, err := sender(t, "aliyun_sms", strings.Replace(aliyunSMSKeys, "testSecretAbc", "another", 1), p.url).Send(context.Background(), onDuty("test")); outcomeOf(err) != "never" {
		t.Errorf("a wrong secret: %v", err)
	}
}

// TestAliyunVoice (NO01): one call a number; who has been called is not called again because another could not be.
func TestAliyunVoice(t *testing.T) {
	p := newAliyunPlatform(t)
	busy := true
	p.fate = func(number string) string {
		if number == "13900000002" && busy {
			return "isp.SYSTEM_ERROR"
		}
		return ""
	}
	c := sender(t, "aliyun_voice", aliyunVoiceKeys+`, show_number: "05331"`, p.url)
	if _, err := c.Send(context.Background(), onDuty("alarm.raised")); outcomeOf(err) != "retry" || strings.Contains(err.Error(), "13900000002") || !strings.Contains(err.Error(), "0002") {
		t.Errorf("one is busy: %v", err)
	}
	busy = false
	if receipt, err := c.Send(context.Background(), onDuty("alarm.raised")); err != nil || receipt != "116012^100000 116012^100000" {
		t.Errorf("%q %v", receipt, err)
	}
	var called []string
	for _, call := range p.calls {
		called = append(called, call.Get("CalledNumber"))
		if call.Get("TtsParam") != `{"kind":"燃气高报 报警","place":"一层/厨房 厨房燃气探测器","time":"12:00:05"}` || call.Get("PlayTimes") != "2" || call.Get("CalledShowNumber") != "05331" || call.Get("OutId") != "42/1" {
			t.Errorf("called with %v", call)
		}
	}
	if !slices.Equal(called, []string{"13800000001", "13900000002"}) {
		t.Errorf("called %v", called)
	}
	p.fate = func(number string) string {
		return map[string]string{"13900000002": "isv.MOBILE_NUMBER_ILLEGAL"}[number]
	}
	if _, err := c.Send(context.Background(), onDuty("alarm.reminder")); outcomeOf(err) != "never" || !strings.Contains(err.Error(), "1 accepted") {
		t.Errorf("a number that is none: %v", err)
	}
	if _, err := c.Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "never" {
		t.Errorf("for nobody: %v", err)
	}
}

// TestAliyunWithAWrongClock (NO17): a clock that is a day off keeps no alarm from anybody, and is named.
func TestAliyunWithAWrongClock(t *testing.T) {
	p := newAliyunPlatform(t)
	p.now = func() time.Time { return time.Now().Add(24 * time.Hour) }
	for kind, keys := range map[string]string{"aliyun_sms": aliyunSMSKeys, "aliyun_voice": aliyunVoiceKeys} {
		m := onDuty("alarm.raised")
		m.To = m.To[:1]
		if receipt, err := sender(t, kind, keys, p.url).Send(context.Background(), m); err != nil || !strings.Contains(receipt, "the clock of this machine is wrong by ") {
			t.Errorf("%s: %q %v", kind, receipt, err)
		}
	}
}

// TestAliyunCodes (NO02): each code is accepted, tried again, or refused; the words of a limit decide.
func TestAliyunCodes(t *testing.T) {
	want := map[string][]string{
		"retry": {"isp.SYSTEM_ERROR", "isp.GATEWAY_ERROR", "isp.UNKNOWN", "Throttling.User", "ServiceUnavailable", "what.is.this"},
		"never": {"isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL", "isv.MOBILE_NUMBER_ILLEGAL", "isv.MOBILE_COUNT_OVER_LIMIT", "isv.TEMPLATE_MISSING_PARAMETERS", "isv.INVALID_PARAMETERS",
			"isv.INVALID_JSON_PARAM", "isv.PARAM_LENGTH_LIMIT", "isv.PARAM_NOT_SUPPORT_URL", "isv.BLACK_KEY_CONTROL_LIMIT", "isv.SMS_SIGNATURE_ILLEGAL", "isv.SMS_TEMPLATE_ILLEGAL",
			"isv.VOICE_FILE_ILLEGAL", "isv.DISPLAY_NUMBER_ILLEGAL", "isv.BILLID_NOT_EXIST", "isv.OUT_OF_SERVICE", "isv.AMOUNT_NOT_ENOUGH", "isv.PRODUCT_UN_SUBSCRIPT", "isv.PRODUCT_UNSUBSCRIBE",
			"isv.ACCOUNT_NOT_EXISTS", "isv.ACCOUNT_ABNORMAL", "isp.RAM_PERMISSION_DENY", "SignatureDoesNotMatch", "InvalidAccessKeyId.NotFound",
			"InvalidTimeStamp.Expired", "SignatureNonceUsed"}, // after one more attempt
	}
	rows := []answered{
		{200, `{"Code":"OK","Message":"OK","BizId":"1"}`, "accepted"},
		{200, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发分钟级流控Permits:1"}`, "retry 1m0s"},
		{200, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发小时级流控Permits:5"}`, "never"},
		{200, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发天级流控Permits:10"}`, "never"},
		{200, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发月级流控Permits:50"}`, "never"},
	}
	for outcome, all := range want {
		for _, code := range all {
			rows = append(rows, answered{200, fmt.Sprintf(`{"Code":%q,"Message":"x"}`, code), outcome}, answered{400, fmt.Sprintf(`{"Code":%q,"Message":"x"}`, code), map[bool]string{true: "never", false: outcome}[code == "what.is.this"]})
		}
	}
	checkAnswers(t, "aliyun_sms", aliyunSMSKeys, onDuty("alarm.raised"), rows)
	m := onDuty("alarm.raised")
	m.To = m.To[:1]
	checkAnswers(t, "aliyun_voice", aliyunVoiceKeys, m, rows)
	checkTable(t, aliyunCodes, func(b []byte) (string, string) { code, says, _ := aliyunAnswer(b); return code, says }, rows)
}

func FuzzAliyunAnswer(f *testing.F) {
	for _, s := range []string{`{"Code":"OK","Message":"OK","BizId":"1"}`, `{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发分钟级流控"}`, `{}`, ``, `null`, `{"Code":0}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if code, says, id := aliyunAnswer(body); code == "" && says+id != "" {
			t.Errorf("words without a code: %q", body)
		}
	})
}
