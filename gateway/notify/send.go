package notify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"embergate/gateway/duty"
	"embergate/gateway/store"
	"embergate/rules"
)

const (
	makeWay    = 2 * time.Second // that an attempt may still take once fire waits behind it
	suspicious = 2               // refusals in a row after which it is the channel that is refused
)

// Why an attempt failed that was no fault of the far side.
var (
	errPanic    = errors.New("the channel panicked")
	errMadeWay  = errors.New("gave way to fire")
	errSuspects = errors.New("refused together with others; sent alone next")
)

// batch is what goes in one attempt, of messages of one lane that are ready.
func (l *line) batch(ctx context.Context, outbox Outbox, ready []item, due time.Time) []item {
	if _, alone := l.alone[ready[0].ID]; alone || len(l.pace.limits) == 0 {
		return ready[:1]
	}
	ready = slices.DeleteFunc(ready, func(it item) bool { _, alone := l.alone[it.ID]; return alone })
	batch := pick(ready, l.lane(ready[0].To), time.Now())
	if len(batch) == 1 {
		return batch
	}
	lane := l.lane(batch[0].To)
	var alarms []string
	for _, it := range batch {
		alarms = append(alarms, it.Alarm)
	}
	if pending, err := outbox.MessagesOf(ctx, l.id, alarms); err == nil {
		batch = follow(batch, pending, func(m store.Message) bool {
			_, alone := l.alone[m.ID]
			return l.lane(m.To) == lane && l.notes[m.ID] == nil && !alone && !m.NotBefore.After(due)
		})
	}
	return fitting(batch, l.pace.room, l.o.Lang)
}

// send makes one attempt for one message, or for several as one, and notes its outcome.
func (l *line) send(ctx context.Context, outbox Outbox, batch []item) {
	receipt, err := l.attempt(ctx, outbox, batch)
	if err != nil && ctx.Err() != nil {
		return // the gateway stops; what is stored is tried again at the next start
	}
	now := time.Now()
	l.lane(batch[0].To).sent(now, batch)
	o, batch := l.outcome(now, batch, receipt, err)
	if len(batch) > 1 && o.settle == store.Accepted {
		o.detail = fmt.Sprintf("%s (%d messages in one)", o.detail, len(batch))
	}
	l.note(ctx, outbox, idsOf(batch), o)
	for _, it := range batch {
		if l.o.Observe != nil {
			l.o.Observe(l.id, string(o.settle), max(0, now.Sub(it.said.Time)))
		}
		if l.o.Delivered != nil {
			l.o.Delivered(it.Message, string(o.settle))
		}
		if o.settle != store.Retry {
			delete(l.alone, it.ID)
		}
		if o.settle == store.Never && l.o.Failed != nil {
			l.o.Failed(it.Message, o.detail)
		}
	}
}

// outcome sorts how an attempt ended, for which messages, and how the channel stands by it.
//
// Messages that are refused as one are sent alone, since one of them may be what the far side does not take. Where two in
// a row are refused it is the channel, and no time is lost with the others.
func (l *line) outcome(now time.Time, batch []item, receipt string, err error) (*outcome, []item) {
	o := &outcome{settle: store.Accepted, detail: receipt, at: now}
	var never *Refused
	var later *Later
	switch {
	case err == nil:
		l.refusals = 0
		l.works(now)
		return o, batch
	case errors.As(err, &never) && !never.Gone && len(batch) > 1 && l.refusals < suspicious:
		for _, it := range batch {
			l.alone[it.ID] = it
		}
		err = fmt.Errorf("%w: %w", errSuspects, err)
		o.next = now
	case errors.As(err, &never):
		o.settle, o.detail = store.Never, err.Error()
		l.gone = never.Gone
		l.refusals++
		if _, alone := l.alone[batch[0].ID]; alone && l.refusals >= suspicious {
			delete(l.alone, batch[0].ID)
			batch = slices.AppendSeq(batch, maps.Values(l.alone))
		}
		l.refuses(now, err, batch[0].Message)
		return o, batch
	case errors.As(err, &later):
		o.next = now.Add(later.After)
		l.asked = o.next
		if len(l.pace.limits) > 0 { // whoever counts messages means all of them
			l.lane(batch[0].To).until = o.next
		}
	case errors.Is(err, errMadeWay):
		o.next = now
	default:
		o.next = now.Add(backoff(batch[0].Attempts))
	}
	o.settle, o.detail = store.Retry, err.Error()
	l.fails(now, err)
	return o, batch
}

// attempt sends a batch. Where fire begins to wait meanwhile, it has makeWay left to end.
func (l *line) attempt(ctx context.Context, outbox Outbox, batch []item) (receipt string, err error) {
	if batch[0].Class == rules.Classes[0] {
		return l.guarded(ctx, batch)
	}
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		receipt, err = l.guarded(within, batch)
	}()
	var over <-chan time.Time
	for {
		select {
		case <-done:
			if err != nil && context.Cause(within) == errMadeWay {
				err = errMadeWay
			}
			return receipt, err
		case <-l.wake:
			if over == nil && l.fireWaits(ctx, outbox) {
				over = time.After(makeWay)
			}
		case <-over:
			cancel(errMadeWay)
			over = nil
		}
	}
}

// fireWaits tells whether a message of class fire is due.
func (l *line) fireWaits(ctx context.Context, outbox Outbox) bool {
	due, err := outbox.DueMessages(ctx, store.Due{Channel: l.id, Now: time.Now(), Urgent: true, Apart: l.personal, Limit: 1})
	return err == nil && len(due) > 0 && due[0].Class == rules.Classes[0]
}

// guarded puts a batch into words and sends it.
func (l *line) guarded(ctx context.Context, batch []item) (receipt string, err error) {
	now := time.Now()
	for i := range batch {
		batch[i].said.Late = now.Sub(batch[i].said.Time) > LateAfter
	}
	said := batch[0].said
	return l.recovered(func() (string, error) {
		if len(batch) > 1 {
			said = merged(batch, l.o.Lang)
		}
		said.To = l.people(batch)
		if l.o.Link != nil && len(batch) == 1 {
			said.Link = l.o.Link(batch[0].Message)
		}
		return l.sender.Send(ctx, said)
	})
}

// recovered is an attempt in which a panic is an error, and its stack is logged.
func (l *line) recovered(attempt func() (string, error)) (receipt string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
			l.log.Error("channel panicked", "err", err, "stack", string(debug.Stack()))
		}
	}()
	return attempt()
}

// people are those whom messages are for, as the roster has them now.
func (l *line) people(batch []item) (to []duty.Person) {
	if l.o.Person == nil {
		return nil
	}
	for _, id := range peopleOf(batch) {
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
