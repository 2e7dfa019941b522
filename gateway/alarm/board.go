package alarm

import (
	"slices"
	"strings"
	"time"

	"embergate/rules"
)

// Limits of the machine.
const (
	flapTriggers = 5                // announced triggers within flapWindow; one more makes an alarm unstable (RU12)
	flapWindow   = 10 * time.Minute // and so long without a trigger makes it stable again
	keepEvery    = 10 * time.Second // how often delays under way are recorded: a power cut takes at most so much from them
	maxShelf     = 8 * time.Hour    // contract, section 4
	maxPast      = 20               // closed alarms of one source that are kept for their verdict
)

// Board is all alarms of a site that ask for something of somebody, and the delays that may become one. One goroutine
// uses it.
type Board struct {
	now     time.Time // as told by the call under way
	sources map[string]*source
	raised  int64           // alarms raised ever
	changed map[string]bool // keys whose record the store has yet to be told; "" is the board's own
	stored  map[string]bool // keys that the store has a record of
	keep    time.Time       // when delays under way are recorded next; zero: there are none
}

// source is one key: its alarm and its delays. A source of which nothing is left to say is forgotten.
type source struct {
	key      string
	found    Condition // the latest; its Rule is nil from Restore to the first Step
	latch    bool
	alarm    Alarm   // the open one, or the latest closed one; ID "" where there is none
	past     []Alarm // closed before it, and still without a verdict
	last     rules.Value
	decided  rules.Value // the latest that was not Unknown
	on, off  timer
	low      timer       // how long an active alarm has been less urgent
	lower    rules.Level // and which level that is
	shelf    time.Time   // end of the shelf by the clock that is never set; zero: not shelved
	triggers []time.Time // announced lately; none for fire
	unkept   bool        // changed in something that need not be on disk at once
}

// NewBoard is a board without alarms.
func NewBoard() *Board {
	return &Board{sources: map[string]*source{}, changed: map[string]bool{}, stored: map[string]bool{}}
}

// Step takes in what the rules found at one source and tells what became of it, in order.
func (b *Board) Step(now time.Time, c Condition) []Event {
	b.now = now
	s := b.sources[c.Key]
	if c.Retained {
		// MQ05: it may say that what a live reading began still holds, and nothing else.
		c.Until = rules.Unknown
		if s == nil || !s.on.running || c.When == rules.False {
			c.When = rules.Unknown
		}
	}
	if s == nil {
		if c.When != rules.True {
			return nil
		}
		s = &source{key: c.Key}
		b.sources[c.Key] = s
	}
	s.found, s.latch = c, c.Rule.Latch
	s.read(c.Reading)
	if s.alarm.RuleGone {
		s.alarm.RuleGone, s.unkept = false, true
	}
	var events []Event
	if s.alarm.Active() {
		events = b.stepActive(s)
		if s.alarm.Active() && len(events) == 0 {
			events = append(b.join(s), b.grade(s)...)
		}
	} else {
		events = b.stepQuiet(s)
	}
	s.last = c.When
	if c.When != rules.Unknown && c.When != s.decided {
		s.decided, s.unkept = c.When, true
	}
	b.settle(s)
	return events
}

// stepQuiet waits for a trigger: there is no alarm, or it has cleared.
func (b *Board) stepQuiet(s *source) []Event {
	switch s.found.When {
	case rules.True:
		s.on.run(b.now)
		if s.on.over(b.now, s.found.Rule.For) {
			return b.trigger(s)
		}
	case rules.False:
		s.on.stop()
	}
	return nil
}

// stepActive waits for the alarm to clear.
func (b *Board) stepActive(s *source) []Event {
	clears := s.found.When
	if s.found.HasUntil {
		clears = not(s.found.Until)
	}
	switch {
	case s.found.When == rules.True:
		s.off.stop()
		return b.holds(s)
	case clears == rules.False:
		s.off.run(b.now)
		if s.off.over(b.now, s.hold()) {
			return b.clear(s)
		}
	case clears == rules.Unknown:
		s.off.pause(b.now)
	default: // no longer when, not yet until
		s.off.stop()
	}
	return nil
}

// holds looks at an active alarm whose condition is True. Until it clears, a condition that came back is the same
// trigger to the people on duty, and is only counted.
func (b *Board) holds(s *source) []Event {
	if s.meant() {
		return b.trigger(s)
	}
	if s.decided == rules.False {
		s.alarm.Count++
		s.unkept = true
	}
	return nil
}

