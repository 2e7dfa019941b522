package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/duty"
)

// feishuSettings are a custom robot of 飞书 or Lark.
type feishuSettings struct {
	URL     string      `yaml:"url"`    // "": the vendor's
	Token   conf.Secret `yaml:"token"`  // the last part of the robot's address
	Secret  conf.Secret `yaml:"secret"` // where the robot signs
	Keyword string      `yaml:"keyword"`
	Lark    bool        `yaml:"lark"`    // the international service
	Mention []string    `yaml:"mention"` // open ids (ou_…), or @all
}

func (c *feishuSettings) check(s conf.Section) {
	if c.URL == "" {
		c.URL = map[bool]string{false: "https://open.feishu.cn", true: "https://open.larksuite.com"}[c.Lark]
	}
	needURL(s, "url", c.URL)
	needSecret(s, "token", c.Token)
}

// feishu posts a card with a coloured head to a custom robot, and plain text where it will not take the card.
//
//	POST url/open-apis/bot/v2/hook/token          100 a minute, 5 a second
//	timestamp in seconds and sign = base64(HMAC-SHA256(key: seconds + "\n" + secret, "")) in the body, within an hour
//	{"code":0,…} or {"StatusCode":0,…} or both    with status 200, whatever the code
type feishu struct {
	*wire
	url     string
	secret  string
	keyword string
	mention []string
	lang    i18n.Lang
}

const feishuText = 15000 // bytes; 20 KB are allowed for the body

var feishuCodes = codes{
	{code: "0"},
	{code: "19001", class: never},
	{code: "19021", class: clock},
	{code: "19022", class: never},
	{code: "19024", class: never},
	{code: "9499", says: "frequency", class: retry, wait: time.Second},
	{code: "9499", class: never},
	{code: "11232", class: retry, wait: time.Second},
	{code: "11246", class: never}, // the card is not valid: plain text may be
	{code: "2300*", class: never}, // the same
}

func newFeishu(c feishuSettings, o Options) Channel {
	address := strings.TrimRight(c.URL, "/") + "/open-apis/bot/v2/hook/" + c.Token.Reveal()
	return &feishu{wire: newTimedWire("feishu", c.URL, c.Token.Reveal(), c.Secret.Reveal()), url: address,
		secret: c.Secret.Reveal(), keyword: c.Keyword, mention: c.Mention, lang: o.Lang}
}

// Send posts the message, signed with the time of sending.
func (f *feishu) Send(ctx context.Context, m Message) (receipt string, err error) {
	said := say(m, f.lang).containing(f.keyword)
	code, receipt, err := f.attempt(ctx, f.card(said, m))
	var refused *Refused
	if errors.As(err, &refused) && (code == "11246" || strings.HasPrefix(code, "2300")) {
		_, receipt, err = f.attempt(ctx, f.plain(said.wide(), m))
	}
	var later *Later
	if errors.As(err, &later) {
		later.After = feishuWait(f.now(), later.After, rand.N(5*time.Second))
	}
	return receipt, err
}

// attempt posts one body, with the time and its signature.
func (f *feishu) attempt(ctx context.Context, body map[string]any) (code, receipt string, err error) {
	receipt, err = f.signed(func(now time.Time) (string, error) {
		if f.secret != "" {
			seconds := strconv.FormatInt(now.Unix(), 10)
			body["timestamp"], body["sign"] = seconds, feishuSign(f.secret, seconds)
		}
		a, err := f.postJSON(ctx, f.url, body)
		if err != nil {
			return "", err
		}
		var says string
		code, says = feishuCode(a.body)
		return "", f.judge(a, code, says, feishuCodes)
	})
	return code, receipt, err
}

func (f *feishu) preview(m Message) string {
	return say(m, f.lang).containing(f.keyword).text(feishuText)
}

// feishuSign is the signature of a time in seconds: key and text are the other way round than one would think.
func feishuSign(secret, seconds string) string {
	sum := hmac.New(sha256.New, []byte(seconds+"\n"+secret))
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// feishuWait spreads the next attempt, and keeps it out of the minutes around the full and the half hour, in which the
// vendor is known to be overrun.
func feishuWait(now time.Time, wait, jitter time.Duration) time.Duration {
	wait += jitter
	if at := now.Add(wait); at.Minute()%30 == 0 {
		wait += at.Truncate(time.Minute).Add(time.Minute).Sub(at)
	}
	return wait
}

// feishuCode reads an answer in either of its shapes; where both are there, the one that is not 0. "" is one without a code.
func feishuCode(body []byte) (code, says string) {
	var got struct {
		Code          *int64 `json:"code"`
		Msg           string `json:"msg"`
		StatusCode    *int64 `json:"StatusCode"`
		StatusMessage string `json:"StatusMessage"`
	}
	switch {
	case json.Unmarshal(body, &got) != nil || got.Code == nil && got.StatusCode == nil:
		return "", ""
	case got.Code == nil || *got.Code == 0 && got.StatusCode != nil:
		return strconv.FormatInt(*got.StatusCode, 10), got.StatusMessage
	default:
		return strconv.FormatInt(*got.Code, 10), got.Msg
	}
}

// card is the message with the colour of its severity. Names stand in plain text, where nothing is markup.
func (f *feishu) card(said words, m Message) map[string]any {
	type object = map[string]any
	plain := func(text string) object { return object{"tag": "plain_text", "content": text} }
	colour := map[severity]string{good: "green", notice: "blue", trouble: "yellow", prealarm: "orange", danger: "red"}[m.severity()]
	link := said.link
	said.link = ""
	elements := []object{{"tag": "div", "text": plain(said.body(feishuText))}}
	if at := f.at(m.To, `<at id=`, `></at>`, `<at email=`, `></at>`); at != "" {
		elements = append(elements, object{"tag": "div", "text": object{"tag": "lark_md", "content": at}})
	}
	if link != "" {
		elements = append(elements, object{"tag": "action", "actions": []object{
			{"tag": "button", "type": "primary", "url": link, "text": plain(f.lang.Say("I am on it"))}}})
	}
	return object{"msg_type": "interactive", "card": object{
		"config":   object{"wide_screen_mode": true},
		"header":   object{"template": colour, "title": plain(said.title(400))},
		"elements": elements,
	}}
}

// plain is the message as text.
func (f *feishu) plain(said words, m Message) map[string]any {
	type object = map[string]any
	text := said.text(feishuText) + "\n" + f.at(m.To, `<at user_id="`, `"></at>`, "", "")
	return object{"msg_type": "text", "content": object{"text": strings.TrimSuffix(text, "\n")}}
}

// at mentions those of the configuration by their id, and people by their address where the form has one for that, else
// by their name.
func (f *feishu) at(to []duty.Person, id, idEnd, email, emailEnd string) string {
	var all []string
	for _, who := range f.mention {
		all = append(all, id+strings.TrimPrefix(who, "@")+idEnd)
	}
	for _, p := range to {
		switch {
		case p.Email != "" && email != "":
			all = append(all, email+p.Email+emailEnd)
		case p.Name != "":
			all = append(all, "@"+oneLine(wideMarkup.Replace(p.Name)))
		}
	}
	return strings.Join(slices.Compact(all), " ")
}
