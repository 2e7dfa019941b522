package monthly

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/duty"
	"embergate/rules"
)

var shanghai = time.FixedZone("CST", 8*3600)

func on(day, hour, minute int) time.Time {
	return time.Date(2026, 10, day, hour, minute, 0, 0, shanghai)
}

// october is a month that can be counted by hand.
func october() Input {
	raised := func(n int, class rules.Class, level rules.Level, device, verdict string, at time.Time) alarm.Alarm {
		return alarm.Alarm{
			ID: fmt.Sprint(n), Class: class, Level: level, Device: device, DeviceName: strings.ToUpper(device), ZonePath: "一层 / 厨房",
			State: alarm.Closed, Verdict: verdict, RaisedAt: at.UTC(),
		}
	}
	in := Input{
		Site: Site{ID: "zb-linzi-0007", Name: "临淄区颐康养老院", Region: "370305", Beds: 120},
		From: on(1, 0, 0), To: time.Date(2026, 11, 1, 0, 0, 0, 0, shanghai), Made: time.Date(2026, 11, 1, 8, 0, 0, 0, shanghai), Whole: true,
		Devices: []Device{{"smoke-1", "一号烟感", "一层"}, {"smoke-2", "二号烟感", "一层"}, {"gas", "燃气", "一层 / 厨房"}},
		Uptime: map[string]Uptime{
			"smoke-1": {Online: 99 * 3600, Offline: 3600, Unknown: 7200},
			"gas":     {Online: 50 * 3600, Offline: 50 * 3600},
			"old":     {Unknown: 60},
		},
		Coverage: Coverage{Protected: 9, Total: 10},
		Names:    func(id string) string { return map[string]string{"wang": "王五"}[id] },
		Alarms: []alarm.Alarm{
			raised(1, "fire", "alarm", "smoke-1", "false:cooking", on(2, 11, 10)),
			raised(2, "fire", "alarm", "smoke-1", "false:cooking", on(3, 11, 50)),
			raised(3, "fire", "alarm", "smoke-1", "false:dust", on(4, 3, 0)),
			raised(4, "fire", "alarm", "smoke-2", "false", on(5, 11, 0)),
			raised(5, "gas", "prealarm", "gas", "real", on(6, 9, 0)),
			raised(6, "fire", "alarm", "smoke-2", "drill", on(7, 9, 0)),
			raised(7, "fault", "fault", "gas", "", on(8, 9, 0)),
			raised(8, "gas", "alarm", "gas", "", on(31, 23, 59)),
		},
	}
	in.Alarms[5].Drill = true
	in.Alarms[7].State = alarm.Unacknowledged
	acked := func(n int, after time.Duration) {
		a := in.Alarms[n-1]
		for i, later := range []time.Duration{0, time.Hour} { // the second is of a later trigger
			in.Events = append(in.Events, alarm.Event{ID: fmt.Sprint(n, i), Type: alarm.EventAcknowledged, Alarm: &a, Time: a.RaisedAt.Add(after + later)})
		}
	}
	acked(1, 20*time.Second)
	acked(2, 60*time.Second)
	acked(3, 300*time.Second)
	acked(5, 40*time.Second)
	acked(6, time.Hour)
	for i, e := range []struct{ kind, id, note string }{
		{DrillEnded, "d", "201室 烟感，张三 发起，历时 2m0s"}, {TestEnded, "t", "一层：做完了"}, {HandOver, "h1", ""}, {HandOver, "h2", ""},
		{CheckAsked, "check-1", ""}, {CheckDone, "check-1/answered", ""}, {CheckAsked, "check-2", ""}, {CheckMissed, "check-2/missed", ""},
	} {
		in.Events = append(in.Events, alarm.Event{ID: e.id, Type: e.kind, Note: e.note, By: "张三", Time: on(10, 9, i)})
	}
	closed, later, before := on(20, 9, 0), time.Date(2026, 11, 3, 9, 0, 0, 0, shanghai), time.Date(2026, 9, 30, 9, 0, 0, 0, shanghai)
	in.Hazards = []duty.Hazard{
		{ID: "a", Title: "=1+1 exit blocked", ZonePath: "一层", Owner: "wang", State: duty.HazardOpen, FoundAt: on(11, 9, 0), Due: on(14, 9, 0), Major: true},
		{ID: "b", Title: "灭火器失压", State: duty.HazardClosed, FoundAt: before.AddDate(0, 0, -1), Due: on(2, 9, 0), ClosedAt: &closed, ClosedBy: "李四"},
		{ID: "c", Title: "closed in November", State: duty.HazardClosed, FoundAt: on(30, 9, 0), Due: on(30, 10, 0), ClosedAt: &later},
		{ID: "d", Title: "closed in September", State: duty.HazardClosed, FoundAt: before.AddDate(0, 0, -9), Due: before, ClosedAt: &before},
		{ID: "e", Title: "found in November", State: duty.HazardOpen, FoundAt: later, Due: later},
	}
	return in
}

