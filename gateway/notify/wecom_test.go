package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"embergate/gateway/duty"
)

// wecomVendor takes 20 messages, each of the bytes that it allows, of a robot that it knows.
func wecomVendor(t *testing.T, key string) (*receiver, string) {
	h := &receiver{}
	rate := ration{limit: 20}
	h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		var got struct {
			Type string `json:"msgtype"`
			Text struct {
				Content string
				Mobiles []string `json:"mentioned_mobile_list"`
			}
			Markdown struct{ Content string }
		}
		all := h.requests()
		err := json.Unmarshal(all[len(all)-1].body, &got)
		switch {
		case r.URL.Path != "/cgi-bin/webhook/send" || r.URL.Query().Get("key") != key:
			fmt.Fprint(w, `{"errcode":93000,"errmsg":"invalid webhook url, hint: [1760000000_1]"}`)
		case err != nil || got.Type != "text" && got.Type != "markdown":
			fmt.Fprint(w, `{"errcode":40008,"errmsg":"invalid message type"}`)
		case got.Text.Content+got.Markdown.Content == "":
			fmt.Fprint(w, `{"errcode":44004,"errmsg":"empty content"}`)
		case len(got.Text.Content) > 2048 || len(got.Markdown.Content) > 4096:
			fmt.Fprint(w, `{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}`)
		case !rate.take():
			fmt.Fprint(w, `{"errcode":45009,"errmsg":"api freq out of limit"}`)
		default:
			fmt.Fprint(w, `{"errcode":0,"errmsg":"ok"}`)
		}
	}
	s := serveReceiver(t, h)
	return h, s
}

// TestWecom (NO01): a text where somebody is mentioned, markdown with a colour else, 20 a minute, within the bytes.
func TestWecom(t *testing.T) {
	h, url := wecomVendor(t, "k3yOfTheRobot")
	m := alarmed("alarm.raised")
	m.Alarm.Message = strings.Repeat("开窗<b>", 2000)
	c := sender(t, "wecom", `url: "%s", key: k3yOfTheRobot`, url)
	at := sender(t, "wecom", `url: "%s", key: k3yOfTheRobot, mention: ["@all"]`, url)
	if _, err := c.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	m.To = []duty.Person{personOnDuty, {Name: "nobody"}}
	if _, err := at.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	var got [2]struct {
		Type     string `json:"msgtype"`
		Markdown struct{ Content string }
		Text     struct {
			Content string
			Mobiles []string `json:"mentioned_mobile_list"`
		}
	}
	for i, r := range h.requests() {
		if err := json.Unmarshal(r.body, &got[i]); err != nil {
			t.Fatal(err)
		}
	}
	if c := got[0].Markdown.Content; !strings.HasPrefix(c, "<font color=\"warning\">一层 / 厨房 厨房燃气探测器 燃气高报 报警</font>\n12:00:05") || strings.Contains(c, "<b>") || len(c) < 4000 {
		t.Errorf("markdown %d %s", len(c), c)
	}
	if c := got[1].Text.Content; !strings.HasPrefix(c, "一层 / 厨房 ") || len(c) < 2000 || !slices.Equal(got[1].Text.Mobiles, []string{"13800000001", "@all"}) {
		t.Errorf("text %d %s %v", len(c), c, got[1].Text.Mobiles)
	}
	for range 18 {
		if _, err := c.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Send(context.Background(), m); outcomeOf(err) != "retry 1m0s" {
		t.Errorf("the 21st in a minute: %v", err)
	}
	if _, err := sender(t, "wecom", `url: "%s", key: another`, url).Send(context.Background(), m); outcomeOf(err) != "never" {
		t.Errorf("a robot that is not there: %v", err)
	}
}

// TestWecomTooLong is cut and sent once more, and then refused.
func TestWecomTooLong(t *testing.T) {
	long := `{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}`
	for name, c := range map[string]struct {
		second string
		want   string
	}{"taken": {`{"errcode":0,"errmsg":"ok"}`, "accepted"}, "refused": {long, "never"}} {
		h, s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, map[bool]string{true: long, false: c.second}[n == 1])
		})
		m := alarmed("alarm.raised")
		m.Alarm.Message = strings.Repeat("开窗", 2000)
		_, err := sender(t, "wecom", `url: "%s", key: k3yOfTheRobot`, s.URL).Send(context.Background(), m)
		if got := h.requests(); outcomeOf(err) != c.want || len(got) != 2 || len(got[1].body) > 1300 || !strings.Contains(string(got[1].body), "燃气高报") {
			t.Errorf("%s: %v after %d", name, err, len(got))
		}
	}
}

// TestWecomCodes (NO02): each code is accepted, tried again, or refused.
func TestWecomCodes(t *testing.T) {
	rows := []answered{
		{200, `{"errcode":0,"errmsg":"ok"}`, "accepted"},
		{200, `{"errcode":-1,"errmsg":"system error"}`, "retry"},
		{200, `{"errcode":45009,"errmsg":"api freq out of limit"}`, "retry 1m0s"},
		{429, `{"errcode":45009,"errmsg":"api freq out of limit"}`, "retry 1m0s"},
		{200, `{"errcode":45033,"errmsg":"concurrent limit"}`, "retry"},
		{200, `{"errcode":93000,"errmsg":"invalid webhook url"}`, "never"},
		{200, `{"errcode":40058,"errmsg":"invalid Request Parameter"}`, "never"},
		{200, `{"errcode":40008,"errmsg":"invalid message type"}`, "never"},
		{200, `{"errcode":44004,"errmsg":"empty content"}`, "never"},
		{200, `{"errcode":12345,"errmsg":"what is this"}`, "retry"},
		{404, `{"errcode":0,"errmsg":"ok"}`, "never"},
		{502, `{"errcode":0,"errmsg":"ok"}`, "retry"},
	}
	checkAnswers(t, "wecom", `url: "%s", key: k3yOfTheRobot`, alarmed("alarm.raised"), rows)
	checkTable(t, wecomCodes, errcode, rows)
}

func FuzzErrcode(f *testing.F) {
	for _, s := range []string{`{"errcode":0,"errmsg":"ok"}`, `{"errcode":310000,"errmsg":"sign not match"}`, `{}`, ``, `null`, `{"errcode":1e99}`, `{"errcode":"0"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		code, says := errcode(body)
		if code == "" && says != "" {
			t.Error("words without a code")
		}
		if err := (&wire{mask: masking(nil), now: noonClock}).judge(reply{status: 200, body: body}, code, says, wecomCodes); err == nil && code != "0" {
			t.Errorf("%q was accepted", body)
		}
	})
}
