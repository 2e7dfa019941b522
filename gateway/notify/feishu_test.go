package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"embergate/gateway/duty"
)

const feishuKeys = `url: "%s", token: t0kenOfTheRobot, secret: fs-demo-secret-01, keyword: 消防`

// TestFeishuSignature is a vector of facts/push.md, 3.
func TestFeishuSignature(t *testing.T) {
	if got := feishuSign("fs-demo-secret-01", "1760000000"); got != "jcPEFBNyVTEOVyPA38tp/6jxvaj42WyCBiY3FOXWXUU=" {
		t.Error(got)
	}
	h, url := feishuVendor(t, func() time.Time { return time.Unix(1760000000, 0) }, true)
	f := sender(t, "feishu", feishuKeys, url).(*feishu)
	f.now = func() time.Time { return time.Unix(1760000000, 0) }
	if _, err := f.Send(context.Background(), alarmed("alarm.raised")); err != nil {
		t.Fatal(err)
	}
	if got := string(h.requests()[0].body); !strings.Contains(got, `"sign":"jcPEFBNyVTEOVyPA38tp/6jxvaj42WyCBiY3FOXWXUU="`) || !strings.Contains(got, `"timestamp":"1760000000"`) {
		t.Errorf("sent %s", got)
	}
}

// feishuSaid is what a robot was asked to say.
type feishuSaid struct {
	Timestamp, Sign string
	Type            string                `json:"msg_type"`
	Content         struct{ Text string } `json:"content"`
	Card            struct {
		Header struct {
			Template string
			Title    struct{ Content string }
		}
		Elements []struct {
			Tag     string
			Text    struct{ Tag, Content string }
			Actions []struct{ URL string }
		}
	}
}

// feishuVendor has its own clock, verifies the signature by its definition, wants the keyword, takes 5 messages, and cards
// if it likes them.
func feishuVendor(t *testing.T, now func() time.Time, cards bool) (*receiver, string) {
	h := &receiver{}
	rate := ration{limit: 5}
	h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		all := h.requests()
		body := all[len(all)-1].body
		var got feishuSaid
		err := json.Unmarshal(body, &got)
		seconds, _ := strconv.ParseInt(got.Timestamp, 10, 64)
		sum := hmac.New(sha256.New, []byte(got.Timestamp+"\nfs-demo-secret-01"))
		switch {
		case r.URL.Path != "/open-apis/bot/v2/hook/t0kenOfTheRobot":
			fmt.Fprint(w, `{"code":19001,"msg":"param invalid: incoming webhook access token invalid","data":{}}`)
		case now().Sub(time.Unix(seconds, 0)).Abs() > time.Hour || got.Sign != base64.StdEncoding.EncodeToString(sum.Sum(nil)):
			fmt.Fprint(w, `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`)
		case err != nil || len(body) > 20<<10 || got.Type != "interactive" && got.Type != "text":
			fmt.Fprint(w, `{"code":9499,"msg":"Bad Request","data":{}}`)
		case !strings.Contains(string(body), "消防"):
			fmt.Fprint(w, `{"StatusCode":19024,"StatusMessage":"Key Words Not Found"}`)
		case got.Type == "interactive" && !cards:
			fmt.Fprint(w, `{"code":11246,"msg":"card JSON not valid"}`)
		case !rate.take():
			fmt.Fprint(w, `{"code":11232,"msg":"frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"}`)
		default:
			fmt.Fprint(w, `{"code":0,"msg":"success","data":{},"StatusCode":0,"StatusMessage":"success","Extra":null}`)
		}
	}
	return h, serveReceiver(t, h)
}

// TestFeishu (NO01): a signed card in the colour of the severity, with the keyword in every text and people mentioned; plain
// text where the card is not taken.
func TestFeishu(t *testing.T) {
	for name, cards := range map[string]bool{"cards": true, "no cards": false} {
		h, url := feishuVendor(t, time.Now, cards)
		c := sender(t, "feishu", feishuKeys+`, mention: ["@all", ou_1]`, url)
		sent := 0
		for event, colour := range map[string]string{"alarm.raised": "red", "alarm.cleared": "green", "test": "blue", "duty.check": "yellow", "alarm.reminder": "red"} {
			m := alarmed(event)
			m.To, m.Link = []duty.Person{personOnDuty, {Name: "李<四"}}, "https://gw.local/a/Zx81"
			m.Alarm.Message = strings.Repeat("开窗", 5000)
			if _, err := c.Send(context.Background(), m); err != nil {
				t.Fatalf("%s, %s: %v", name, event, err)
			}
			sent++
			all := h.requests()
			var got feishuSaid
			if err := json.Unmarshal(all[len(all)-1].body, &got); err != nil {
				t.Fatal(err)
			}
			if cards {
				e := got.Card.Elements
				if got.Card.Header.Template != colour || !strings.HasPrefix(got.Card.Header.Title.Content, "一层 / 厨房 厨房燃气探测器 燃气高报") || len(e) != 3 ||
					!strings.Contains(e[0].Text.Content, "12:00:05") || !strings.HasSuffix(e[0].Text.Content, "颐康养老院 编号 42/1 消防") || e[0].Text.Tag != "plain_text" ||
					e[1].Text.Content != "<at id=all></at> <at id=ou_1></at> <at email=zhang@example.org></at> @李＜四" || e[2].Actions[0].URL != m.Link {
					t.Errorf("%s: %+v", event, got)
				}
				continue
			}
			if text := got.Content.Text; len(all) != 2*sent || !strings.HasPrefix(text, "一层 / 厨房") ||
				!strings.HasSuffix(text, m.Link+"\n颐康养老院 编号 42/1 消防\n<at user_id=\"all\"></at> <at user_id=\"ou_1\"></at> @张三 @李＜四") {
				t.Errorf("%s: %s", event, text)
			}
		}
		if _, err := c.Send(context.Background(), alarmed("alarm.raised")); !strings.HasPrefix(outcomeOf(err), "retry ") {
			t.Errorf("one too many: %v", err)
		}
	}
}

