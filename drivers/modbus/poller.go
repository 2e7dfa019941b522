package modbus

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"embergate/drivers"

	"github.com/goburrow/modbus"
)

const (
	mostBackoff = 30 * time.Second       // between two probes of a unit that does not answer
	slowRetry   = time.Minute            // before what a unit refused is asked for again
	mostBusy    = 3                      // how often a busy unit is asked again in one poll
	busyPause   = 100 * time.Millisecond // before a busy unit is asked again; doubles
	behind      = 50 * time.Millisecond  // the others, a unit that does not answer is probed
)

// poller reads one device on time.
type poller struct {
	driver  *driver
	device  *device
	session *session
	start   time.Time // of the first period

	blocks []*block // in the order they are asked for; the one that timed out last comes last
	proven bool     // the unit has answered
	silent int      // polls running without an answer
	since  time.Time
	unseen map[int]bool // points of optional signals that this unit has not shown yet

	request *request                    // one at a time
	timer   *time.Timer                 // for the next period
	asked   chan chan []drivers.Reading // by who does not want to wait for the next period
	gone    chan struct{}               // closed when it polls no more
}

func newPoller(d *driver, dev *device, s *session, start time.Time) *poller {
	unseen := map[int]bool{}
	for i, point := range dev.points {
		if point.Optional {
			unseen[i] = true
		}
	}
	return &poller{
		driver: d, unseen: unseen, device: dev, session: s, start: start,
		blocks: plan(dev.points, dev.limits), request: d.request(context.Background(), dev, normal),
		asked: make(chan chan []drivers.Reading), gone: make(chan struct{}),
	}
}

// log is a logger that names the device. It is made where it is needed, which is seldom: one for each device takes memory.
func (p *poller) log() *slog.Logger {
	return p.driver.Log.With("endpoint", p.driver.ID, "device", p.device.ID, "unit", p.device.unit)
}

// run polls at a fixed rate until ctx ends; a device that watches for fire or gas also before its first period. A poll that
// took longer than its period is followed by the next at once; periods that went by without a poll are reported and not made up
// for.
func (p *poller) run(ctx context.Context, emit func([]drivers.Reading)) {
	defer close(p.gone)
	p.timer = time.NewTimer(0)
	defer p.timer.Stop()
	every, next := p.device.Every, p.start
	if p.device.fast {
		next = time.Now() // nobody knows yet what it sees
		p.start = p.start.Add(-p.start.Sub(next).Truncate(every))
	}
	for slot := time.Duration(0); ; next = p.due(slot) {
		who, err := p.wait(ctx, time.Until(next))
		if err != nil {
			return
		}
		early := time.Since(p.start) < slot*every
		readings := p.poll(ctx)
		if ctx.Err() != nil || p.session.ended() {
			return // the answers of a lost connection say nothing of the device
		}
		if who != nil {
			who <- slices.Clone(readings) // emit keeps the slice
		}
		if len(readings) > 0 {
			emit(readings)
		}
		if p.device.alive != nil && p.silent == 0 && p.driver.Asked == nil { // whoever only reads does not watch over its outputs
			p.sayAlive(ctx)
		}
		now := time.Since(p.start) / every
		switch {
		case p.silent > 0:
			slot = now + (p.backoff(p.silent)+every-1)/every
		case early:
			slot = min(slot, now+1)
		case now <= slot+1:
			slot++
		default:
			p.driver.Monitor.Overrun(p.device.ID)
			slot = now
		}
	}
}

// due is when a period begins. A probe of a unit that does not answer is a little behind those who are due with it: in the same
// instant it might have its turn first, and they would wait for its timeout.
func (p *poller) due(slot time.Duration) time.Time {
	at := p.start.Add(slot * p.device.Every)
	if p.silent > 0 {
		at = at.Add(min(behind, p.device.Every/2))
	}
	return at
}

// wait returns when the time is up, or with who asks for a poll before.
func (p *poller) wait(ctx context.Context, d time.Duration) (who chan []drivers.Reading, err error) {
	p.timer.Reset(max(d, 0))
	select {
	case who = <-p.asked: // also where the device is behind its time
		return who, ctx.Err()
	default:
	}
	select {
	case <-p.timer.C:
	case who = <-p.asked:
	case <-ctx.Done():
	}
	return who, ctx.Err()
}

