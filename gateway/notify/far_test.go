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
}

func (f *far) Send(_ context.Context, m Message) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, m)
	f.at = append(f.at, time.Now())
	if f.fate == nil {
		return "", nil
	}
	return "", f.fate(len(f.got), m)
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
	ledger   []string
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

func (o *outbox) DueMessages(_ context.Context, channel string, now time.Time, limit int) (due []store.Message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	open := map[string]bool{}
	for _, m := range o.messages {
		if m.Channel != channel {
			continue
		}
		if !m.NotBefore.After(now) && !(open[m.Alarm] && (strings.HasSuffix(m.Type, ".cleared") || strings.HasSuffix(m.Type, ".closed"))) {
			due = append(due, m)
		}
		open[m.Alarm] = m.Alarm != ""
	}
	slices.SortStableFunc(due, func(a, b store.Message) int {
		switch {
		case a.Class == "fire" && b.Class != "fire":
			return -1
		case a.Class != "fire" && b.Class == "fire":
			return 1
		}
		return 0
	})
	return due[:min(limit, len(due))], nil
}

func (o *outbox) PendingMessages(context.Context) (map[string]store.QueueStats, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pending := map[string]store.QueueStats{}
	for _, m := range o.messages {
		s := pending[m.Channel]
		s.Records++
		pending[m.Channel] = s
	}
	return pending, nil
}

func (o *outbox) SettleMessage(_ context.Context, id int64, outcome store.Outcome, detail string, _ time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return errors.New("disk full")
	}
	n := len(o.messages)
	o.messages = slices.DeleteFunc(o.messages, func(m store.Message) bool { return m.ID == id })
	if len(o.messages) == n {
		return store.ErrNotFound
	}
	o.ledger = append(o.ledger, string(outcome))
	return nil
}

func (o *outbox) RetryMessage(_ context.Context, id int64, notBefore time.Time, why string, _ time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return errors.New("disk full")
	}
	for i := range o.messages {
		if o.messages[i].ID == id {
			o.messages[i].NotBefore, o.messages[i].LastError = notBefore, why
			o.messages[i].Attempts++
		}
	}
	o.ledger = append(o.ledger, "retry")
	return nil
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
