package duty

import (
	"time"

	"embergate/rules"
)

// Told is one step of a route: who would be told, when, and by what.
type Told struct {
	After    time.Duration `json:"after"` // since the alarm, or since the end of the quiet hours
	At       time.Time     `json:"at"`
	To       string        `json:"to"` // as the step has it: on-duty, an id, a role
	Tell     []Address     `json:"tell"`
	Fallback bool          `json:"fallback,omitempty"` // nobody is on duty then, so it is the whole list
}

// Route is what would be told of an alarm that nobody answers.
type Route struct {
	Quiet  time.Time     `json:"quiet_until,omitzero"` // it waits until then
	Steps  []Told        `json:"steps"`
	Repeat time.Duration `json:"repeat"` // after the last telling, and so on; 0: never
	Remind time.Duration `json:"remind"` // acknowledged and still active: since the acknowledgement; 0: never
	Reopen time.Duration `json:"reopen"`
}

// Route is that of an alarm raised at a time.
func (p *Plan) Route(at time.Time, level rules.Level, class rules.Class) Route {
	r := Route{Steps: []Told{}, Repeat: p.Repeat[level], Remind: p.Remind[level], Reopen: p.Reopen[level]}
	at = at.In(p.Location)
	if p.Waits(at, level, class) {
		at = p.quietEnds(at)
		r.Quiet = at
	}
	c := &call{Level: level, Class: class}
	for _, s := range p.Steps(level) {
		when := at.Add(s.After)
		r.Steps = append(r.Steps, Told{After: s.After, At: when, To: s.To, Tell: c.reach(when, p, []Step{s}), Fallback: c.Fallback != ""})
	}
	return r
}

// quietEnds is when the quiet hours are over that a time lies in.
func (p *Plan) quietEnds(at time.Time) time.Time {
	end := func(day int) time.Time {
		return time.Date(at.Year(), at.Month(), at.Day()+day, 0, p.quiet.to, 0, 0, p.Location)
	}
	if today := end(0); today.After(at) {
		return today
	}
	return end(1)
}
