package notify

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// barkSettings are an iPhone with Bark.
type barkSettings struct {
	URL   string      `yaml:"url"`
	Key   conf.Secret `yaml:"key"`
	Level string      `yaml:"level"` // of alarms; critical sounds in silent mode too
}

func (c *barkSettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	needSecret(s, "key", c.Key)
	oneOf(s, "level", c.Level, "active", "timeSensitive", "passive", "critical")
}

// bark pushes to an iPhone.
//
//	POST url/push
//	{"code":200,"message":"success","timestamp":1760000000}
type bark struct {
	*wire
	url   string
	key   string
	level string
	lang  i18n.Lang
}

const (
	barkLimit = 3700 // bytes of a request; Apple takes 4,096 of what the server makes of it
	barkTitle = 300
)

var barkCodes = codes{
	{code: "200"},
	{code: "400", class: never},
	{code: "410", class: never}, // the phone is no longer there
	{code: "413", class: never},
	{code: "429", class: retry},
	{code: "5*", class: retry},
}

func newBark(c barkSettings, o Options) Channel {
	return &bark{wire: newWire("bark", c.URL, asking, c.Key.Reveal()), url: strings.TrimRight(c.URL, "/") + "/push",
		key: c.Key.Reveal(), level: c.Level, lang: o.Lang}
}

// Send pushes the message; the receipt is the time that the server noted.
func (b *bark) Send(ctx context.Context, m Message) (receipt string, err error) {
	said := say(m, b.lang)
	link := said.link
	said.link = ""
	level := m.severity()
	group := m.Event
	if m.Alarm != nil {
		group = string(m.Alarm.Class)
	}
	body := map[string]any{
		"device_key": b.key,
		"title":      said.title(barkTitle),
		"group":      group,
		"isArchive":  "1",
		"level":      map[severity]string{good: "active", notice: "active", trouble: "timeSensitive", prealarm: "timeSensitive", danger: b.level}[level],
	}
	if level == danger {
		body["call"] = "1" // rings for 30 s
		if b.level == "critical" {
			body["volume"] = "10"
		}
	}
	if link != "" {
		body["url"] = link
	}
	for limit := barkLimit; ; limit = limit * 7 / 8 { // each line break and quote is two bytes there
		body["body"] = said.body(limit)
		if limit < 100 || len(compact(body)) <= barkLimit {
			break
		}
	}
	a, err := b.postJSON(ctx, b.url, body)
	if err != nil {
		return "", err
	}
	code, says, stamp := barkAnswer(a.body)
	err = b.judge(a, code, says, barkCodes)
	var refused *Refused
	if errors.As(err, &refused) {
		refused.Gone = code == "410"
	}
	if err != nil {
		stamp = ""
	}
	return stamp, err
}

func (b *bark) preview(m Message) string { return titled(say(m, b.lang), barkTitle, barkLimit) }

// barkAnswer reads an answer; "" is one without a code.
func barkAnswer(body []byte) (code, says, stamp string) {
	var got struct {
		Code      *int64 `json:"code"`
		Message   string `json:"message"`
		Timestamp int64  `json:"timestamp"`
	}
	if json.Unmarshal(body, &got) != nil || got.Code == nil {
		return "", "", ""
	}
	return strconv.FormatInt(*got.Code, 10), got.Message, strconv.FormatInt(got.Timestamp, 10)
}
