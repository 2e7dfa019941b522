package modbus

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"

	"github.com/goburrow/modbus"
)

// Row MB04: however many ask at once, wherever their contexts end (while they wait, in the moment of their turn, while they are served), and
// whatever breaks meanwhile (the connection, a mistake of ours, the session with its last user), one at a time has the turn and all get an answer.
func TestTheTurnIsNeitherLostNorGivenTwice(t *testing.T) {
	p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
		r := echo(unit, pdu)
		switch n := rand.N(400); {
		case n == 0:
			r.hang = true
		case n < 60:
			r.after = time.Duration(n) * 10 * time.Microsecond
		}
		return r
	}}
	d := one(t, p, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}]`)
	var inside, served, ended atomic.Int64
	ask := func(s *session, q *request, unit uint8) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if unit < 3 {
			time.AfterFunc(time.Duration(rand.N(2000))*time.Microsecond, cancel)
		}
		q.ctx, q.class = ctx, class(rand.N(4))
		q.unit, q.rest = unit, max(0, time.Duration(unit)-3)*500*time.Microsecond
		mistake := rand.N(500) == 0
		q.do = func(c modbus.Client) ([]byte, error) {
			if inside.Add(1) != 1 {
				t.Error("two have the turn")
			}
			defer inside.Add(-1)
			if mistake {
				panic("a mistake of ours")
			}
			return c.ReadHoldingRegisters(7, 1)
		}
		if s.ask(q).err == nil {
			served.Add(1)
		} else if ctx.Err() != nil {
			ended.Add(1)
		}
	}
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for range 5 {
				me := &driver{Endpoint: drivers.Endpoint{Monitor: drivers.Discard{}}}
				s := d.wire.join(me)
				var askers sync.WaitGroup
				for unit := range uint8(6) {
					askers.Go(func() {
						q := d.request(t.Context(), d.devices[0], normal)
						for range 6 {
							ask(s, q, unit)
						}
					})
				}
				if rand.N(2) == 0 {
					askers.Wait()
				}
				d.wire.leave(s, me)
				askers.Wait()
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); users.Wait() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("the turn is lost")
	}
	if served.Load() < 100 || ended.Load() == 0 {
		t.Errorf("%d were served, and %d ended before", served.Load(), ended.Load())
	}
}

// A request is asked again and again; that its context ended in the moment of its turn leaves nothing behind for the next time.
func TestARequestIsUsedAgainAfterItsTurnCameTooLate(t *testing.T) {
	d := one(t, &peer{framing: tcp, answer: echo}, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}]`)
	s := d.wire.join(d)
	defer d.wire.leave(s, d)
	var inside atomic.Int64
	again := d.request(t.Context(), d.devices[0], normal)
	again.do = func(modbus.Client) ([]byte, error) {
		if inside.Add(1) != 1 {
			t.Error("two have the turn")
		}
		defer inside.Add(-1)
		return nil, nil
	}
	for range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		holds := make(chan struct{})
		holder := d.request(t.Context(), d.devices[0], normal)
		holder.do = func(modbus.Client) ([]byte, error) {
			defer inside.Add(-1)
			inside.Add(1)
			close(holds)
			for waiting := false; !waiting; runtime.Gosched() {
				s.mu.Lock()
				waiting = len(s.queue) > 0
				s.mu.Unlock()
			}
			cancel()
			return nil, nil
		}
		done := make(chan struct{})
		go func() { defer close(done); s.ask(holder) }()
		<-holds
		again.ctx = ctx
		s.ask(again)
		<-done
		cancel()
	}
}

// What nobody wants any more when its turn comes asks nothing of the unit, which so needs no rest.
func TestARequestThatNobodyWantsCostsNoRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := one(t, &peer{framing: tcp, answer: echo}, tcpURL, `gap: 300ms, signals: [{id: s, kind: number, at: "holding:7"}]`)
		s := d.wire.join(d)
		defer d.wire.leave(s, d)
		synctest.Wait() // it is connected
		began := time.Now()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for _, ctx := range []context.Context{over, t.Context()} {
			q := d.request(ctx, d.devices[0], normal)
			q.gap, q.do = 0, func(c modbus.Client) ([]byte, error) { return c.ReadHoldingRegisters(7, 1) }
			if q.rest != 300*time.Millisecond {
				t.Errorf("the unit rests %v", q.rest)
			}
			s.ask(q)
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("the unit was asked after %v", took)
		}
	})
}

// A wire that is held for longer than it is told how busy it is was in use all the time.
func TestALongTurnIsToldWhileItLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, one(t, &peer{framing: tcp, answer: func(byte, []byte) reply { return reply{} }}, tcpURL+", timeout: 35s", `signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(31 * time.Second)
		r.end()
		if len(r.monitor.busy) != 3 {
			t.Fatalf("told %v", r.monitor.busy)
		}
		for _, ratio := range r.monitor.busy {
			if ratio < 0.95 {
				t.Errorf("told %v of a wire that never was free", r.monitor.busy)
			}
		}
	})
}

// wish is a request of the test below: when it was made, and when it had its turn.
type wish struct {
	class                class
	unit                 uint8
	rest                 time.Duration
	queued, began, ended time.Time
}

// urgency is the class that it counts as.
func (w *wish) urgency(now time.Time) class {
	if w.class > fast && now.Sub(w.queued) > 10*time.Second {
		return fast
	}
	return w.class
}

// rested tells of all wishes whether the unit may be asked at a time.
func rested(all []*wish, unit uint8, at time.Time) bool {
	return !slices.ContainsFunc(all, func(w *wish) bool {
		return w.unit == unit && w.began.Before(at) && w.ended.Add(w.rest).After(at)
	})
}

// Rows MB05 and MB27: of those that wait, and whose unit does not rest, the most urgent goes first, and of these who came first. Who has
// waited for ten seconds counts as one that watches for fire.
func TestTheMostUrgentGoesFirst(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 1))
			d := one(t, &peer{framing: tcp, answer: timed(500 * time.Millisecond)}, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}]`)
			s := d.wire.join(d)
			defer d.wire.leave(s, d)
			synctest.Wait()
			var all []*wish
			var askers sync.WaitGroup
			for range 40 {
				time.Sleep(time.Duration(1+chance.IntN(450)) * time.Millisecond)
				w := &wish{class: class(chance.IntN(4)), unit: uint8(chance.IntN(5)), queued: time.Now()}
				if w.unit == 0 {
					w.rest = 700 * time.Millisecond
				}
				all = append(all, w)
				askers.Go(func() {
					q := d.request(t.Context(), d.devices[0], w.class)
					q.unit, q.rest, q.gap = w.unit, w.rest, 0
					q.do = func(c modbus.Client) ([]byte, error) { return c.ReadHoldingRegisters(7, 1) }
					a := s.ask(q)
					w.began, w.ended = a.began, a.ended
				})
			}
			askers.Wait()
			for _, w := range all {
				for _, other := range all {
					if !other.queued.Before(w.began) || !other.began.After(w.began) || !rested(all, other.unit, w.began) {
						continue // it was not there yet, or no more, or could not be asked
					}
					a, b := w.urgency(w.began), other.urgency(w.began)
					if b < a || a == b && other.queued.Before(w.queued) {
						t.Fatalf("seed %d: %+v went before %+v", seed, *w, *other)
					}
				}
			}
		})
	}
}
