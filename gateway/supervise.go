package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"embergate/drivers"
)

// A lost endpoint is tried again after leastWait, then twice as long each time, up to mostWait; after an hour's outage
// as after a minute's, it is back within mostWait.
const (
	leastWait = time.Second
	mostWait  = 30 * time.Second
	settled   = time.Minute // an endpoint that stayed so long starts again at leastWait
)

// supervise runs a driver until ctx ends: where it loses its endpoint or panics, the hub is told, and it is run again.
func (h *hub) supervise(ctx context.Context, l *link) {
	log := h.log.With("endpoint", l.id)
	wait, lost, failed := leastWait, false, false
	var lostAt time.Time
	emit := func(batch []drivers.Reading) {
		if lost && len(batch) > 0 && batch[0].Signal == l.id+"."+drivers.LinkSignal && batch[0].Value == 1 {
			lost = false
			log.Info("link restored", "after", time.Since(lostAt).Round(time.Millisecond))
			if failed {
				failed = false
				go h.post(func(now time.Time) { h.fault(now, driverFailed, l.id, false, nil) })
			}
		}
		h.emit(batch)
	}
	for {
		start := time.Now()
		panicked, err := runDriver(ctx, l.driver, emit)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		if !lost {
			lost, lostAt = true, now
			log.Warn("link lost", "err", err)
		}
		h.emit([]drivers.Reading{{Signal: l.id + "." + drivers.LinkSignal, Time: now, Quality: drivers.Good, Detail: err.Error()}})
		if panicked {
			failed = true
			log.Error("driver panicked", "err", err)
			h.post(func(now time.Time) {
				h.fault(now, driverFailed, l.id, true, err)
				h.commit(now)
			})
		}
		if now.Sub(start) > settled {
			wait = leastWait
		}
		select {
		case <-time.After(wait + rand.N(wait/4)): // so that many endpoints of one converter do not knock at once
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, mostWait)
	}
}

// runDriver is one run of a driver; a panic in it is an error with its stack.
func runDriver(ctx context.Context, d drivers.Driver, emit func([]drivers.Reading)) (panicked bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked, err = true, fmt.Errorf("driver panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if err = d.Run(ctx, emit); err == nil && ctx.Err() == nil {
		err = fmt.Errorf("driver ended by itself")
	}
	return false, err
}
