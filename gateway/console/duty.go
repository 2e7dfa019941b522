package console

import (
	"net/http"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
)

// DutyState is who is on duty, and who is told of the alarms that are open.
type DutyState struct {
	Now   []DutyTurn   `json:"now"`  // shifts under way; empty: nobody is on duty
	Next  *DutyTurn    `json:"next"` // to begin; null: none within a month
	Gaps  []DutyGap    `json:"gaps"` // of the coming seven days
	Calls []Escalation `json:"escalations"`

	Alone i18n.Text `json:"-"` // why alarms reach nobody as they should; empty where they do
}

// DutyTurn is a shift on one day.
type DutyTurn struct {
	Shift  string          `json:"shift"`
	From   time.Time       `json:"from"`
	To     time.Time       `json:"to"`
	People []access.Person `json:"people"`
}

// DutyGap is a time in which nobody is on duty.
type DutyGap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Escalation is who was told of an open alarm, and who is told next.
type Escalation struct {
	Alarm    string        `json:"alarm"`
	Name     string        `json:"name"`
	ZonePath string        `json:"zone_path"`
	Class    string        `json:"class"`
	Level    string        `json:"level"`
	State    string        `json:"state"` // held, calling, answered, over
	Step     int           `json:"step"`  // steps that were taken
	Steps    int           `json:"steps"`
	Told     []DutyAddress `json:"told"`
	LastTold *time.Time    `json:"last_told"`
	Next     *DutyNext     `json:"next"`     // null: nothing more by itself
	Fallback string        `json:"fallback"` // why everybody is told: nobody, channels; "" they are not
}

// DutyNext is what is due next.
type DutyNext struct {
	At   time.Time     `json:"at"`
	Does string        `json:"does"` // alarm.escalated, alarm.reminder
	Tell []DutyAddress `json:"tell"`
}

// DutyAddress is whom a channel tells.
type DutyAddress struct {
	Channel string          `json:"channel"`
	People  []access.Person `json:"people"` // empty: whoever reads the channel
}

// dutyRoutes are those of the roster and the escalation.
func (w *web) dutyRoutes() []route {
	return []route{{"GET /api/v1/duty", Viewer, w.getDuty}}
}

// dutyJSON is the state with what stands beside it.
type dutyJSON struct {
	Roster bool `json:"roster"` // false: there is none, and every channel is told everything at once
	DutyState
	Alone string     `json:"alone"` // why alarms reach nobody as they should
	Check *DutyCheck `json:"check"` // that waits for its answer
}

func (w *web) getDuty(rw http.ResponseWriter, r *http.Request) {
	s := w.now()
	d := dutyJSON{Roster: s.Duty != nil, Check: s.Check}
	if s.Duty != nil {
		d.DutyState = *s.Duty
		d.Alone = w.lang(r).Say(s.Duty.Alone.Format, s.Duty.Alone.Args...)
	}
	d.Now, d.Gaps, d.Calls = list(d.Now), list(d.Gaps), list(d.Calls)
	w.answer(rw, r, http.StatusOK, d)
}

// dutyView is what every page says where people cannot be told as they should.
type dutyView struct {
	Alone string
	Gaps  []gapView // of the coming days
}

type gapView struct{ From, To string }

func dutyOf(s *Snapshot, l i18n.Lang) (v dutyView) {
	if s == nil || s.Duty == nil {
		return v
	}
	v.Alone = l.Say(s.Duty.Alone.Format, s.Duty.Alone.Args...)
	for _, g := range s.Duty.Gaps {
		v.Gaps = append(v.Gaps, gapView{g.From.Format("01-02 15:04"), g.To.Format("01-02 15:04")})
	}
	return v
}
