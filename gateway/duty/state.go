package duty

import (
	"maps"
	"slices"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// State is how the telling of one alarm stands.
type State struct {
	Alarm    string
	Level    rules.Level
	Stand    string // held: it waits for the end of quiet hours or of its shelf; calling; answered; over
	Step     int    // steps that were taken, of Steps
	Steps    int
	Next     time.Time // when something is due by itself; zero: nothing is
	Does     string    // what then: alarm.EventEscalated, alarm.EventReminder
	Tell     []Address // whom then, as the roster has it now
	Told     []Address
	LastTold time.Time // zero: nobody was told
	Fallback Fallback
}

// States are those of all open alarms, by their ids.
func (e *Escalation) States(now time.Time) []State {
	var list []State
	for _, id := range slices.Sorted(maps.Keys(e.calls)) {
		c := e.calls[id]
		s := State{
			Alarm: id, Level: c.Level, Stand: string(c.Stand), Step: c.Step, Steps: len(e.plan.Steps(c.Level)),
			Told: slices.Clone(c.Told), LastTold: c.LastTold, Fallback: c.Fallback,
		}
		if s.Next, s.Does = c.next(now, e.plan); !s.Next.IsZero() {
			s.Tell = e.next(c, s.Next, s.Does)
		}
		list = append(list, s)
	}
	return list
}

// next is whom a reminder or an escalation would reach at a time.
func (e *Escalation) next(c *call, at time.Time, does string) []Address {
	if now := *c; c.Stand == calling && does == alarm.EventEscalated {
		return now.reach(at, e.plan, e.plan.Steps(c.Level)[c.Step:c.Step+1])
	} else if c.Stand == answered {
		last := c.Step
		if does == alarm.EventEscalated {
			last++
		}
		steps := e.plan.Steps(c.Level)
		return merge(c.Told, now.reach(at, e.plan, steps[:min(last, len(steps))]))
	} else {
		return now.reach(at, e.plan, c.taken(e.plan))
	}
}
