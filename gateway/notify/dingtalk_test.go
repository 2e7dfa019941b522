package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"embergate/gateway/duty"
)

const dingtalkKeys = `url: "%s", token: t0kenOfTheRobot, secret: SEC0123456789abcdef0123456789abcdef, keyword: 消防`

// TestDingtalkSignature is a vector of facts/push.md, 2.
func TestDingtalkSignature(t *testing.T) {
	if got := dingtalkSign("SEC0123456789abcdef0123456789abcdef", "1760000000000"); got != "138UwgRi7fqFliFeWwm+TOM9FQ8iuH90LfuNmDBGHBk=" {
		t.Error(got)
	}
	h, url := dingtalkVendor(t, func() time.Time { return time.Unix(1760000000, 0) })
	d := sender(t, "dingtalk", dingtalkKeys, url).(*dingtalk)
	d.now = func() time.Time { return time.Unix(1760000000, 0) }
	if _, err := d.Send(context.Background(), alarmed("alarm.raised")); err != nil {
		t.Fatal(err)
	}
	want := "/robot/send?access_token=t0kenOfTheRobot&timestamp=1760000000000&sign=138UwgRi7fqFliFeWwm%2BTOM9FQ8iuH90LfuNmDBGHBk%3D"
	if got := h.requests()[0].uri; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// dingtalkVendor has its own clock, verifies the signature by its definition, wants the keyword, and takes 20 messages.
func dingtalkVendor(t *testing.T, now func() time.Time) (*receiver, string) {
	h := &receiver{}
	rate := ration{limit: 20}
	h.answer = func(_ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		all := h.requests()
		q := r.URL.Query()
		ms, _ := strconv.ParseInt(q.Get("timestamp"), 10, 64)
		sum := hmac.New(sha256.New, []byte("SEC0123456789abcdef0123456789abcdef"))
		fmt.Fprintf(sum, "%d\nSEC0123456789abcdef0123456789abcdef", ms)
		var got struct {
			Type     string `json:"msgtype"`
			Markdown struct{ Title, Text string }
		}
		switch err := json.Unmarshal(all[len(all)-1].body, &got); {
		case r.URL.Path != "/robot/send" || q.Get("access_token") != "t0kenOfTheRobot":
			fmt.Fprint(w, `{"errcode":300005,"errmsg":"token is not exist"}`)
		case now().Sub(time.UnixMilli(ms)).Abs() > time.Hour:
			fmt.Fprint(w, `{"errcode":310000,"errmsg":"invalid timestamp"}`)
		case q.Get("sign") != base64.StdEncoding.EncodeToString(sum.Sum(nil)):
			fmt.Fprint(w, `{"errcode":310000,"errmsg":"sign not match"}`)
		case err != nil || got.Type != "markdown" || got.Markdown.Title == "":
			fmt.Fprint(w, `{"errcode":40035,"errmsg":"param error"}`)
		case !strings.Contains(got.Markdown.Text, "消防"):
			fmt.Fprint(w, `{"errcode":310000,"errmsg":"keywords not in content"}`)
		case len(all[len(all)-1].body) > 20000:
			fmt.Fprint(w, `{"errcode":430101,"errmsg":"too long"}`)
		case !rate.take():
			fmt.Fprint(w, `{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute","status":1111,"wait":5,"punish":"deny"}`)
		default:
			fmt.Fprint(w, `{"errcode":0,"errmsg":"ok"}`)
		}
	}
	return h, serveReceiver(t, h)
}

// TestDingtalk (NO01): signed markdown with the keyword in every text, people mentioned in text and list; after 20 a minute
// the robot is left alone for as long as it is blocked.
func TestDingtalk(t *testing.T) {
	h, url := dingtalkVendor(t, time.Now)
	c := sender(t, "dingtalk", dingtalkKeys+`, mention: ["@all", "13900000002"]`, url)
	sent := 0
	for _, event := range []string{"alarm.raised", "alarm.reminder", "alarm.acknowledged", "alarm.cleared", "fault.raised", "test", "duty.check"} {
		m := alarmed(event)
		if event == "test" {
			m.Alarm = nil
		}
		m.To, m.Link = []duty.Person{personOnDuty}, "https://gw.local/a/Zx81"
		if event == "alarm.raised" {
			m.Alarm.Message = strings.Repeat("开窗<b>", 5000)
		}
		if _, err := c.Send(context.Background(), m); err != nil {
			t.Errorf("%s: %v", event, err)
		}
		sent++
	}
	var got struct {
		Markdown struct{ Title, Text string }
		At       struct {
			AtMobiles []string
			IsAtAll   bool
		}
	}
	if err := json.Unmarshal(h.requests()[1].body, &got); err != nil {
		t.Fatal(err)
	}
	want := "### 一层 / 厨房 厨房燃气探测器 燃气高报 无人确认\n\n自 12:00:05 起 32.5%LEL\n\n阀门已切断，开窗，勿动电器\n\n[我来处理](https://gw.local/a/Zx81)\n\n颐康养老院 编号 42/1 消防\n\n@13800000001 @13900000002"
	if got.Markdown.Text != want || got.Markdown.Title != "一层 / 厨房 厨房燃气探测器 燃气高报 无人确认" ||
		!got.At.IsAtAll || !slices.Equal(got.At.AtMobiles, []string{"13800000001", "13900000002"}) {
		t.Errorf("%+v, want\n%s", got, want)
	}
	for ; sent < 20; sent++ {
		if _, err := c.Send(context.Background(), alarmed("alarm.raised")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "retry 10m0s" {
		t.Errorf("the 21st in a minute: %v", err)
	}
	if _, err := sender(t, "dingtalk", `url: "%s", token: another`, url).Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "never" {
		t.Errorf("a robot that is not there: %v", err)
	}
	if _, err := sender(t, "dingtalk", `url: "%s", token: t0kenOfTheRobot, secret: SEC0123456789abcdef0123456789abcdef`, url).Send(context.Background(), alarmed("alarm.raised")); outcomeOf(err) != "never" {
		t.Errorf("a robot that wants a keyword: %v", err)
	}
}

// TestDingtalkWithAWrongClock (NO17): a clock that is hours off keeps no alarm from anybody, and is named; a wrong secret is
// refused after one more attempt.
func TestDingtalkWithAWrongClock(t *testing.T) {
	for name, c := range map[string]struct {
		off     time.Duration
		secret  string
		receipt string
		want    string
	}{
		"three hours behind": {-3 * time.Hour, "", "(the clock of this machine is wrong by ", "accepted"},
		"a year ahead":       {365 * 24 * time.Hour, "", "(the clock of this machine is wrong by ", "accepted"},
		"a wrong secret":     {0, "SECx", "", "never"},
		"both":               {3 * time.Hour, "SECx", "", "never"},
	} {
		h, url := dingtalkVendor(t, time.Now)
		d := sender(t, "dingtalk", dingtalkKeys, url).(*dingtalk)
		d.now = func() time.Time { return time.Now().Add(c.off) }
		if c.secret != "" {
			d.secret = c.secret
		}
		receipt, err := d.Send(context.Background(), alarmed("alarm.raised"))
		if off := d.clockOff() + c.off; off.Abs() > 2*time.Second {
			t.Errorf("%s: the clock is said to be wrong by %s", name, d.clockOff())
		}
		if outcomeOf(err) != c.want || !strings.HasPrefix(receipt, c.receipt) || h.count() != 2 {
			t.Errorf("%s: %q %v after %d", name, receipt, err, h.count())
		}
		if err != nil && !strings.Contains(err.Error(), "the clock of this machine") {
			t.Errorf("%s: the clock is not named: %v", name, err)
		}
	}
}

// TestDingtalkCodes (NO02): each code is accepted, tried again, or refused; the words of 310000 decide.
func TestDingtalkCodes(t *testing.T) {
	rows := []answered{
		{200, `{"errcode":0,"errmsg":"ok"}`, "accepted"},
		{200, `{"errcode":-1,"errmsg":"系统繁忙"}`, "retry"},
		{200, `{"errcode":310000,"errmsg":"keywords not in content, more: [https://x]"}`, "never"},
		{200, `{"errcode":310000,"errmsg":"description:关键词不匹配;solution:请联系群管理员"}`, "never"},
		{200, `{"errcode":310000,"errmsg":"ip 1.2.3.4 not in whitelist"}`, "never"},
		{200, `{"errcode":310000,"errmsg":"description:IP不在白名单中"}`, "never"},
		{200, `{"errcode":310000,"errmsg":"Invalid timestamp"}`, "never"},
		{200, `{"errcode":310000,"errmsg":"sign not match"}`, "never"},
		{200, `{"errcode":310000,"errmsg":"description:机器人发送签名不匹配"}`, "never"},
		{200, `{"errcode":310000,"errmsg":"?"}`, "never"},
		{200, `{"errcode":130101,"errmsg":"send too fast","status":1111,"wait":5,"punish":"deny"}`, "retry 10m0s"},
		{200, `{"errcode":410100,"errmsg":"发送速度太快而限流"}`, "retry 10m0s"},
		{200, `{"errcode":300005,"errmsg":"token is not exist"}`, "never"},
		{200, `{"errcode":300001,"errmsg":"token invalid"}`, "never"},
		{200, `{"errcode":400101,"errmsg":"access_token不存在"}`, "never"},
		{200, `{"errcode":400102,"errmsg":"机器人已停用"}`, "never"},
		{200, `{"errcode":90030,"errmsg":"webhook over limit"}`, "never"},
		{200, `{"errcode":40035,"errmsg":"bad parameter"}`, "never"},
		{200, `{"errcode":400105,"errmsg":"msgtype"}`, "never"},
		{200, `{"errcode":430101,"errmsg":"x"}`, "never"}, {200, `{"errcode":430102,"errmsg":"x"}`, "never"},
		{200, `{"errcode":430103,"errmsg":"x"}`, "never"}, {200, `{"errcode":430104,"errmsg":"x"}`, "never"},
		{200, `{"errcode":99999,"errmsg":"what is this"}`, "retry"},
	}
	checkAnswers(t, "dingtalk", dingtalkKeys, alarmed("alarm.raised"), rows)
	checkTable(t, dingtalkCodes, errcode, rows)
}
