package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// far is a far side in memory.
type far struct {
	mu   sync.Mutex
	got  []Message
	at   []time.Time
	fate func(n int, m Message) error

	fates []error // by attempt
}

func (f *far) Send(_ context.Context, m Message) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, m)
	f.at = append(f.at, time.Now())
	f.fates = append(f.fates, nil)
	if f.fate == nil {
		return "", nil
	}
	err := f.fate(len(f.got), m)
	f.fates[len(f.fates)-1] = err
	return "", err
}

// sent are the messages of all attempts.
func (f *far) sent() []Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

func (f *far) ids() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.got {
		ids = append(ids, m.ID)
	}
	return ids
}

// outbox is the store's in memory: its order and its rule that what ends an alarm waits.
type outbox struct {
	mu       sync.Mutex
	messages []store.Message
	ledger   []string // outcomes
	lines    []store.Delivery
	last     int64
	broken   bool // nothing can be written
}

func (o *outbox) put(messages ...store.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range messages {
		o.last++
		m.ID = o.last
		o.messages = append(o.messages, m)
	}
}

// ready are the messages of a channel that wait for nothing but their time.
func (o *outbox) ready(d store.Due) (list []store.Message) {
	open := map[[2]string]bool{}
	for _, m := range o.messages {
		if m.Channel != d.Channel {
			continue
		}
		of := [2]string{m.Alarm}
		if d.Apart {
			of[1] = m.To
		}
		ends := strings.HasSuffix(m.Type, ".cleared") || strings.HasSuffix(m.Type, ".closed")
		if !(open[of] && ends) && (d.After == 0 || m.ID > d.After) && (m.Urgent || !d.Urgent) && !slices.Contains(d.Except, m.To) {
			list = append(list, m)
		}
		open[of] = m.Alarm != ""
	}
	return list
}

func (o *outbox) DueMessages(_ context.Context, d store.Due) (due []store.Message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.ready(d) {
		if !m.NotBefore.After(d.Now) {
			due = append(due, m)
		}
	}
	rank := func(m store.Message) int {
		switch {
		case m.Class == "fire":
			return 0
		case m.Urgent:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(due, func(a, b store.Message) int { return rank(a) - rank(b) })
	if d.Limit > 0 {
		due = due[:min(d.Limit, len(due))]
	}
	return due, nil
}

func (o *outbox) NextDue(_ context.Context, channel string, after time.Time) (next time.Time, pending int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.messages {
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

func (o *outbox) MessagesOf(_ context.Context, channel string, alarms []string) (all []store.Message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range o.messages {
		if m.Channel == channel && m.Alarm != "" && slices.Contains(alarms, m.Alarm) {
			all = append(all, m)
		}
	}
	return all, nil
}

func (o *outbox) Deliveries(_ context.Context, l store.Ledger) (list []store.Delivery, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range slices.Backward(o.lines) {
		if d.Channel == l.Channel && !d.Time.Before(l.Since) && (l.Outcome == "" || d.Outcome == l.Outcome) && (l.Limit == 0 || len(list) < l.Limit) {
			list = append(list, d)
		}
	}
	return list, nil
}

func (o *outbox) SettleMessages(_ context.Context, ids []int64, outcome store.Outcome, detail string, at time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return errors.New("disk full")
	}
	n := len(o.messages)
	o.enter(ids, outcome, detail, at)
	o.messages = slices.DeleteFunc(o.messages, func(m store.Message) bool { return slices.Contains(ids, m.ID) })
	if len(o.messages) == n {
		return store.ErrNotFound
	}
	return nil
}

func (o *outbox) RetryMessages(_ context.Context, ids []int64, notBefore time.Time, why string, at time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return errors.New("disk full")
	}
	o.enter(ids, store.Retry, why, at)
	for i := range o.messages {
		if slices.Contains(ids, o.messages[i].ID) {
			o.messages[i].NotBefore, o.messages[i].LastError = notBefore, why
			o.messages[i].Attempts++
		}
	}
	return nil
}

// enter writes the ledger.
func (o *outbox) enter(ids []int64, outcome store.Outcome, detail string, at time.Time) {
	for _, m := range o.messages {
		if slices.Contains(ids, m.ID) {
			o.ledger = append(o.ledger, string(outcome))
			o.lines = append(o.lines, store.Delivery{Time: at, Channel: m.Channel, Message: m.ID, Event: m.Event, Type: m.Type, To: m.To,
				Alarm: m.Alarm, Outcome: outcome, Detail: detail, Latency: at.Sub(m.Created)})
		}
	}
}

func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.messages)
}

// channels are some with a far side each in place of the network.
func channels(t testing.TB, o Options, fars ...*far) *Channels {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	c := &Channels{o: o}
	for i, f := range fars {
		c.list = append(c.list, newLine(string(rune('a'+i)), "far", f, o))
	}
	return c
}

func start(t testing.TB, c *Channels, o Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx, o); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

// event is an event of an alarm of its own, or of a given one.
func event(id, kind, of string, class rules.Class) alarm.Event {
	a := gas()
	a.ID, a.Class = of, class
	return alarm.Event{ID: id, Type: kind, Time: time.Now(), Alarm: a}
}
