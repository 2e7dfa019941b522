package alarm

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
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
	if c.Retained {
		c.When, c.Until = rules.Unknown, rules.Unknown
	}
	s := b.sources[c.Key]
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
	rule, a := s.found.Rule, &s.alarm
	if s.meant() {
		return b.trigger(s)
	}
	if s.decided == rules.False {
		a.Count++
		s.unkept = true
	}
	switch urgency := slices.Index(rules.Levels, rule.Level) - slices.Index(rules.Levels, a.Level); {
	case urgency < 0:
		return b.again(s) // RU10: the same alarm, more urgent
	case urgency > 0:
		a.Level, s.unkept = rule.Level, true
	}
	return nil
}

// meant tells whether the open alarm is a drill's or a test's, and its condition is now found outside of one.
func (s *source) meant() bool {
	return s.open() && (s.alarm.Drill || s.alarm.Test) && !s.found.tagged()
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
	if !s.open() && s.calm(b.now) {
		s.triggers = nil
	}
	return events
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
	if n := len(s.triggers); n > 0 && !s.open() {
		next = earlier(next, s.triggers[n-1].Add(flapWindow))
	}
	return next
}

// trigger makes an alarm of a condition that held for long enough. What began as a drill or a test and is now meant ends
// as what it was, so that nobody takes the real one for it.
func (b *Board) trigger(s *source) []Event {
	s.on.stop()
	if s.open() && !s.meant() {
		return b.again(s)
	}
	var events []Event
	if s.open() {
		if s.alarm.Active() {
			s.alarm.ClearedAt = at(b.now)
			events = b.close(s, Act{}, s.cleared())
		} else {
			events = b.close(s, Act{})
		}
	}
	return append(events, b.raise(s))
}

// raise begins a new alarm.
func (b *Board) raise(s *source) Event {
	c := &s.found
	if s.alarm.ID != "" && s.alarm.WantsVerdict() {
		s.past = append(s.past, s.alarm)
		s.past = s.past[max(0, len(s.past)-maxPast):]
	}
	b.raised++
	b.changed[""] = true
	s.alarm = Alarm{
		ID:   fmt.Sprintf("%08d-%x", b.raised, uint64(b.now.UnixMilli())),
		Rule: c.Rule.ID, Class: c.Rule.Class, Level: c.Rule.Level, State: Unacknowledged,
		RaisedAt: b.now.UTC(), Count: 1, Drill: c.Drill, Test: c.Test,
	}
	s.describe()
	b.note(s)
	if s.alarm.Level == rules.LevelFault {
		return b.event(&s.alarm, s, EventFaultRaised, Act{})
	}
	return b.event(&s.alarm, s, EventRaised, Act{})
}

// again is a new trigger of an open alarm: it wants to be acknowledged anew.
func (b *Board) again(s *source) []Event {
	a := &s.alarm
	if !a.Active() {
		a.Count++
		b.note(s)
	}
	a.State, a.Level, a.Silenced, a.Verdict = Unacknowledged, s.found.Rule.Level, false, ""
	a.AcknowledgedAt, a.AcknowledgedBy, a.ClearedAt = nil, "", nil
	s.describe()
	return []Event{b.event(a, s, EventCounted, Act{})}
}

// note remembers an announced trigger. An alarm that comes and goes becomes unstable: it then stays active until nothing
// triggered it for flapWindow. Fire is never held back (RU12).
func (b *Board) note(s *source) {
	if s.alarm.Class == "fire" {
		return
	}
	s.triggers = slices.DeleteFunc(s.triggers, func(t time.Time) bool { return b.now.Sub(t) >= flapWindow })
	s.triggers = append(s.triggers, b.now)
	if len(s.triggers) > flapTriggers {
		s.alarm.Unstable = true
	}
}

// clear ends the activity of an alarm; it is said once for each trigger that was announced.
func (b *Board) clear(s *source) []Event {
	s.off.stop()
	a := &s.alarm
	a.ClearedAt = at(b.now)
	if a.Unstable {
		a.Unstable, s.triggers = false, nil
	}
	if a.State == Acknowledged {
		return b.rest(s, Act{}, s.cleared())
	}
	a.State = Returned
	return []Event{b.event(a, s, s.cleared(), Act{})}
}

// rest puts an alarm that is cleared and acknowledged where it belongs, and says what brought it there.
func (b *Board) rest(s *source, act Act, done string) []Event {
	if !s.latch && s.alarm.ShelvedUntil == nil {
		return b.close(s, act, done)
	}
	s.alarm.State = Latched
	return []Event{b.event(&s.alarm, s, done, act)}
}

// close ends the alarm, and says first what brought it there.
func (b *Board) close(s *source, act Act, done ...string) []Event {
	a := &s.alarm
	a.State, a.ClosedAt, a.Silenced, a.Unstable = Closed, at(b.now), false, false
	if a.Verdict == "" && a.Drill {
		a.Verdict = "drill"
	}
	if a.Verdict == "" && a.Test {
		a.Verdict = "test"
	}
	if a.ShelvedUntil != nil {
		a.ShelvedUntil, s.shelf = nil, time.Time{}
		done = append(done, EventUnshelved)
	}
	s.on.stop()
	s.off.stop()
	var events []Event
	for _, kind := range append(done, EventClosed) {
		events = append(events, b.event(a, s, kind, act))
	}
	return events
}

// unshelve ends a shelf whose time is over; an alarm that only waited for it closes.
func (b *Board) unshelve(s *source) []Event {
	s.alarm.ShelvedUntil, s.shelf = nil, time.Time{}
	if s.alarm.State == Latched {
		return b.rest(s, Act{}, EventUnshelved)
	}
	return []Event{b.event(&s.alarm, s, EventUnshelved, Act{})}
}

// event says that something happened to an alarm, with a copy of it as it is now.
func (b *Board) event(a *Alarm, s *source, kind string, act Act) Event {
	a.Revision++
	b.changed[s.key] = true
	as := *a
	return Event{
		ID: fmt.Sprintf("%s/%d", a.ID, a.Revision), Time: b.now.UTC(), Type: kind, Alarm: &as,
		By: act.By, Via: act.Via, Note: act.Note,
	}
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
	return s.unkept || s.off.running || s.on.running && s.found.Rule != nil && !s.on.over(now, s.found.Rule.For)
}

// read keeps the value of an open alarm up to date. That alone is no event, and no change that the store is told of.
func (s *source) read(r drivers.Reading) {
	if !s.open() || r.Signal == "" {
		return
	}
	a := &s.alarm
	a.Quality = r.Quality.String()
	if r.Quality == drivers.Good && (a.Value == nil || *a.Value != r.Value) && !math.IsNaN(r.Value) && !math.IsInf(r.Value, 0) {
		value := r.Value
		a.Value = &value
	}
}

// describe takes over what people are told of the source.
func (s *source) describe() {
	c, a := &s.found, &s.alarm
	a.Name, a.Message, a.Zone, a.ZonePath = c.Name, c.Message, c.Zone, c.ZonePath
	a.Device, a.DeviceName, a.Signal, a.Unit = c.Device, c.DeviceName, c.Signal, c.Unit
	s.read(c.Reading)
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

// cleared is the type of the event that says that the alarm has cleared.
func (s *source) cleared() string {
	if s.alarm.Level == rules.LevelFault {
		return EventFaultCleared
	}
	return EventCleared
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

func at(t time.Time) *time.Time { t = t.UTC(); return &t }

// earlier is the earlier of two times, of which zero is none.
func earlier(x, y time.Time) time.Time {
	if x.IsZero() || !y.IsZero() && y.Before(x) {
		return y
	}
	return x
}
