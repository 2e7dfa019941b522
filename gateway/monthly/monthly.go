// Package monthly makes the report of a month: what a home's manager signs, and what the supervision asks for.
//
// It is pure: it is given what the journal, the counters of availability and the hazards say, and answers a Report, which
// prints on A4 as HTML and opens in a spreadsheet as CSV. Whatever it does not know it says so; nothing is left out.
package monthly

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/duty"
	"embergate/rules"
)

// Input is what a report is made of.
type Input struct {
	Site     Site
	From, To time.Time // From ≤ t < To, in the site's zone; To is now where the month is not over
	Made     time.Time
	Whole    bool                // the month is over
	Devices  []Device            // those in the configuration
	Uptime   map[string]Uptime   // by device; those no longer in the configuration too
	Alarms   []alarm.Alarm       // raised in the month, as they are now
	Events   []alarm.Event       // of the month and of Types, oldest first
	Hazards  []duty.Hazard       // all that were open in the month, and those closed in it
	Coverage Coverage            // at the time the report is made
	Names    func(string) string // a person's name by id; what is no id stays
}

// Site is the home.
type Site struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Region string `json:"region"`
	Beds   int    `json:"beds"`
}

// Device is one of the configuration.
type Device struct{ ID, Name, Place string }

// Uptime is for how long a device answered, in seconds. In unknown time its wire was down, or the gateway itself.
type Uptime struct {
	Online  float64 `json:"online_s"`
	Offline float64 `json:"offline_s"`
	Unknown float64 `json:"unknown_s"`
}

// Ratio is the share of the known time in which it answered, 0 to 1; false where nothing is known.
func (u Uptime) Ratio() (float64, bool) {
	known := u.Online + u.Offline
	return u.Online / max(known, 1e-9), known > 0
}

// Coverage is how many places with people or a risk have a detector that works, and how many there are.
type Coverage struct {
	Protected int `json:"protected"`
	Total     int `json:"total"`
}

// Types of events that the report counts, beside those of alarms.
const (
	DrillEnded  = "drill.ended"
	TestEnded   = "test.ended"
	HandOver    = "duty.handover"
	CheckAsked  = "duty.check"    // its id is the check's
	CheckDone   = "duty.answered" // its id is the check's with /answered behind it
	CheckMissed = "duty.missed"
)

// Types are those of the events that a report is made of. What else the journal holds of a month may be left out.
var Types = []string{alarm.EventAcknowledged, DrillEnded, TestEnded, HandOver, CheckAsked, CheckDone, CheckMissed}

// Make makes the report.
func Make(in Input) Report {
	if in.Names == nil {
		in.Names = func(id string) string { return id }
	}
	r := Report{Site: in.Site, From: in.From, To: in.To, Made: in.Made, Whole: in.Whole, Coverage: in.Coverage}
	r.availability(in)
	r.alarms(in)
	r.answers(in)
	r.ranking(in)
	r.events(in)
	r.hazards(in)
	return r
}

// availability puts the worst first; a device of which nothing is known is worse than any.
func (r *Report) availability(in Input) {
	var online, known float64
	add := func(d Device, u Uptime) {
		a := Availability{Device: d.ID, Name: d.Name, Place: d.Place, Uptime: u}
		if ratio, ok := u.Ratio(); ok {
			a.Ratio = &ratio
		}
		online, known = online+u.Online, known+u.Online+u.Offline
		r.Availability = append(r.Availability, a)
	}
	for _, d := range in.Devices {
		add(d, in.Uptime[d.ID])
	}
	for id, u := range in.Uptime {
		if !slices.ContainsFunc(in.Devices, func(d Device) bool { return d.ID == id }) {
			add(Device{ID: id}, u)
		}
	}
	slices.SortFunc(r.Availability, func(a, b Availability) int {
		return cmp.Or(cmp.Compare(orMinus(a.Ratio), orMinus(b.Ratio)), strings.Compare(a.Device, b.Device))
	})
	if known > 0 {
		average := online / known
		r.Average = &average
	}
}

func orMinus(ratio *float64) float64 {
	if ratio == nil {
		return -1
	}
	return *ratio
}

func (r *Report) alarms(in Input) {
	for _, class := range rules.Classes {
		c := ClassCount{Class: class}
		for _, a := range in.Alarms {
			if a.Class == class {
				c.count(a.Verdict)
			}
		}
		r.Alarms = append(r.Alarms, c)
	}
	for _, a := range in.Alarms {
		if a.Open() {
			r.Open++
		}
	}
}

func (c *ClassCount) count(verdict string) {
	c.Total++
	switch {
	case verdict == "real":
		c.Real++
	case falseAlarm(verdict):
		c.False++
	case verdict == "drill":
		c.Drill++
	case verdict == "test":
		c.Test++
	case verdict == "fault":
		c.Fault++
	default:
		c.None++
	}
}

func falseAlarm(verdict string) bool {
	return verdict == "false" || strings.HasPrefix(verdict, "false:")
}

