package uplink

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"embergate/gateway/alarm"
)

// Feed is the journal as the queue of one uplink: the events after its place. One goroutine uses it; Waiting may be called
// from any.
type Feed struct {
	uplink string
	log    *slog.Logger

	place   Place // of the last event that the platform has
	unsaved bool  // the place is not in the store yet
	failing bool  // the store failed

	mu      sync.Mutex
	sent    int64     // number of the event at the place, -1 where that is not known yet; guarded by mu
	waiting time.Time // of the first event that waits, zero where none is known to; guarded by mu
}

// NewFeed is the queue of an uplink by its id.
func NewFeed(uplink string, log *slog.Logger) *Feed { return &Feed{uplink: uplink, log: log, sent: -1} }

// skipLoad is how many events are skipped at once.
const skipLoad = 500

// saveTime is how long the store gets to keep a place, also at the end.
const saveTime = 3 * time.Second

// Next are the next events, at most limit. Where the store fails there are none, and ok is false.
func (f *Feed) Next(ctx context.Context, j Journal, limit int) (events []alarm.Event, ok bool) {
	if f.unsaved {
		f.Save(ctx, j)
	}
	events, err := f.place.After(ctx, j, f.uplink, limit, f.log)
	if err != nil && ctx.Err() == nil || err == nil && !f.unsaved { // a disk that is full can be read
		f.Disk(err)
	}
	if err != nil {
		return nil, false
	}
	oldest := time.Time{}
	if len(events) > 0 {
		oldest = events[0].Time
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent, f.waiting = f.place.seq, oldest
	return events, true
}

// Skip passes what happened before the uplink was there, where it never had a place in the journal.
func (f *Feed) Skip(ctx context.Context, j Journal) error {
	text, err := j.Get(ctx, key(f.uplink))
	if err != nil || text != "" {
		return err
	}
	for place := f.place; ; {
		events, err := place.After(ctx, j, f.uplink, skipLoad, f.log)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			f.place = place
			f.Save(ctx, j)
			return nil
		}
		place = At(events[len(events)-1])
	}
}

// Pass notes that the platform has an event, or is not to have it. Save keeps that.
func (f *Feed) Pass(e alarm.Event) { f.place = At(e) }

// Save keeps the place. Where the store fails it is kept in memory, and nothing is sent twice for it.
func (f *Feed) Save(ctx context.Context, j Journal) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	err := f.place.Save(ctx, j, f.uplink)
	f.unsaved = err != nil
	f.Disk(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = f.place.seq
}

// Waiting tells the number of the last event that the platform has, -1 where that is not known yet, and since when
// something waits: the time of the first event, or since when there is no connection; zero where nothing does.
func (f *Feed) Waiting(lost time.Time) (sent int64, oldest time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lost.IsZero() || !f.waiting.IsZero() && f.waiting.Before(lost) {
		return f.sent, f.waiting
	}
	return f.sent, lost
}

// Disk notes whether the store works; only a change is logged.
func (f *Feed) Disk(err error) {
	if failing := err != nil; failing != f.failing {
		f.failing = failing
		if failing {
			f.log.Error("uplink cannot use its store", "err", err)
		} else {
			f.log.Info("uplink can use its store again")
		}
	}
}
