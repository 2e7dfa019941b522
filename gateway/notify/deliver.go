package notify

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"embergate/gateway/duty"
	"embergate/gateway/store"
)

// Outbox keeps messages until they are settled, and the ledger of attempts; *store.Store is one.
type Outbox interface {
	DueMessages(ctx context.Context, d store.Due) ([]store.Message, error)
	NextDue(ctx context.Context, d store.Due) (next time.Time, pending int, err error)
	MessagesOf(ctx context.Context, channel string, alarms []string) ([]store.Message, error)
	SettleMessages(ctx context.Context, ids []int64, outcome store.Outcome, detail string, at time.Time) error
	RetryMessages(ctx context.Context, ids []int64, notBefore time.Time, why string, at time.Time) error
	Deliveries(ctx context.Context, l store.Ledger) ([]store.Delivery, error)
}

// ChannelStatus is how a channel stands. A channel works until it is refused something, or has failed for 10 s without
// a success: one answer that got lost is not a fault.
type ChannelStatus struct {
	ID, Kind    string
	Working     bool
	Since       time.Time // of Working
	LastSuccess time.Time // zero: nothing was delivered since the start
	LastError   string    // "" after a success
	Pending     int       // messages that wait
}

const (
	firstWait   = time.Second
	longestWait = time.Minute
	diskWait    = time.Second
	lastWrite   = 5 * time.Second  // to note an outcome while the gateway stops
	patience    = 10 * time.Second // of failures before the channel counts as faulty
	atATime     = 16
	freeEvery   = time.Minute
)

// line is one channel with its queue: its goroutine, what it knows, how it stands.
type line struct {
	id, kind string
	sender   Channel // nil: not built
	o        Options
	log      *slog.Logger
	wake     chan struct{} // capacity 1

	// Of the goroutine alone.
	notes   map[int64]*outcome // what the outbox could not take down yet
	early   time.Duration      // messages are due so much before their time: the far side works again
	freed   time.Time          // when that was last so
	asked   time.Time          // until when the far side asked to be left alone with something
	gone    bool
	reading disk // of the outbox
	writing disk

	mu      sync.Mutex
	status  ChannelStatus // guarded by mu; Working and Since are made by stand
	failing time.Time     // since when every attempt failed; guarded by mu
	refused time.Time     // when something was refused and nothing accepted since; guarded by mu
}

// disk is whether one use of the outbox fails.
type disk struct{ failed bool }

// outcome is how an attempt ended, until the outbox has it.
type outcome struct {
	settle store.Outcome // Accepted, Never, or Retry
	detail string
	at     time.Time
	next   time.Time // of a Retry
	write  time.Time // when to write it again
}

