package alarm

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"embergate/rules"
)

// Open are the open alarms: class before class, the more urgent level first, then as they came, so that the first alarm
// stays on top of its class (AL12, AL13).
func (b *Board) Open() []Alarm {
	var open []Alarm
	for _, s := range b.sources {
		if s.open() {
			open = append(open, s.alarm)
		}
	}
	slices.SortFunc(open, func(x, y Alarm) int {
		return cmp.Or(
			cmp.Compare(place(rules.Classes, x.Class), place(rules.Classes, y.Class)),
			cmp.Compare(place(rules.Levels, x.Level), place(rules.Levels, y.Level)),
			strings.Compare(x.ID, y.ID),
		)
	})
	return open
}

// place is the index of v in a list; what is not in it comes last.
func place[T comparable](list []T, v T) int {
	if i := slices.Index(list, v); i >= 0 {
		return i
	}
	return len(list)
}

// Alarm is the alarm of that identity: an open one, or a closed one that the board has not yet forgotten. The board
// forgets a closed alarm once it wants no verdict; the store has it still.
func (b *Board) Alarm(id string) (Alarm, bool) {
	if _, a := b.find(id); a != nil {
		return *a, true
	}
	return Alarm{}, false
}

func (b *Board) find(id string) (*source, *Alarm) {
	if id == "" {
		return nil, nil
	}
	for _, s := range b.sources {
		if s.alarm.ID == id {
			return s, &s.alarm
		}
		for i := range s.past {
			if s.past[i].ID == id {
				return s, &s.past[i]
			}
		}
	}
	return nil, nil
}

// take finds an open alarm for an act of duty or of a person.
func (b *Board) take(now time.Time, id string) (*source, *Alarm, error) {
	b.now = now
	s, a := b.find(id)
	switch {
	case s == nil:
		return nil, nil, refuse(ErrNotFound, "there is no alarm %s", id)
	case !a.Open():
		return nil, nil, refuse(ErrState, "alarm %s is closed", id)
	}
	return s, a, nil
}

// takeFor is take for a person, who must be named.
func (b *Board) takeFor(now time.Time, id string, act Act) (*source, *Alarm, error) {
	if strings.TrimSpace(act.By) == "" {
		return nil, nil, refuse(ErrInput, "say who does this")
	}
	return b.take(now, id)
}

// Acknowledge says that somebody is on it. It does not change whether the alarm is active; one that has cleared closes,
// or waits for its reset.
func (b *Board) Acknowledge(now time.Time, id string, act Act) ([]Event, error) {
	s, a, err := b.takeFor(now, id, act)
	if err != nil {
		return nil, err
	}
	if a.State == Acknowledged || a.State == Latched {
		return nil, refuse(ErrState, "alarm %s has been acknowledged by %s", id, a.AcknowledgedBy)
	}
	defer b.settle(s)
	a.AcknowledgedAt, a.AcknowledgedBy = at(now), act.By
	if a.State == Returned {
		return b.rest(s, act, EventAcknowledged), nil
	}
	a.State = Acknowledged
	return []Event{b.event(s, a, act, EventAcknowledged)}, nil
}

// Silence turns the sound off until the next trigger or escalation. It is not an acknowledgement.
func (b *Board) Silence(now time.Time, id string, act Act) ([]Event, error) {
	s, a, err := b.takeFor(now, id, act)
	if err != nil || a.Silenced {
		return nil, err
	}
	a.Silenced = true
	return []Event{b.event(s, a, act, EventSilenced)}, nil
}

// Reset ends an alarm that is cleared and acknowledged. An alarm whose rule is gone has nothing that could clear it any
// more, and is reset once it is acknowledged.
func (b *Board) Reset(now time.Time, id string, act Act) ([]Event, error) {
	s, a, err := b.takeFor(now, id, act)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Active() && !a.RuleGone:
		return nil, refuse(ErrState, "alarm %s is still active; it can be reset when it has cleared", id)
	case a.State == Unacknowledged || a.State == Returned:
		return nil, refuse(ErrState, "nobody has acknowledged alarm %s; acknowledge it first", id)
	}
	defer b.settle(s)
	if a.Active() {
		a.ClearedAt = at(now)
		return b.close(s, act, s.cleared(), EventReset), nil
	}
	return b.close(s, act, EventReset), nil
}

