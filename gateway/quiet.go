package gateway

import (
	"context"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// siteJournal is the journal as platforms see it: what was raised in a test stays in the site.
type siteJournal struct{ *store.Store }

// Events are those of the store; one of a test keeps its number only, so that who reads on knows how far he is.
func (j siteJournal) Events(ctx context.Context, after int64, limit int) ([]alarm.Event, error) {
	events, err := j.Store.Events(ctx, after, limit)
	for i, e := range events {
		if inside(e) {
			events[i] = alarm.Event{Seq: e.Seq, ID: e.ID, Time: e.Time, Type: "test"}
		}
	}
	return events, err
}

// untold tells whether an event switches nothing and is kept from people: it is of a test; or it says that a shelved alarm
// goes on, of which they hear when its shelf ends.
func untold(e alarm.Event) bool {
	if inside(e) {
		return true
	}
	if e.Alarm == nil || e.Alarm.ShelvedUntil == nil {
		return false
	}
	switch e.Type {
	case alarm.EventCounted, alarm.EventCleared, alarm.EventFaultCleared, alarm.EventReminder, alarm.EventEscalated:
		return true
	}
	return false
}

// hushed tells whether an event is not told to people. Nothing keeps fire from them (row NO16): a shelf of it is for the
// board and the sounder.
func hushed(e alarm.Event) bool {
	return inside(e) || untold(e) && e.Alarm.Class != rules.Classes[0]
}

// inside tells whether an event stays in the site.
func inside(e alarm.Event) bool { return e.Alarm != nil && e.Alarm.Test }
