package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/duty"
)

// wecomSettings are a group robot of 企业微信.
type wecomSettings struct {
	URL     string      `yaml:"url"`
	Key     conf.Secret `yaml:"key"`     // of the robot's address
	Mention []string    `yaml:"mention"` // mobile numbers, or @all
}

func (c *wecomSettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	needSecret(s, "key", c.Key)
}

// wecom posts to a group robot: a text where somebody is mentioned, since only a text can mention numbers; else markdown
// with the colour of the level.
//
//	POST url/cgi-bin/webhook/send?key=…      20 a minute
//	{"errcode":0,"errmsg":"ok"}              with status 200, whatever the code
type wecom struct {
	*wire
	url     string
	mention []string
	lang    i18n.Lang
}

// Bytes of a message (developer.work.weixin.qq.com, 91770); markdown leaves room for the colour.
const (
	wecomText     = 2048
	wecomMarkdown = 4096
	wecomColour   = 64
)

var wecomCodes = codes{
	{code: "0"},
	{code: "-1", class: retry},
	{code: "45009", class: retry, wait: time.Minute},
	{code: "45033", class: retry},
	{code: "93000", class: never},
	{code: "40058", class: never}, // as it is: it is cut and sent once more
	{code: "40008", class: never},
	{code: "44004", class: never},
}

func newWecom(c wecomSettings, o Options) Channel {
	address := strings.TrimRight(c.URL, "/") + "/cgi-bin/webhook/send?key=" + url.QueryEscape(c.Key.Reveal())
	return &wecom{wire: newWire("wecom", c.URL, asking, c.Key.Reveal()), url: address, mention: c.Mention, lang: o.Lang}
}

// Send posts the message; where it is too long after all, a quarter of it once more.
func (w *wecom) Send(ctx context.Context, m Message) (receipt string, err error) {
	said := say(m, w.lang).wide()
	mention := mentioned(w.mention, m.To)
	code, err := w.try(ctx, m, said, mention, 1)
	var refused *Refused
	if code == "40058" && errors.As(err, &refused) {
		_, err = w.try(ctx, m, said, mention, 4)
	}
	return "", err
}

// try posts the message in a part of the room that there is.
func (w *wecom) try(ctx context.Context, m Message, said words, mention []string, part int) (code string, err error) {
	type object = map[string]any
	text := said.text(wecomRoom(mention, part))
	body := object{"msgtype": "markdown", "markdown": object{"content": wecomColoured(text, m.severity())}}
	if len(mention) > 0 {
		body = object{"msgtype": "text", "text": object{"content": text, "mentioned_mobile_list": mention}}
	}
	a, err := w.postJSON(ctx, w.url, body)
	if err != nil {
		return "", err
	}
	code, says := errcode(a.body)
	return code, w.judge(a, code, says, wecomCodes)
}

func (w *wecom) preview(m Message) string {
	return say(m, w.lang).wide().text(wecomRoom(mentioned(w.mention, m.To), 1))
}

// wecomRoom is the bytes for a text, or for markdown where nobody is mentioned; or a part of them.
func wecomRoom(mention []string, part int) int {
	if len(mention) > 0 {
		return wecomText / part
	}
	return wecomMarkdown/part - wecomColour
}

// wecomColoured is a text with its first line in the colour of the severity.
func wecomColoured(text string, s severity) string {
	colour := map[severity]string{good: "info", notice: "comment", trouble: "comment"}[s]
	if colour == "" {
		colour = "warning"
	}
	first, rest, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(`<font color="`+colour+`">`+first+"</font>\n"+rest, "\n")
}

// errcode reads the answer of 企业微信 and 钉钉; "" is one without a code.
func errcode(body []byte) (code, says string) {
	var got struct {
		Code *int64 `json:"errcode"`
		Says string `json:"errmsg"`
	}
	if json.Unmarshal(body, &got) != nil || got.Code == nil {
		return "", ""
	}
	return strconv.FormatInt(*got.Code, 10), got.Says
}

// mentioned are the numbers to mention: those of the configuration, and of the people.
func mentioned(always []string, to []duty.Person) []string {
	all := slices.Clone(always)
	for _, p := range to {
		if p.Phone != "" {
			all = append(all, mobile(p.Phone))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// mobile is a number as it is written within China, without the country; of another country, without the plus.
func mobile(phone string) string {
	if home, ok := strings.CutPrefix(phone, "+86"); ok {
		return home
	}
	return strings.TrimPrefix(phone, "+")
}
