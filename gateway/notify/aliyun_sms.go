package notify

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// aliyunSMSSettings are short messages by 阿里云; the numbers are those of the people on duty.
type aliyunSMSSettings struct {
	URL         string      `yaml:"url"`
	AccessKeyID string      `yaml:"access_key_id"`
	Secret      conf.Secret `yaml:"secret"`
	SignName    string      `yaml:"sign_name"`
	Template    string      `yaml:"template"` // SMS_…, with the variables ${place}, ${kind}, ${time}
	Region      string      `yaml:"region"`
	variables   `yaml:",inline"`
}

func (c *aliyunSMSSettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	need(s, "access_key_id", c.AccessKeyID)
	needSecret(s, "secret", c.Secret)
	need(s, "sign_name", c.SignName)
	need(s, "template", c.Template)
	need(s, "region", c.Region)
	c.variables.check(s)
}

// aliyunSMS sends short messages, one request for all numbers of a message.
//
//	POST url/      a form, with its signature (aliyunV1)
//	{"Code":"OK","Message":"OK","RequestId":"…","BizId":"…"}: the platform has it, nobody has read it
type aliyunSMS struct {
	*wire
	c     aliyunSMSSettings
	url   string
	lang  i18n.Lang
	nonce func() string
}

func newAliyunSMS(c aliyunSMSSettings, o Options) Channel {
	return &aliyunSMS{wire: newTimedWire("aliyun_sms", c.URL, c.Secret.Reveal(), c.AccessKeyID), c: c,
		url: strings.TrimRight(c.URL, "/") + "/", lang: o.Lang, nonce: newNonce}
}

func (a *aliyunSMS) preview(m Message) string { return filled(a.c.variables, a.c.values(m, a.lang)) }

// Send sends the message to the people it is for; the receipt is the BizId.
func (a *aliyunSMS) Send(ctx context.Context, m Message) (receipt string, err error) {
	numbers, err := phones("aliyun_sms", m.To)
	if err != nil {
		return "", err
	}
	for i, n := range numbers {
		numbers[i] = mobile(n)
	}
	parameters := map[string]string{
		"Action": "SendSms", "Version": aliyunVersion, "RegionId": a.c.Region, "Format": "JSON", "AccessKeyId": a.c.AccessKeyID,
		"PhoneNumbers": strings.Join(numbers, ","), "SignName": a.c.SignName, "TemplateCode": a.c.Template,
		"TemplateParam": aliyunVariables(a.c.Names, a.c.values(m, a.lang)), "OutId": cut(m.ID, 255),
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
	}
	return a.signed(func(now time.Time) (string, error) {
		form := maps.Clone(parameters)
		form["Timestamp"], form["SignatureNonce"] = now.UTC().Format(aliyunTime), a.nonce()
		form["Signature"] = aliyunV1(http.MethodPost, form, a.c.Secret.Reveal())
		got, err := a.post(ctx, a.url, []byte(aliyunQuery(form)), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
		if err != nil {
			return "", err
		}
		code, says, id := aliyunAnswer(got.body)
		return id, a.judge(got, code, says, aliyunCodes)
	})
}
