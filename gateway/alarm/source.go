package alarm

import (
	"slices"
	"strings"
)

// join takes in through which paths the alarm is seen now. One more is an event, no new alarm (AL14).
func (b *Board) join(s *source) []Event {
	a := &s.alarm
	var fresh []string
	for _, from := range s.found.Sources {
		if !slices.Contains(a.Sources, from) {
			fresh = append(fresh, from)
		}
	}
	if fresh == nil {
		return nil
	}
	a.Sources = append(slices.Clone(a.Sources), fresh...)
	return []Event{b.event(s, a, Act{Note: strings.Join(fresh, ", ")}, EventJoined)}
}
