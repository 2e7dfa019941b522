package duty

import (
	"slices"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// stand is how far the telling of an alarm is.
type stand string

const (
	held     stand = "held"     // nobody is told before the quiet hours, or its shelf, are over
	calling  stand = "calling"  // nobody has answered: steps and reminders
	answered stand = "answered" // somebody has: as long as it is active, not for ever
	over     stand = "over"     // nothing more is due by itself
)

// Fallback is why the whole list of people is told; "" is no fallback.
type Fallback string

// Why the whole list of people is told.
const (
	NobodyOnDuty  Fallback = "nobody"   // a step is for whoever is on duty, and nobody is
	ChannelsFail  Fallback = "channels" // no channel takes anything
	checkpoint             = 10 * time.Second
	longestStored          = 365 * 24 * time.Hour // that a stored clock is believed to have run
)

// call is the telling of one alarm. What is exported survives a power cut.
type call struct {
	Level    rules.Level   `json:"level"`
	Class    rules.Class   `json:"class"`
	Stand    stand         `json:"stand"`
	Active   bool          `json:"active,omitempty"`   // the alarm's condition holds
	Shelved  bool          `json:"shelved,omitempty"`  // the clock stands still, and nobody is told
	Step     int           `json:"step"`               // steps that were taken
	Ran      time.Duration `json:"ran"`                // the clock: since the trigger, or since it was answered
	Last     time.Duration `json:"last"`               // on the clock: when people were last told
	Reminded bool          `json:"reminded,omitempty"` // since it was answered
	Fallback Fallback      `json:"fallback,omitempty"`
	Told     []Address     `json:"told,omitempty"`
	First    []Address     `json:"first,omitempty"` // told by the first step
	Event    string        `json:"event,omitempty"` // the latest that calls for somebody
	Ways     []Address     `json:"ways,omitempty"`  // whom each channel tells of that event
	Refused  []string      `json:"refused,omitempty"`
	Taken    string        `json:"taken,omitempty"` // the latest event that a channel took
	LastTold time.Time     `json:"last_told,omitzero"`

	since   time.Time // the clock runs since; zero: it stands still
	failing bool      // every channel fails, and the whole list is not yet told
}

// run starts the clock at a time on it.
func (c *call) run(now time.Time, ran time.Duration) { c.Ran, c.since = ran, now }

// elapsed is the time on the clock, by the clock of the machine that is never set.
func (c *call) elapsed(now time.Time) time.Duration {
	if c.since.IsZero() {
		return c.Ran
	}
	return c.Ran + now.Sub(c.since)
}

// pause lets the clock stand still, or go on.
func (c *call) pause(now time.Time, still bool) {
	c.Ran, c.since = c.elapsed(now), time.Time{}
	if !still {
		c.since = now
	}
	c.Shelved = still
}

// due is what the time asks for on the clock, and when; ok is false where nothing is.
func (c *call) due(p *Plan) (at time.Duration, kind string, ok bool) {
	earlier := func(t time.Duration, k string) {
		if !ok || t < at {
			at, kind, ok = t, k, true
		}
	}
	switch {
	case c.Shelved:
	case c.Stand == calling:
		if steps := p.Steps(c.Level); c.Step < len(steps) {
			earlier(steps[c.Step].After, alarm.EventEscalated)
		}
		if every := p.Repeat[c.Level]; every > 0 {
			earlier(c.Last+every, alarm.EventReminder)
		}
	case c.Stand == answered && c.Active:
		if after := p.Remind[c.Level]; after > 0 && !c.Reminded {
			earlier(after, alarm.EventReminder)
		}
		if after := p.Reopen[c.Level]; after > 0 {
			earlier(after, alarm.EventEscalated)
		}
	}
	return at, kind, ok
}

// next is what is due next and when, by the clock on the wall; the zero time where nothing is. In quiet hours nothing is.
func (c *call) next(now time.Time, p *Plan) (time.Time, string) {
	at, kind, ok := c.due(p)
	if !ok || p.Waits(now, c.Level, c.Class) {
		return time.Time{}, ""
	}
	return now.Add(at - c.elapsed(now)), kind
}

// tell notes that those are told by an event.
func (c *call) tell(now time.Time, event string, to []Address) []Address {
	c.Last = c.elapsed(now)
	if len(to) == 0 {
		return nil
	}
	c.LastTold = now.UTC()
	c.Event, c.Ways, c.Refused = event, to, nil
	c.Told = merge(c.Told, to)
	return to
}

// reach resolves steps at a time. Where one is for whoever is on duty and nobody is, the whole list is told.
func (c *call) reach(now time.Time, p *Plan, steps []Step) (to []Address) {
	for _, s := range steps {
		people := p.Reaches(s.To, now)
		if people == nil {
			c.Fallback = NobodyOnDuty
			continue
		}
		to = merge(to, s.addresses(people))
	}
	if c.Fallback != "" {
		to = merge(to, p.Everybody(c.Level))
	}
	return to
}

// tells tells whether a channel tells those people of the latest event already.
func (c *call) tells(p *Plan, channel string, people []string) bool {
	return slices.ContainsFunc(c.Ways, func(a Address) bool {
		return a.Channel == channel && (!p.channel(channel).OneByOne || !slices.ContainsFunc(people, func(id string) bool { return !slices.Contains(a.People, id) }))
	})
}

// known is whom of a list the plan still has: channels and people may be gone with a new configuration.
func (p *Plan) known(to []Address) (list []Address) {
	for _, a := range to {
		if !slices.ContainsFunc(p.Channels, func(c Channel) bool { return c.ID == a.Channel }) {
			continue
		}
		people := slices.DeleteFunc(slices.Clone(a.People), func(id string) bool { _, ok := p.Person(id); return !ok })
		if len(people) > 0 || !p.channel(a.Channel).OneByOne {
			list = append(list, Address{a.Channel, people})
		}
	}
	return list
}

// taken are the steps that were taken.
func (c *call) taken(p *Plan) []Step {
	steps := p.Steps(c.Level)
	return steps[:min(c.Step, len(steps))]
}

// others are those who were told, but for one: what became of the alarm. Nobody is rung for it whom another channel
// reaches as well.
func (c *call) others(p *Plan, told []Address, but string) (to []Address) {
	for _, a := range told {
		ch := p.channel(a.Channel)
		var people []string
		for _, id := range a.People {
			who, _ := p.Person(id)
			if id != but && (but == "" || who.Name != but) && !(ch.Rings && p.elsewhere(told, a.Channel, id)) {
				people = append(people, id)
			}
		}
		if len(people) > 0 || !ch.OneByOne {
			to = append(to, Address{a.Channel, people})
		}
	}
	return to
}

// elsewhere tells whether a person was told by a channel that does not ring, besides this one.
func (p *Plan) elsewhere(told []Address, channel, person string) bool {
	return slices.ContainsFunc(told, func(a Address) bool {
		return a.Channel != channel && !p.channel(a.Channel).Rings && slices.Contains(a.People, person)
	})
}
