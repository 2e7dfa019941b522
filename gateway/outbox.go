package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"embergate/gateway/store"
)

// outbox is what channels deliver from: the store, and in memory what the store would not take. A disk that is full or
// broken must not keep people from being told; what is told from memory is written down when the disk works again.
type outbox struct {
	*store.Store
	mu      sync.Mutex
	held    []store.Message   // not on disk, oldest first; their ids are below 0
	settled map[identity]bool // held ones that are done: they need no place on disk any more
	last    int64             // id given last
}

// identity is one message: an event to a channel.
type identity struct{ event, channel string }

// heldAtMost bounds the memory: with more than so many undelivered, the oldest that is not urgent goes.
const heldAtMost = 10_000

func newOutbox(st *store.Store) *outbox {
	return &outbox{Store: st, settled: map[identity]bool{}}
}

// hold takes messages that the store would not take. One that is held or settled already is not taken twice.
func (o *outbox) hold(messages []store.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range messages {
		id := identity{m.Event, m.Channel}
		if o.settled[id] || slices.ContainsFunc(o.held, func(h store.Message) bool { return h.Event == m.Event && h.Channel == m.Channel }) {
			continue
		}
		o.last--
		m.ID = o.last
		o.held = append(o.held, m)
	}
	for len(o.held) > heldAtMost {
		oldest := max(slices.IndexFunc(o.held, func(m store.Message) bool { return !m.Urgent }), 0)
		o.held = slices.Delete(o.held, oldest, oldest+1)
	}
}

// undelivered is what of the messages still needs a place on disk: not what was delivered from memory.
func (o *outbox) undelivered(messages []store.Message) []store.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.DeleteFunc(messages, func(m store.Message) bool { return o.settled[identity{m.Event, m.Channel}] })
}

// stored forgets what was held: the store has it now.
func (o *outbox) stored() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = nil
	clear(o.settled)
}

// DueMessages are the store's and those held; the store's error is passed over while something is held.
func (o *outbox) DueMessages(ctx context.Context, channel string, now time.Time, limit int) ([]store.Message, error) {
	due, err := o.Store.DueMessages(ctx, channel, now, limit)
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.held {
		if m.Channel == channel && !now.Before(m.NotBefore) && len(due) < limit {
			due, err = append(due, m), nil
		}
	}
	return due, err
}

// SettleMessage ends a message, here or in the store.
func (o *outbox) SettleMessage(ctx context.Context, id int64, outcome store.Outcome, detail string, at time.Time) error {
	if id >= 0 {
		return o.Store.SettleMessage(ctx, id, outcome, detail, at)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = slices.DeleteFunc(o.held, func(m store.Message) bool {
		if m.ID == id {
			o.settled[identity{m.Event, m.Channel}] = true
		}
		return m.ID == id
	})
	return nil
}

// RetryMessage lets a message wait, here or in the store.
func (o *outbox) RetryMessage(ctx context.Context, id int64, notBefore time.Time, why string, at time.Time) error {
	if id >= 0 {
		return o.Store.RetryMessage(ctx, id, notBefore, why, at)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.held {
		if o.held[i].ID == id {
			o.held[i].NotBefore, o.held[i].LastError = notBefore, why
			o.held[i].Attempts++
		}
	}
	return nil
}
