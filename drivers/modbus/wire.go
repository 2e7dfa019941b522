package modbus

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"embergate/drivers"

	"github.com/goburrow/modbus"
)

// wire is one serial line or one host:port, shared by all endpoints that name it. It is used in sessions: a session
// begins when a first driver joins and ends when the last one leaves or the connection cannot be had.
type wire struct {
	at    place
	line  line
	open  opener
	door  *door         // where the converter dials in, nil where we dial
	users []string      // the devices declared on it, while the configuration is read
	delay time.Duration // after connecting, the longest that one of the endpoints asks for

	drivers []*driver // of the endpoints that name it

	mu      sync.Mutex
	session *session // guarded by mu; the newest
}

// opener opens a serial line or dials.
type opener func(ctx context.Context, at place, l line) (port, error)

// class is the order in which waiting requests are served.
type class uint8

const (
	writing class = iota // outputs: a sounder, a valve
	fast                 // devices that watch for fire or gas
	normal
	probing // units that did not answer last time: whoever answers goes first
)

const (
	patience    = 10 * time.Second // a request that has waited this long is served as a fast one: nobody starves
	busyWindow  = 10 * time.Second // how often the use of the wire is told
	mostWaiting = 1000             // requests: the devices of a full bus, and writes
)

// request is what a driver asks of a unit. It is served by one goroutine a wire, one at a time.
type request struct {
	class   class
	unit    uint8
	timeout time.Duration
	gap     time.Duration // before it, since the last byte on the wire
	rest    time.Duration // before the next request to the same unit
	trace   *trace
	do      func(modbus.Client) ([]byte, error)
	pdu     *modbus.ProtocolDataUnit // sent as it is, instead of do
	ctx     context.Context          // of who asks: once it ended nobody wants the answer
	queued  time.Time
	answer  chan answer // holds one
}

// answer is what became of a request.
type answer struct {
	data         []byte
	err          error
	began, ended time.Time
}

// session is the use of a wire from connecting to losing it.
type session struct {
	wire   *wire
	cancel context.CancelFunc
	up     chan struct{} // closed when connected
	done   chan struct{} // closed at the end, after the port
	err    error         // why it ended; may be read after done

	mu       sync.Mutex
	queue    []*request                  // guarded by mu
	monitors map[*driver]drivers.Monitor // guarded by mu: who uses the session
	wake     chan struct{}               // holds one: the queue has grown

	link link // the owner's alone
}

// join makes the driver a user of the wire's session and begins one if there is none.
func (w *wire) join(d *driver) *session {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.session == nil || w.session.over() {
		w.session = w.begin(w.session)
	}
	w.session.mu.Lock()
	defer w.session.mu.Unlock()
	w.session.monitors[d] = d.Monitor
	return w.session
}

func (w *wire) begin(before *session) *session {
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{
		wire: w, cancel: cancel,
		up: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
		monitors: map[*driver]drivers.Monitor{},
	}
	s.link = link{at: w.at, line: w.line, open: w.open, door: w.door, delay: w.delay, ctx: ctx}
	go func() {
		defer close(s.done)
		defer s.link.drop()
		if before != nil {
			<-before.done // two sessions never hold the port together
		}
		s.err = s.own(ctx)
	}()
	return s
}

// leave ends the driver's use of the session. The last to leave closes the port and waits until it is closed.
func (w *wire) leave(s *session, d *driver) {
	w.mu.Lock()
	s.mu.Lock()
	delete(s.monitors, d)
	last := len(s.monitors) == 0
	s.mu.Unlock()
	if last {
		s.cancel()
	}
	w.mu.Unlock()
	if last {
		<-s.done
	}
}

// over tells whether the session takes no new users: it has ended, or its last user has left.
func (s *session) over() bool { return s.link.ctx.Err() != nil || s.ended() }

func (s *session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// own connects and serves requests until ctx ends or the connection is lost for good. It is the only one to use the port.
func (s *session) own(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", drivers.ErrPanic, p, debug.Stack())
		}
	}()
	if s.wire.door != nil {
		if err := s.wire.door.keepOpen(); err != nil {
			return err
		}
		defer s.wire.door.leave()
	}
	err = s.link.connect()
	for errors.Is(err, errNobody) && ctx.Err() == nil {
		err = s.link.connect()
	}
	if err != nil {
		return err
	}
	close(s.up)
	if s.link.settle() != nil {
		return nil
	}
	use := usage{since: time.Now()}
	for {
		now := time.Now()
		if ratio, told := use.tell(now); told {
			s.report(ratio)
		}
		r, wait := s.next(now)
		if r == nil {
			if s.wait(ctx, min(wait, use.left(now))) != nil {
				return nil
			}
			continue
		}
		s.link.serve(r)
		use.busy += time.Since(now)
		if s.link.dead != nil {
			return s.link.dead
		}
	}
}

// wait returns when the queue has grown or the time is up, or with an error when ctx has ended.
func (s *session) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// next takes the request to serve now out of the queue; if none may be served yet, it tells how long to wait.
func (s *session) next(now time.Time) (*request, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	best, wait := -1, busyWindow
	for i, r := range s.queue {
		if ready := s.link.rested(r.unit); ready.After(now) {
			wait = min(wait, ready.Sub(now))
			continue
		}
		if best < 0 || r.before(s.queue[best], now) {
			best = i
		}
	}
	if best < 0 {
		return nil, wait
	}
	r := s.queue[best]
	s.queue = append(s.queue[:best], s.queue[best+1:]...)
	return r, 0
}

// before tells whether r is served before other: by class, and in a class first come, first served.
func (r *request) before(other *request, now time.Time) bool {
	if a, b := r.turn(now), other.turn(now); a != b {
		return a < b
	}
	return r.queued.Before(other.queued)
}

func (r *request) turn(now time.Time) class {
	if now.Sub(r.queued) > patience {
		return min(r.class, fast)
	}
	return r.class
}

// ask queues a request and waits for its answer, the end of its context or that of the session.
func (s *session) ask(r *request) answer {
	r.queued, r.answer = time.Now(), make(chan answer, 1)
	s.mu.Lock()
	full := len(s.queue) >= mostWaiting
	if !full {
		s.queue = append(s.queue, r)
	}
	s.mu.Unlock()
	if full {
		return answer{err: fmt.Errorf("%w: %d requests are waiting", errLost, mostWaiting), began: r.queued, ended: r.queued}
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	select {
	case a := <-r.answer:
		return a
	case <-r.ctx.Done():
		return answer{err: r.ctx.Err(), began: r.queued, ended: time.Now()}
	case <-s.done:
		err := errLost
		if s.err != nil {
			err = fmt.Errorf("%w: %w", errLost, s.err)
		}
		return answer{err: err, began: r.queued, ended: time.Now()}
	}
}

func (s *session) report(ratio float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.monitors {
		m.Busy(ratio)
	}
}

// usage is how long the wire was in use since a time.
type usage struct {
	since time.Time
	busy  time.Duration
}

// tell is the share of time in use, once a window has passed.
func (u *usage) tell(now time.Time) (ratio float64, told bool) {
	passed := now.Sub(u.since)
	if passed < busyWindow {
		return 0, false
	}
	ratio = min(1, float64(u.busy)/float64(passed))
	*u = usage{since: now}
	return ratio, true
}

func (u *usage) left(now time.Time) time.Duration { return busyWindow - now.Sub(u.since) }

// sleep waits, or returns the error of a context that ended.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