// backoff is the pause after n polls without an answer: twice the period, doubling up to mostBackoff, and a period at least.
func (p *poller) backoff(n int) time.Duration {
	pause := p.device.Every
	for range n {
		if pause < mostBackoff {
			pause = min(2*pause, mostBackoff)
		}
	}
	return pause
}

// poll asks for all blocks that are due and makes the reading of every signal.
func (p *poller) poll(ctx context.Context) []drivers.Reading {
	round := &round{poller: p, ctx: ctx, readings: drivers.Batch(len(p.device.points))}
	var asked []*block
	for _, b := range p.blocks {
		asked = append(asked, round.fetch(b)...)
	}
	relate(p.device.points, round.readings)
	if i := slices.Index(asked, round.stuck) + 1; i > 0 { // last next time, so that the next poll begins with another
		asked = slices.Concat(asked[i:], asked[:i])
	}
	p.blocks = asked
	if round.found { // what was taken apart to find it may be whole again
		p.blocks = plan(p.device.points, p.device.limits)
	}
	if ctx.Err() == nil && !p.session.ended() {
		p.judge(round)
	}
	if !round.began.IsZero() {
		p.driver.Monitor.Polled(round.ended.Sub(round.began))
	}
	return p.shown(round.readings)
}

// shown leaves out the readings of optional signals that the unit has not shown yet: it may not have them.
func (p *poller) shown(readings []drivers.Reading) []drivers.Reading {
	if len(p.unseen) == 0 {
		return readings
	}
	kept := readings[:0]
	for i, r := range readings {
		if p.unseen[i] && r.Quality == drivers.Bad {
			continue
		}
		delete(p.unseen, i)
		kept = append(kept, r)
	}
	return kept
}

// judge tells whether the unit is alive, from one poll.
func (p *poller) judge(r *round) {
	switch {
	case r.answered && p.silent > 0:
		p.log().Info("device answers again", "after", r.ended.Sub(p.since))
		p.silent = 0
		for _, b := range p.blocks {
			if b.fault.silent() {
				b.retry = time.Time{}
			}
		}
	case r.over && !r.answered:
		if p.silent == 0 {
			p.since = r.ended
			p.log().Warn("device does not answer", "detail", r.fault.detail)
		}
		p.silent++
	}
}

// round is one poll of a device.
type round struct {
	*poller
	ctx      context.Context
	readings []drivers.Reading // by point

	answered     bool  // the unit said something, if only an exception
	over         bool  // the unit fell silent: nothing more is asked
	fault        fault // how
	stuck        *block
	found        bool // registers that were refused are there again
	began, ended time.Time
}

// fetch asks for a block and makes its readings. A block that the unit refuses is halved until what it refuses is alone.
// It returns the blocks to ask for next time in the place of this one.
func (r *round) fetch(b *block) []*block {
	now := time.Now()
	switch {
	case r.over:
		r.bad(b, r.fault, now)
		return []*block{b}
	case b.retry.After(now) && !(r.silent > 0 && b.fault.silent()): // a probe of the unit asks for any block
		r.bad(b, b.fault, now)
		return []*block{b}
	}
	data, f, at := r.ask(b)
	if f.reason == "" {
		r.good(b, data, at)
		return []*block{b}
	}
	if f.divisible() && len(b.spans) > 1 {
		left, right := b.halve()
		return r.rejoin(r.fetch(left), r.fetch(right))
	}
	r.refuse(b, f, at)
	return []*block{b}
}

// rejoin puts the halves of a refused block together again. Where neither half had to be divided it was the joining that
// the unit refused, and they stay apart. Else what was refused is found, and whole parts that meet in the middle are joined;
// the next poll shows whether that is true.
func (r *round) rejoin(left, right []*block) []*block {
	l, f := left[len(left)-1], right[0]
	if len(left)+len(right) > 2 && l.fault.reason == "" && f.fault.reason == "" {
		if one, ok := join(l, f, r.device.limits); ok {
			return slices.Concat(left[:len(left)-1], []*block{one}, right[1:])
		}
	}
	return slices.Concat(left, right)
}

