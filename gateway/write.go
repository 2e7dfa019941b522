package gateway

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
)

// hands are the writes of people (SE05): of signals that the configuration calls writable, within their range, and never
// against an alarm. They go the way that outputs go, one write of a signal at a time; where an alarm wants the signal while
// a person's write is under way, that is given up, and the alarm's comes last.
type hands struct {
	h        *hub
	throttle access.Throttle
	underWay map[string]context.CancelFunc // by signal
	silent   int                           // refusals that the journal does not hold
}

// A signal is written by hand three times at once, and then every five seconds: relays wear out. A person, and an account,
// writes ten times at once, and then every six seconds; what is refused counts too. Of refusals the journal holds twenty, and
// then one in thirty seconds, with the number of those between.
var (
	signalWrites = access.Limit{Burst: 3, Period: 5 * time.Second}
	personWrites = access.Limit{Burst: 10, Period: 6 * time.Second}
	refusalLines = access.Limit{Burst: 20, Period: 30 * time.Second}
)

func newHands(h *hub) *hands {
	return &hands{h: h, throttle: access.NewThrottle(), underWay: map[string]context.CancelFunc{}}
}

// written is how a write ended.
type written struct {
	confirmed float64
	err       error
}

// WriteSignal sets a signal for a person and answers what the device confirmed. It goes on where whoever asked has gone, and
// the journal says how it ended. The error is *alarm.Refused or *access.Refused where it was not done.
func (h *hub) WriteSignal(ctx context.Context, key string, value float64, a alarm.Act) (float64, error) {
	done := make(chan written, 1)
	err := h.do(ctx, func(now time.Time) ([]alarm.Event, error) { return h.hands.begin(now, key, value, a, done) })
	if err != nil {
		return 0, err
	}
	select {
	case w := <-done:
		return w.confirmed, w.err
	case <-h.quit:
		return 0, errStopping
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// WriteDenied writes down that somebody tried to set a signal who may not.
func (h *hub) WriteDenied(ctx context.Context, key string, a alarm.Act, why i18n.Text) error {
	return h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		return h.hands.refused(now, i18n.T("%s: %s", key, why), a), nil
	})
}

// begin starts a write beside the hub, or refuses it.
func (w *hands) begin(now time.Time, key string, value float64, a alarm.Act, done chan<- written) ([]alarm.Event, error) {
	what, err := w.may(now, key, value, a)
	if err != nil {
		return w.refused(now, i18n.T("%s = %v: %s", what, value, refusal(err)), a), err
	}
	ctx, giveUp := context.WithCancel(context.Background())
	w.underWay[key] = giveUp
	said := i18n.T("%s = %v", what, value)
	if before := w.h.live.signals[key].good; !before.Time.IsZero() {
		said = i18n.T("%s = %v, before %v", what, value, before.Value)
	}
	w.h.writes.Go(func() {
		defer giveUp()
		confirmed, err := w.h.g.write(ctx, key, value)
		end := func(now time.Time) {
			delete(w.underWay, key)
			done <- w.ended(now, key, said, a, written{confirmed, err})
			w.h.outputs.work(now)
		}
		select {
		case w.h.acts <- end:
		case <-w.h.quit: // the journal is closed
			w.h.log.Warn("signal written by hand while the gateway stopped", "signal", key, "value", value, "by", a.By, "err", err)
		}
	})
	return nil, nil
}

// ended writes down how a write ended, and says it in words.
func (w *hands) ended(now time.Time, key string, what i18n.Text, a alarm.Act, end written) written {
	kind, note := "signal.written", i18n.T("%s; read back %v", what, end.confirmed)
	order := w.h.outputs.orders[key]
	switch {
	case end.err != nil && order != nil:
		end.err = refuse(alarm.ErrState, "an alarm took the signal meanwhile")
	case end.err != nil:
		end.err = refuse(alarm.ErrState, "the device did not take it: %s", firstLine(end.err.Error()))
	}
	if end.err != nil {
		kind, note = "signal.failed", i18n.T("%s: %s", what, refusal(end.err))
	}
	w.h.events = append(w.h.events, w.event(now, kind, note, a))
	w.h.commit(now)
	return end
}

