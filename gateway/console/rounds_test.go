package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/duty"
	"embergate/gateway/monthly"
)

// hazards are those of a canned home: one that is overdue, one that waits for a second person, one that is closed.
func (c *canned) hazards() []duty.Hazard {
	fixed, closed := noon.Add(-time.Hour), noon.Add(-30*time.Minute)
	return []duty.Hazard{
		{ID: "hazard-1", Title: "疏散通道堆放杂物", Zone: "f1", ZonePath: "一层", State: duty.HazardOpen, Source: duty.FromInspection, Owner: "wang", Major: true,
			FoundAt: noon.Add(-96 * time.Hour), FoundBy: "张三", Due: noon.Add(-24 * time.Hour), Photos: []string{"png:aa"},
			Notes: []duty.HazardNote{{At: noon.Add(-96 * time.Hour), By: "张三", Act: "opened", Text: "疏散通道堆放杂物"}}},
		{ID: "hazard-2", Title: "灭火器失压", ZonePath: "二层", State: duty.HazardFixed, Source: duty.FromInspection, FoundAt: noon.Add(-48 * time.Hour), Due: noon.Add(24 * time.Hour), FixedAt: &fixed, FixedBy: "李四"},
		{ID: "hazard-3", Title: "应急灯不亮", State: duty.HazardClosed, Source: duty.FromFault, Alarm: "00000001", FoundAt: noon.Add(-72 * time.Hour), Due: noon, FixedAt: &fixed, FixedBy: "李四", ClosedAt: &closed, ClosedBy: "王五"},
	}
}

func (c *canned) Hazards(context.Context) ([]duty.Hazard, error) { return c.hazards(), nil }

func (c *canned) hazard(id string) (duty.Hazard, error) {
	for _, h := range c.hazards() {
		if h.ID == id {
			return h, nil
		}
	}
	return duty.Hazard{}, &alarm.Refused{Cause: alarm.ErrNotFound, Text: i18n.T("there is no hazard %q", id)}
}

func (c *canned) AddHazard(_ context.Context, h duty.Hazard, a alarm.Act) (duty.Hazard, error) {
	if h.Title == "" {
		return h, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("say in 1 to %d characters what the hazard is", 100)}
	}
	c.did("hazard "+h.Title, "", a)
	h.ID, h.State, h.Source, h.FoundAt, h.FoundBy, h.Due = "hazard-9", duty.HazardOpen, duty.FromInspection, noon, a.By, noon.Add(time.Hour)
	return h, nil
}

func (c *canned) DoHazard(_ context.Context, id string, act duty.HazardAct, a alarm.Act) (duty.Hazard, error) {
	h, err := c.hazard(id)
	if err != nil {
		return h, err
	}
	return h, c.did(act.Act, id, a)
}

func (c *canned) AddHazardPhoto(_ context.Context, id string, picture []byte, a alarm.Act) (duty.Hazard, error) {
	h, err := c.hazard(id)
	if err != nil {
		return h, err
	}
	return h, c.did(fmt.Sprintf("picture of %d bytes", len(picture)), id, a)
}

func (c *canned) HazardPhoto(_ context.Context, id string, n int) (string, []byte, error) {
	if id != "hazard-1" || n != 1 {
		return "", nil, fs.ErrNotExist
	}
	return "image/png", []byte("\x89PNG"), nil
}

func (c *canned) AnswerCheck(_ context.Context, id string, a alarm.Act) (DutyCheck, error) {
	if id != "check-1" {
		return DutyCheck{}, &alarm.Refused{Cause: alarm.ErrNotFound, Text: i18n.T("this duty check is over")}
	}
	at := noon
	return DutyCheck{ID: id, Shift: "夜班", People: []string{"李四"}, Asked: noon, Until: noon.Add(5 * time.Minute), Answered: &at, By: a.By}, c.did("check", id, a)
}

func (c *canned) HandOver(_ context.Context, second string, a alarm.Act) (HandOver, error) {
	return HandOver{Time: noon, From: a.By, To: second, Note: a.Note}, c.did("hand-over to "+second, "", a)
}

func (c *canned) HandOvers(context.Context) ([]HandOver, error) {
	return []HandOver{{Time: noon.Add(-8 * time.Hour), From: "张三", To: "李四", Note: "一层水泵声音大", Open: []string{"一层 / 厨房 燃气"}, Silent: []string{"二层 消火栓"}}}, nil
}

func (c *canned) MonthlyReport(_ context.Context, month string) (monthly.Report, error) {
	from, err := time.ParseInLocation("2006-01", month, noon.Location())
	if month == "" {
		from, err = time.Date(noon.Year(), noon.Month(), 1, 0, 0, 0, 0, noon.Location()), nil
	}
	if err != nil {
		return monthly.Report{}, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("%q is no month; write it as 2026-10", month)}
	}
	return monthly.Make(monthly.Input{Site: monthly.Site{ID: "zb-linzi-0007", Name: "颐康"}, From: from, To: from.AddDate(0, 1, 0), Made: noon}), nil
}

func (c *canned) Began(context.Context) (time.Time, error) { return noon.AddDate(0, -2, 0), nil }

