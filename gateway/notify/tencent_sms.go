package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// tencentSMSSettings are short messages by 腾讯云.
type tencentSMSSettings struct {
	URL       string      `yaml:"url"`
	SecretID  string      `yaml:"secret_id"`
	Secret    conf.Secret `yaml:"secret"`
	AppID     string      `yaml:"app_id"` // SmsSdkAppId
	SignName  string      `yaml:"sign_name"`
	Template  string      `yaml:"template"` // its number; its variables {1}, {2}, … are those of `variables`, in this order
	Region    string      `yaml:"region"`
	variables `yaml:",inline"`
}

func (c *tencentSMSSettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	need(s, "secret_id", c.SecretID)
	needSecret(s, "secret", c.Secret)
	need(s, "app_id", c.AppID)
	need(s, "sign_name", c.SignName)
	need(s, "template", c.Template)
	need(s, "region", c.Region)
	c.variables.check(s)
}

// tencentSMS sends short messages; each number has an answer of its own.
//
//	POST url/      JSON, signed in its headers (tencentSign)
//	{"Response":{"SendStatusSet":[{"SerialNo":"…","PhoneNumber":"+86…","Code":"Ok","Message":"send success"}],"RequestId":"…"}}
//	{"Response":{"Error":{"Code":"…","Message":"…"},"RequestId":"…"}}
type tencentSMS struct {
	*wire
	c    tencentSMSSettings
	url  string
	host string
	lang i18n.Lang
	partly
}

const tencentType = "application/json; charset=utf-8"

// tencentCodes: a limit of an hour or a day is tried again every hour; meanwhile other channels have the message.
var tencentCodes = codes{
	{code: "Ok"},
	{code: "InternalError*", class: retry},
	{code: "RequestLimitExceeded*", class: retry},
	{code: "LimitExceeded.DeliveryFrequencyLimit", class: retry},
	{code: "LimitExceeded.PhoneNumberThirtySecondLimit", class: retry, wait: 30 * time.Second},
	{code: "LimitExceeded.PhoneNumberOneHourLimit", class: retry, wait: time.Hour},
	{code: "LimitExceeded.PhoneNumberDailyLimit", class: retry, wait: time.Hour},
	{code: "LimitExceeded.PhoneNumberSameContentDailyLimit", class: retry, wait: time.Hour},
	{code: "InvalidParameterValue*", class: never},
	{code: "FailedOperation.SignatureIncorrectOrUnapproved", class: never},
	{code: "FailedOperation.TemplateIncorrectOrUnapproved", class: never},
	{code: "FailedOperation.InsufficientBalanceInSmsPackage", class: never},
	{code: "FailedOperation.PhoneNumberInBlacklist", class: never},
	{code: "UnsupportedOperation*", class: never},
	{code: "AuthFailure.SignatureExpire", class: clock},
	{code: "AuthFailure*", class: never},
}

func newTencentSMS(c tencentSMSSettings, o Options) Channel {
	t := &tencentSMS{wire: newTimedWire("tencent_sms", c.URL, c.Secret.Reveal(), c.SecretID), c: c, url: strings.TrimRight(c.URL, "/") + "/", lang: o.Lang}
	if u, err := url.Parse(c.URL); err == nil {
		t.host = u.Host
	}
	return t
}

func (t *tencentSMS) preview(m Message) string { return filled(t.c.variables, t.c.values(m, t.lang)) }

// Send sends the message to the people it is for; the receipts are the SerialNos.
func (t *tencentSMS) Send(ctx context.Context, m Message) (receipt string, err error) {
	numbers, err := phones("tencent_sms", m.To)
	if err != nil {
		return "", err
	}
	values := t.c.values(m, t.lang)
	return t.deliver(m.ID+"\n"+strings.Join(numbers, "\n"), numbers, func(to []string) map[string]result {
		results := map[string]result{}
		_, err := t.signed(func(now time.Time) (string, error) {
			got, err := t.request(ctx, now, to, values)
			if err != nil {
				return "", err
			}
			return "", t.sort(got, to, results)
		})
		for _, number := range to {
			if _, ok := results[number]; !ok {
				results[number] = result{err: err}
			}
		}
		return results
	})
}

