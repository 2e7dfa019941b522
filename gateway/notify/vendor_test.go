package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/duty"
)

// here are the options of channels under test.
var here = Options{Site: Site{ID: "zb-1", Name: "颐康养老院", Region: "370305"}, Lang: i18n.Chinese, Location: county}

// sender is the sender of a channel of a kind, with its keys in YAML; %s is the address of the vendor.
func sender(t testing.TB, kind, keys, address string) Channel {
	t.Helper()
	keys = strings.ReplaceAll(keys, "%s", address)
	c := read(t, fmt.Sprintf("[{id: a, %s: {%s}}]", kind, keys), here).list[0].sender
	if c, ok := c.(interface{ close() }); ok {
		t.Cleanup(c.close)
	}
	return c
}

// outcome of an attempt in a word, with the wait where the far side wants one.
func outcomeOf(err error) string {
	var refused *Refused
	var later *Later
	switch {
	case err == nil:
		return "accepted"
	case errors.As(err, &refused) && refused.Gone:
		return "gone"
	case errors.As(err, &refused):
		return "never"
	case errors.As(err, &later):
		return "retry " + later.After.String()
	default:
		return "retry"
	}
}

// says is a vendor that answers everything with a status and a body.
func says(status int, body string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// answered is one row: what a vendor answers, and what becomes of the message.
type answered struct {
	status int
	body   string
	want   string
}

// checkAnswers sends a message for each row.
func checkAnswers(t *testing.T, kind, keys string, m Message, rows []answered) {
	t.Helper()
	for _, row := range rows {
		_, s := serve(t, says(row.status, row.body))
		_, err := sender(t, kind, keys, s.URL).Send(context.Background(), m)
		if got := outcomeOf(err); got != row.want {
			t.Errorf("%d %s is %s, want %s: %v", row.status, row.body, got, row.want, err)
		}
		s.Close()
	}
}

// checkTable sees that every row of a table of codes decides one of the answers at least.
func checkTable(t *testing.T, table codes, read func([]byte) (code, says string), rows []answered) {
	t.Helper()
	used := map[code]bool{}
	for _, row := range rows {
		if got, ok := table.find(read([]byte(row.body))); ok {
			used[got] = true
		}
	}
	for _, row := range table {
		if !used[row] {
			t.Errorf("no test of code %s %s", row.code, row.says)
		}
	}
}

// ration is how often a vendor takes messages: so many a minute.
type ration struct {
	mu    sync.Mutex
	limit int
	taken int
}

func (r *ration) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken++
	return r.taken <= r.limit
}

// bodyCoded are the kinds whose far side answers with a code in the body.
var bodyCoded = map[string]string{
	"wecom":        `url: "%s", key: k3yOfTheRobot`,
	"dingtalk":     `url: "%s", token: t0kenOfTheRobot, secret: SEC0123456789abcdef0123456789abcdef`,
	"feishu":       `url: "%s", token: t0kenOfTheRobot, secret: fs-demo-secret-01`,
	"aliyun_sms":   aliyunSMSKeys,
	"aliyun_voice": aliyunVoiceKeys,
	"tencent_sms":  tencentKeys,
	"ntfy":         `url: "%s", topic: duty, token: tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2`,
	"bark":         `url: "%s", key: ynJ5Ft4atkMkWeo2PAvFhF`,
	"telegram":     `url: "%s", token: "123456:AAexampleOfAToken", chat_id: -1001234567890`,
}

// personOnDuty has a number and an address.
var personOnDuty = duty.Person{ID: "zhang", Name: "张三", Phone: "+8613800000001", Email: "zhang@example.org"}

// TestAnAnswerWithoutACodeIsNoSuccess (NO02), whatever its status: it comes from something in between.
func TestAnAnswerWithoutACodeIsNoSuccess(t *testing.T) {
	m := alarmed("alarm.raised")
	m.To = []duty.Person{personOnDuty}
	for kind, keys := range bodyCoded {
		checkAnswers(t, kind, keys, m, []answered{
			{200, ``, "retry"}, {200, `<html>please log in</html>`, "retry"}, {200, `{}`, "retry"}, {200, `null`, "retry"}, {200, `[]`, "retry"}, {200, `{"errcode":null,"code":null,"ok":null}`, "retry"},
			{200, `"ok"`, "retry"}, {200, `{"errcode":"0"`, "retry"}, {204, ``, "retry"}, {302, ``, "retry"}, {500, ``, "retry"}, {503, `{"x":1}`, "retry"}, {408, ``, "retry"}, {425, ``, "retry"}, {429, `slow`, "retry"},
		})
	}
}