// Tick ends the delays and shelves whose time has come.
func (b *Board) Tick(now time.Time) []Event {
	b.now = now
	var due []*source
	for _, s := range b.sources {
		if at := s.next(); !at.IsZero() && !at.After(now) {
			due = append(due, s)
		}
	}
	slices.SortFunc(due, func(x, y *source) int {
		if c := x.next().Compare(y.next()); c != 0 {
			return c
		}
		return strings.Compare(x.key, y.key)
	})
	var events []Event
	for _, s := range due {
		events = append(events, b.elapse(s)...)
		b.settle(s)
	}
	if !b.keep.IsZero() && !b.keep.After(now) {
		b.keepUnkept()
	}
	return events
}

// elapse does what the time brings to one source.
func (b *Board) elapse(s *source) []Event {
	var events []Event
	if !s.shelf.IsZero() && !s.shelf.After(b.now) {
		events = b.unshelve(s)
	}
	if s.on.running && s.last == rules.True && s.on.over(b.now, s.found.Rule.For) {
		events = append(events, b.trigger(s)...)
	}
	if s.off.running && s.off.over(b.now, s.hold()) {
		events = append(events, b.clear(s)...)
	}
	if s.low.running && s.low.over(b.now, s.hold()) {
		events = append(events, b.abate(s)...)
	}
	if !s.open() && s.calm(b.now) {
		s.triggers = nil
	}
	return events
}

// Waiting is how long the on-delay of a source has run; false where none runs.
func (b *Board) Waiting(now time.Time, key string) (time.Duration, bool) {
	s := b.sources[key]
	if s == nil || !s.on.begun {
		return 0, false
	}
	return s.on.elapsed(now), true
}

// Next is when Tick has something to do; zero: nothing.
func (b *Board) Next() time.Time {
	next := b.keep
	for _, s := range b.sources {
		next = earlier(next, s.next())
	}
	return next
}

// next is when the time brings something to the source; zero: never.
func (s *source) next() time.Time {
	next := s.shelf
	if s.on.running && s.last == rules.True {
		next = earlier(next, s.on.end(s.found.Rule.For))
	}
	if s.off.running {
		next = earlier(next, s.off.end(s.hold()))
	}
	if s.low.running {
		next = earlier(next, s.low.end(s.hold()))
	}
	if n := len(s.triggers); n > 0 && !s.open() {
		next = earlier(next, s.triggers[n-1].Add(flapWindow))
	}
	return next
}

// settle forgets a source of which nothing is left, and sees to it that delays under way are recorded in time.
func (b *Board) settle(s *source) {
	if s.alarm.ID != "" && !s.open() && !s.alarm.WantsVerdict() && len(s.triggers) == 0 {
		s.alarm = Alarm{}
	}
	switch {
	case s.alarm.ID == "" && len(s.past) == 0 && !s.on.running:
		delete(b.sources, s.key)
		if b.stored[s.key] {
			b.changed[s.key] = true
		} else {
			delete(b.changed, s.key)
		}
	case b.keep.IsZero() && s.moving(b.now):
		b.keep = b.now.Add(keepEvery)
	}
}

// moving tells whether the record of a source grows old.
func (s *source) moving(now time.Time) bool {
	return s.unkept || s.off.running || s.low.running || s.on.running && s.found.Rule != nil && !s.on.over(now, s.found.Rule.For)
}

func (s *source) open() bool { return s.alarm.ID != "" && s.alarm.Open() }

// calm tells whether no trigger was announced for flapWindow.
func (s *source) calm(now time.Time) bool {
	return len(s.triggers) == 0 || now.Sub(s.triggers[len(s.triggers)-1]) >= flapWindow
}

// hold is how long a condition must be clear before the alarm is.
func (s *source) hold() time.Duration {
	if s.alarm.Unstable {
		return max(s.found.Rule.Hold, flapWindow)
	}
	return s.found.Rule.Hold
}

func not(v rules.Value) rules.Value {
	switch v {
	case rules.True:
		return rules.False
	case rules.False:
		return rules.True
	}
	return rules.Unknown
}

// earlier is the earlier of two times, of which zero is none.
func earlier(x, y time.Time) time.Time {
	if x.IsZero() || !y.IsZero() && y.Before(x) {
		return y
	}
	return x
}
