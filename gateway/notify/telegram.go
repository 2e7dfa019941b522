package notify

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// telegramSettings are a chat of a Telegram bot.
type telegramSettings struct {
	URL    string      `yaml:"url"`
	Token  conf.Secret `yaml:"token"`
	ChatID int64       `yaml:"chat_id"`
}

func (c *telegramSettings) check(s conf.Section) {
	needURL(s, "url", c.URL)
	needSecret(s, "token", c.Token)
	if c.ChatID == 0 {
		s.At("chat_id").Problem("%s is needed", "chat_id")
	}
}

// telegram sends plain text to a chat. From networks in China it needs a proxy (HTTPS_PROXY).
//
//	POST url/bot<token>/sendMessage      one a second for a chat, 20 a minute for a group
//	{"ok":true,"result":{"message_id":7,…}} or {"ok":false,"error_code":429,"description":"…","parameters":{"retry_after":14}}
type telegram struct {
	*wire
	url  string
	chat atomic.Int64 // changes where a group becomes a supergroup
	lang i18n.Lang
}

const telegramText = 4096 // they count characters; bytes are on the safe side

var telegramCodes = codes{
	{code: "ok"},
	{code: "400", class: never},
	{code: "401", class: never},
	{code: "403", class: never},
	{code: "404", class: never},
	{code: "429", class: retry},
	{code: "5*", class: retry},
}

func newTelegram(c telegramSettings, o Options) Channel {
	t := &telegram{wire: newWire("telegram", c.URL, asking, c.Token.Reveal()), url: strings.TrimRight(c.URL, "/") + "/bot" + c.Token.Reveal() + "/sendMessage", lang: o.Lang}
	t.chat.Store(c.ChatID)
	return t
}

// Send sends the message, and once more where the chat has moved; the receipt is its number in the chat.
func (t *telegram) Send(ctx context.Context, m Message) (receipt string, err error) {
	got, err := t.attempt(ctx, m)
	if err != nil && got.moved != 0 && t.chat.Swap(got.moved) != got.moved {
		got, err = t.attempt(ctx, m)
	}
	return got.id, err
}

func (t *telegram) preview(m Message) string { return say(m, t.lang).text(telegramText) }

func (t *telegram) attempt(ctx context.Context, m Message) (telegramAnswer, error) {
	a, err := t.postJSON(ctx, t.url, map[string]any{
		"chat_id":              t.chat.Load(),
		"text":                 t.preview(m),
		"disable_notification": m.severity() == good,
		"link_preview_options": map[string]bool{"is_disabled": true}, // a preview would follow the link
	})
	if err != nil {
		return telegramAnswer{}, err
	}
	got := readTelegram(a.body)
	err = t.judge(a, got.code, got.says, telegramCodes)
	if err != nil && got.code == "429" && got.wait > 0 {
		err = &Later{got.wait, err}
	}
	return got, err
}

// telegramAnswer is what the bot's server said.
type telegramAnswer struct {
	code, says string // ok, or an error's; "" is an answer without either
	id         string
	wait       time.Duration
	moved      int64 // the new id of the chat; 0 where it has not moved
}

func readTelegram(body []byte) telegramAnswer {
	var got struct {
		OK          *bool  `json:"ok"`
		ErrorCode   int64  `json:"error_code"`
		Description string `json:"description"`
		Result      struct {
			MessageID int64 `json:"message_id"`
		} `json:"result"`
		Parameters struct {
			RetryAfter int64 `json:"retry_after"`
			Moved      int64 `json:"migrate_to_chat_id"`
		} `json:"parameters"`
	}
	switch {
	case json.Unmarshal(body, &got) != nil || got.OK == nil:
		return telegramAnswer{}
	case *got.OK:
		return telegramAnswer{code: "ok", id: strconv.FormatInt(got.Result.MessageID, 10)}
	default:
		seconds := min(max(got.Parameters.RetryAfter, 0), int64(maxLater/time.Second))
		return telegramAnswer{code: strconv.FormatInt(got.ErrorCode, 10), says: got.Description, wait: time.Duration(seconds) * time.Second, moved: got.Parameters.Moved}
	}
}
