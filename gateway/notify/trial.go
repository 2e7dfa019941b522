package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// EventTest is the type of a message that only proves that a channel works.
const EventTest = "test"

// Test sends a test message by one channel, at once and without the outbox, to people by their ids; none is whoever reads
// the channel. The answer is its line for the ledger. The error is that there is no such channel; an attempt that failed is
// told by its outcome. How the channel stands follows: one that was broken works again if this succeeds.
func (c *Channels) Test(ctx context.Context, id string, to []string, now time.Time) (store.Delivery, error) {
	i := slices.Index(c.IDs(), id)
	if i < 0 {
		return store.Delivery{}, fmt.Errorf("notify: no channel %q", id)
	}
	l := c.list[i]
	m := c.body(alarm.Event{ID: fmt.Sprintf("%s/%d", EventTest, now.UnixNano()), Time: now, Type: EventTest}, now)
	m.Channel, m.To = id, strings.Join(to, ",")
	began := time.Now()
	receipt, err := l.guarded(ctx, []item{{m, Said(m)}})
	took := time.Since(began)
	d := store.Delivery{
		Time: now.Add(took), Channel: id, Event: m.Event, Type: EventTest, To: m.To, Outcome: store.Accepted, Detail: receipt, Latency: took,
	}
	if err != nil {
		d.Outcome, d.Detail = store.Retry, err.Error()
		if refused := (*Refused)(nil); errors.As(err, &refused) {
			d.Outcome = store.Never
		}
	}
	l.tested(d)
	return d, nil
}

// tested notes what a test says of the channel.
func (l *line) tested(d store.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch d.Outcome {
	case store.Accepted:
		if !l.refused.IsZero() || !l.failing.IsZero() {
			l.status.Since = d.Time
		}
		l.refused, l.failing = time.Time{}, time.Time{}
		l.status.LastSuccess, l.status.LastError = d.Time, ""
	case store.Never:
		if l.refused.IsZero() {
			l.refused = d.Time
		}
		fallthrough
	default:
		l.status.LastError = d.Detail
	}
}
