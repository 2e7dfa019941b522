package gateway

import (
	"context"
	"fmt"
	"strings"
	"time"

	"embergate/gateway/alarm"
	uplinks "embergate/gateway/uplink"
)

// clockStepped is the event that the wall clock was set; its note says from when to when.
const clockStepped = "clock.stepped"

func stepNote(from, to time.Time) string {
	return from.UTC().Format(time.RFC3339Nano) + " to " + to.UTC().Format(time.RFC3339Nano)
}

// stepOf is by how much the clock was set, 0 for a note that does not say.
func stepOf(note string) time.Duration {
	from, to, _ := strings.Cut(note, " to ")
	f, err1 := time.Parse(time.RFC3339Nano, from)
	t, err2 := time.Parse(time.RFC3339Nano, to)
	if err1 != nil || err2 != nil {
		return 0
	}
	return t.Sub(f)
}

// stampedJournal is the journal as platforms get it. An event from before the clock was set, in 1970, has the time that it
// would have had: the journal itself says later by how much the clock was set, so a repeat gets the same time. Events wait
// until that is known. Where the power went before the clock was set, they get the time of the first event afterwards.
type stampedJournal struct {
	uplinks.Journal
	built time.Time // no event was before
}

// scanned is how many events are looked at at once.
const scanned = 500

// Events are those after a number, at most limit, as far as their times are known.
func (j stampedJournal) Events(ctx context.Context, after int64, limit int) ([]alarm.Event, error) {
	events, err := j.Journal.Events(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	for i := range events {
		if !events[i].Time.Before(j.built) {
			continue
		}
		at, known, err := j.when(ctx, events[i])
		if err != nil {
			return nil, fmt.Errorf("time of event %d: %w", events[i].Seq, err)
		}
		if !known {
			return events[:i], nil
		}
		events[i] = shifted(events[i], at.Sub(events[i].Time))
	}
	return events, nil
}

// when is the time of an event that has one from before the clock was set.
func (j stampedJournal) when(ctx context.Context, e alarm.Event) (at time.Time, known bool, err error) {
	at, sameLife := e.Time, true
	for after := e.Seq; ; {
		later, err := j.Journal.Events(ctx, after, scanned)
		if err != nil || len(later) == 0 {
			return at, false, err
		}
		for _, l := range later {
			switch {
			case l.Type == clockStepped && sameLife:
				if at = at.Add(stepOf(l.Note)); !at.Before(j.built) {
					return at, true, nil
				}
			case l.Type == "gateway.started":
				sameLife = false
			case !sameLife && !l.Time.Before(j.built):
				return l.Time, true, nil
			}
		}
		after = later[len(later)-1].Seq
	}
}

// shifted is an event so much later, with the times of its alarm from before the clock was set.
func shifted(e alarm.Event, by time.Duration) alarm.Event {
	old := e.Time
	e.Time = e.Time.Add(by)
	if e.Alarm == nil {
		return e
	}
	a := *e.Alarm
	move := func(t *time.Time) *time.Time {
		if t == nil || t.After(old) {
			return t
		}
		moved := t.Add(by)
		return &moved
	}
	a.RaisedAt = *move(&a.RaisedAt)
	a.AcknowledgedAt, a.ClearedAt, a.ClosedAt = move(a.AcknowledgedAt), move(a.ClearedAt), move(a.ClosedAt)
	e.Alarm = &a
	return e
}
