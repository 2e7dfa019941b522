package alarm

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/rules"
)

// trigger makes an alarm of a condition that held for long enough. What began as a drill or a test and is now meant ends
// as what it was, so that nobody takes the real one for it.
func (b *Board) trigger(s *source) []Event {
	s.on.stop()
	if s.open() && !s.meant() {
		return b.again(s)
	}
	var events []Event
	switch {
	case s.alarm.Active():
		s.alarm.ClearedAt = at(b.now)
		events = b.close(s, Act{}, s.cleared())
	case s.open():
		events = b.close(s, Act{})
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
		Rule: c.Rule.ID, Class: c.Rule.Class, State: Unacknowledged,
		RaisedAt: b.now.UTC(), Count: 1, Drill: c.Drill, Test: c.Test,
	}
	s.alarm.Level, _ = c.levels()
	s.alarm.Sources = slices.Clone(c.Sources)
	s.describe()
	b.note(s)
	kind := EventRaised
	if s.alarm.Level == rules.LevelFault {
		kind = EventFaultRaised
	}
	return b.event(s, &s.alarm, Act{}, kind)
}

// again is a new trigger of an open alarm: it wants to be acknowledged anew. A shelf was agreed on for what was known: it ends
// where the alarm becomes more urgent.
func (b *Board) again(s *source) []Event {
	a := &s.alarm
	level, _ := s.found.levels()
	unshelved := a.ShelvedUntil != nil && urgency(level) < urgency(a.Level)
	if unshelved {
		a.ShelvedUntil, s.shelf = nil, time.Time{}
	}
	if !a.Active() {
		a.Count++
		b.note(s)
	}
	a.State, a.Silenced, a.Verdict = Unacknowledged, false, ""
	a.Level = level
	s.low.stop()
	for _, from := range s.found.Sources {
		if !slices.Contains(a.Sources, from) {
			a.Sources = append(slices.Clone(a.Sources), from)
		}
	}
	a.AcknowledgedAt, a.AcknowledgedBy, a.ClearedAt = nil, "", nil
	s.describe()
	events := []Event{b.event(s, a, Act{}, EventCounted)}
	if unshelved {
		events = append(events, b.event(s, a, Act{}, EventUnshelved))
	}
	return events
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
	s.low.stop()
	a := &s.alarm
	a.ClearedAt, a.Unstable = at(b.now), false
	if a.State == Acknowledged {
		return b.rest(s, Act{}, s.cleared())
	}
	a.State = Returned
	return []Event{b.event(s, a, Act{}, s.cleared())}
}

// rest puts an alarm that is cleared and acknowledged where it belongs, and says first what brought it there.
func (b *Board) rest(s *source, act Act, done ...string) []Event {
	if !s.latch && s.alarm.ShelvedUntil == nil {
		return b.close(s, act, done...)
	}
	s.alarm.State = Latched
	return b.events(s, act, done)
}

// close ends the alarm, and says first what brought it there. An on-delay that runs for the next one goes on.
func (b *Board) close(s *source, act Act, done ...string) []Event {
	a := &s.alarm
	s.low.stop()
	a.State, a.ClosedAt, a.Silenced, a.Unstable = Closed, at(b.now), false, false
	switch {
	case a.Verdict != "":
	case a.Drill:
		a.Verdict = "drill"
	case a.Test:
		a.Verdict = "test"
	}
	if a.ShelvedUntil != nil {
		a.ShelvedUntil, s.shelf = nil, time.Time{}
		done = append(done, EventUnshelved)
	}
	return b.events(s, act, append(done, EventClosed))
}

// EndDrill ends what a drill raised, whatever state it is in: with the drill its alarms are over. A delay that it began
// ends as well.
func (b *Board) EndDrill(now time.Time, act Act) []Event {
	b.now = now
	var ended []*source
	for _, s := range b.sources {
		if s.open() && s.alarm.Drill || !s.open() && s.on.begun && s.found.Drill {
			ended = append(ended, s)
		}
	}
	slices.SortFunc(ended, func(x, y *source) int {
		return cmp.Or(strings.Compare(x.alarm.ID, y.alarm.ID), strings.Compare(x.key, y.key))
	})
	var events []Event
	for _, s := range ended {
		s.on.stop()
		s.off.stop()
		s.last = rules.Unknown
		switch {
		case s.alarm.Active():
			s.alarm.ClearedAt = at(now)
			events = append(events, b.close(s, act, s.cleared())...)
		case s.open():
			events = append(events, b.close(s, act)...)
		}
		b.settle(s)
	}
	return events
}

// EndTests closes the alarms of tests that are over and that have cleared: nobody need reset what a walk test tried. One
// that is active stays until a reading says whether it is meant.
func (b *Board) EndTests(now time.Time, over func(zone string) bool) []Event {
	b.now = now
	var ended []*source
	for _, s := range b.sources {
		if s.open() && s.alarm.Test && !s.alarm.Active() && over(s.alarm.Zone) {
			ended = append(ended, s)
		}
	}
	slices.SortFunc(ended, func(x, y *source) int { return strings.Compare(x.alarm.ID, y.alarm.ID) })
	var events []Event
	for _, s := range ended {
		events = append(events, b.close(s, Act{})...)
		b.settle(s)
	}
	return events
}

// unshelve ends a shelf whose time is over; an alarm that only waited for it closes.
func (b *Board) unshelve(s *source) []Event {
	s.alarm.ShelvedUntil, s.shelf = nil, time.Time{}
	if s.alarm.State == Latched {
		return b.rest(s, Act{}, EventUnshelved)
	}
	return b.events(s, Act{}, []string{EventUnshelved})
}

func (b *Board) events(s *source, act Act, kinds []string) []Event {
	events := make([]Event, 0, len(kinds))
	for _, kind := range kinds {
		events = append(events, b.event(s, &s.alarm, act, kind))
	}
	return events
}

// event says that something happened to an alarm, with a copy of it as it is now.
func (b *Board) event(s *source, a *Alarm, act Act, kind string) Event {
	a.Revision++
	b.changed[s.key] = true
	as := *a
	return Event{
		ID: fmt.Sprintf("%s/%d", a.ID, a.Revision), Time: b.now.UTC(), Type: kind, Alarm: &as,
		By: act.By, Via: act.Via, From: act.From, Note: act.Note,
	}
}

// meant tells whether the open alarm is a drill's or a test's, and its condition is now found outside of one.
func (s *source) meant() bool {
	return s.open() && (s.alarm.Drill || s.alarm.Test) && !s.found.tagged()
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

// cleared is the type of the event that says that the alarm has cleared.
func (s *source) cleared() string {
	if s.alarm.Level == rules.LevelFault {
		return EventFaultCleared
	}
	return EventCleared
}

func at(t time.Time) *time.Time { t = t.UTC(); return &t }
