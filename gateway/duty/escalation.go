package duty

import (
	"maps"
	"slices"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// Escalation is who is told of which alarm, and when next. It is told every event and the time, and asks the board for
// reminders and escalations, whose events come back to it. One goroutine uses it.
//
//	raised ─▶ calling ── acknowledged ──▶ answered ── closed
//	  │        ▲   │ steps, reminders        │ reminder; still active: escalated
//	  │        │   └───────◀─────────────────┘
//	  └ held ──┘ quiet hours, shelf
//
// Its clocks are those of the machine that are never set; over a restart they go on from where they stood.
type Escalation struct {
	plan    *Plan
	calls   map[string]*call // by the id of the alarm
	changed map[string]bool
	stored  map[string]bool
	keep    time.Time // when clocks under way are recorded next; zero: none runs
	soonest time.Time // what Next answers, where it is known
	known   bool
}

// NewEscalation tells nobody of anything yet.
func NewEscalation(p *Plan) *Escalation {
	return &Escalation{plan: p, calls: map[string]*call{}, changed: map[string]bool{}, stored: map[string]bool{}}
}

// Need is what an alarm needs of the board now: a reminder, or to be escalated. Whoever gets it asks the board at once,
// and hands the event that comes of it to Take.
type Need struct {
	Alarm string
	Event string   // alarm.EventReminder or alarm.EventEscalated
	Why   Fallback // where the whole list is told because every channel fails
}

// Due are the needs of a time, in the order of the alarms.
func (e *Escalation) Due(now time.Time) []Need {
	e.known = false
	var needs []Need
	for _, id := range slices.Sorted(maps.Keys(e.calls)) {
		c := e.calls[id]
		switch {
		case c.Stand == held:
			if !c.Shelved && !e.plan.Waits(now, c.Level, c.Class) {
				needs = append(needs, Need{Alarm: id, Event: alarm.EventReminder})
			}
		case c.failing:
			needs = append(needs, Need{Alarm: id, Event: alarm.EventEscalated, Why: ChannelsFail})
		default:
			if at, kind := c.next(now, e.plan); !at.IsZero() && !at.After(now) {
				needs = append(needs, Need{Alarm: id, Event: kind})
			}
		}
	}
	if !e.keep.IsZero() && !e.keep.After(now) {
		e.keepClocks(now)
	}
	return needs
}

// Next is when Due has something; zero: nothing is under way. Quiet hours end at a turn of whoever asks.
func (e *Escalation) Next(now time.Time) time.Time {
	if e.known {
		return e.soonest
	}
	e.soonest, e.known = e.keep, true
	for _, c := range e.calls {
		if at, _ := c.next(now, e.plan); !at.IsZero() && (e.soonest.IsZero() || at.Before(e.soonest)) {
			e.soonest = at
		}
	}
	return e.soonest
}

// Forget drops an alarm that the board no longer has.
func (e *Escalation) Forget(id string) {
	if e.calls[id] != nil {
		delete(e.calls, id)
		e.changed[id] = true
	}
}

// Announce is whom to tell of what belongs to no alarm: those of the first step of an alarm.
func (e *Escalation) Announce(now time.Time) []Address {
	c := &call{Level: rules.LevelAlarm}
	return c.reach(now, e.plan, e.plan.Steps(rules.LevelAlarm)[:1])
}

// Take is told an event of an alarm and answers whom to tell of it; nobody, where the answer is empty.
func (e *Escalation) Take(now time.Time, ev alarm.Event) []Address {
	a := ev.Alarm
	if a == nil || a.Test {
		return nil
	}
	defer func() { e.changed[a.ID], e.known = true, false; e.watch(now) }()
	c := e.calls[a.ID]
	if c != nil {
		c.Active = a.Active()
	}
	switch ev.Type {
	case alarm.EventRaised, alarm.EventFaultRaised:
		return e.begin(now, ev)
	case alarm.EventCounted:
		if c != nil && c.Stand == calling && c.Level == a.Level { // the steps go on: it does not put them off
			return c.say(now, ev.ID, c.reach(now, e.plan, c.taken(e.plan)))
		}
		return e.begin(now, ev)
	case alarm.EventReminder:
		return e.remind(now, ev)
	case alarm.EventEscalated:
		return e.escalate(now, ev)
	case alarm.EventShelved, alarm.EventUnshelved:
		return e.shelf(now, ev)
	}
	if c == nil {
		return nil
	}
	switch ev.Type {
	case alarm.EventAcknowledged:
		return e.answer(now, ev)
	case alarm.EventCleared, alarm.EventFaultCleared:
		if c.Shelved {
			return nil
		}
		if c.Level != rules.LevelAlarm && c.Stand != answered { // what was seen of an alarm wants an answer also afterwards
			c.Stand = over
		}
		return c.others(e.plan, c.Told, "")
	case alarm.EventReset:
		return c.others(e.plan, c.First, "")
	case alarm.EventClosed:
		delete(e.calls, a.ID)
		return c.others(e.plan, c.First, "")
	}
	return nil
}

// say is tell, unless nobody is to be told for now.
func (c *call) say(now time.Time, event string, to []Address) []Address {
	if c.Shelved {
		return nil
	}
	return c.tell(now, event, to)
}

// hushed tells whether a shelf keeps an alarm from being told. Nothing keeps fire from it.
func hushed(a *alarm.Alarm) bool { return a.ShelvedUntil != nil && a.Class != rules.Classes[0] }

// begin is a trigger: the first step, and the clock of the others.
func (e *Escalation) begin(now time.Time, ev alarm.Event) []Address {
	a := ev.Alarm
	c := &call{Level: a.Level, Class: a.Class, Stand: calling, Active: a.Active()}
	e.calls[a.ID] = c
	if hushed(a) || e.plan.Waits(now, a.Level, a.Class) {
		c.Stand, c.Shelved = held, hushed(a)
		return nil
	}
	c.run(now, 0)
	to := e.steps(now, c, ev.ID)
	c.First = to
	return to
}

// steps takes the steps whose time has come.
func (e *Escalation) steps(now time.Time, c *call, event string) []Address {
	steps := e.plan.Steps(c.Level)
	first := c.Step
	for c.Step < len(steps) && steps[c.Step].After <= c.elapsed(now) {
		c.Step++
	}
	return c.say(now, event, c.reach(now, e.plan, steps[first:c.Step]))
}

// remind tells again: those of the steps so far; for an answered alarm those who were told.
func (e *Escalation) remind(now time.Time, ev alarm.Event) []Address {
	c := e.calls[ev.Alarm.ID]
	switch {
	case c == nil || c.Stand == held:
		return e.begin(now, ev)
	case c.Stand == calling:
		return c.say(now, ev.ID, c.reach(now, e.plan, c.taken(e.plan)))
	case c.Stand == answered:
		c.Reminded = true
		return c.say(now, ev.ID, merge(c.Told, c.reach(now, e.plan, c.taken(e.plan))))
	}
	return nil
}

// escalate goes a step further.
func (e *Escalation) escalate(now time.Time, ev alarm.Event) []Address {
	c := e.calls[ev.Alarm.ID]
	if c == nil || c.Stand == held || c.Stand == over {
		return e.begin(now, ev)
	}
	steps := e.plan.Steps(c.Level)
	if c.failing {
		c.Fallback, c.failing = ChannelsFail, false
	}
	if c.Stand == answered { // it wants to be acknowledged anew; the steps after the next keep their distance from it
		c.Stand, c.Reminded = calling, false
		last := min(c.Step, len(steps)-1)
		c.run(now, steps[last].After)
		c.Step = last + 1
		return c.say(now, ev.ID, merge(c.Told, c.reach(now, e.plan, c.taken(e.plan))))
	}
	first := c.Step
	to := e.steps(now, c, ev.ID)
	switch {
	case c.Fallback != "" || c.Step > first:
		return c.say(now, ev.ID, merge(to, c.reach(now, e.plan, nil)))
	case c.Step < len(steps): // somebody asked for it before its time
		c.run(now, steps[c.Step].After)
		return e.steps(now, c, ev.ID)
	}
	return c.say(now, ev.ID, c.reach(now, e.plan, c.taken(e.plan)))
}

// answer stops what is under way, and tells the others who has taken it.
func (e *Escalation) answer(now time.Time, ev alarm.Event) []Address {
	c := e.calls[ev.Alarm.ID]
	if c.Stand == over || c.Stand == held {
		c.Stand = over
		return nil
	}
	c.Stand, c.Fallback, c.failing, c.Reminded = answered, "", false, false
	c.run(now, 0)
	c.Last = 0
	return c.others(e.plan, c.Told, ev.By)
}

// shelf begins or ends a shelf: meanwhile the clock stands still.
func (e *Escalation) shelf(now time.Time, ev alarm.Event) []Address {
	a := ev.Alarm
	c := e.calls[a.ID]
	switch {
	case c == nil || !a.Open():
		return nil
	case ev.Type == alarm.EventShelved:
		c.pause(now, hushed(a))
		return nil
	}
	c.pause(now, false)
	switch c.Stand {
	case held:
		return e.begin(now, ev)
	case calling:
		return c.say(now, ev.ID, c.reach(now, e.plan, c.taken(e.plan)))
	}
	return c.others(e.plan, c.Told, "")
}

// Accepted is told that a channel took a message.
func (e *Escalation) Accepted(id, event string) {
	if c := e.calls[id]; c != nil {
		c.Taken = event
	}
}

// Refused is told that a channel will never take a message of an alarm that nobody has answered, and answers who else is
// to be told the same: the same people, by the channels of the next step, or where it has none that is new by any other of
// the level. Nobody, where another channel has taken the event, or where it is of the past. Where no channel is left, the
// whole list is due.
func (e *Escalation) Refused(now time.Time, id, event, channel string, people []string) []Address {
	c := e.calls[id]
	if c == nil || c.Stand != calling || c.Event != event || c.Taken == event {
		return nil
	}
	e.changed[id] = true
	c.Refused = append(c.Refused, channel)
	via := func(steps []Step) (list []string) {
		for _, s := range steps {
			for _, ch := range s.Via {
				if !c.tells(e.plan, ch, people) && !slices.Contains(list, ch) {
					list = append(list, ch)
				}
			}
		}
		return list
	}
	steps := e.plan.Steps(c.Level)
	channels := via(steps[min(c.Step, len(steps)):min(c.Step+1, len(steps))])
	if channels == nil {
		channels = via(steps)
	}
	var to []Address
	for _, ch := range channels {
		to = append(to, Address{ch, people})
	}
	c.Ways, c.Told = merge(c.Ways, to), merge(c.Told, to)
	left := func(a Address) bool { return !slices.Contains(c.Refused, a.Channel) }
	c.failing = c.Fallback == "" && !slices.ContainsFunc(c.Ways, left)
	return to
}

// Failing is told which channels take nothing for the time being. An alarm that nobody has answered, whose latest call was
// not taken, and all of whose channels fail, is due to be told to the whole list.
func (e *Escalation) Failing(fails func(channel string) bool) {
	for _, c := range e.calls {
		if c.Stand != calling || c.Fallback != "" || c.Taken == c.Event || len(c.Ways) == 0 || c.Shelved {
			continue
		}
		works := func(a Address) bool { return !fails(a.Channel) }
		c.failing = c.failing || !slices.ContainsFunc(c.Ways, works)
	}
}

// Falls is why the whole list was told of an alarm that nobody has answered; "" where it was not.
func (e *Escalation) Falls(id string) Fallback {
	if c := e.calls[id]; c != nil && c.Stand == calling {
		return c.Fallback
	}
	return ""
}
