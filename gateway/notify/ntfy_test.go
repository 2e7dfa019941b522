package notify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const ntfyKeys = `url: "%s", topic: duty, username: gw, password: pa55w0rd`

// ntfyServer wants a user, takes 3 messages of at most 4,096 bytes, and a topic that it knows.
func ntfyServer(t *testing.T) (*receiver, string) {
	h := &receiver{}
	rate := ration{limit: 3}
	h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		all := h.requests()
		var got struct{ Topic, Message string }
		err := json.Unmarshal(all[len(all)-1].body, &got)
		fail := func(status, code int, text string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"code":%d,"http":%d,"error":%q,"link":"https://ntfy.sh/docs"}`, code, status, text)
		}
		user, password, _ := r.BasicAuth()
		switch {
		case (user != "gw" || password != "pa55w0rd") && r.Header.Get("Authorization") != "Bearer tk_1":
			fail(401, 40101, "unauthorized")
		case err != nil || r.URL.Path != "/":
			fail(400, 40017, "invalid request: request body must be valid JSON")
		case got.Topic != "duty":
			fail(403, 40301, "forbidden")
		case len(got.Message) > 4096:
			fail(413, 41301, "attachment too large")
		case !rate.take():
			fail(429, 42901, "limit reached: too many requests")
		default:
			fmt.Fprintf(w, `{"id":"sPs71M8A2T","time":1760000000,"expires":1760043200,"event":"message","topic":"duty"}`)
		}
	}
	return h, serveReceiver(t, h)
}

// TestNtfy (NO01): priority and sign by severity, the link to tap, the id as the receipt, and what the server asks for.
func TestNtfy(t *testing.T) {
	h, url := ntfyServer(t)
	c := sender(t, "ntfy", ntfyKeys, url+"/")
	for event, priority := range map[string]int{"alarm.raised": 5, "alarm.cleared": 2} {
		m := alarmed(event)
		m.Link = "https://gw.local/a/Zx81"
		m.Alarm.Message = strings.Repeat("开窗🔥", 1000)
		receipt, err := c.Send(context.Background(), m)
		if err != nil || receipt != "sPs71M8A2T" {
			t.Errorf("%q %v", receipt, err)
		}
		var got struct {
			Title, Message, Click string
			Priority              int
			Tags                  []string
		}
		all := h.requests()
		if err := json.Unmarshal(all[len(all)-1].body, &got); err != nil || got.Priority != priority || got.Click != m.Link || !strings.HasPrefix(got.Title, "一层 / 厨房 ") ||
			!strings.HasPrefix(got.Message, "12:00:05 32.5%LEL") || !slices.Contains([]string{"rotating_light", "white_check_mark"}, got.Tags[0]) || strings.Contains(got.Message, "https") {
			t.Errorf("%v %+v", err, got)
		}
	}
	if _, err := sender(t, "ntfy", `url: "%s", topic: duty, token: tk_1`, url).Send(context.Background(), alarmed("alarm.raised")); err != nil {
		t.Error(err)
	}
	if _, err := c.Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "retry 5s" {
		t.Errorf("one too many: %v", err)
	}
	for _, keys := range []string{`url: "%s", topic: duty, token: tk_2`, `url: "%s", topic: other, token: tk_1`} {
		if _, err := sender(t, "ntfy", keys, url).Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "never" {
			t.Errorf("%s: %v", keys, err)
		}
	}
	n := sender(t, "ntfy", ntfyKeys, url).(*ntfy)
	if pair := base64.StdEncoding.EncodeToString([]byte("gw:pa55w0rd")); strings.Contains(n.words("you sent "+pair), pair) {
		t.Error("user and password would be said")
	}
}

// TestNtfyCodes (NO02): each code is accepted, tried again, or refused.
func TestNtfyCodes(t *testing.T) {
	row := func(status, code int, want string) answered {
		return answered{status, fmt.Sprintf(`{"code":%d,"http":%d,"error":"x"}`, code, status), want}
	}
	rows := []answered{
		{200, `{"id":"x","time":1,"event":"message","topic":"duty"}`, "accepted"}, {200, `{"id":"x","event":"open"}`, "retry"}, {200, `{"event":"message"}`, "retry"},
		row(429, 42901, "retry 5s"), row(429, 42902, "retry 5s"), row(429, 42908, "never"), row(429, 42909, "retry 5s"),
		row(400, 40007, "never"), row(400, 40009, "never"), row(400, 40010, "never"), row(400, 40011, "never"), row(400, 40017, "never"),
		row(401, 40101, "never"), row(403, 40301, "never"), row(413, 41301, "never"), row(507, 50701, "never"), row(500, 50001, "retry"), row(503, 50301, "retry"),
		{404, "page not found", "never"}, row(200, 40017, "never"), row(200, 12345, "retry"),
	}
	checkAnswers(t, "ntfy", ntfyKeys, alarmed("alarm.raised"), rows)
	checkTable(t, ntfyCodes, func(b []byte) (string, string) { code, says, _ := ntfyAnswer(b); return code, says }, rows)
}

func FuzzNtfyAnswer(f *testing.F) {
	for _, s := range []string{`{"id":"sPs71M8A2T","event":"message"}`, `{"code":42901,"http":429,"error":"limit"}`, `{}`, ``, `null`, `{"id":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		code, _, id := ntfyAnswer(body)
		if (code == "ok") != (id != "") {
			t.Errorf("code %q with id %q", code, id)
		}
	})
}
