package notify

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"embergate/gateway/store"
	"embergate/rules"
)

// Outbox keeps messages until they are settled, and the ledger of attempts; *store.Store is one.
type Outbox interface {
	DueMessages(ctx context.Context, d store.Due) ([]store.Message, error)
	NextDue(ctx context.Context, channel string, after time.Time) (next time.Time, pending int, err error)
	MessagesOf(ctx context.Context, channel string, alarms []string) ([]store.Message, error)
	SettleMessages(ctx context.Context, ids []int64, outcome store.Outcome, detail string, at time.Time) error
	RetryMessages(ctx context.Context, ids []int64, notBefore time.Time, why string, at time.Time) error
	Deliveries(ctx context.Context, l store.Ledger) ([]store.Delivery, error)
}

const (
	firstWait   = time.Second
	longestWait = time.Minute
	diskWait    = time.Second
	lastWrite   = 5 * time.Second // to note an outcome while the gateway stops
	atATime     = 16              // messages that are looked at, to send one
	inAStorm    = 200             // messages that are looked at, to send several as one
	freeEvery   = time.Minute
)

// line is one channel with its queue: its goroutine, what it knows, how it stands.
type line struct {
	id, kind string
	sender   Channel
	personal bool // it reaches one person at a time
	pace     pace
	o        Options
	log      *slog.Logger
	wake     chan struct{} // capacity 1

	// Of the goroutine alone.
	lanes    map[string]*lane   // by person, where it reaches one at a time; else the one of ""
	notes    map[int64]*outcome // what the outbox could not take down yet
	alone    map[int64]item     // messages that were refused as one: they go one by one
	refusals int                // in a row
	early    time.Duration      // messages are due so much before their time: the far side works again
	freed    time.Time          // when that was last so
	asked    time.Time          // until when the far side asked to be left alone with something
	gone     bool
	given    int64 // the last message that was given up because the channel is gone
	reading  disk  // of the outbox
	writing  disk

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
	l := &line{
		id: id, kind: kind, sender: sender, o: o, log: o.Log, wake: make(chan struct{}, 1),
		personal: kinds[kind].personal, pace: paces[kind],
		lanes: map[string]*lane{}, notes: map[int64]*outcome{}, alone: map[int64]item{},
	}
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
		lines.Go(func() { l.run(ctx, outbox) })
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

func (l *line) run(ctx context.Context, outbox Outbox) {
	l.recall(ctx, outbox, time.Now())
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

// recall takes from the ledger what a restart must not forget: when the channel last worked, and what it sent lately, so
// that a gateway that starts again and again stays within what the far side takes.
func (l *line) recall(ctx context.Context, outbox Outbox, now time.Time) {
	last, err := outbox.Deliveries(ctx, store.Ledger{Channel: l.id, Outcome: store.Accepted, Limit: 1})
	l.disk(ctx, &l.reading, err)
	l.mu.Lock()
	l.status.Since = now
	if len(last) > 0 {
		l.status.LastSuccess = last[0].Time
	}
	l.mu.Unlock()
	var longest time.Duration
	for _, limit := range l.pace.limits {
		longest = max(longest, limit.per)
	}
	if longest == 0 {
		return
	}
	lately, err := outbox.Deliveries(ctx, store.Ledger{Channel: l.id, Since: now.Add(-longest)})
	l.disk(ctx, &l.reading, err)
	for i := len(lately) - 1; i >= 0; i-- { // the ledger has the newest first; lines of one time are one attempt
		if i == len(lately)-1 || !lately[i].Time.Equal(lately[i+1].Time) || lately[i].To != lately[i+1].To && l.personal {
			ln := l.lane(lately[i].To)
			ln.budget.sent = append(ln.budget.sent, lately[i].Time)
		}
	}
}

// lane is that of a message for somebody.
func (l *line) lane(to string) *lane {
	if !l.personal {
		to = ""
	}
	ln := l.lanes[to]
	if ln == nil {
		ln = &lane{budget: budget{limits: l.pace.limits}}
		l.lanes[to] = ln
	}
	return ln
}

// round sends what goes first of what is due, and tells how long there is nothing to do. One attempt at a time, so that
// what became urgent meanwhile goes next.
func (l *line) round(ctx context.Context, outbox Outbox) time.Duration {
	now := time.Now()
	if l.gone {
		l.giveUp(ctx, outbox)
		return longestWait
	}
	asks, whole := l.asks(now)
	for _, ask := range asks {
		due, err := outbox.DueMessages(ctx, ask)
		l.disk(ctx, &l.reading, err)
		if err != nil {
			return diskWait
		}
		var ready []item
		for _, m := range due {
			if ask.Urgent && m.Class != rules.Classes[0] && l.lost(now) {
				break // what a lost channel has left is for fire, which comes first
			}
			if l.noted(ctx, outbox, m.ID, now) && (len(ready) == 0 || l.lane(m.To) == l.lane(ready[0].To)) {
				ready = append(ready, item{m, Said(m)})
				if len(l.pace.limits) == 0 {
					break // nothing is merged
				}
			}
		}
		if len(ready) > 0 {
			l.send(ctx, outbox, l.batch(ctx, outbox, ready, ask.Now))
			return 0
		}
	}
	if whole {
		l.early = 0
	}
	return l.pause(ctx, outbox, now)
}

// asks are the questions to the outbox whose answers may go now, the most pressing first; whole is true where they leave
// nothing out that is due.
func (l *line) asks(now time.Time) (asks []store.Due, whole bool) {
	all := store.Due{Channel: l.id, Now: now.Add(l.early), Apart: l.personal, Limit: atATime + len(l.notes)}
	if len(l.pace.limits) == 0 {
		return []store.Due{all}, true
	}
	all.Limit = inAStorm + len(l.notes)
	urgent := all
	urgent.Urgent = true
	if !l.personal {
		switch ln := l.lane(""); {
		case ln.left(now, true) == 0:
			return nil, false
		case ln.left(now, false) == 0:
			return []store.Due{urgent}, false
		}
		return []store.Due{all}, true
	}
	for to, ln := range l.lanes {
		if ln.left(now, false) == 0 {
			all.Except = append(all.Except, to)
		}
		if ln.left(now, true) == 0 {
			urgent.Except = append(urgent.Except, to)
		}
	}
	if len(urgent.Except) == len(all.Except) {
		return []store.Due{all}, len(all.Except) == 0
	}
	return []store.Due{urgent, all}, false
}

// pause is how long until the next message is due or may go. It notes how many wait.
func (l *line) pause(ctx context.Context, outbox Outbox, now time.Time) time.Duration {
	if len(l.notes) > 0 {
		return diskWait
	}
	due, waiting, err := outbox.NextDue(ctx, l.id, now)
	l.disk(ctx, &l.reading, err)
	if err != nil {
		return diskWait
	}
	l.mu.Lock()
	l.status.Pending = waiting
	l.mu.Unlock()
	if waiting == 0 {
		return longestWait
	}
	next := now.Add(longestWait)
	if !due.IsZero() && due.Before(next) {
		next = due
	}
	for _, ln := range l.lanes {
		for _, urgent := range []bool{true, false} {
			if free := ln.next(now, urgent); free.After(now) && free.Before(next) {
				next = free
			}
		}
	}
	return max(time.Until(next), time.Millisecond)
}

// noted tells whether a message may be sent: not while the outcome of an earlier attempt could not be written down.
func (l *line) noted(ctx context.Context, outbox Outbox, id int64, now time.Time) bool {
	o, ok := l.notes[id]
	if !ok {
		return true
	}
	if !now.Before(o.write) {
		l.note(ctx, outbox, []int64{id}, o)
	}
	return ok && o.settle == store.Retry && l.notes[id] != nil && !now.Before(o.next)
}

// note writes an outcome down; where that fails it is kept, so that nothing that was delivered is sent again.
func (l *line) note(ctx context.Context, outbox Outbox, ids []int64, o *outcome) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
	defer cancel()
	var err error
	if o.settle == store.Retry {
		err = outbox.RetryMessages(ctx, ids, o.next, o.detail, o.at)
	} else {
		err = outbox.SettleMessages(ctx, ids, o.settle, o.detail, o.at)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	l.disk(ctx, &l.writing, err)
	for _, id := range ids {
		delete(l.notes, id)
		if err != nil {
			o.write = time.Now().Add(diskWait)
			l.notes[id] = o
		}
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

// giveUp tells of each message that came since the channel is gone that it will not arrive here. It waits in the outbox for
// the next start.
func (l *line) giveUp(ctx context.Context, outbox Outbox) {
	fresh, err := outbox.DueMessages(ctx, store.Due{Channel: l.id, Now: time.Now().Add(longestWait), Apart: l.personal, After: l.given})
	l.disk(ctx, &l.reading, err)
	for _, m := range fresh {
		l.given = max(l.given, m.ID)
		if l.o.Failed != nil {
			l.o.Failed(m, "silent until the next start")
		}
	}
	l.pause(ctx, outbox, time.Now())
}

// idsOf are the ids of messages.
func idsOf(batch []item) []int64 {
	ids := make([]int64, len(batch))
	for i, it := range batch {
		ids[i] = it.ID
	}
	return ids
}

// peopleOf are the ids of those whom messages are for, each once.
func peopleOf(batch []item) (ids []string) {
	seen := map[string]bool{"": true}
	for _, it := range batch {
		for _, id := range strings.Split(it.To, ",") {
			if !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}
