package influx

import (
	"context"
	"math/rand/v2"
	"time"

	"embergate/gateway/uplink"
)

const (
	firstWait   = time.Second
	longestWait = time.Minute
	holdWait    = time.Minute // after an answer that only a person can change
	diskWait    = time.Second // after the disk failed
	paceWait    = time.Second // at most, between two batches of the backlog
	eventsLoad  = 500         // events in one parcel
	stumbles    = 5           // 5xx answers to one batch of the backlog, while others pass, until it is set aside
	mostAside   = 16
	mostSent    = 100 // parcels that were sent and could not be taken out of the store
)

// lane is one stream of parcels. It waits by itself after a failure, by the clock and not by what arrives.
type lane struct {
	load    func(context.Context) (*parcel, error)
	parcel  *parcel // at hand; nil where the next is to be loaded
	backoff time.Duration
	until   time.Time
	diskErr bool // the store failed it
}

func (l *lane) ready(now time.Time) bool { return !now.Before(l.until) }

// fail makes the lane wait: 1, 2, 4 … 60 s, up to a fifth less, so that a thousand gateways do not come back at once.
func (l *lane) fail(now time.Time) {
	l.backoff = min(max(2*l.backoff, firstWait), longestWait)
	l.until = now.Add(l.backoff - rand.N(l.backoff/5))
}

// parcel is a batch on its way: whole, or in the pieces into which refusals have cut it.
type parcel struct {
	key    int64    // the batch's id; 0 of one in memory, negative of events
	pieces [][]byte // gzip bodies; the last is next. None is left once the server has taken what it will
	settle func(context.Context) error
	posts  int
	failed int // 5xx answers in a row
	passed int // posts of others that were accepted when this one first failed

	refused int    // lines in dead letters
	words   string // why, of the last
}

func (p *parcel) next() []byte { return p.pieces[len(p.pieces)-1] }
func (p *parcel) pop()         { p.pieces = p.pieces[:len(p.pieces)-1] }

// sender drains journal and queue, one request at a time.
type sender struct {
	u *Uplink
	q Queue
	j uplink.Journal
	c *compressor // made when it is needed, and let go of with the parcel: it takes a megabyte

	events, live, backlog lane
	sent                  []*parcel // to be settled, in order
	settling              lane      // waits where the store fails at that
	quiet                 time.Time // nothing is sent before: the server said so
	newEvents, newBatch   bool      // there may be something that was not seen yet

	place    uplink.Place // of the last event that was sent
	lastLive int64        // the newest batch that was sent before its turn
	accepted int          // posts that were taken
	doubts   map[int64]int
	aside    []int64 // batches of the backlog that others go before
	told     string  // the refusal that was logged last
	toldAt   time.Time
}

func newSender(u *Uplink, q Queue, j uplink.Journal) *sender {
	s := &sender{u: u, q: q, j: j, newEvents: true, newBatch: true, doubts: map[int64]int{}}
	s.events.load, s.live.load, s.backlog.load = s.loadEvents, s.loadLive, s.loadBacklog
	return s
}

func (s *sender) run(ctx context.Context) {
	for ctx.Err() == nil {
		wait := s.step(ctx)
		if wait <= 0 {
			select {
			case <-s.u.Bell:
				s.newEvents, s.newBatch = true, true
			default:
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.u.Bell:
			s.newEvents, s.newBatch = true, true
		}
		timer.Stop()
	}
}

// step sends one piece of the first lane that has one and need not wait, and tells how long there is nothing to do.
func (s *sender) step(ctx context.Context) time.Duration {
	now := time.Now()
	if len(s.sent) > 0 && s.settling.ready(now) {
		s.settleSent(ctx)
	}
	if now.Before(s.quiet) {
		return s.quiet.Sub(now)
	}
	idle := longestWait
	if len(s.sent) > 0 {
		idle = diskWait
	}
	for _, l := range []*lane{&s.events, &s.live, &s.backlog} {
		if !l.ready(now) {
			idle = min(idle, l.until.Sub(now))
			continue
		}
		if l == &s.backlog && s.live.backoff > 0 {
			continue // what does not take the newest does not take the rest
		}
		if l.parcel == nil {
			p, err := l.load(ctx)
			s.disk(ctx, l, err)
			if l.parcel = p; p == nil {
				if !l.ready(now) {
					idle = min(idle, l.until.Sub(now))
				}
				continue
			}
		}
		s.advance(ctx, l)
		return 0
	}
	return idle
}

// compress makes a gzip body.
func (s *sender) compress(lines []byte) []byte {
	if s.c == nil {
		s.c = newCompressor()
	}
	return s.c.compress(lines)
}

// disk notes whether the store works for a lane; only a change is logged.
func (s *sender) disk(ctx context.Context, l *lane, err error) {
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		l.until = time.Now().Add(diskWait)
		if !l.diskErr {
			s.u.o.Log.Error("uplink cannot use its store", "err", err)
		}
	} else if l.diskErr {
		s.u.o.Log.Info("uplink can use its store again")
	}
	l.diskErr = err != nil
}

