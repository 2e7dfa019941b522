package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// dingtalkSettings are a custom robot of 钉钉.
type dingtalkSettings struct {
	URL     string      `yaml:"url"`
	Token   conf.Secret `yaml:"token"`   // access_token of the robot's address
	Secret  conf.Secret `yaml:"secret"`  // SEC…, where the robot signs (加签)
	Keyword string      `yaml:"keyword"` // where the robot asks for one: it goes into every message
	Mention []string    `yaml:"mention"` // mobile numbers, or @all
}

func (c *dingtalkSettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	needSecret(s, "token", c.Token)
}

// dingtalk posts markdown to a custom robot.
//
//	POST url/robot/send?access_token=…&timestamp=ms&sign=…      20 a minute, else nothing for 10 minutes
//	sign = base64(HMAC-SHA256(key: secret, ms + "\n" + secret)), within an hour of their clock
//	{"errcode":0,"errmsg":"ok"}                                 with status 200, whatever the code
type dingtalk struct {
	*wire
	url     string
	secret  string
	keyword string
	mention []string
	lang    i18n.Lang
}

const (
	dingtalkText  = 18000 // bytes; 20,000 are allowed for the body
	dingtalkBlock = 10 * time.Minute
)

// dingtalkCodes: the words of 310000 tell which of the robot's conditions was not met.
var dingtalkCodes = codes{
	{code: "0"},
	{code: "-1", class: retry},
	{code: "310000", says: "keyword", class: never},
	{code: "310000", says: "关键词", class: never},
	{code: "310000", says: "whitelist", class: never},
	{code: "310000", says: "白名单", class: never},
	{code: "310000", says: "timestamp", class: clock},
	{code: "310000", says: "sign", class: clock},
	{code: "310000", says: "签名", class: clock},
	{code: "310000", class: never},
	{code: "130101", class: retry, wait: dingtalkBlock},
	{code: "410100", class: retry, wait: dingtalkBlock},
	{code: "300005", class: never},
	{code: "300001", class: never},
	{code: "400101", class: never},
	{code: "400102", class: never},
	{code: "90030", class: never}, // not before the next day
	{code: "40035", class: never},
	{code: "400105", class: never},
	{code: "430101", class: never},
	{code: "430102", class: never},
	{code: "430103", class: never},
	{code: "430104", class: never},
}

func newDingtalk(c dingtalkSettings, o Options) Channel {
	address := strings.TrimRight(c.URL, "/") + "/robot/send?access_token=" + url.QueryEscape(c.Token.Reveal())
	return &dingtalk{wire: newTimedWire("dingtalk", c.URL, c.Token.Reveal(), c.Secret.Reveal()), url: address,
		secret: c.Secret.Reveal(), keyword: c.Keyword, mention: c.Mention, lang: o.Lang}
}

// Send posts the message, signed with the time of sending.
func (d *dingtalk) Send(ctx context.Context, m Message) (receipt string, err error) {
	type object = map[string]any
	said := d.said(m)
	numbers := mentioned(d.mention, m.To)
	everybody := slices.Contains(numbers, "@all")
	numbers = slices.DeleteFunc(numbers, func(n string) bool { return n == "@all" })
	body := object{
		"msgtype":  "markdown",
		"markdown": object{"title": said.title(200), "text": dingtalkMarkdown(said, numbers, d.lang)},
		"at":       object{"atMobiles": append([]string{}, numbers...), "isAtAll": everybody},
	}
	return d.signed(func(now time.Time) (string, error) {
		address := d.url
		if d.secret != "" {
			ms := strconv.FormatInt(now.UnixMilli(), 10)
			address += "&timestamp=" + ms + "&sign=" + url.QueryEscape(dingtalkSign(d.secret, ms))
		}
		a, err := d.postJSON(ctx, address, body)
		if err != nil {
			return "", err
		}
		code, says := errcode(a.body)
		return "", d.judge(a, code, says, dingtalkCodes)
	})
}

// said are the words of a message, with the keyword and without markup.
func (d *dingtalk) said(m Message) words { return say(m, d.lang).wide().containing(d.keyword) }

func (d *dingtalk) preview(m Message) string { return d.said(m).text(dingtalkText) }

// dingtalkSign is the signature of a time in milliseconds.
func dingtalkSign(secret, ms string) string {
	sum := hmac.New(sha256.New, []byte(secret))
	sum.Write([]byte(ms + "\n" + secret))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// dingtalkMarkdown is the text with a heading, a link to tap, and the numbers, which are highlighted only where they stand
// in the text too.
func dingtalkMarkdown(said words, numbers []string, lang i18n.Lang) string {
	lines := strings.Split(said.text(dingtalkText), "\n")
	lines[0] = "### " + lines[0]
	for i, line := range lines {
		if line == said.link && line != "" {
			lines[i] = "[" + lang.Say("I am on it") + "](" + line + ")"
		}
	}
	if len(numbers) > 0 {
		lines = append(lines, "@"+strings.Join(numbers, " @"))
	}
	return strings.Join(lines, "\n\n")
}