// TestFeishuWithAWrongClock (NO17) reaches people all the same, and with a wrong secret is refused after one more attempt.
func TestFeishuWithAWrongClock(t *testing.T) {
	for secret, want := range map[string]string{"fs-demo-secret-01": "accepted", "another": "never"} {
		h, url := feishuVendor(t, time.Now, true)
		f := sender(t, "feishu", feishuKeys, url).(*feishu)
		f.now = func() time.Time { return time.Now().Add(-26 * time.Hour) }
		f.secret = secret
		receipt, err := f.Send(context.Background(), alarmed("alarm.raised"))
		if said := receipt + fmt.Sprint(err); outcomeOf(err) != want || !strings.Contains(said, "the clock of this machine is wrong by ") || h.count() != 2 {
			t.Errorf("%s: %q %v after %d", secret, receipt, err, h.count())
		}
	}
}

// TestFeishuCodes (NO02): each code, in both shapes, is accepted, tried again, or refused.
func TestFeishuCodes(t *testing.T) {
	rows := []answered{
		{200, `{"code":0,"msg":"success","data":{},"StatusCode":0,"StatusMessage":"success","Extra":null}`, "accepted"},
		{200, `{"code":0,"msg":"success"}`, "accepted"},
		{200, `{"StatusCode":0,"StatusMessage":"success"}`, "accepted"},
		{200, `{"code":0,"StatusCode":19001,"StatusMessage":"x"}`, "never"},
		{200, `{"code":19001,"msg":"x","StatusCode":0}`, "never"},
		{200, `{"code":19001,"msg":"param invalid: incoming webhook access token invalid"}`, "never"},
		{400, `{"code":19001,"msg":"param invalid: incoming webhook access token invalid"}`, "never"},
		{200, `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`, "never"},
		{200, `{"code":19022,"msg":"Ip Not Allowed"}`, "never"},
		{200, `{"StatusCode":19024,"StatusMessage":"Key Words Not Found"}`, "never"},
		{200, `{"code":9499,"msg":"Bad Request"}`, "never"},
		{200, `{"code":11246,"msg":"card"}`, "never"},
		{200, `{"code":230001,"msg":"card"}`, "never"},
		{200, `{"code":77777,"msg":"what is this"}`, "retry"},
	}
	checkAnswers(t, "feishu", feishuKeys, alarmed("alarm.raised"), rows)
	limited := []answered{{200, `{"code":11232,"msg":"frequency limited psm[x]"}`, ""}, {200, `{"code":9499,"msg":"Frequency limited"}`, ""}}
	for _, row := range limited {
		_, s := serve(t, says(row.status, row.body))
		_, err := sender(t, "feishu", feishuKeys, s.URL).Send(context.Background(), alarmed("alarm.raised"))
		if !strings.HasPrefix(outcomeOf(err), "retry ") {
			t.Errorf("%s: %v", row.body, err)
		}
	}
	checkTable(t, feishuCodes, feishuCode, append(rows, limited...))
}

// TestFeishuWaits: spread, and not into the minute of a full or half hour.
func TestFeishuWaits(t *testing.T) {
	for _, c := range []struct {
		now  string
		want time.Duration
	}{{"10:10:00", 3 * time.Second}, {"10:29:59", 61 * time.Second}, {"10:59:58", 62 * time.Second}, {"11:00:30", 30 * time.Second}, {"10:31:00", 3 * time.Second}} {
		now, err := time.Parse(time.TimeOnly, c.now)
		if got := feishuWait(now, time.Second, 2*time.Second); err != nil || got != c.want {
			t.Errorf("at %s: %s, want %s", c.now, got, c.want)
		}
	}
}

func FuzzFeishuCode(f *testing.F) {
	for _, s := range []string{`{"code":0,"msg":"success","StatusCode":0}`, `{"StatusCode":19024,"StatusMessage":"Key Words Not Found"}`, `{}`, ``, `null`, `{"code":"0"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		code, says := feishuCode(body)
		if err := (&wire{mask: masking(nil), now: noonClock}).judge(reply{status: 200, body: body}, code, says, feishuCodes); err == nil && code != "0" {
			t.Errorf("%q was accepted", body)
		}
	})
}