// Shelve marks the alarm as not to be told of until a time at most 8 h ahead, for the reason in act.Note; class fire
// needs a second person (AL06). It stays on the board as it is, does not close before the shelf ends, and the end is an
// event. Shelving it again moves the end.
func (b *Board) Shelve(now time.Time, id string, act Act, until time.Time, second string) ([]Event, error) {
	s, a, err := b.takeFor(now, id, act)
	if err != nil {
		return nil, err
	}
	span, second := until.Sub(now), strings.TrimSpace(second)
	switch {
	case strings.TrimSpace(act.Note) == "":
		return nil, refuse(ErrInput, "shelving an alarm needs a reason")
	case span <= 0 || span > maxShelf:
		return nil, refuse(ErrInput, "shelving an alarm needs an end, at most 8 hours ahead")
	case a.Class == "fire" && (second == "" || strings.EqualFold(second, strings.TrimSpace(act.By))):
		return nil, refuse(ErrInput, "shelving a fire alarm needs a second person")
	}
	a.ShelvedUntil, s.shelf = at(until), now.Add(span)
	event := b.event(s, a, act, EventShelved)
	event.Second = second
	return []Event{event}, nil
}

// Verdict says what the alarm was: real, false:CAUSE, drill, test or fault. It may be given once the alarm has cleared,
// and corrected while the board knows the alarm. Who gives it to an alarm that nobody acknowledged has thereby seen it.
// A latched alarm still waits for its reset.
func (b *Board) Verdict(now time.Time, id, verdict string, act Act) ([]Event, error) {
	b.now = now
	if strings.TrimSpace(act.By) == "" {
		return nil, refuse(ErrInput, "say who does this")
	}
	cause, isFalse := strings.CutPrefix(verdict, "false:")
	if isFalse && (strings.TrimSpace(cause) == "" || len(cause) > 200) ||
		!isFalse && !slices.Contains([]string{"real", "drill", "test", "fault"}, verdict) {
		return nil, refuse(ErrInput, "a verdict is real, false:CAUSE, drill, test or fault")
	}
	s, a := b.find(id)
	switch {
	case s == nil:
		return nil, refuse(ErrNotFound, "there is no alarm %s", id)
	case a.Active():
		return nil, refuse(ErrState, "alarm %s is still active; a verdict can be given when it has cleared", id)
	}
	defer b.settle(s)
	a.Verdict = verdict
	if a.State == Returned {
		a.AcknowledgedAt, a.AcknowledgedBy = at(now), act.By
		return b.rest(s, act, EventAcknowledged, EventVerdict), nil
	}
	event := b.event(s, a, act, EventVerdict)
	s.past = slices.DeleteFunc(s.past, func(p Alarm) bool { return p.Verdict != "" })
	return []Event{event}, nil
}

// Remind says once more that the alarm is open. The act may be the gateway's own.
func (b *Board) Remind(now time.Time, id string, act Act) ([]Event, error) {
	s, a, err := b.take(now, id)
	if err != nil {
		return nil, err
	}
	return []Event{b.event(s, a, act, EventReminder)}, nil
}

// Escalate passes an open alarm on to more people: it sounds again, and one that was acknowledged but is still active
// wants to be acknowledged anew (AL05). The act may be the gateway's own.
func (b *Board) Escalate(now time.Time, id string, act Act) ([]Event, error) {
	s, a, err := b.take(now, id)
	if err != nil {
		return nil, err
	}
	a.Silenced = false
	if a.State == Acknowledged {
		a.State, a.AcknowledgedAt, a.AcknowledgedBy = Unacknowledged, nil, ""
	}
	return []Event{b.event(s, a, act, EventEscalated)}, nil
}