// answers measures from the raising to the first acknowledgement, as the journal has them.
func (r *Report) answers(in Input) {
	first := map[string]time.Time{}
	for _, e := range in.Events {
		if e.Type == alarm.EventAcknowledged && e.Alarm != nil && first[e.Alarm.ID].IsZero() {
			first[e.Alarm.ID] = e.Time
		}
	}
	var took []float64
	for _, a := range in.Alarms {
		if a.Drill || a.Test || a.Level != rules.LevelAlarm && a.Level != rules.LevelPrealarm {
			continue
		}
		r.Answers.Alarms++
		at := first[a.ID]
		if at.IsZero() && a.AcknowledgedAt != nil { // after the end of the month
			at = *a.AcknowledgedAt
		}
		if at.IsZero() {
			continue
		}
		s := max(at.Sub(a.RaisedAt).Seconds(), 0)
		took = append(took, s)
		if s <= 60 {
			r.Answers.Minute++
		}
	}
	r.Answers.Answered = len(took)
	r.Answers.Median, r.Answers.P90, r.Answers.Longest = quantile(took, 0.5), quantile(took, 0.9), quantile(took, 1)
}

// quantile is the smallest value that a share of all does not exceed; 0 of none.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := int(share*float64(len(values))+0.999999) - 1
	return values[min(max(n, 0), len(values)-1)]
}

// ranking is which devices gave the most false alarms, and when.
func (r *Report) ranking(in Input) {
	judged, wrong := 0, 0
	devices := map[string]*FalseDevice{}
	for _, a := range in.Alarms {
		if a.Verdict == "real" {
			judged++
		}
		if !falseAlarm(a.Verdict) {
			continue
		}
		judged, wrong = judged+1, wrong+1
		r.FalseHours[a.RaisedAt.In(in.From.Location()).Hour()]++
		key := cmp.Or(a.Device, a.Zone)
		d := devices[key]
		if d == nil {
			d = &FalseDevice{Device: a.Device, Name: a.DeviceName, Place: a.ZonePath, Causes: map[string]int{}}
			devices[key] = d
		}
		d.Count++
		d.Causes[strings.TrimPrefix(strings.TrimPrefix(a.Verdict, "false"), ":")]++
	}
	for _, d := range devices {
		r.False = append(r.False, *d)
	}
	slices.SortFunc(r.False, func(a, b FalseDevice) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Place, b.Place), strings.Compare(a.Device, b.Device))
	})
	if judged > 0 {
		rate := float64(wrong) / float64(judged)
		r.FalseRate = &rate
	}
}

func (r *Report) events(in Input) {
	asked := map[string]time.Time{}
	var took []float64
	for _, e := range in.Events {
		held := Happening{Time: e.Time.In(in.From.Location()), By: e.By, Note: e.Note}
		switch e.Type {
		case DrillEnded:
			r.Drills = append(r.Drills, held)
		case TestEnded:
			r.Tests = append(r.Tests, held)
		case HandOver:
			r.HandOvers++
		case CheckAsked:
			r.Checks.Asked++
			asked[e.ID] = e.Time
		case CheckMissed:
			r.Checks.Missed++
		case CheckDone:
			r.Checks.Answered++
			if at, ok := asked[strings.TrimSuffix(e.ID, "/answered")]; ok {
				took = append(took, e.Time.Sub(at).Seconds())
			}
		}
	}
	r.Checks.Median = quantile(took, 0.5)
}

// hazards are those that were open in the month, at its end first those that are.
func (r *Report) hazards(in Input) {
	for _, h := range in.Hazards {
		closed := h.ClosedAt != nil && h.ClosedAt.Before(in.To)
		if !h.FoundAt.Before(in.To) || closed && h.ClosedAt.Before(in.From) {
			continue
		}
		line := Hazard{
			ID: h.ID, Title: h.Title, Place: h.ZonePath, Owner: in.Names(h.Owner), Major: h.Major, State: h.State,
			FoundAt: h.FoundAt.In(in.From.Location()), Due: h.Due.In(in.From.Location()),
			Overdue: h.Overdue(in.To),
		}
		switch {
		case closed:
			at := h.ClosedAt.In(in.From.Location())
			line.ClosedAt, line.ClosedBy = &at, h.ClosedBy
			r.Hazards.Closed++
		default:
			r.Hazards.Open++
			if h.State == duty.HazardClosed { // later
				line.State = duty.HazardFixed
			}
		}
		if !h.FoundAt.Before(in.From) {
			r.Hazards.Found++
		}
		if line.Overdue {
			r.Hazards.Overdue++
		}
		r.Hazards.List = append(r.Hazards.List, line)
	}
	slices.SortStableFunc(r.Hazards.List, func(a, b Hazard) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), a.Due.Compare(b.Due))
	})
}

func rank(s duty.HazardState) int {
	return slices.Index([]duty.HazardState{duty.HazardOpen, duty.HazardFixed, duty.HazardClosed}, s)
}