// request asks for the message to be sent to all numbers. The order of its fields is that of the vendor's examples.
func (t *tencentSMS) request(ctx context.Context, now time.Time, to, values []string) (reply, error) {
	body := compact(struct {
		PhoneNumberSet   []string
		SmsSdkAppID      string `json:"SmsSdkAppId"`
		SignName         string
		TemplateID       string `json:"TemplateId"`
		TemplateParamSet []string
	}{to, t.c.AppID, t.c.SignName, t.c.Template, values})
	header := http.Header{}
	header.Set("Content-Type", tencentType)
	header.Set("X-TC-Action", "SendSms")
	header.Set("X-TC-Version", "2021-01-11")
	header.Set("X-TC-Region", t.c.Region)
	header.Set("X-TC-Timestamp", strconv.FormatInt(now.Unix(), 10))
	signed := [][2]string{{"content-type", tencentType}, {"host", t.host}, {"x-tc-action", "sendsms"}}
	header.Set("Authorization", tencentSign("sms", signed, now, body, t.c.SecretID, t.c.Secret.Reveal()))
	return t.post(ctx, t.url, body, header)
}

// sort sorts the answers for each number into results; an error is the request's.
func (t *tencentSMS) sort(got reply, to []string, results map[string]result) error {
	code, says, numbers := tencentAnswer(got.body)
	if len(numbers) == 0 {
		err := t.judge(got, code, says, tencentCodes)
		if err == nil { // it says Ok about nobody
			err = errors.New(t.name + ": no answer about the number")
		}
		return err
	}
	for _, n := range numbers {
		err := t.judge(got, n.code, n.says, tencentCodes)
		var wrong *wrongTime
		if errors.As(err, &wrong) {
			return err
		}
		results[n.number] = result{n.serial, err}
	}
	for _, number := range to {
		if _, ok := results[number]; !ok {
			results[number] = result{err: errors.New(t.name + ": no answer about the number")}
		}
	}
	return nil
}

// tencentNumber is the answer for one number.
type tencentNumber struct{ number, serial, code, says string }

// tencentAnswer reads an answer: a code for the request as a whole, or one for each number; "" is one with neither.
func tencentAnswer(body []byte) (code, says string, numbers []tencentNumber) {
	var got struct {
		Response struct {
			Error *struct{ Code, Message string }
			Set   []struct{ SerialNo, PhoneNumber, Code, Message string } `json:"SendStatusSet"`
		}
	}
	if json.Unmarshal(body, &got) != nil {
		return "", "", nil
	}
	if e := got.Response.Error; e != nil {
		return e.Code, e.Message, nil
	}
	for _, s := range got.Response.Set {
		numbers = append(numbers, tencentNumber{s.PhoneNumber, s.SerialNo, s.Code, s.Message})
	}
	return "", "", numbers
}

// tencentSign is the header Authorization of a POST, after TC3-HMAC-SHA256. The date is that of the time in UTC.
//
//	canonical = POST \n / \n \n (name:value \n)… \n names \n hex(SHA256(body))
//	key       = HMAC(HMAC(HMAC("TC3" + secret, date), service), "tc3_request")
func tencentSign(service string, signed [][2]string, now time.Time, body []byte, id, secret string) string {
	var headers strings.Builder
	var names []string
	for _, h := range signed {
		headers.WriteString(h[0] + ":" + strings.ToLower(h[1]) + "\n")
		names = append(names, h[0])
	}
	date := now.UTC().Format(time.DateOnly)
	scope := date + "/" + service + "/tc3_request"
	canonical := "POST\n/\n\n" + headers.String() + "\n" + strings.Join(names, ";") + "\n" + hexSHA256(string(body))
	text := "TC3-HMAC-SHA256\n" + strconv.FormatInt(now.Unix(), 10) + "\n" + scope + "\n" + hexSHA256(canonical)
	key := []byte("TC3" + secret)
	for _, part := range []string{date, service, "tc3_request", text} {
		sum := hmac.New(sha256.New, key)
		sum.Write([]byte(part))
		key = sum.Sum(nil)
	}
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", id, scope, strings.Join(names, ";"), hex.EncodeToString(key))
}
