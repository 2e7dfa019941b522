package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
)

func (c *canned) WriteSignal(_ context.Context, signal string, value float64, a alarm.Act) (float64, error) {
	if signal == "often" {
		return 0, access.TooMany(1)
	}
	return value, c.did(fmt.Sprintf("write %v", value), signal, a)
}

func (c *canned) WriteDenied(_ context.Context, signal string, a alarm.Act, why i18n.Text) error {
	return c.did("denied", signal, alarm.Act{By: a.By, Via: a.Via, Note: why.String()})
}

// TestWhoMayWriteASignal (SE05): a maintainer or more, with a login or a token; who has less is in the journal.
func TestWhoMayWriteASignal(t *testing.T) {
	g := gateOf(t).with("anna admin", "max maintainer", "duty duty", "vera viewer", "tablet maintainer +tablet")
	d := described(t)
	const path, route = "/api/v1/signals/kitchen-gas.valve/write", "/api/v1/signals/{signal}/write"
	cookie := func(user string) []string { return []string{"Cookie", g.login(user)} }
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		did        string
	}{
		{"nobody", `{"value":1}`, nil, 401, ""},
		{"a viewer", `{"value":1}`, cookie("vera"), 403, "denied kitchen-gas.valve by vera via api: this needs the role maintainer; vera has viewer"},
		{"one on duty", `{"value":1}`, cookie("duty"), 403, "denied kitchen-gas.valve by duty via api: this needs the role maintainer; duty has duty"},
		{"a maintainer", `{"value":1,"note":"tried"}`, cookie("max"), 200, "write 1 kitchen-gas.valve by max via api: tried"},
		{"an administrator", `{"value":0}`, cookie("anna"), 200, "write 0 kitchen-gas.valve by anna via api: "},
		{"a tablet that says who", `{"value":1,"by":"张三"}`, cookie("tablet"), 200, "write 1 kitchen-gas.valve by 张三 via api: "},
		{"a tablet that does not", `{"value":1}`, cookie("tablet"), 400, ""},
		{"in another's name", `{"value":1,"by":"anna"}`, cookie("max"), 409, ""},
		{"a program that only reads", `{"value":1}`, []string{"Authorization", g.token(Viewer)}, 403, "denied kitchen-gas.valve by program-viewer via api: this needs the role maintainer; program-viewer has viewer"},
		{"a program that may", `{"value":1}`, []string{"Authorization", g.token(Maintainer)}, 200, "write 1 kitchen-gas.valve by program-maintainer via api: "},
		{"a text", `{"value":"on"}`, cookie("max"), 400, ""},
		{"no value", `{}`, cookie("max"), 400, ""},
		{"more than that", `{"value":1,"until":"2026-11-22T00:00:00Z"}`, cookie("max"), 400, ""},
		{"another page", `{"value":1}`, append(cookie("max"), "Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"), 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.done = nil
			rec := ask(t, g, "POST", path, c.body, c.headers...)
			if did := strings.Join(g.done, "\n"); rec.Code != c.status || did != c.did {
				t.Errorf("%d %s\ndid %q, want %d %q", rec.Code, rec.Body, did, c.status, c.did)
			}
			if c.status != 401 {
				d.answers(t, route, "POST", rec)
			}
		})
	}
	rec := ask(t, g, "POST", path+"?lang=zh", `{"value":1}`, cookie("max")...)
	if !strings.Contains(rec.Body.String(), `"value":1,"said":"回读：已启动"`) {
		t.Error(rec.Body)
	}
	rec = ask(t, g, "POST", "/api/v1/signals/often/write", `{"value":1}`, cookie("max")...)
	if rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") == "0" || rec.Header().Get("Retry-After") == "" {
		t.Error(rec.Code, rec.Header())
	}
	d.answers(t, route, "POST", rec)
	for _, user := range []string{"max", "vera"} {
		g.done = nil
		if ask(t, g, "POST", "/api/v1/signals/"+strings.Repeat("x", 9000)+"/write", `{"value":1}`, cookie(user)...); len(g.done) != 1 || len(g.done[0]) > 200 {
			t.Errorf("%s names what no signal is called, and the journal repeats it: %.300q", user, g.done)
		}
	}
	g.refuse = &alarm.Refused{Cause: alarm.ErrState, Text: i18n.T("its device is taken out of service")}
	rec = ask(t, g, "POST", path+"?lang=zh", `{"value":1}`, cookie("max")...)
	if rec.Code != 409 || !strings.Contains(rec.Body.String(), "所属设备已停用") {
		t.Error(rec.Code, rec.Body)
	}
	d.answers(t, route, "POST", rec)
}

// TestTheDevicePageSetsWhatIsWritable (SE05): for who may, in both languages, after a second tap.
func TestTheDevicePageSetsWhatIsWritable(t *testing.T) {
	g := gateOf(t).with("anna admin", "max maintainer", "duty duty")
	s := home{i18n.English, noon}.well()
	s.Devices[1].Signals[3].Output = &Output{}
	s.Devices[1].Signals[1].Output = &Output{Least: pointer(-5.0), Greatest: pointer(40.0)}
	g.set(s)
	for lang, words := range map[string][]string{
		"en": {"Set by hand", `data-post="/api/v1/signals/kitchen-gas.valve/write"`, `<option value="1">active</option>`, `min="-5" max="40"`, `data-confirm="Really? The device switches at once."`},
		"zh": {"手动设置", `<option value="1">已启动</option>`, `data-confirm="确定吗？设备会立即动作。"`},
	} {
		page := ask(t, g, "GET", "/devices/kitchen-gas?lang="+lang, "", "Cookie", g.login("max")).Body.String()
		for _, w := range words {
			if !strings.Contains(page, w) {
				t.Errorf("%s: no %s in\n%s", lang, w, page)
			}
		}
	}
	if page := ask(t, g, "GET", "/devices/kitchen-gas", "", "Cookie", g.login("duty")).Body.String(); strings.Contains(page, "/write") {
		t.Error("one on duty is offered it")
	}
	if page := ask(t, g, "GET", "/devices/main-meter", "", "Cookie", g.login("max")).Body.String(); strings.Contains(page, "/write") {
		t.Error("what is not writable is offered")
	}
}