// TestAVendorThatIsLost: silence, a broken connection and an endless answer cost their timeout and may be tried again.
func TestAVendorThatIsLost(t *testing.T) {
	m := alarmed("alarm.raised")
	m.To = []duty.Person{personOnDuty}
	for kind, keys := range bodyCoded {
		for name, answer := range map[string]func(int, http.ResponseWriter, *http.Request){
			"silent": func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			"broken": func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"endless": func(_ int, w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write([]byte(strings.Repeat("x", 32<<10))); err != nil {
						return
					}
				}
			},
			"moved": status(307, "Location", "http://127.0.0.2:9/elsewhere"),
		} {
			_, s := serve(t, answer)
			c := sender(t, kind, keys, s.URL)
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			_, err := c.Send(ctx, m)
			cancel()
			if outcomeOf(err) != "retry" || len(err.Error()) > 400 {
				t.Errorf("%s, %s: %s %v", kind, name, outcomeOf(err), err)
			}
			s.CloseClientConnections()
		}
	}
}

// TestNoVendorsSecretIsSaid (SE07): neither where the vendor repeats all that it was sent, nor where it cannot be reached, nor in
// a mistake of the configuration.
func TestNoVendorsSecretIsSaid(t *testing.T) {
	m := alarmed("alarm.raised")
	m.To = []duty.Person{personOnDuty}
	all := maps.Clone(bodyCoded)
	all["alertmanager"] = `url: "%s", username: gw, password: pa55w0rd`
	for kind, keys := range all {
		secrets := secretsOf(keys)
		var heard strings.Builder
		for _, code := range []int{200, 302, 400, 401, 403, 410, 429, 500} {
			for _, format := range []string{"%s", `{"errcode":7,"errmsg":%[1]q,"code":7,"msg":%[1]q,"Code":"x","Message":%[1]q,"ok":false,"error_code":7,"description":%[1]q,"error":%[1]q,"message":%[1]q}`} {
				h := &receiver{}
				h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
					got := h.requests()
					w.WriteHeader(code)
					fmt.Fprintf(w, format, fmt.Sprint(secrets, r.URL.RequestURI(), r.Header, string(got[len(got)-1].body)))
				}
				s := httptest.NewServer(h)
				_, err := sender(t, kind, keys, s.URL).Send(context.Background(), m)
				fmt.Fprintf(&heard, "%v %+v %#v\n", err, err, err)
				s.Close()
				_, err = sender(t, kind, keys, s.URL).Send(context.Background(), m)
				fmt.Fprintf(&heard, "%v %+v %#v\n", err, err, err)
			}
		}
		root := conf.Parse("c.yaml", []byte("[{id: a, "+kind+": {"+strings.ReplaceAll(keys, "%s", "ftp://h")+"}}]"), conf.Environment{})
		c := New(root, here)
		fmt.Fprintf(&heard, "%v %+v %v", root.Problems(), c.Status(), root.Problems())
		for _, secret := range secrets {
			if strings.Contains(heard.String(), secret) {
				t.Errorf("%s said %q:\n%.3000s", kind, secret, heard.String())
			}
		}
		if !strings.Contains(heard.String(), "***") {
			t.Errorf("%s: nothing was hidden in\n%.500s", kind, heard.String())
		}
	}
}

// secretsOf are the values of the keys that are secrets.
func secretsOf(keys string) (secrets []string) {
	for _, m := range regexp.MustCompile(`(?:key|secret|token|password): "?([^,"]+)`).FindAllStringSubmatch(keys, -1) {
		secrets = append(secrets, m[1])
	}
	return secrets
}

// noonClock is a clock that stands still.
func noonClock() time.Time { return noon }

// serveReceiver is the address of a receiver.
func serveReceiver(t *testing.T, h *receiver) string {
	s := httptest.NewServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(s.Close)
	return s.URL
}
