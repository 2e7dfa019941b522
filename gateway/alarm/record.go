package alarm

import (
	"maps"
	"slices"
	"time"

	"embergate/rules"
)

// Record is what must survive a power cut of one source: its open alarm, and its delays as the time they ran, for the
// clock may be wrong when the power is back. The record with Key "" is the board's own.
type Record struct {
	Key  string    `json:"key"`
	Gone bool      `json:"gone,omitempty"` // it may be forgotten
	At   time.Time `json:"at"`             // by the clock on the wall, for people

	Raised   int64           `json:"raised,omitempty"` // alarms raised ever; only in the board's own record
	Alarm    *Alarm          `json:"alarm,omitempty"`
	Past     []Alarm         `json:"past,omitempty"` // closed, and still without a verdict
	Latch    bool            `json:"latch,omitempty"`
	Decided  rules.Value     `json:"decided,omitempty"`  // what the condition was before it was Unknown
	On       *time.Duration  `json:"on,omitempty"`       // the on-delay ran so long; null: there is none
	Off      *time.Duration  `json:"off,omitempty"`      // the off-delay ran so long
	Low      *time.Duration  `json:"low,omitempty"`      // the alarm was less urgent for so long
	Lower    rules.Level     `json:"lower,omitempty"`    // as urgent as this
	Shelf    time.Duration   `json:"shelf,omitempty"`    // what is left of the shelf
	Triggers []time.Duration `json:"triggers,omitempty"` // how long ago, oldest first
}

// Changed are the records that changed since the last call, in the order of their keys; the store keeps them in the same
// transaction as the events. A new trigger while active, and the time of a delay under way, are in them 10 s later at
// the latest, for the sake of the flash.
func (b *Board) Changed() []Record {
	if len(b.changed) == 0 {
		return nil
	}
	records := make([]Record, 0, len(b.changed))
	for _, key := range slices.Sorted(maps.Keys(b.changed)) {
		s := b.sources[key]
		switch {
		case key == "":
			records = append(records, Record{At: b.now.UTC(), Raised: b.raised})
		case s == nil:
			records = append(records, Record{Key: key, Gone: true, At: b.now.UTC()})
			delete(b.stored, key)
		default:
			records = append(records, s.record(b.now))
			s.unkept = false
			b.stored[key] = true
		}
	}
	clear(b.changed)
	return records
}

// Checkpoint makes Changed hold everything as it is now. With it before an orderly end a restart loses no time.
func (b *Board) Checkpoint(now time.Time) {
	b.now = now
	for key := range b.sources {
		b.changed[key] = true
	}
}

// keepUnkept has what moved since the last time recorded.
func (b *Board) keepUnkept() {
	b.keep = time.Time{}
	for key, s := range b.sources {
		if s.moving(b.now) {
			b.changed[key] = true
			b.keep = b.now.Add(keepEvery)
		}
	}
}

func (s *source) record(now time.Time) Record {
	r := Record{Key: s.key, At: now.UTC(), Past: slices.Clone(s.past), Latch: s.latch, Decided: s.decided}
	if s.alarm.ID != "" {
		a := s.alarm
		r.Alarm = &a
	}
	if s.on.begun {
		spent := s.on.elapsed(now)
		r.On = &spent
	}
	if s.off.begun {
		spent := s.off.elapsed(now)
		r.Off = &spent
	}
	if s.low.begun {
		spent := s.low.elapsed(now)
		r.Low, r.Lower = &spent, s.lower
	}
	if !s.shelf.IsZero() {
		r.Shelf = s.shelf.Sub(now)
	}
	for _, t := range s.triggers {
		r.Triggers = append(r.Triggers, now.Sub(t))
	}
	return r
}

// Restore gives the board back what Changed recorded, before the first Step. Nothing raises or clears by it: every
// condition is Unknown until a live reading decides it (RE09). Call Retain then, as after a reload.
func Restore(now time.Time, records []Record) *Board {
	b := NewBoard()
	b.now = now
	for _, r := range records {
		switch {
		case r.Gone:
		case r.Key == "":
			b.raised = max(b.raised, r.Raised)
		default:
			b.stored[r.Key] = true
			b.sources[r.Key] = restore(now, r)
		}
	}
	for _, s := range slices.Collect(maps.Values(b.sources)) {
		b.settle(s)
	}
	return b
}

// restore is the source of a record. A record that says what cannot be is taken for what keeps its alarm on the board.
func restore(now time.Time, r Record) *source {
	s := &source{key: r.Key, latch: r.Latch, decided: min(r.Decided, rules.True), past: slices.Clone(r.Past)}
	s.past = slices.DeleteFunc(s.past, func(p Alarm) bool { return p.Open() || !p.WantsVerdict() })
	if r.Alarm != nil && r.Alarm.ID != "" {
		s.alarm = *r.Alarm
		if !slices.Contains([]State{Unacknowledged, Acknowledged, Returned, Latched, Closed}, s.alarm.State) {
			s.alarm.State = Unacknowledged
		}
	}
	if r.On != nil && !s.alarm.Active() {
		s.on = timer{begun: true, running: true, spent: sane(*r.On), since: now}
	}
	if r.Off != nil && s.alarm.Active() {
		s.off = timer{begun: true, spent: sane(*r.Off)}
	}
	if r.Low != nil && s.alarm.Active() && slices.Contains(rules.Levels, r.Lower) {
		s.low, s.lower = timer{begun: true, spent: sane(*r.Low)}, r.Lower
	}
	// In doubt a shelf ends too soon: it lasts for the shorter of what was left and of what the clock says is left, and no
	// longer where the clock is certainly wrong.
	if until := s.alarm.ShelvedUntil; until != nil && s.open() {
		s.shelf = now
		if !now.Before(r.At) {
			s.shelf = now.Add(min(sane(r.Shelf), maxShelf, max(0, until.Sub(now))))
		}
	}
	for _, ago := range r.Triggers[max(0, len(r.Triggers)-flapTriggers-1):] {
		s.triggers = append(s.triggers, now.Add(-sane(ago)))
	}
	slices.SortFunc(s.triggers, time.Time.Compare)
	return s
}

// sane is a recorded duration that can be counted with.
func sane(d time.Duration) time.Duration { return min(max(0, d), 365*24*time.Hour) }

// Retain tells the board, after a reload, which rules are in force at which sources. What stayed goes on as it was, with
// its new delays. Where a rule is gone, its delays end and its open alarm stays, marked, until a person acknowledges and
// resets it: an alarm does not end because somebody edited a file.
func (b *Board) Retain(keys map[string]*rules.Rule) {
	for _, s := range slices.Collect(maps.Values(b.sources)) {
		rule := keys[s.key]
		if rule != nil {
			s.found.Rule, s.latch = rule, rule.Latch
		} else {
			s.on.stop()
			s.off.stop()
			s.low.stop()
			s.last = rules.Unknown
		}
		if gone := rule == nil; s.open() && s.alarm.RuleGone != gone {
			s.alarm.RuleGone = gone
			b.changed[s.key] = true
		}
		b.settle(s)
	}
}