// routeOf is the route of a path of the canned home.
func routeOf(path string) string {
	path, _, _ = strings.Cut(path, "?")
	for _, r := range [][2]string{{"/check/check-", "/check/{id}"}, {"/photo/", "/photo/{n}"}} {
		if before, _, ok := strings.Cut(path, r[0]); ok {
			path = before + r[1]
		}
	}
	for _, id := range []string{"hazard-0", "hazard-1", "walk-0", "walk-1"} {
		path = strings.Replace(path, id, "{id}", 1)
	}
	return strings.Replace(path, "/{id}/fix", "/{id}/{act}", 1)
}

func (c *canned) WalkTests(context.Context) ([]WalkTest, error) {
	at := noon.Add(-time.Hour)
	return []WalkTest{{ID: "walk-1", Zone: "f1", ZonePath: "一层", By: "张三", Started: noon.Add(-2 * time.Hour), Ended: &noon, Tried: 1, Lines: []WalkLine{
		{Place: "一层 / 厨房", Device: "厨房烟感", Signal: "smoke-1.smoke", Tried: &at}, {Place: "一层", Device: "走廊烟感", Signal: "smoke-2.smoke"},
	}}}, nil
}

// TestDutyHasItsRoutes: duty checks, hazards, hand-overs and the report, each answer as openapi.json says.
func TestDutyHasItsRoutes(t *testing.T) {
	c := &canned{now: home{i18n.English, noon}.well()}
	h := consoleOf(t, c, i18n.English)
	d := described(t)
	send := func(method, path, body string, status int, want string) {
		t.Helper()
		headers := []string{"Content-Type", "application/json"}
		if strings.Contains(path, "/photo?") {
			headers = []string{"Content-Type", "image/png"}
		}
		rec := ask(t, h, method, path, body, headers...)
		if rec.Code != status || !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", method, path, body, rec.Code, rec.Body, status, want)
		}
		if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/") {
			d.answers(t, routeOf(path), method, rec)
		}
	}
	send("POST", "/api/v1/duty/check/check-1", `{"by":"李四"}`, 200, `"answered":"2026`)
	send("POST", "/api/v1/duty/check/check-0", `{"by":"李四"}`, 404, "over")
	send("POST", "/api/v1/duty/handover", `{"by":"张三","second":"李四","note":"all well"}`, 200, `"to":"李四"`)
	send("GET", "/api/v1/duty/handovers", "", 200, "张三")
	send("GET", "/api/v1/hazards", "", 200, "hazard-2")
	send("GET", "/api/v1/hazards?state=all", "", 200, "hazard-3")
	send("GET", "/api/v1/hazards?state=x", "", 400, "state is open or all")
	send("POST", "/api/v1/hazards", `{"title":"exit blocked","by":"张三","major":true,"due":"2026-12-01T08:00:00+08:00"}`, 200, `"major":true`)
	send("POST", "/api/v1/hazards", `{"by":"张三"}`, 400, "what the hazard is")
	send("POST", "/api/v1/hazards", `{"color":"red"}`, 400, "color")
	send("POST", "/api/v1/hazards/hazard-1/fix", `{"by":"李四","note":"cleared"}`, 200, "hazard-1")
	send("POST", "/api/v1/hazards/hazard-0/fix", `{"by":"李四"}`, 404, "no hazard")
	send("POST", "/api/v1/hazards/hazard-1/photo?by=x", "\x89PNG", 200, "hazard-1")
	send("GET", "/api/v1/hazards/hazard-1/photo/1", "", 200, "\x89PNG")
	send("GET", "/api/v1/hazards/hazard-1/photo/2", "", 404, "no hazard")
	send("GET", "/api/v1/hazards/hazard-1/photo/x", "", 404, "no hazard")
	send("GET", "/api/v1/report?month=2026-10", "", 200, `"from":"2026-10-01`)
	send("GET", "/api/v1/report?month=2026-10&format=html", "", 200, `href="/report.css"`)
	send("GET", "/api/v1/report?month=2026-10&format=html&save=1", "", 200, "@page { size: A4")
	send("GET", "/api/v1/report?month=2026-10&format=csv", "", 200, "Section,Item")
	send("GET", "/api/v1/report?month=13", "", 400, "no month")
	send("GET", "/api/v1/report?format=pdf", "", 400, "format is")
	send("GET", "/report.css", "", 200, "size: A4")
	send("GET", "/api/v1/tests/sheets", "", 200, "walk-1")
	send("GET", "/api/v1/tests/sheets/walk-1", "", 200, `"tried":1`)
	send("GET", "/api/v1/tests/sheets/walk-1?format=html", "", 200, "not tried")
	send("GET", "/api/v1/tests/sheets/walk-0", "", 404, "no walk test")
	done, _ := json.Marshal(c.done)
	for _, want := range []string{"fix hazard-1 by 李四 via api: cleared", "check check-1 by 李四", "hand-over to 李四", "picture of 4 bytes hazard-1"} {
		if !strings.Contains(string(done), want) {
			t.Errorf("not done: %s\n%s", want, done)
		}
	}
}

// The page of reports leads to no month before the journal begins.
func TestReportsBeginWithTheJournal(t *testing.T) {
	page := ask(t, consoleOf(t, newCanned(home{i18n.English, noon}.well()), i18n.English), "GET", "/reports", "").Body.String()
	for month, want := range map[string]bool{"2026-11": true, "2026-10": true, "2026-09": true, "2026-08": false} {
		if got := strings.Contains(page, "report?month="+month+"&amp;format=html"); got != want {
			t.Errorf("%s: %v, want %v", month, got, want)
		}
	}
}
