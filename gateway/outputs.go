package gateway

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// outputs are what rules switch when their alarm is raised: sounders, valves, fans. They are written at once, from this
// machine, without a network beyond the endpoint's own. What cannot be written is tried again, for as long as the alarm is
// open, and as soon as its endpoint is back; what was on for its longest time goes back, a restart in between or not.
type outputs struct {
	h        *hub
	orders   map[string]*order // by signal
	stopping bool              // nothing is written any more but what rests while the gateway is stopped
}

// order is what an output should be. One write of a signal is under way at a time, so the latest order is the last written.
type order struct {
	Value float64   `json:"value"`
	Alarm string    `json:"alarm"` // for whose sake; "" where it goes back
	Rest  float64   `json:"rest"`  // what it goes back to
	Back  time.Time `json:"back"`  // when; zero: not by itself
	Done  bool      `json:"done"`  // confirmed by the device

	MaxOn      time.Duration `json:"max_on"`
	Stop       rules.Stop    `json:"stop"`
	RestOnStop bool          `json:"rest_on_stop"`

	generation int       // of the order; a write that ends after its order changed decides nothing
	busy       bool      // a write is under way
	failed     int       // writes in a row
	next       time.Time // when it is tried again
}

// A write takes at most writeTimeout, and is tried again after 1, 2, 4 … 30 s. From the third failure on it is a fault.
const (
	writeTimeout  = 10 * time.Second
	toleratedFail = 3
	outputsKey    = "outputs" // of the orders in the store's settings
)

func newOutputs(h *hub, now time.Time) *outputs {
	o := &outputs{h: h, orders: map[string]*order{}}
	if err := h.readSetting(context.Background(), outputsKey, &o.orders); err != nil {
		h.log.Error("outputs not restored", "err", err)
	}
	for _, r := range o.orders { // by a clock that stood in 1970 an output would be on for years
		if longest := now.Add(r.MaxOn); !r.Back.IsZero() && r.MaxOn > 0 && r.Back.After(longest) {
			r.Back = longest
		}
	}
	return o
}

// start orders the outputs of the alarms that these events raised, and lets those go back that nothing wants any more.
func (o *outputs) start(now time.Time, events []alarm.Event) {
	changed, less := false, false
	for _, e := range events {
		if e.Alarm == nil || untold(e) { // what a test finds switches nothing, and a shelved alarm nothing more
			continue
		}
		switch {
		case raises(e.Type) || e.Type == alarm.EventEscalated || e.Type == alarm.EventUnshelved && e.Alarm.Active() && !e.Alarm.Silenced:
			for _, out := range o.h.outputsOf(*e.Alarm) {
				if raises(e.Type) || out.Stop == rules.StopOnSilence { // escalated or back from its shelf, it sounds again
					o.order(now, out, e.Alarm.ID)
					changed = true
				}
			}
		case e.Type == alarm.EventSilenced || e.Type == alarm.EventShelved || e.Type == alarm.EventClosed || e.Type == alarm.EventAcknowledged:
			less = true
		}
	}
	if less && o.unwanted(now) || changed {
		o.save()
		o.work(now)
	}
}

// outputsOf are the outputs of an alarm's rule, and the sounder where nobody can be told of it.
func (h *hub) outputsOf(a alarm.Alarm) []rules.Output {
	var outs []rules.Output
	if in := h.g.rules.Instance(a.Rule + "@" + source(a)); in != nil {
		outs = in.Rule.Outputs
	}
	return slices.Concat(outs, h.duty.sounder(a))
}

// unwanted lets every output go back for which its alarms say so, and tells whether there was one.
func (o *outputs) unwanted(now time.Time) (some bool) {
	open := o.h.board.Open()
	for key, r := range o.orders {
		if r.Alarm == "" || r.Stop == rules.StopNever || r.Stop == "" {
			continue
		}
		wanted := false
		for _, a := range open {
			if o.wants(a, key, r) {
				r.Alarm, wanted = a.ID, true
				break
			}
		}
		if !wanted {
			o.release(now, key)
			some = true
		}
	}
	return some
}