// may tells whether a person may write a value now; what is the signal for people.
func (w *hands) may(now time.Time, key string, value float64, a alarm.Act) (what string, err error) {
	s := w.h.live.signals[key]
	if s == nil || s.device == nil {
		return key, refuse(alarm.ErrNotFound, "there is no signal %q", key)
	}
	what = s.device.Name + " " + key
	if wait := w.throttle.Take(now, access.Want{Key: "person " + a.By, Limit: personWrites}, access.Want{Key: "account " + a.From, Limit: personWrites}); wait > 0 {
		return what, access.TooMany(wait)
	}
	if err := w.can(s); err != nil {
		return what, err
	}
	if err := fits(*s.Signal, value); err != nil {
		return what, err
	}
	if wait := w.throttle.Take(now, access.Want{Key: "signal " + key, Limit: signalWrites}); wait > 0 {
		return what, access.TooMany(wait)
	}
	return what, nil
}

// can tells whether anybody may write a signal as things are.
func (w *hands) can(s *signal) error {
	key := s.Reading.Signal
	order := w.h.outputs.orders[key]
	switch {
	case !s.Writable || w.h.g.writer(key) == nil:
		return refuse(alarm.ErrState, "the configuration does not make it writable")
	case s.device.Disabled:
		return refuse(alarm.ErrState, "its device is taken out of service")
	case order != nil && order.Alarm != "":
		a, _ := w.h.board.Alarm(order.Alarm)
		return refuse(alarm.ErrState, "an alarm holds it at %v until it is over: %s", order.Value, a.Name)
	case order != nil:
		return refuse(alarm.ErrState, "it goes back to %v after an alarm just now", order.Value)
	case w.underWay[key] != nil:
		return refuse(alarm.ErrState, "somebody else is writing it just now")
	case w.h.outputs.stopping:
		return refuse(alarm.ErrState, "the gateway is stopping")
	}
	return nil
}

// fits tells whether a value is one of the signal; what registers can hold of it, its driver says.
func fits(s drivers.Signal, value float64) error {
	switch form := s.Of().Form; {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return refuse(alarm.ErrInput, "%v is no number", value)
	case form == drivers.State && value != 0 && value != 1:
		return refuse(alarm.ErrInput, "a state is 0 or 1, not %v", value)
	case form == drivers.Code && value != math.Trunc(value):
		return refuse(alarm.ErrInput, "a code is a whole number, not %v", value)
	case len(s.Range) == 2 && (value < s.Range[0] || value > s.Range[1]):
		return refuse(alarm.ErrInput, "%v is outside its range, %v to %v", value, s.Range[0], s.Range[1])
	case len(s.Enum) > 0 && !slices.ContainsFunc(outputOf(s).Words, func(p console.OutputWord) bool { return p.Value == value }):
		return refuse(alarm.ErrInput, "%v is none of its values", value)
	}
	return nil
}

// refused is the event of a refusal; none where there are too many.
func (w *hands) refused(now time.Time, why i18n.Text, a alarm.Act) []alarm.Event {
	if w.throttle.Take(now, access.Want{Key: "journal", Limit: refusalLines}) > 0 {
		w.silent++
		return nil
	}
	if w.silent > 0 {
		why = i18n.T("%s; and %d more refused before", why, w.silent)
		w.silent = 0
	}
	return []alarm.Event{w.event(now, "signal.refused", why, a)}
}

func (w *hands) event(now time.Time, kind string, note i18n.Text, a alarm.Act) alarm.Event {
	text := w.h.g.cfg.Site.Language.Say(note.Format, note.Args...)
	if a.Note != "" {
		text += " · " + a.Note
	}
	return alarm.Event{ID: eventID(kind, now), Time: now.UTC(), Type: kind, By: a.By, Via: a.Via, From: a.From, Note: text}
}

// refusal is why something was not done.
func refusal(err error) i18n.Text {
	var act *alarm.Refused
	if errors.As(err, &act) {
		return act.Text
	}
	var often *access.Refused
	if errors.As(err, &often) {
		return often.Text
	}
	return i18n.Text{Format: "%s", Args: []any{firstLine(err.Error())}}
}

// outputOf is what people may write into a signal; nil where they may not.
func outputOf(s drivers.Signal) *console.Output {
	if !s.Writable {
		return nil
	}
	o := &console.Output{}
	if len(s.Range) == 2 {
		o.Least, o.Greatest = &s.Range[0], &s.Range[1]
	}
	for word, code := range s.Enum {
		o.Words = append(o.Words, console.OutputWord{Word: word, Value: float64(code)})
	}
	slices.SortFunc(o.Words, func(a, b console.OutputWord) int { return int(a.Value - b.Value) })
	return o
}
