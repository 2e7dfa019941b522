package notify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// ntfySettings are a topic of an ntfy server.
type ntfySettings struct {
	URL      string      `yaml:"url"`
	Topic    string      `yaml:"topic"`
	Token    conf.Secret `yaml:"token"`
	Username string      `yaml:"username"`
	Password conf.Secret `yaml:"password"`
}

func (c *ntfySettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	need(s, "topic", c.Topic)
	if c.Token.IsSet() && c.Username != "" {
		s.At("token").Problem("a token or a username, not both")
	}
}

// ntfy publishes to a topic, as JSON, since a header has no Chinese.
//
//	POST url      60 at once, then one every 5 s
//	{"id":"sPs71M8A2T",…} or {"code":42901,"http":429,"error":"…"}
type ntfy struct {
	*wire
	url    string
	topic  string
	header http.Header
	lang   i18n.Lang
}

const (
	ntfyText  = 4096 // bytes; what is longer becomes an attachment
	ntfyTitle = 250
)

var ntfyCodes = codes{
	{code: "ok"},
	{code: "42908", class: never}, // the quota of the day
	{code: "429*", class: retry, wait: 5 * time.Second},
	{code: "400*", class: never},
	{code: "401*", class: never},
	{code: "403*", class: never},
	{code: "413*", class: never},
	{code: "50701", class: never}, // the topic is one of UnifiedPush
	{code: "5*", class: retry},
}

func newNtfy(c ntfySettings, o Options) Channel {
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	pair := base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password.Reveal()))
	switch {
	case c.Token.IsSet():
		header.Set("Authorization", "Bearer "+c.Token.Reveal())
	case c.Username != "":
		header.Set("Authorization", "Basic "+pair)
	}
	return &ntfy{wire: newWire("ntfy", c.URL, asking, c.Token.Reveal(), c.Password.Reveal(), pair), url: c.URL, topic: c.Topic, header: header, lang: o.Lang}
}

// Send publishes the message; the receipt is its id.
func (n *ntfy) Send(ctx context.Context, m Message) (receipt string, err error) {
	said := say(m, n.lang)
	link := said.link
	said.link = ""
	level := m.severity()
	body := map[string]any{
		"topic":    n.topic,
		"title":    said.title(ntfyTitle),
		"message":  said.body(ntfyText),
		"priority": map[severity]int{good: 2, notice: 3, trouble: 4, prealarm: 4, danger: 5}[level],
		"tags":     []string{map[severity]string{good: "white_check_mark", notice: "information_source", trouble: "wrench", prealarm: "warning", danger: "rotating_light"}[level]},
	}
	if link != "" {
		body["click"] = link
	}
	a, err := n.post(ctx, n.url, compact(body), n.header)
	if err != nil {
		return "", err
	}
	code, says, id := ntfyAnswer(a.body)
	return id, n.judge(a, code, says, ntfyCodes)
}

func (n *ntfy) preview(m Message) string { return titled(say(m, n.lang), ntfyTitle, ntfyText) }

// ntfyAnswer reads an answer: the id of a message, or a code of 5 digits. "" is one with neither.
func ntfyAnswer(body []byte) (code, says, id string) {
	var got struct {
		ID    string `json:"id"`
		Event string `json:"event"`
		Code  *int64 `json:"code"`
		Error string `json:"error"`
	}
	switch {
	case json.Unmarshal(body, &got) != nil:
		return "", "", ""
	case got.Code != nil:
		return strconv.FormatInt(*got.Code, 10), got.Error, ""
	case got.ID != "" && got.Event == "message":
		return "ok", "", got.ID
	default:
		return "", "", ""
	}
}