// wants tells whether an open alarm still wants an output as it is.
func (o *outputs) wants(a alarm.Alarm, key string, r *order) bool {
	outs := o.h.outputsOf(a)
	isSounder := func(out rules.Output) bool { return out.Write == key }
	if a.ID == r.Alarm && len(outs) == 0 && !slices.ContainsFunc(o.h.g.sounder, isSounder) { // its rule is gone
		outs = []rules.Output{{Write: key, Value: r.Value, Stop: r.Stop}}
	}
	for _, out := range outs {
		if out.Write == key && out.Value == r.Value && !a.Test && !(out.Stop == rules.StopOnSilence && (a.Silenced || a.ShelvedUntil != nil)) {
			return true
		}
	}
	return false
}

// restAll is what the configuration wants at rest while the gateway is stopped. Each stays ordered, so that it is on again
// after the start, if its alarm still wants it.
func (o *outputs) restAll() map[string]float64 {
	o.stopping = true
	for _, giveUp := range o.h.hands.underWay {
		giveUp()
	}
	rests := map[string]float64{}
	for key, r := range o.orders {
		if r.RestOnStop && r.Alarm != "" {
			rests[key] = r.Rest
			r.Done = false
			r.generation++
		}
	}
	if len(rests) > 0 {
		o.save()
	}
	return rests
}

// restTime is how long an orderly stop waits for outputs to come to rest.
const restTime = 5 * time.Second

// restOutputs puts at rest what is to rest while the gateway is stopped. The drivers still run.
func (h *hub) restOutputs() {
	var rests map[string]float64
	if err := h.ask(context.Background(), func(time.Time) { rests = h.outputs.restAll() }); err != nil || len(rests) == 0 {
		return
	}
	var writes sync.WaitGroup
	for key, value := range rests {
		writes.Go(func() {
			kind, note := "output.written", fmt.Sprintf("%s = %g, at rest while the gateway is stopped", key, value)
			if _, err := h.g.write(context.Background(), key, value); err != nil {
				kind, note = "output.failed", note+": "+firstLine(err.Error())
				h.log.Error("output not at rest", "signal", key, "value", value, "err", err)
			}
			h.post(func(now time.Time) { h.record(now, kind, note) })
		})
	}
	done := make(chan struct{})
	go func() { writes.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(restTime):
	}
}

// source is what an alarm is about: its signal, or its zone.
func source(a alarm.Alarm) string {
	if a.Signal != "" {
		return a.Signal
	}
	return a.Zone
}

// raises tells whether an event is a trigger of its alarm, the first or a new one.
func raises(kind string) bool {
	return kind == alarm.EventRaised || kind == alarm.EventFaultRaised || kind == alarm.EventCounted
}

// order wants an output. Where it is wanted already it stays on for the longer of both times, and goes back to what it
// was before the first.
func (o *outputs) order(now time.Time, out rules.Output, alarmID string) {
	next := &order{
		Value: out.Value, Alarm: alarmID, Rest: o.rest(out), next: now,
		MaxOn: out.MaxOn, Stop: out.Stop, RestOnStop: out.RestOnStop,
	}
	if out.MaxOn > 0 {
		next.Back = now.Add(out.MaxOn)
	}
	if old := o.orders[out.Write]; old != nil {
		next.generation, next.busy = old.generation+1, old.busy
		if old.Alarm != "" {
			next.Rest = old.Rest
		}
		if old.Alarm != "" && old.Value == out.Value { // the last of them to let go decides
			next.Stop = rules.Stops[max(slices.Index(rules.Stops, old.Stop), slices.Index(rules.Stops, next.Stop), 0)]
		}
		if old.Alarm != "" && old.Value == out.Value && (old.Back.IsZero() || !next.Back.IsZero() && old.Back.After(next.Back)) {
			next.Back = old.Back
		}
	}
	o.orders[out.Write] = next
}

// rest is the value to which an output goes back: what it has, where that is known and another, else the opposite.
func (o *outputs) rest(out rules.Output) float64 {
	if s := o.h.live.signals[out.Write]; s != nil && s.Quality == drivers.Good && s.Value != out.Value {
		return s.Value
	}
	if out.Value == 0 {
		return 1
	}
	return 0
}

