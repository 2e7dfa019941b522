package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const barkKeys = `url: "%s", key: ynJ5Ft4atkMkWeo2PAvFhF`

// barkServer knows one phone, and takes what Apple takes: 4,096 bytes of the message as it is passed on.
func barkServer(t *testing.T) (*receiver, string) {
	h := &receiver{}
	h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		all := h.requests()
		body := all[len(all)-1].body
		var got struct {
			Key string `json:"device_key"`
		}
		fail := func(status int, text string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"code":%d,"message":%q,"timestamp":1760000000}`, status, text)
		}
		switch err := json.Unmarshal(body, &got); {
		case err != nil || r.URL.Path != "/push":
			fail(400, "request bind failed")
		case got.Key == "gone":
			fail(410, "push failed: Unregistered")
		case got.Key != "ynJ5Ft4atkMkWeo2PAvFhF":
			fail(400, "failed to get device token: failed to get ["+got.Key+"] device token from database")
		case len(body)+200 > 4096:
			fail(413, "push failed: PayloadTooLarge")
		default:
			fmt.Fprint(w, `{"code":200,"message":"success","timestamp":1760000000}`)
		}
	}
	return h, serveReceiver(t, h)
}

// TestBark (NO01): an alarm sounds in silent mode and rings, what is over does not; nothing is too long; the time is the receipt.
func TestBark(t *testing.T) {
	h, url := barkServer(t)
	for _, c := range []struct{ event, level, want, call string }{
		{"alarm.raised", "critical", "critical", "1"}, {"alarm.raised", "active", "active", "1"}, {"alarm.cleared", "critical", "active", ""}, {"duty.check", "critical", "timeSensitive", ""},
	} {
		m := alarmed(c.event)
		m.Link = "https://gw.local/a/Zx81"
		m.Alarm.Message = strings.Repeat("\"\"\"\"开", 2000)
		m.Alarm.ZonePath = strings.Repeat("三层\"", 2000)
		receipt, err := sender(t, "bark", barkKeys+", level: "+c.level, url).Send(context.Background(), m)
		if err != nil || receipt != "1760000000" {
			t.Errorf("%s: %q %v", c.event, receipt, err)
		}
		all := h.requests()
		var got struct{ Title, Body, Level, Call, Group, URL, Volume string }
		if err := json.Unmarshal(all[len(all)-1].body, &got); err != nil || got.Level != c.want || got.Call != c.call || got.Group != "gas" || got.URL != m.Link ||
			!strings.HasPrefix(got.Title, "三层") || !strings.HasPrefix(got.Body, "12:00:05") || (got.Volume == "10") != (c.want == "critical") {
			t.Errorf("%s: %v %+v", c.event, err, got)
		}
	}
	for key, want := range map[string]string{"gone": "gone", "another": "never"} {
		if _, err := sender(t, "bark", `url: "%s", key: `+key, url).Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != want {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestBarkCodes (NO02): each code is accepted, tried again, refused, or the end.
func TestBarkCodes(t *testing.T) {
	rows := []answered{
		{200, `{"code":200,"message":"success","timestamp":1}`, "accepted"},
		{400, `{"code":400,"message":"failed to get device token"}`, "never"}, {200, `{"code":400,"message":"BadDeviceToken"}`, "never"},
		{410, `{"code":410,"message":"Unregistered"}`, "gone"}, {200, `{"code":410,"message":"Unregistered"}`, "gone"}, {413, `{"code":413,"message":"x"}`, "never"},
		{429, `{"code":429,"message":"x"}`, "retry"}, {500, `{"code":500,"message":"push failed"}`, "retry"}, {503, `{"code":503,"message":"x"}`, "retry"},
		{404, `not found`, "never"}, {200, `{"code":201}`, "retry"},
	}
	checkAnswers(t, "bark", barkKeys, alarmed("alarm.raised"), rows)
	checkTable(t, barkCodes, func(b []byte) (string, string) { code, says, _ := barkAnswer(b); return code, says }, rows)
}

func FuzzBarkAnswer(f *testing.F) {
	for _, s := range []string{`{"code":200,"message":"success","timestamp":1760000000}`, `{"code":410}`, `{}`, ``, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if code, says, stamp := barkAnswer(body); code == "" && says+stamp != "" {
			t.Errorf("words without a code: %q", body)
		}
	})
}
