package console

import (
	"strings"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// dutyPage shows who is on duty and who is next, who is told of the open alarms, and takes hand-overs.
func (w *web) dutyPage() page {
	return page{path: "/duty", role: Viewer, title: i18n.T("Duty"), nav: "/duty", body: "duty.html", view: w.seeDuty}
}

// dutyPageView is the roster as it is now.
type dutyPageView struct {
	Roster    bool // false: there is none, and every channel is told everything at once
	Now       []turnView
	Next      *turnView
	Covered   bool // no gap in the coming days
	Calls     []callView
	HandOvers []handOverView
	Login     bool // the second person says so with a password
}

// turnView is a shift on one day.
type turnView struct {
	Shift, People, From, To string
}

// callView is who was told of an open alarm, and who is next.
type callView struct {
	ID, Name, ZonePath, Level, State string
	Mood                             mood
	Step, Steps                      int
	Told                             string
	Last, At                         moment
	Next                             string // whom it tells next, "" for nobody by itself
	Fallback                         string
}

type handOverView struct {
	At             moment
	From, To, Note string
	Lists          []listView
}

// listView is a heading with what stands below it.
type listView struct {
	Name  string
	Items []string
}

// pastHandOvers is how many hand-overs the page shows.
const pastHandOvers = 10

// callWords say where an escalation stands, and fallbackWords why everybody is told.
var (
	callWords = map[string]i18n.Text{
		"held":     i18n.T("waits: its messages are held back"),
		"calling":  i18n.T("people are being told"),
		"answered": i18n.T("somebody has answered"),
		"over":     i18n.T("over"),
	}
	fallbackWords = map[string]i18n.Text{
		"nobody":   i18n.T("nobody is on duty: everybody is told"),
		"channels": i18n.T("no channel works: everybody is told, and the sounder is on"),
	}
)

func (w *web) seeDuty(q *look) (any, error) {
	s, l := q.Snapshot, q.Lang
	v := dutyPageView{Roster: s.Duty != nil, Login: w.Access != nil}
	if d := s.Duty; d != nil {
		v.Covered = len(d.Gaps) == 0
		for _, t := range d.Now {
			v.Now = append(v.Now, seeTurn(t))
		}
		if d.Next != nil {
			next := seeTurn(*d.Next)
			v.Next = &next
		}
		for _, c := range d.Calls {
			v.Calls = append(v.Calls, seeCall(c, s, l))
		}
	}
	if w.Rounds == nil {
		return v, nil
	}
	overs, err := w.Rounds.HandOvers(q.Context())
	if err != nil {
		return nil, err
	}
	for _, o := range overs[:min(len(overs), pastHandOvers)] {
		v.HandOvers = append(v.HandOvers, seeHandOver(o, s, l))
	}
	return v, nil
}

func seeTurn(t DutyTurn) turnView {
	return turnView{t.Shift, names(t.People), t.From.Format("01-02 15:04"), t.To.Format("01-02 15:04")}
}

func names(people []access.Person) string {
	list := make([]string, len(people))
	for i, p := range people {
		list[i] = p.Name
		if p.Name == "" {
			list[i] = p.ID
		}
	}
	return strings.Join(list, ", ")
}

func seeCall(c Escalation, s *Snapshot, l i18n.Lang) callView {
	level := rules.Level(c.Level)
	v := callView{
		ID: c.Alarm, Name: c.Name, ZonePath: c.ZonePath, Level: l.Say(levelWords[level].Format), Mood: markMood(level),
		State: l.Say(callWords[c.State].Format), Step: c.Step, Steps: c.Steps, Told: addressed(c.Told), Last: when(c.LastTold, s.Time, l),
	}
	for _, a := range s.Alarms {
		if a.ID == c.Alarm {
			v.Mood = moodOf(a)
			if a.State == alarm.Acknowledged {
				v.State = l.Say("%s is on it", a.AcknowledgedBy)
			}
		}
	}
	if c.Next != nil {
		v.At, v.Next = at(c.Next.At, s.Time, l), addressed(c.Next.Tell)
	}
	if words, ok := fallbackWords[c.Fallback]; ok {
		v.Fallback = l.Say(words.Format)
	}
	return v
}

// addressed names who is told by what.
func addressed(to []DutyAddress) string {
	list := make([]string, len(to))
	for i, a := range to {
		list[i] = a.Channel
		if len(a.People) > 0 {
			list[i] = names(a.People) + " (" + a.Channel + ")"
		}
	}
	return strings.Join(list, ", ")
}

func seeHandOver(o HandOver, s *Snapshot, l i18n.Lang) handOverView {
	v := handOverView{At: at(o.Time, s.Time, l), From: o.From, To: o.To, Note: o.Note}
	for _, part := range []listView{
		{l.Say("Open alarms"), o.Open}, {l.Say("Set aside"), o.Shelved}, {l.Say("Silent devices"), o.Silent},
		{l.Say("Under test"), o.Tests}, {l.Say("Hazards"), o.Hazards},
	} {
		if len(part.Items) > 0 {
			v.Lists = append(v.Lists, part)
		}
	}
	return v
}