// save keeps the orders over a restart.
func (o *outputs) save() {
	if err := o.h.setting(context.Background(), outputsKey, o.orders); err != nil {
		o.h.log.Error("outputs not saved", "err", err)
	}
}

// next is when an output is due; zero: none is.
func (o *outputs) next() time.Time {
	var next time.Time
	if o.stopping {
		return next
	}
	earlier := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for key, r := range o.orders {
		earlier(r.Back)
		if !r.Done && !r.busy && o.h.hands.underWay[key] == nil {
			earlier(r.next)
		}
	}
	return next
}

// tick lets go back what was on for its longest time, forgets what no open alarm wants, and writes what is due.
func (o *outputs) tick(now time.Time) {
	changed := false
	for key, r := range o.orders {
		switch {
		case !r.Back.IsZero() && !now.Before(r.Back):
			o.release(now, key)
			changed = true
		case r.Alarm != "" && r.Back.IsZero() && !r.busy && !o.h.open(r.Alarm):
			delete(o.orders, key)
			changed = true
		}
	}
	if changed {
		o.save()
	}
	o.work(now)
}

// open tells whether an alarm is on the board and not closed.
func (h *hub) open(id string) bool {
	a, ok := h.board.Alarm(id)
	return ok && a.Open()
}

// release lets an output go back. That order stays until it is done.
func (o *outputs) release(now time.Time, key string) {
	old := o.orders[key]
	o.orders[key] = &order{Value: old.Rest, Rest: old.Rest, generation: old.generation + 1, busy: old.busy, next: now}
}

// retry has everything that is not done tried at once: an endpoint is back.
func (o *outputs) retry(now time.Time) {
	for _, r := range o.orders {
		r.next = now
	}
	o.work(now)
}

// work begins the writes that are due, each beside the hub.
func (o *outputs) work(now time.Time) {
	for _, key := range slices.Sorted(maps.Keys(o.orders)) {
		r := o.orders[key]
		if r.Done || r.busy || now.Before(r.next) || o.stopping {
			continue
		}
		if giveUp := o.h.hands.underWay[key]; giveUp != nil {
			giveUp() // what an alarm wants is written as soon as that has ended
			continue
		}
		r.busy = true
		generation, value := r.generation, r.Value
		o.h.writes.Go(func() {
			_, err := o.h.g.write(context.Background(), key, value)
			o.h.post(func(now time.Time) { o.wrote(now, key, generation, err) })
		})
	}
}

// wrote takes in how a write ended.
func (o *outputs) wrote(now time.Time, key string, generation int, err error) {
	r := o.orders[key]
	if r == nil {
		return
	}
	r.busy = false
	if r.generation != generation {
		o.work(now) // something else is wanted by now
		return
	}
	note := fmt.Sprintf("%s = %g", key, r.Value)
	if r.Alarm != "" {
		note += " (" + r.Alarm + ")"
	}
	if err != nil {
		r.next = now.Add(min(leastWait<<min(r.failed, 10), mostWait))
		if r.failed++; r.failed == toleratedFail {
			o.h.log.Error("output not written", "signal", key, "value", r.Value, "err", err)
			o.h.fault(now, outputFailed, key, true, err)
			o.h.record(now, "output.failed", note+": "+firstLine(err.Error()))
		}
		return
	}
	r.Done, r.failed = true, 0
	if r.Alarm == "" {
		delete(o.orders, key)
	}
	o.save()
	o.h.fault(now, outputFailed, key, false, nil)
	o.h.record(now, "output.written", note)
}

// write has the driver of a signal set it, and answers what the device confirmed.
func (g *Gateway) write(ctx context.Context, key string, value float64) (confirmed float64, err error) {
	w := g.writer(key)
	if w == nil {
		return 0, fmt.Errorf("write %s: no driver can", key)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return w.Write(ctx, key, value)
}

// writer is the driver that can set a signal, nil where none can.
func (g *Gateway) writer(key string) drivers.Writer {
	for _, l := range g.links {
		for _, d := range l.driver.Devices() {
			for _, s := range d.Signals {
				if d.Key(s) == key {
					w, _ := l.driver.(drivers.Writer)
					return w
				}
			}
		}
	}
	return nil
}
