package notify

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// aliyunVoiceSettings are voice calls by 阿里云.
type aliyunVoiceSettings struct {
	URL         string      `yaml:"url"`
	AccessKeyID string      `yaml:"access_key_id"`
	Secret      conf.Secret `yaml:"secret"`
	Template    string      `yaml:"template"`    // TTS_…, with the variables ${place}, ${kind}, ${time}
	ShowNumber  string      `yaml:"show_number"` // of the dedicated model only
	PlayTimes   int         `yaml:"play_times"`  // 1 to 3
	variables   `yaml:",inline"`
}

func (c *aliyunVoiceSettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	need(s, "access_key_id", c.AccessKeyID)
	needSecret(s, "secret", c.Secret)
	need(s, "template", c.Template)
	if c.PlayTimes < 1 || c.PlayTimes > 3 {
		s.At("play_times").Problem("a call is played 1 to 3 times")
	}
	c.variables.check(s)
}

// aliyunVoice calls people and reads the message to them, one call a number.
//
//	POST url/?CalledNumber=…&TtsCode=…      without a body, signed in its headers (aliyunV3)
//	{"Code":"OK","Message":"OK","RequestId":"…","CallId":"…"}: the platform has it, nobody has picked up
type aliyunVoice struct {
	*wire
	c     aliyunVoiceSettings
	url   string
	host  string
	lang  i18n.Lang
	nonce func() string
	partly
}

func newAliyunVoice(c aliyunVoiceSettings, o Options) Channel {
	a := &aliyunVoice{wire: newTimedWire("aliyun_voice", c.URL, c.Secret.Reveal(), c.AccessKeyID), c: c,
		url: strings.TrimRight(c.URL, "/") + "/", lang: o.Lang, nonce: newNonce}
	if u, err := url.Parse(c.URL); err == nil {
		a.host = u.Host
	}
	return a
}

func (a *aliyunVoice) preview(m Message) string { return filled(a.c.variables, a.c.values(m, a.lang)) }

// Send calls the people the message is for; the receipts are the CallIds.
func (a *aliyunVoice) Send(ctx context.Context, m Message) (receipt string, err error) {
	numbers, err := phones("aliyun_voice", m.To)
	if err != nil {
		return "", err
	}
	said := aliyunVariables(a.c.Names, a.c.values(m, a.lang))
	return a.deliver(m.ID+"\n"+strings.Join(numbers, "\n"), numbers, func(to []string) map[string]result {
		results := map[string]result{}
		for _, number := range to {
			receipt, err := a.call(ctx, number, said, m.ID)
			results[number] = result{receipt, err}
		}
		return results
	})
}

// call calls one number.
func (a *aliyunVoice) call(ctx context.Context, number, said, id string) (receipt string, err error) {
	parameters := map[string]string{"CalledNumber": mobile(number), "TtsCode": a.c.Template, "TtsParam": said,
		"PlayTimes": strconv.Itoa(a.c.PlayTimes), "OutId": shortID(id)}
	if a.c.ShowNumber != "" {
		parameters["CalledShowNumber"] = a.c.ShowNumber
	}
	return a.signed(func(now time.Time) (string, error) {
		header := http.Header{}
		header.Set("x-acs-action", "SingleCallByTts")
		header.Set("x-acs-version", aliyunVersion)
		header.Set("x-acs-date", now.UTC().Format(aliyunTime))
		header.Set("x-acs-signature-nonce", a.nonce())
		header.Set("x-acs-content-sha256", hexSHA256(""))
		header.Set("Authorization", aliyunV3(http.MethodPost, parameters, a.host, header, a.c.AccessKeyID, a.c.Secret.Reveal()))
		got, err := a.post(ctx, a.url+"?"+aliyunQuery(parameters), nil, header)
		if err != nil {
			return "", err
		}
		code, says, id := aliyunAnswer(got.body)
		return id, a.judge(got, code, says, aliyunCodes)
	})
}
