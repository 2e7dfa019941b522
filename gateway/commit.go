package gateway

import (
	"context"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

const (
	unsavedAtMost = 10_000 // events that wait in memory
	diskPause     = 5 * time.Second
)

// commit puts the events of this turn on disk, and then tells outputs, people and platforms. Where the disk fails, outputs
// and people are told all the same, and it is all written down when the disk works again.
func (h *hub) commit(now time.Time) {
	h.exercise.see(now, h.events)
	fresh := h.events
	h.events = nil
	h.save(now, fresh)
	h.outputs.start(now, fresh)
	if len(fresh) == 0 {
		return
	}
	for _, e := range fresh {
		h.g.metrics.event(e, h.sample, time.Now())
		h.logEvent(e)
	}
	h.show(now, true)
	h.g.channels.Wake()
	h.g.cameras.raised(fresh)
	h.tellAlarms()
	for _, u := range h.g.uplinks {
		u.Wake()
	}
}

// save writes events, records and messages in one transaction. While the disk takes nothing they wait in memory, people
// are told from there, and the disk is tried again every diskPause.
func (h *hub) save(now time.Time, fresh []alarm.Event) {
	var messages []store.Message
	for _, e := range fresh {
		messages = append(messages, h.duty.messages(now, e)...)
	}
	messages = append(messages, h.duty.more...)
	h.duty.more = nil
	if h.diskFailed {
		if now.Sub(h.diskTried) < diskPause {
			h.wait(fresh, messages)
			return
		}
		h.board.Checkpoint(now) // the records of the turns that failed
		h.duty.checkpoint()
	}
	tx := store.Transaction{
		Events: append(h.unsaved, fresh...), Records: h.board.Changed(), Messages: append(h.outbox.waiting(), messages...),
		Settings: append(h.duty.settings(now), h.rounds.settings...), Withdrawn: h.duty.withdrawn,
	}
	if len(tx.Events) == 0 && len(tx.Records) == 0 && len(tx.Messages) == 0 && len(tx.Settings) == 0 && !h.diskFailed {
		return
	}
	err := h.store.Commit(context.Background(), &tx)
	h.page.store.set(now, err)
	if err != nil {
		h.diskFailed, h.diskTried = true, now
		h.wait(fresh, messages)
		h.log.Error("journal not written", "err", err, "events", len(h.unsaved))
		return
	}
	if h.diskFailed {
		h.log.Info("journal written again", "events", len(h.unsaved))
		h.outbox.stored()
	}
	h.diskFailed, h.unsaved, h.rounds.settings = false, nil, nil
	h.duty.stored()
	if n := len(tx.Events); n > 0 {
		h.seq = tx.Events[n-1].Seq
	}
}

// wait keeps in memory what the disk does not take. The oldest events go first where there are too many.
func (h *hub) wait(fresh []alarm.Event, messages []store.Message) {
	h.unsaved = append(h.unsaved, fresh...)
	if over := len(h.unsaved) - unsavedAtMost; over > 0 {
		h.log.Error("events lost: the disk takes nothing and memory is full", "events", over, "first", h.unsaved[0].ID)
		h.unsaved = h.unsaved[over:]
	}
	if lost := h.outbox.hold(messages); lost > 0 {
		h.log.Error("messages lost: the disk takes nothing and memory is full", "messages", lost)
	}
}

// record writes an event of the gateway itself into the journal.
func (h *hub) record(now time.Time, kind, note string) {
	h.events = append(h.events, alarm.Event{ID: eventID(kind, now), Time: now, Type: kind, Note: note})
	h.commit(now)
}

func (h *hub) logEvent(e alarm.Event) {
	if e.Alarm == nil {
		h.log.Info("event", "type", e.Type, "note", e.Note)
		return
	}
	h.log.Info("event", "type", e.Type, "alarm", e.Alarm.ID, "rule", e.Alarm.Rule, "zone", e.Alarm.Zone, "device", e.Alarm.Device, "state", e.Alarm.State, "by", e.By)
}
