package uplink

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Stand is how an uplink stands, and the line in the log when that changes. It may be used from any goroutine.
type Stand struct {
	log *slog.Logger

	mu     sync.Mutex
	status Status    // guarded by mu
	lost   time.Time // when it began to fail, zero while it works; guarded by mu
	kind   string    // of the failure that was logged; guarded by mu
}

// NewStand is the stand of an uplink that has not begun; until then why is its error.
func NewStand(log *slog.Logger, why string) *Stand {
	return &Stand{log: log, status: Status{LastError: why}}
}

// Status is how the uplink stands.
func (s *Stand) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Lost is since when the uplink fails, zero while it works.
func (s *Stand) Lost() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Works notes that the platform took something.
func (s *Stand) Works(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.status.Working {
		if s.lost.IsZero() {
			s.log.Info("uplink works")
		} else {
			s.log.Info("uplink restored", "after", now.Sub(s.lost).Round(time.Second))
		}
		s.status.Working, s.status.Since = true, now
	}
	s.status.LastError, s.status.LastSuccess, s.lost = "", now, time.Time{}
}

// Failed notes that the platform takes nothing. The first failure is logged, and one of another kind, not every attempt.
func (s *Stand) Failed(now time.Time, kind string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.lost.IsZero():
		s.log.Warn("uplink lost", "err", err)
		s.status.Working, s.status.Since, s.lost = false, now, now
	case s.kind != kind:
		s.log.Warn("uplink still lost", "err", err)
	}
	s.kind, s.status.LastError = kind, err.Error()
}

// Rejected notes that the platform refused so many lines, in its words.
func (s *Stand) Rejected(now time.Time, lines int, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Rejected += int64(lines)
	s.status.Refusal, s.status.RefusedAt = words, now
}

// A lost platform is tried again after 1, 2, 4 … 30 s, up to a fifth less, so that a thousand gateways do not come at once.
const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
	settled     = time.Minute // a connection that stayed so long begins again at firstWait
)

// Keep calls converse, which holds one connection as long as it lasts, again and again until ctx ends. Between two of them
// it calls away.
func (s *Stand) Keep(ctx context.Context, converse func(context.Context) error, away func(context.Context)) {
	wait := firstWait
	for ctx.Err() == nil {
		began := time.Now()
		err := converse(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		s.Failed(now, err.Error(), err)
		if now.Sub(began) > settled {
			wait = firstWait
		}
		away(ctx)
		select {
		case <-time.After(wait - rand.N(wait/5)):
		case <-ctx.Done():
		}
		wait = min(2*wait, longestWait)
	}
}

// Bell wakes the goroutine that waits for it, however often it was rung before.
type Bell chan struct{}

// NewBell is a bell that was not rung.
func NewBell() Bell { return make(Bell, 1) }

// Wake says that there are new events in the journal. It returns at once.
func (b Bell) Wake() {
	select {
	case b <- struct{}{}:
	default:
	}
}
