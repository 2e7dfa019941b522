package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const telegramKeys = `url: "%s", token: "123456:AAexampleOfAToken", chat_id: -1001234567890`

// telegramServer knows one bot and two chats, of which the first has become the second, and takes 3 messages of at most
// 4,096 characters.
func telegramServer(t *testing.T) (*receiver, string) {
	h := &receiver{}
	rate := ration{limit: 3}
	h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		all := h.requests()
		var got struct {
			Chat int64 `json:"chat_id"`
			Text string
		}
		err := json.Unmarshal(all[len(all)-1].body, &got)
		fail := func(status int, text, more string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"ok":false,"error_code":%d,"description":%q%s}`, status, text, more)
		}
		switch {
		case r.URL.Path != "/bot123456:AAexampleOfAToken/sendMessage":
			fail(401, "Unauthorized", "")
		case err != nil || got.Text == "" || len([]rune(got.Text)) > 4096:
			fail(400, "Bad Request: message is too long", "")
		case got.Chat == -1001234567890:
			fail(400, "Bad Request: group chat was upgraded to a supergroup chat", `,"parameters":{"migrate_to_chat_id":-100999}`)
		case got.Chat != -100999:
			fail(400, "Bad Request: chat not found", "")
		case !rate.take():
			fail(429, "Too Many Requests: retry after 14", `,"parameters":{"retry_after":14}`)
		default:
			fmt.Fprintf(w, `{"ok":true,"result":{"message_id":%d,"date":1760000000,"chat":{"id":-100999},"text":"x"}}`, len(all))
		}
	}
	return h, serveReceiver(t, h)
}

// TestTelegram (NO01): a chat that moved is followed at once and from then on; waits are the server's; good news is silent.
func TestTelegram(t *testing.T) {
	h, url := telegramServer(t)
	c := sender(t, "telegram", telegramKeys, url)
	m := alarmed("alarm.raised")
	m.Link = "https://gw.local/a/Zx81"
	m.Alarm.Message = strings.Repeat("开窗🔥", 3000)
	if receipt, err := c.Send(context.Background(), m); err != nil || receipt != "2" {
		t.Errorf("%q %v", receipt, err)
	}
	if receipt, err := c.Send(context.Background(), alarmed("alarm.cleared")); err != nil || receipt != "3" {
		t.Errorf("%q %v", receipt, err)
	}
	for i, silent := range []bool{false, false, true} {
		var got struct {
			Text   string
			Silent bool `json:"disable_notification"`
		}
		if err := json.Unmarshal(h.requests()[i].body, &got); err != nil || got.Silent != silent || !strings.HasPrefix(got.Text, "一层 / 厨房 厨房燃气探测器 燃气高报") {
			t.Errorf("%v %+v", err, got)
		}
	}
	c.Send(context.Background(), m)
	if _, err := c.Send(context.Background(), m); outcomeOf(err) != "retry 14s" {
		t.Errorf("one too many: %v", err)
	}
	if _, err := sender(t, "telegram", `url: "%s", token: "9:x", chat_id: 7`, url).Send(context.Background(), m); outcomeOf(err) != "never" {
		t.Errorf("a bot that is not there: %v", err)
	}
	if _, err := sender(t, "telegram", `url: "%s", token: "123456:AAexampleOfAToken", chat_id: 7`, url).Send(context.Background(), m); outcomeOf(err) != "never" {
		t.Errorf("a chat that is not there: %v", err)
	}
}

// TestTelegramChatThatMovesInACircle is followed once for a message.
func TestTelegramChatThatMovesInACircle(t *testing.T) {
	h, s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"ok":false,"error_code":400,"description":"moved","parameters":{"migrate_to_chat_id":%d}}`, n%2+1)
	})
	if _, err := sender(t, "telegram", telegramKeys, s.URL).Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "never" || h.count() != 2 {
		t.Errorf("%v after %d", err, h.count())
	}
}

// TestTelegramCodes (NO02): each code is accepted, tried again, or refused.
func TestTelegramCodes(t *testing.T) {
	row := func(status int, more, want string) answered {
		return answered{status, fmt.Sprintf(`{"ok":false,"error_code":%d,"description":"x"%s}`, status, more), want}
	}
	rows := []answered{
		{200, `{"ok":true,"result":{"message_id":7}}`, "accepted"}, row(400, "", "never"), row(401, "", "never"), row(403, "", "never"), row(404, "", "never"),
		row(429, `,"parameters":{"retry_after":14}`, "retry 14s"), row(429, `,"parameters":{"retry_after":99999999999}`, "retry 1h0m0s"), row(429, `,"parameters":{"retry_after":-3}`, "retry"), row(429, "", "retry"),
		row(500, "", "retry"), row(502, "", "retry"), {200, `{"ok":false,"error_code":400,"description":"x"}`, "never"}, {200, `{"ok":false}`, "retry"}, {409, `{"ok":false,"error_code":409}`, "never"},
	}
	checkAnswers(t, "telegram", telegramKeys, alarmed("alarm.raised"), rows)
	checkTable(t, telegramCodes, func(b []byte) (string, string) { a := readTelegram(b); return a.code, a.says }, rows)
}

func FuzzTelegramAnswer(f *testing.F) {
	for _, s := range []string{`{"ok":true,"result":{"message_id":7}}`, `{"ok":false,"error_code":429,"parameters":{"retry_after":14}}`, `{"ok":false,"error_code":400,"parameters":{"migrate_to_chat_id":-1}}`, `{}`, ``, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if a := readTelegram(body); a.wait < 0 || a.wait > maxLater || a.code == "ok" && a.id == "" {
			t.Errorf("%q is %+v", body, a)
		}
	})
}
