package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
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
	wait := leastWait
	var lost atomic.Pointer[time.Time] // since when; a driver may emit from any goroutine
	emit := func(batch []drivers.Reading) {
		if since := lost.Load(); since != nil && len(batch) > 0 && batch[0].Signal == l.id+"."+drivers.LinkSignal && batch[0].Value == 1 && lost.CompareAndSwap(since, nil) {
			log.Info("link restored", "after", time.Since(*since).Round(time.Millisecond))
		}
		h.emit(batch)
	}
	for {
		start := time.Now()
		err := runDriver(ctx, l.driver, emit)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		if lost.CompareAndSwap(nil, &now) {
			log.Warn("link lost", "err", err)
		}
		h.emit([]drivers.Reading{{Signal: l.id + "." + drivers.LinkSignal, Time: now, Quality: drivers.Good, Detail: err.Error()}})
		if errors.Is(err, drivers.ErrPanic) {
			log.Error("driver panicked", "err", err)
			h.postFault(driverFailed, l.id, true, err)
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

// superviseUplink runs an uplink until ctx ends: where it panics, that is a fault until it has run for a minute, and it is
// run again. What it had not sent is in its queue.
func (h *hub) superviseUplink(ctx context.Context, u uplink, run func(context.Context) error) {
	for wait := leastWait; ; wait = min(2*wait, mostWait) {
		start := time.Now()
		well := time.AfterFunc(settled, func() { h.postFault(uplinkFailed, u.id, false, nil) })
		err := run(ctx)
		well.Stop()
		if ctx.Err() != nil {
			return
		}
		h.log.Error("uplink ended", "uplink", u.id, "err", err)
		h.postFault(uplinkFailed, u.id, true, err)
		if time.Since(start) > settled {
			wait = leastWait
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// runDriver is one run of a driver; a panic in it is an error with its stack.
func runDriver(ctx context.Context, d drivers.Driver, emit func([]drivers.Reading)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", drivers.ErrPanic, p, debug.Stack())
		}
	}()
	if err = d.Run(ctx, emit); err == nil && ctx.Err() == nil {
		err = errors.New("driver ended by itself")
	}
	return err
}