// advance sends the next piece of a lane's parcel, or settles the parcel.
func (s *sender) advance(ctx context.Context, l *lane) {
	p := l.parcel
	if len(p.pieces) == 0 {
		s.settle(ctx, l)
		return
	}
	began := time.Now()
	p.posts++
	r := s.u.post(ctx, p.next())
	now := time.Now()
	if r == nil {
		s.accepted++
		s.u.observe(outcomes[accepted])
		s.u.stand.Works(now)
		p.pop()
		p.failed, l.backoff = 0, 0
		if len(p.pieces) == 0 {
			s.settle(ctx, l)
		}
		if l == &s.backlog && l.ready(now) {
			l.until = now.Add(min(now.Sub(began), paceWait)) // half of the time is for what is live
		}
		return
	}
	if ctx.Err() != nil {
		return
	}
	s.u.observe(outcomes[r.verdict])
	switch r.verdict {
	case hold:
		s.wait(l, r, now)
		s.quiet = now.Add(holdWait)
		s.u.failed(now, r)
	case retry:
		s.retry(ctx, l, r, now)
	case unclear:
		if !s.blames(p) {
			s.wait(l, r, now)
			return
		}
		s.isolate(ctx, l, r)
	default:
		s.isolate(ctx, l, r)
	}
}

// settle ends a parcel.
func (s *sender) settle(ctx context.Context, l *lane) {
	p := l.parcel
	l.parcel, s.c = nil, nil
	s.lastLive = max(s.lastLive, p.key)
	if p.refused > 0 && (p.words != s.told || time.Since(s.toldAt) > 10*longestWait) {
		s.u.o.Log.Warn("lines refused, kept as dead letters", "lines", p.refused, "reason", p.words)
		s.told, s.toldAt = p.words, time.Now()
	}
	delete(s.doubts, p.key)
	if p.key == 0 {
		p.settle(ctx) // from memory to nowhere: it cannot fail, and waits for nothing
		return
	}
	s.sent = append(s.sent, p)
	s.settleSent(ctx)
}

// settleSent tells the store what was sent. Where the store fails it is tried again, and nothing is sent twice for it.
func (s *sender) settleSent(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites) // also at the end
	defer cancel()
	for len(s.sent) > 0 {
		err := s.sent[0].settle(ctx)
		s.disk(ctx, &s.settling, err)
		if err != nil {
			return
		}
		s.sent = s.sent[1:]
	}
}

// retry makes a lane wait after a failure that may pass. Where the server chokes on one batch only, that one is set
// aside: it is tried again after all the others.
func (s *sender) retry(ctx context.Context, l *lane, r *refusal, now time.Time) {
	p := l.parcel
	if r.status >= 500 {
		if _, err := expand(p.next()); err != nil { // damaged on the disk; InfluxDB 2 answers 500 to it
			s.isolate(ctx, l, &refusal{verdict: lineLost, words: err.Error()})
			return
		}
	}
	if p.failed++; p.failed == 1 {
		p.passed = s.accepted
	}
	if l == &s.backlog && r.status >= 500 && p.failed >= stumbles && s.accepted > p.passed {
		s.u.o.Log.Warn("batch set aside, the server fails on it", "err", r)
		s.aside = append(s.aside, p.key)
		l.parcel, l.backoff = nil, 0
		return
	}
	s.wait(l, r, now)
}

// wait makes a lane wait, and all of them where the server says how long. The live lane lets go of its batch: next time
// there may be a newer one.
func (s *sender) wait(l *lane, r *refusal, now time.Time) {
	l.fail(now)
	if r.after > 0 {
		s.quiet = now.Add(r.after)
		l.until = s.quiet
	}
	if l == &s.live {
		l.parcel, s.newBatch = nil, true
	}
	if l != &s.backlog {
		s.u.failed(now, r)
	}
}

// blames tells whether an unclear refusal is the batch's fault: the server has taken others since it first refused this.
func (s *sender) blames(p *parcel) bool {
	before, known := s.doubts[p.key]
	if !known {
		if len(s.doubts) > 1000 {
			clear(s.doubts)
		}
		s.doubts[p.key] = s.accepted
		return false
	}
	return s.accepted > before
}
