package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// outbox is what channels deliver from: the store, and in memory what the store would not take. A disk that is full or
// broken must not keep people from being told; what still waits goes to disk when that works again.
type outbox struct {
	*store.Store
	mu   sync.Mutex
	held []store.Message // not on disk, oldest first; their ids are below 0
	last int64           // id given last
}

// heldAtMost bounds the memory: beyond it the oldest that is not urgent goes.
const heldAtMost = 10_000

// hold takes messages that the store would not take, and answers how many there was no room for.
func (o *outbox) hold(messages []store.Message) (lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range messages {
		o.last--
		m.ID = o.last
		o.held = append(o.held, m)
	}
	for ; len(o.held) > heldAtMost; lost++ {
		oldest := max(slices.IndexFunc(o.held, func(m store.Message) bool { return !m.Urgent }), 0)
		o.held = slices.Delete(o.held, oldest, oldest+1)
	}
	return lost
}

// waiting is what is held and not delivered, to be stored.
func (o *outbox) waiting() []store.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.held)
}

// stored forgets what was held: the store has it now.
func (o *outbox) stored() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = nil
}

// DueMessages are the store's and those held, fire first. What ends an alarm waits for what came before it. The store's
// error is passed over while something is held.
func (o *outbox) DueMessages(ctx context.Context, channel string, now time.Time, limit int) ([]store.Message, error) {
	due, err := o.Store.DueMessages(ctx, channel, now, limit)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) == 0 {
		return due, err
	}
	before := map[string]bool{} // alarms of which something earlier is not delivered
	for _, m := range due {
		before[m.Alarm] = true
	}
	for _, m := range o.held {
		if m.Channel != channel {
			continue
		}
		if ends := m.Type == alarm.EventCleared || m.Type == alarm.EventFaultCleared || m.Type == alarm.EventReset || m.Type == alarm.EventClosed; !(ends && before[m.Alarm]) && !now.Before(m.NotBefore) {
			due = append(due, m)
		}
		before[m.Alarm] = m.Alarm != ""
	}
	slices.SortStableFunc(due, func(a, b store.Message) int { return rank(a) - rank(b) })
	return due[:min(len(due), limit)], nil
}

// rank is 0 for fire, which goes before everything else.
func rank(m store.Message) int {
	if m.Class == rules.Classes[0] {
		return 0
	}
	return 1
}

// SettleMessage ends a message, here or in the store.
func (o *outbox) SettleMessage(ctx context.Context, id int64, outcome store.Outcome, detail string, at time.Time) error {
	if id >= 0 {
		return o.Store.SettleMessage(ctx, id, outcome, detail, at)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held = slices.DeleteFunc(o.held, func(m store.Message) bool { return m.ID == id })
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