func newLine(id, kind string, sender Channel, o Options) *line {
	l := &line{id: id, kind: kind, sender: sender, o: o, log: o.Log, wake: make(chan struct{}, 1), notes: map[int64]*outcome{}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.log = l.log.With("channel", id)
	l.status = ChannelStatus{ID: id, Kind: kind, Working: true}
	return l
}

// Run delivers what is due until ctx ends, and returns nil. What was not delivered stays in the outbox.
func (c *Channels) Run(ctx context.Context, outbox Outbox) error {
	var lines sync.WaitGroup
	for _, l := range c.list {
		if l.sender != nil {
			lines.Go(func() { l.run(ctx, outbox) })
		}
	}
	lines.Wait()
	return nil
}

// Wake says that there are new messages in the outbox.
func (c *Channels) Wake() {
	for _, l := range c.list {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Status is how the channels stand, in their order in the file.
func (c *Channels) Status() []ChannelStatus {
	all := make([]ChannelStatus, len(c.list))
	for i, l := range c.list {
		all[i] = l.stand(time.Now())
	}
	return all
}

// stand is how the channel stands now.
func (l *line) stand(now time.Time) ChannelStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	switch {
	case !l.refused.IsZero():
		s.Working, s.Since = false, l.refused
	case !l.failing.IsZero() && now.Sub(l.failing) >= patience:
		s.Working, s.Since = false, l.failing
	}
	return s
}

func (l *line) run(ctx context.Context, outbox Outbox) {
	l.mu.Lock()
	l.status.Since = time.Now()
	l.mu.Unlock()
	if c, ok := l.sender.(interface{ close() }); ok {
		defer c.close()
	}
	l.early = longestWait // after a start everything is tried at once
	for ctx.Err() == nil {
		wait := l.round(ctx, outbox)
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.wake:
		}
		timer.Stop()
	}
}

// round sends the first message that is due, and tells how long there is nothing to do. One at a time, so that what
// became urgent meanwhile goes next.
func (l *line) round(ctx context.Context, outbox Outbox) time.Duration {
	now := time.Now()
	if l.gone {
		l.pause(ctx, outbox, now)
		return longestWait
	}
	due, err := outbox.DueMessages(ctx, store.Due{Channel: l.id, Now: now.Add(l.early), Limit: atATime + len(l.notes)})
	l.disk(ctx, &l.reading, err)
	if err != nil {
		return diskWait
	}
	for _, m := range due {
		if l.noted(ctx, outbox, m.ID, now) {
			l.send(ctx, outbox, m)
			return 0
		}
	}
	l.early = 0
	return l.pause(ctx, outbox, now)
}

// pause is how long until the next message is due.
func (l *line) pause(ctx context.Context, outbox Outbox, now time.Time) time.Duration {
	if len(l.notes) > 0 {
		return diskWait
	}
	next, pending, err := outbox.NextDue(ctx, store.Due{Channel: l.id})
	l.disk(ctx, &l.reading, err)
	if err != nil {
		return diskWait
	}
	l.mu.Lock()
	l.status.Pending = pending
	l.mu.Unlock()
	if pending == 0 {
		return longestWait
	}
	return min(max(next.Sub(now), time.Millisecond), longestWait)
}

// noted tells whether a message may be sent: not while the outcome of an earlier attempt could not be written down.
func (l *line) noted(ctx context.Context, outbox Outbox, id int64, now time.Time) bool {
	o, ok := l.notes[id]
	if !ok {
		return true
	}
	if !now.Before(o.write) {
		l.note(ctx, outbox, id, o)
	}
	return ok && o.settle == store.Retry && l.notes[id] != nil && !now.Before(o.next)
}

// note writes an outcome down; where that fails it is kept, so that nothing that was delivered is sent again.
func (l *line) note(ctx context.Context, outbox Outbox, id int64, o *outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	var err error
	if o.settle == store.Retry {
		err = outbox.RetryMessages(ctx, []int64{id}, o.next, o.detail, o.at)
	} else {
		err = outbox.SettleMessages(ctx, []int64{id}, o.settle, o.detail, o.at)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	l.disk(ctx, &l.writing, err)
	delete(l.notes, id)
	if err != nil {
		o.write = time.Now().Add(diskWait)
		l.notes[id] = o
	}
}

// disk notes whether the outbox works; only a change is logged.
func (l *line) disk(ctx context.Context, d *disk, err error) {
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !d.failed:
		l.log.Error("channel cannot use the outbox", "err", err)
	case err == nil && d.failed:
		l.log.Info("channel can use the outbox again")
	}
	d.failed = err != nil
}

// send makes one attempt and notes its outcome.
func (l *line) send(ctx context.Context, outbox Outbox, m store.Message) {
	said := Said(m)
	said.Late = time.Since(said.Time) > LateAfter
	said.To = l.people(m)
	receipt, err := l.sender.Send(ctx, said)
	if err != nil && ctx.Err() != nil {
		return // the gateway stops; what is stored is tried again at the next start
	}
	now := time.Now()
	o := &outcome{settle: store.Accepted, detail: receipt, at: now}
	var never *Refused
	var later *Later
	switch {
	case err == nil:
		l.works(now)
	case errors.As(err, &never):
		o.settle, o.detail = store.Never, err.Error()
		l.gone = never.Gone
		l.refuses(now, err, m)
	default:
		wait := backoff(m.Attempts)
		if errors.As(err, &later) {
			wait = later.After
			l.asked = now.Add(wait)
		}
		o.settle, o.detail, o.next = store.Retry, err.Error(), now.Add(wait)
		l.fails(now, err)
	}
	l.note(ctx, outbox, m.ID, o)
	if l.o.Observe != nil {
		l.o.Observe(l.id, string(o.settle), max(0, now.Sub(said.Time)))
	}
	if l.o.Delivered != nil {
		l.o.Delivered(m, string(o.settle))
	}
}

// people are those whom a message is for, as the roster has them now.
func (l *line) people(m store.Message) (to []duty.Person) {
	if l.o.Person == nil || m.To == "" {
		return nil
	}
	for _, id := range strings.Split(m.To, ",") {
		if p, ok := l.o.Person(id); ok {
			to = append(to, p)
		}
	}
	return to
}

// backoff is 1, 2, 4 … 60 s after so many attempts before this one, up to a fifth less.
func backoff(attempts int) time.Duration {
	d := min(firstWait<<min(attempts, 6), longestWait)
	return d - rand.N(d/5)
}

// works notes a success. After failures all that waits is due, so that nobody waits a minute for an alarm because the
// network was away; at most once a minute, for the sake of one message that alone fails.
func (l *line) works(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := l.failing; !since.IsZero() {
		if now.Sub(since) >= patience {
			l.log.Info("channel restored", "after", now.Sub(since).Round(time.Second))
		}
		if now.Sub(l.freed) >= freeEvery && !now.Before(l.asked) {
			l.freed, l.early = now, longestWait
		}
	}
	if !l.refused.IsZero() || !l.failing.IsZero() {
		l.status.Since = now
	}
	l.failing, l.refused = time.Time{}, time.Time{}
	l.status.LastSuccess, l.status.LastError = now, ""
}

// fails notes a failure that may pass; the first is logged.
func (l *line) fails(now time.Time, err error) {
	l.early = 0
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing.IsZero() {
		l.failing = now
		l.log.Warn("channel lost", "err", err)
	}
	l.status.LastError = err.Error()
}

// refuses notes a refusal: each is a message that will not arrive, so each is logged.
func (l *line) refuses(now time.Time, err error, m store.Message) {
	l.log.Error("message refused", "err", err, "event", m.Event, "type", m.Type)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused.IsZero() {
		l.refused = now
	}
	l.status.LastError = err.Error()
	if l.gone {
		l.status.LastError += "; silent until the next start"
	}
}
