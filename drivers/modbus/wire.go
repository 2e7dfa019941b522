package modbus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
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
	patience    = 10 * time.Second     // a request that has waited this long is served as a fast one: nobody starves
	busyWindow  = 10 * time.Second     // how often the use of the wire is told
	mostWaiting = 1000                 // requests: the devices of a full bus, and writes
	settle      = 5 * time.Millisecond // after an answer, in which who had it may ask for its next block before a unit is probed
)

// request is what a driver asks of a unit. One is served at a time.
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
	turned  chan struct{} // capacity 1: told that it has the turn. Made when it is first asked
}

// answer is what became of a request.
type answer struct {
	data         []byte
	err          error
	began, ended time.Time
}

// session is the use of a wire from connecting to losing it. Whoever asks uses the port by itself when it has the turn: the
// wire is free, and no waiting request goes before it.
type session struct {
	wire   *wire
	cancel context.CancelFunc
	up     chan struct{} // closed when connected
	done   chan struct{} // closed at the end, after the port
	err    error         // why it ended; may be read after done
	lost   chan error    // holds one: the connection was lost for good
	free   chan struct{} // closed when the last turn is over, where one was being served at the end

	mu       sync.Mutex
	open     bool                        // guarded by mu, as is all that follows: turns are given
	busy     bool                        // one has the turn
	since    time.Time                   // it has the turn, or that was last told
	queue    []*request                  // that wait for it
	settled  time.Time                   // since when, or from when on, units that did not answer may be asked
	resting  *time.Timer                 // ends with the rest of a unit that is asked for, where all are
	used     time.Duration               // of the wire in turns, since it was told
	monitors map[*driver]drivers.Monitor // who uses the session

	link link // of who has the turn; before the first and after the last, the session's
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
		up: make(chan struct{}), done: make(chan struct{}), lost: make(chan error, 1), free: make(chan struct{}),
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

// own connects, lets requests have their turns, and returns with the port its own again when ctx has ended or the connection
// is lost for good.
func (s *session) own(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
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
	s.begin()
	defer s.end()
	for window := time.Tick(busyWindow); ; {
		select {
		case <-window:
			s.report()
		case err := <-s.lost:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func panicked(p any) error { return fmt.Errorf("%w: %v\n%s", drivers.ErrPanic, p, debug.Stack()) }

// begin gives the first turn.
func (s *session) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
	s.give(time.Now())
}

// end gives no more turns and returns when the last is over.
func (s *session) end() {
	s.mu.Lock()
	s.open = false
	busy := s.busy
	s.mu.Unlock()
	if busy {
		<-s.free
	}
}

// give gives the turn to the request that is served next, if nobody has it. Where the units of all that wait rest, it does so
// as soon as one may be asked. The caller holds mu.
func (s *session) give(now time.Time) {
	if !s.open || s.busy || len(s.queue) == 0 {
		return
	}
	i, wait := s.next(now)
	if i < 0 {
		if s.resting == nil {
			s.resting = time.AfterFunc(wait, s.giveAgain)
		} else {
			s.resting.Reset(wait)
		}
		return
	}
	r := s.queue[i]
	s.queue = slices.Delete(s.queue, i, i+1)
	s.busy, s.since = true, now
	r.turned <- struct{}{}
}

func (s *session) giveAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.give(time.Now())
}

// next is the place in the queue of the request to serve now, or -1 and how long to wait.
func (s *session) next(now time.Time) (best int, wait time.Duration) {
	best, wait = -1, time.Duration(math.MaxInt64)
	for i, r := range s.queue {
		ready := s.link.rested(r.unit)
		if r.turn(now) == probing && s.settled.After(ready) {
			ready = s.settled
		}
		if ready.After(now) {
			wait = min(wait, ready.Sub(now))
			continue
		}
		if best < 0 || r.before(s.queue[best], now) {
			best = i
		}
	}
	return best, wait
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

// ask carries a request out when it has its turn, and returns before that where the request's context or the session ends. Whoever
// has the turn finishes: an exchange that is cut short would leave its reply to the next.
func (s *session) ask(r *request) answer {
	r.queued = time.Now()
	if err := s.wait(r); err != nil {
		return answer{err: err, began: r.queued, ended: time.Now()}
	}
	a, dead := s.serve(r)
	if dead {
		<-s.done
		a.err = s.why()
	}
	return a
}

// wait returns when the request has its turn, or with the error for which it will have none.
func (s *session) wait(r *request) error {
	if r.turned == nil {
		r.turned = make(chan struct{}, 1)
	}
	s.mu.Lock()
	if len(s.queue) >= mostWaiting {
		s.mu.Unlock()
		return fmt.Errorf("%w: %d requests are waiting", errLost, mostWaiting)
	}
	s.queue = append(s.queue, r)
	s.give(r.queued)
	s.mu.Unlock()
	select {
	case <-r.turned:
		return nil
	case <-r.ctx.Done():
		if s.withdraw(r) {
			return r.ctx.Err()
		}
		<-r.turned
		return nil // it has the turn, and finds that nobody wants the answer
	case <-s.done:
		return s.why()
	}
}

// withdraw takes a request out of the queue; false where it has its turn already.
func (s *session) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, r)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// serve carries a request out that has the turn, and passes the turn on; dead where the connection was lost for good by it.
func (s *session) serve(r *request) (a answer, dead bool) {
	defer func() {
		if p := recover(); p != nil {
			s.link.dead = panicked(p)
		}
		dead = s.link.dead != nil
		s.pass(s.link.dead, a.err == nil && r.class < probing)
	}()
	return s.link.serve(r), false
}

// pass ends a turn and gives the next one, unless the connection is dead.
func (s *session) pass(dead error, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.busy = false
	if answered {
		s.settled = now.Add(settle)
	}
	s.used += now.Sub(s.since)
	switch {
	case !s.open:
		close(s.free)
	case dead != nil:
		s.open = false
		s.lost <- dead
	default:
		s.give(now)
	}
}

// why is the error of a session that has ended.
func (s *session) why() error {
	if s.err != nil {
		return fmt.Errorf("%w: %w", errLost, s.err)
	}
	return errLost
}

// report tells the share of the last window in which the wire was in use, a turn under way included.
func (s *session) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.busy {
		s.used, s.since = s.used+now.Sub(s.since), now
	}
	ratio := min(1, float64(s.used)/float64(busyWindow))
	s.used = 0
	for _, m := range s.monitors {
		m.Busy(ratio)
	}
}

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