// TestAMonthIsCountedAsByHand holds every figure of the report against one counted by hand.
func TestAMonthIsCountedAsByHand(t *testing.T) {
	r := Make(october())
	got := map[string]any{
		"worst":     []string{r.Availability[0].Device, r.Availability[1].Device, r.Availability[2].Device, r.Availability[3].Device},
		"gas":       percent(r.Availability[2].Ratio),
		"smoke-1":   percent(r.Availability[3].Ratio),
		"average":   percent(r.Average),
		"fire":      r.Alarms[0],
		"gas class": r.Alarms[1],
		"open":      r.Open,
		"answers":   r.Answers,
		"ranking":   fmt.Sprintln(len(r.False), r.False[0].Device, r.False[0].Count, r.False[0].Causes, r.False[1].Causes),
		"hours":     fmt.Sprint(r.FalseHours[11], r.FalseHours[3]),
		"rate":      percent(r.FalseRate),
		"drills":    fmt.Sprint(len(r.Drills), len(r.Tests), r.HandOvers),
		"checks":    r.Checks,
		"hazards":   fmt.Sprint(r.Hazards.Found, r.Hazards.Closed, r.Hazards.Open, r.Hazards.Overdue, len(r.Hazards.List)),
		"first":     fmt.Sprintln(r.Hazards.List[0].ID, r.Hazards.List[0].Owner, r.Hazards.List[0].Overdue),
	}
	for what, want := range map[string]any{
		"worst":     []string{"old", "smoke-2", "gas", "smoke-1"}, // nothing is known of the first two
		"gas":       "50.00%",
		"smoke-1":   "99.00%",
		"average":   "74.50%",
		"fire":      ClassCount{Class: "fire", Total: 5, False: 4, Drill: 1},
		"gas class": ClassCount{Class: "gas", Total: 2, Real: 1, None: 1},
		"open":      1,
		"answers":   Answers{Alarms: 6, Answered: 4, Median: 40, P90: 300, Longest: 300, Minute: 3},
		"ranking":   "2 smoke-1 3 map[cooking:2 dust:1] map[:1]\n",
		"hours":     "3 1",
		"rate":      "80.00%",
		"drills":    "1 1 2",
		"checks":    Checks{Asked: 2, Answered: 1, Missed: 1, Median: 60},
		"hazards":   "2 1 2 1 3",
		"first":     "a 王五 true\n",
	} {
		if g, w := fmt.Sprintf("%+v", got[what]), fmt.Sprintf("%+v", want); g != w {
			t.Errorf("%s: %s, want %s", what, g, w)
		}
	}
}

// TestAnEmptyMonthSaysThatNothingIsKnown: no figure is made up.
func TestAnEmptyMonthSaysThatNothingIsKnown(t *testing.T) {
	r := Make(Input{From: on(1, 0, 0), To: on(2, 0, 0), Devices: []Device{{ID: "smoke"}}})
	if r.Average != nil || r.FalseRate != nil || r.Availability[0].Ratio != nil {
		t.Errorf("%+v", r)
	}
	var b strings.Builder
	if err := r.WriteHTML(&b, i18n.English, ""); err != nil || !strings.Contains(b.String(), "No drill was held.") || !strings.Contains(b.String(), "not over") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestTheReportReads holds HTML and CSV in both languages against golden files. UPDATE=1 writes them.
func TestTheReportReads(t *testing.T) {
	r := Make(october())
	for _, l := range i18n.Langs {
		var page, table strings.Builder
		if err := r.WriteHTML(&page, l, "/report.css"); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteCSV(&table, l); err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("october.%s.html", l), page.String())
		golden(t, fmt.Sprintf("october.%s.csv", l), table.String())
		if strings.Contains(page.String(), "<style") {
			t.Error("a style stands inside the page")
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs; UPDATE=1 writes it:\n%s", file, got)
	}
}

// TestTheTableSurvivesASpreadsheet: it begins with a byte order mark, has five columns throughout, and no cell is a formula.
func TestTheTableSurvivesASpreadsheet(t *testing.T) {
	var b strings.Builder
	if err := Make(october()).WriteCSV(&b, i18n.Chinese); err != nil {
		t.Fatal(err)
	}
	text, marked := strings.CutPrefix(b.String(), "\ufeff")
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if !marked || err != nil || len(rows) < 60 {
		t.Fatalf("mark %t, %d rows, %v", marked, len(rows), err)
	}
	for _, row := range rows {
		if slices.ContainsFunc(row, func(c string) bool { return strings.HasPrefix(c, "=") }) {
			t.Errorf("a formula in %q", row)
		}
	}
	for _, bad := range []string{"=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", " =1", "\n=1", "＝1", "　－1+1"} {
		if got := plain(bad); got != "'"+bad {
			t.Errorf("%q is written as %q", bad, got)
		}
	}
	for _, good := range []string{"", "一楼", "-5", "1 = 1"} {
		if got := plain(good); got != good {
			t.Errorf("%q is written as %q", good, got)
		}
	}
}

// TestTheReportNeedsNoOtherEvents: with those of Types alone it says the same.
func TestTheReportNeedsNoOtherEvents(t *testing.T) {
	in := october()
	whole := Make(in)
	in.Events = slices.DeleteFunc(slices.Clone(in.Events), func(e alarm.Event) bool { return !slices.Contains(Types, e.Type) })
	if got := Make(in); !reflect.DeepEqual(got, whole) {
		t.Errorf("%+v\nwith all\n%+v", got, whole)
	}
}

// TestTheReportCarriesItsStyle: as a file it needs nothing else.
func TestTheReportCarriesItsStyle(t *testing.T) {
	var b strings.Builder
	if err := Make(october()).WriteHTML(&b, i18n.Chinese, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"@page { size: A4", `lang="zh-CN"`, "临淄区颐康养老院"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	for _, not := range []string{"http://", "https://", "src=", "@import"} {
		if strings.Contains(b.String(), not) {
			t.Errorf("%q in it", not)
		}
	}
}
