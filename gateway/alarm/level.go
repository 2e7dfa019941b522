package alarm

import (
	"slices"

	"embergate/rules"
)

// urgency is the place of a level, the most urgent first.
func urgency(l rules.Level) int { return place(rules.Levels, l) }

// levels are the least and the most urgent level at which the condition may be, as far as is known.
func (c *Condition) levels() (least, most rules.Level) {
	least, most = c.Rule.Level, c.Rule.Level
	if slices.Contains(rules.Levels, c.Least) {
		least = c.Least
	}
	if slices.Contains(rules.Levels, c.Most) {
		most = c.Most
	}
	if urgency(most) > urgency(least) {
		most = least
	}
	return least, most
}

// grade lets the level of an active alarm follow what is found (RU10). A more urgent one is told at once, as a trigger is.
// A less urgent one has to last as long as an alarm has to be clear, is told to nobody, and stands in the journal; so what
// goes up and down is not told of each time, and once it is unstable it stays at its most urgent level.
func (b *Board) grade(s *source) []Event {
	a := &s.alarm
	least, most := s.found.levels()
	switch {
	case s.found.When == rules.Unknown:
		if s.low.running {
			s.low.pause(b.now)
		}
	case s.found.When == rules.True && urgency(least) < urgency(a.Level):
		b.note(s)
		return b.again(s)
	case urgency(most) > urgency(a.Level):
		s.lower = most
		s.low.run(b.now)
		if s.low.over(b.now, s.hold()) {
			return b.abate(s)
		}
	default:
		s.low.stop()
	}
	return nil
}

// abate makes an alarm less urgent. It stays acknowledged or not, and silent or not, as it was.
func (b *Board) abate(s *source) []Event {
	s.low.stop()
	s.alarm.Level = s.lower
	if s.calm(b.now) {
		s.alarm.Unstable = false
	}
	return []Event{b.event(s, &s.alarm, Act{}, EventLowered)}
}
