package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

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
func (o *outbox) DueMessages(ctx context.Context, d store.Due) ([]store.Message, error) {
	due, err := o.Store.DueMessages(ctx, d)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) == 0 {
		return due, err
	}
	for _, m := range o.ready(d, due) {
		if !d.Now.Before(m.NotBefore) {
			due = append(due, m)
		}
	}
	slices.SortStableFunc(due, func(a, b store.Message) int { return rank(a) - rank(b) })
	if d.Limit > 0 {
		due = due[:min(len(due), d.Limit)]
	}
	return due, nil
}

// ready are those held that wait for nothing but their time; before them are what the store has.
func (o *outbox) ready(d store.Due, before []store.Message) (list []store.Message) {
	type told struct{ alarm, to string }
	of := func(m store.Message) told {
		if d.Apart {
			return told{m.Alarm, m.To}
		}
		return told{alarm: m.Alarm}
	}
	open := map[told]bool{} // alarms of which something earlier is not delivered
	for _, m := range before {
		open[of(m)] = m.Alarm != ""
	}
	for _, m := range o.held {
		if m.Channel != d.Channel {
			continue
		}
		if !(store.Ends(m.Type) && open[of(m)]) && d.After == 0 && (m.Urgent || !d.Urgent) && !slices.Contains(d.Except, m.To) {
			list = append(list, m)
		}
		open[of(m)] = m.Alarm != ""
	}
	return list
}

// NextDue is the earliest time after a given one for which a message waits, the store's or one held, and how many wait.
func (o *outbox) NextDue(ctx context.Context, channel string, after time.Time) (next time.Time, pending int, err error) {
	next, pending, err = o.Store.NextDue(ctx, channel, after)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) == 0 {
		return next, pending, err
	}
	for _, m := range o.held {
		if m.Channel != channel {
			continue
		}
		pending++
		if m.NotBefore.After(after) && (next.IsZero() || m.NotBefore.Before(next)) {
			next = m.NotBefore
		}
	}
	return next, pending, nil
}

// MessagesOf are the store's messages of some alarms, and then those held.
func (o *outbox) MessagesOf(ctx context.Context, channel string, alarms []string) ([]store.Message, error) {
	all, err := o.Store.MessagesOf(ctx, channel, alarms)
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.held) == 0 {
		return all, err
	}
	for _, m := range o.held {
		if m.Channel == channel && m.Alarm != "" && slices.Contains(alarms, m.Alarm) {
			all = append(all, m)
		}
	}
	return all, nil
}

// rank is 0 for fire, which goes before everything else, and 1 for what is urgent.
func rank(m store.Message) int {
	switch {
	case m.Class == rules.Classes[0]:
		return 0
	case m.Urgent:
		return 1
	}
	return 2
}

// SettleMessages ends messages, here or in the store.
func (o *outbox) SettleMessages(ctx context.Context, ids []int64, outcome store.Outcome, detail string, at time.Time) error {
	o.change(ids, func(i int) { o.held = slices.Delete(o.held, i, i+1) })
	if stored := onDisk(ids); len(stored) > 0 {
		return o.Store.SettleMessages(ctx, stored, outcome, detail, at)
	}
	return nil
}

// RetryMessages lets messages wait, here or in the store.
func (o *outbox) RetryMessages(ctx context.Context, ids []int64, notBefore time.Time, why string, at time.Time) error {
	o.change(ids, func(i int) {
		o.held[i].NotBefore, o.held[i].LastError = notBefore, why
		o.held[i].Attempts++
	})
	if stored := onDisk(ids); len(stored) > 0 {
		return o.Store.RetryMessages(ctx, stored, notBefore, why, at)
	}
	return nil
}

// change does something to each of the messages that is held, given its index.
func (o *outbox) change(ids []int64, do func(i int)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		if i := slices.IndexFunc(o.held, func(m store.Message) bool { return m.ID == id }); i >= 0 {
			do(i)
		}
	}
}

// onDisk are the ids that the store gave.
func onDisk(ids []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id < 0 })
}
