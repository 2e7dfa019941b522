package gateway

import (
	"context"
	"time"

	"embergate/gateway/console"
)

// History is what a signal was, for a chart. It is read from the store, beside the hub.
func (h *hub) History(ctx context.Context, signal string, from, to time.Time, points int) ([]console.Step, error) {
	buckets, err := h.store.History().Query(ctx, signal, from, to, points)
	if err != nil {
		return nil, err
	}
	steps := make([]console.Step, len(buckets))
	for i := range buckets {
		b := &buckets[i]
		steps[i] = console.Step{Time: b.Start, Good: b.Good.Seconds(), Bad: b.Bad.Seconds(), Why: b.Reason}
		if b.Known {
			steps[i].Min, steps[i].Mean, steps[i].Max, steps[i].Last = &b.Min, &b.Mean, &b.Max, &b.Last
		}
	}
	return steps, nil
}

// refused are the latest lines that a platform refused, with its words.
func (h *hub) refused(ctx context.Context, uplink string, limit int) ([]console.Refused, error) {
	q := h.queues[uplink]
	if q == nil {
		return nil, nil
	}
	letters, err := q.DeadLetters(ctx, limit)
	if err != nil {
		return nil, err
	}
	list := make([]console.Refused, len(letters))
	for i, l := range letters {
		list[i] = console.Refused{Time: l.Time, Reason: l.Reason, Lines: string(l.Lines)}
	}
	return list, nil
}
