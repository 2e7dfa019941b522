package gateway

import (
	"time"

	"embergate/gateway/access"
	"embergate/gateway/console"
	"embergate/gateway/duty"
)

// state is what the console shows of duty; nil without a roster.
func (d *duties) state(now time.Time) *console.DutyState {
	if d.plan == nil {
		return nil
	}
	s := &console.DutyState{Alone: d.alone(now)}
	for _, t := range d.plan.Turns(now, now.Add(1)) {
		s.Now = append(s.Now, d.turn(t))
	}
	if next, ok := d.plan.Next(now); ok {
		t := d.turn(next)
		s.Next = &t
	}
	for _, g := range d.gapsAhead(now) {
		s.Gaps = append(s.Gaps, console.DutyGap(g))
	}
	for _, c := range d.calls.States(now) {
		a, ok := d.h.board.Alarm(c.Alarm)
		if !ok {
			continue
		}
		call := console.Escalation{
			Alarm: a.ID, Name: a.Name, ZonePath: a.ZonePath, Class: string(a.Class), Level: string(a.Level),
			State: c.Stand, Step: c.Step, Steps: c.Steps, Told: d.tell(c.Told), Fallback: string(c.Fallback),
		}
		if !c.LastTold.IsZero() {
			at := c.LastTold.In(d.h.g.location)
			call.LastTold = &at
		}
		if !c.Next.IsZero() {
			call.Next = &console.DutyNext{At: c.Next.In(d.h.g.location), Does: c.Does, Tell: d.tell(c.Tell)}
		}
		s.Calls = append(s.Calls, call)
	}
	return s
}

func (d *duties) turn(t duty.Turn) console.DutyTurn {
	return console.DutyTurn{Shift: t.Shift, From: t.From, To: t.To, People: d.names(t.People)}
}

func (d *duties) tell(to []duty.Address) []console.DutyAddress {
	list := []console.DutyAddress{}
	for _, a := range to {
		list = append(list, console.DutyAddress{Channel: a.Channel, People: d.names(a.People)})
	}
	return list
}

func (d *duties) names(ids []string) []access.Person {
	people := []access.Person{}
	for _, id := range ids {
		p, _ := d.plan.Person(id)
		people = append(people, access.Person{ID: id, Name: p.Name})
	}
	return people
}
