package duty

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
)

const people = `
people: [{id: zhang, name: 张三}, {id: li, name: 李四}, {id: wang, name: 王五}]
`

// plan reads a section in a zone. The calendar knows one holiday, 2026-10-01, a Thursday, and one Saturday that is worked,
// 2026-10-10.
func plan(t *testing.T, zone, yaml string) *Plan {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	root := conf.Parse("duty.yaml", []byte(people+yaml), conf.OS())
	p := Read(root, Options{Location: location, Workday: func(day time.Time) bool {
		switch day.Format(time.DateOnly) {
		case "2026-10-01":
			return false
		case "2026-10-10":
			return true
		}
		return day.Weekday() != time.Saturday && day.Weekday() != time.Sunday
	}})
	if problems := root.Problems(); problems != nil {
		t.Fatal(problems)
	}
	return p
}

func (p *Plan) at(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", text, p.Location)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestTheRosterKnowsWhoIsOnDuty (NO07): shifts over midnight, days of the week, working days and holidays, swaps.
func TestTheRosterKnowsWhoIsOnDuty(t *testing.T) {
	p := plan(t, "Asia/Shanghai", `
shifts:
  - {name: day, from: "08:00", to: "20:00", people: [zhang], days: [workday]}
  - {name: holiday, from: "08:00", to: "20:00", people: [wang], days: [holiday]}
  - {name: night, from: "20:00", to: "08:00", people: [li], days: [sun-thu]}
  - {name: weekend night, from: "20:00", to: "08:00", people: [wang, li], days: [fri, sat]}
swaps:
  - {date: 2026-09-29, shift: night, people: [zhang]}
  - {date: 2026-10-05, shift: day, from: "09:00", to: "24:00"}
  - {date: 2026-10-03, shift: day, people: [li]}
`)
	for _, tt := range []struct{ at, want, why string }{
		{"2026-09-28 07:59", "li", "the night before goes over midnight"},
		{"2026-09-28 08:00", "zhang", "the end of a shift is not in it"},
		{"2026-09-28 19:59", "zhang", "a working day"},
		{"2026-09-28 20:00", "li", "the night"},
		{"2026-09-29 23:00", "zhang", "a swap of people"},
		{"2026-09-30 07:00", "zhang", "a swap goes over midnight with its shift"},
		{"2026-10-01 12:00", "wang", "a holiday in the week"},
		{"2026-10-02 21:00", "wang,li", "the night of a Friday"},
		{"2026-10-03 12:00", "li,wang", "a swap brings a shift to a day that it has not"},
		{"2026-10-05 08:30", "", "a swap of hours leaves a gap"},
		{"2026-10-05 20:30", "zhang,li", "and an overlap, to midnight"},
		{"2026-10-06 00:00", "li", "24:00 is the midnight after"},
		{"2026-10-10 12:00", "zhang", "a Saturday that is worked"},
	} {
		if got := strings.Join(p.OnDuty(p.at(t, tt.at)), ","); got != tt.want {
			t.Errorf("%s (%s): %q is on duty, want %q", tt.at, tt.why, got, tt.want)
		}
	}
}

// TestTheNextShiftIsKnown (NO07), also over days without one.
func TestTheNextShiftIsKnown(t *testing.T) {
	p := plan(t, "Asia/Shanghai", `shifts: [{name: day, from: "08:00", to: "20:00", people: [zhang], days: [mon]}]`)
	next, ok := p.Next(p.at(t, "2026-11-16 08:00")) // a Monday, as its shift begins
	if got := next.From.Format(time.DateTime); !ok || got != "2026-11-23 08:00:00" || next.To.Sub(next.From) != 12*time.Hour {
		t.Errorf("next is %+v, %v", next, ok)
	}
	if _, ok := plan(t, "UTC", ``).Next(time.Now()); ok {
		t.Error("there is a next shift without any")
	}
}

// TestGapsOfTheRosterAreFound (NO07).
func TestGapsOfTheRosterAreFound(t *testing.T) {
	gaps := func(p *Plan, from, to string) string {
		var said []string
		for _, g := range p.Gaps(p.at(t, from), p.at(t, to)) {
			said = append(said, fmt.Sprintf("%s to %s", g.From.Format("01-02 15:04"), g.To.Format("01-02 15:04")))
		}
		return strings.Join(said, ", ")
	}
	whole := `shifts: [{name: day, from: "08:00", to: "20:00", people: [zhang]}, {name: night, from: "20:00", to: "08:00", people: [li]}]`
	for _, tt := range []struct{ name, zone, yaml, from, to, want string }{
		{"a roster of day and night has none", "Asia/Shanghai", whole, "2026-11-20 10:00", "2026-11-27 10:00", ""},
		{"a shift of 24 hours alone covers everything", "Asia/Shanghai", `shifts: [{name: all, from: "08:00", to: "08:00", people: [li]}]`, "2026-11-20 10:00", "2026-11-27 10:00", ""},
		{"nobody at the weekend", "Asia/Shanghai", `shifts: [{name: all, from: "00:00", to: "24:00", people: [li], days: [mon-fri]}]`,
			"2026-11-20 10:00", "2026-11-27 10:00", "11-21 00:00 to 11-23 00:00"},
		{"a swap that begins late", "Asia/Shanghai", whole + "\nswaps: [{date: 2026-11-22, shift: night, from: \"21:30\", to: \"08:00\"}]",
			"2026-11-20 10:00", "2026-11-27 10:00", "11-22 20:00 to 11-22 21:30"},
		{"what is asked for begins and ends in a gap", "Asia/Shanghai", `shifts: [{name: day, from: "08:00", to: "20:00", people: [li]}]`,
			"2026-11-20 21:00", "2026-11-22 07:00", "11-20 21:00 to 11-21 08:00, 11-21 20:00 to 11-22 07:00"},
		{"a clock that is put forward within a shift", "Europe/Berlin", whole, "2026-03-28 00:00", "2026-03-31 00:00", ""},
		{"a clock that is put back within a shift", "Europe/Berlin", whole, "2026-10-24 00:00", "2026-10-27 00:00", ""},
		{"a shift that ends in the hour that is not there", "Europe/Berlin",
			`shifts: [{name: a, from: "02:30", to: "14:30", people: [li]}, {name: b, from: "14:30", to: "02:30", people: [li]}]`, "2026-03-27 00:00", "2026-03-31 00:00", ""},
		{"a shift that ends in the hour that is there twice", "Europe/Berlin",
			`shifts: [{name: a, from: "02:30", to: "14:30", people: [li]}, {name: b, from: "14:30", to: "02:30", people: [li]}]`, "2026-10-23 00:00", "2026-10-27 00:00", ""},
		{"a zone that puts its clock forward at midnight", "Asia/Beirut",
			`shifts: [{name: a, from: "00:00", to: "12:00", people: [li]}, {name: b, from: "12:00", to: "24:00", people: [li]}]`, "2026-03-27 06:00", "2026-03-31 06:00", ""},
	} {
		if got := gaps(plan(t, tt.zone, tt.yaml), tt.from, tt.to); got != tt.want {
			t.Errorf("%s: gaps are %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestANightOfThirteenHours: on the night on which the clock is put back a shift is as long as it is.
func TestANightOfThirteenHours(t *testing.T) {
	p := plan(t, "Europe/Berlin", `shifts: [{name: night, from: "20:00", to: "08:00", people: [li]}]`)
	turns := p.Turns(p.at(t, "2026-10-25 01:00"), p.at(t, "2026-10-25 01:01"))
	if len(turns) != 1 || turns[0].To.Sub(turns[0].From) != 13*time.Hour {
		t.Errorf("turns are %+v", turns)
	}
}

func TestMistakesOfTheSection(t *testing.T) {
	for _, tt := range []struct{ yaml, want string }{
		{`shifts: [{name: day, from: "8:00", to: "20:00", people: [li]}]`, "no time of day"},
		{`shifts: [{name: day, from: "24:00", to: "20:00", people: [li]}]`, "no time of day"},
		{`shifts: [{name: day, from: "08:00", to: "20:00", people: [lii]}]`, "did you mean li?"},
		{`shifts: [{name: day, from: "08:00", to: "20:00", people: []}]`, "at least one person"},
		{`shifts: [{name: day, from: "08:00", to: "20:00", people: [li], days: [workdays]}]`, "did you mean workday?"},
		{`shifts: [{name: d, from: "08:00", to: "20:00", people: [li]}, {name: d, from: "20:00", to: "08:00", people: [li]}]`, "there twice"},
		{`swaps: [{date: 25.11., shift: x, people: [li]}]`, "no date"},
		{"shifts: [{name: day, from: \"08:00\", to: \"20:00\", people: [li]}]\nswaps: [{date: 2026-11-25, shift: day}]", "who comes"},
		{`escalation: {alarm: [{after: 1s, to: li, via: [group]}]}`, "leaves at once"},
		{`escalation: {alarm: [{after: 0s, to: li, via: [group]}, {after: 60s, to: li, via: [sms]}, {after: 30s, to: li, via: [sms]}]}`, "order of their times"},
		{`escalation: {alarms: [{after: 0s, to: li, via: [group]}]}`, "did you mean alarm?"},
		{`escalation: {alarm: [{after: 0s, to: lii, via: [groop]}]}`, "did you mean group?"},
		{`quiet: {levels: [alarm], from: "22:00", to: "06:00"}`, `"alarm" is not known`},
		{`quiet: {levels: [fault], from: "22:00", to: "22:00"}`, `have no end`},
		{`quiet: {levels: [fault], from: "00:00", to: "24:00"}`, `have no end`},
		{`repeat: soon`, "not a duration"},
		{`repeat: {alarms: 5m}`, "did you mean alarm?"},
		{"remind: 30m\nreopen: 20m", "the reminder comes first"},
	} {
		root := conf.Parse("duty.yaml", []byte(people+tt.yaml), conf.OS())
		Read(root, Options{Channels: channels})
		if got := root.Problems(); got == nil || !strings.Contains(got.Error(), tt.want) {
			t.Errorf("%s: problems are %v, want %q", tt.yaml, got, tt.want)
		}
	}
}