func (r *round) good(b *block, data []byte, at time.Time) {
	if b.fault.refused() {
		r.log().Info("registers are answered again", "block", b.String())
		r.found = true
	}
	b.fault, b.silence, b.retry = fault{}, 0, time.Time{}
	for _, s := range b.spans {
		raw := b.slice(data, s)
		for _, i := range s.points {
			r.readings[i] = r.device.points[i].reading(raw, at)
		}
	}
}

func (r *round) bad(b *block, f fault, at time.Time) {
	for _, s := range b.spans {
		for _, i := range s.points {
			r.readings[i] = r.device.points[i].bad(at, f.reason, f.detail)
		}
	}
}

// refuse notes that a block was not read, and when to ask again.
func (r *round) refuse(b *block, f fault, at time.Time) {
	switch {
	case f.silent():
		r.over, r.fault, r.stuck = true, f, b
		b.silence++
		b.retry = at.Add(r.backoff(b.silence) - r.device.Every) // the period that begins then is the first to ask
	case f.refused():
		if !b.fault.refused() {
			r.log().Warn("registers refused", "block", b.String(), "detail", f.detail)
		}
		b.retry = at.Add(slowRetry)
	}
	b.fault = f
	r.bad(b, f, at)
}

// ask reads a block. Lost and damaged frames are asked for again as often as the settings say, a busy unit after a pause
// and on a count of its own.
func (r *round) ask(b *block) (data []byte, f fault, at time.Time) {
	retries := r.driver.settings.Retries
	if r.silent > 0 && !r.answered {
		retries = 0
	}
	for attempt, busy := 0, 0; ; {
		q := r.request
		q.ctx, q.class, q.do = r.ctx, r.class(attempt), b.read
		a := r.session.ask(q)
		if r.began.IsZero() {
			r.began = a.began
		}
		r.ended = a.ended
		if a.err == nil {
			r.answered, r.proven = true, true
			return a.data, fault{}, a.ended
		}
		if r.ctx.Err() != nil {
			return nil, fault{reason: drivers.Offline, detail: "the driver stops"}, a.ended
		}
		f = explain(a.err, b.String())
		r.answered, r.proven = r.answered || !f.silent(), r.proven || !f.silent()
		if f.reason == drivers.CRC || f.reason == drivers.Decode {
			r.driver.Monitor.Malformed(r.device.ID, f.reason, f.detail)
		}
		switch {
		case f.busy() && busy < mostBusy:
			if sleep(r.ctx, busyPause<<busy) != nil {
				return nil, f, a.ended
			}
			busy++
		case f.again() && attempt < retries:
			attempt++
		default:
			return nil, f, a.ended
		}
	}
}

// class is the turn of a request: units that may be dead wait for all others, so that many of them together hold nobody
// up for longer than one timeout.
func (r *round) class(attempt int) class {
	switch {
	case r.silent > 0 && !r.answered:
		return probing
	case r.device.fast && (r.proven || attempt == 0):
		return fast
	case !r.proven || attempt > 0:
		return probing
	}
	return normal
}

// read asks for the block's addresses.
func (b *block) read(c modbus.Client) ([]byte, error) {
	return read(c, b.table(), uint16(b.first()), uint16(b.count()))
}

func read(c modbus.Client, t Table, first, count uint16) ([]byte, error) {
	switch t {
	case Coil:
		return c.ReadCoils(first, count)
	case Discrete:
		return c.ReadDiscreteInputs(first, count)
	case Input:
		return c.ReadInputRegisters(first, count)
	default:
		return c.ReadHoldingRegisters(first, count)
	}
}

// String names the block as the installer does: holding 0 to 9.
func (b *block) String() string {
	if b.count() == 1 {
		return fmt.Sprintf("%s %d", b.table(), b.first())
	}
	return fmt.Sprintf("%s %d to %d", b.table(), b.first(), b.end()-1)
}
