package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// outputs are what rules switch when their alarm is raised: sounders, valves, fans. They are written at once, from this
// machine, without a network beyond the endpoint's own; each goes back by itself after its longest time on, a restart in
// between or not.
type outputs struct {
	h   *hub
	due []revert
}

// revert is an output that goes back at a time.
type revert struct {
	Signal string    `json:"signal"`
	Value  float64   `json:"value"` // to go back to
	At     time.Time `json:"at"`
}

// A write is tried this often, each time for so long.
const (
	writeTries   = 3
	writeTimeout = 10 * time.Second
	outputsKey   = "outputs" // of the pending reverts in the store's settings
)

func newOutputs(h *hub) *outputs {
	o := &outputs{h: h}
	saved, err := h.store.Get(context.Background(), outputsKey)
	if err == nil && saved != "" {
		err = json.Unmarshal([]byte(saved), &o.due)
	}
	if err != nil {
		h.log.Error("pending outputs not restored", "err", err)
	}
	return o
}

// start writes the outputs of the alarms that these events raised.
func (o *outputs) start(now time.Time, events []alarm.Event) {
	for _, e := range events {
		if e.Alarm == nil || !raises(e.Type) {
			continue
		}
		rule := o.h.rules[e.Alarm.Rule+"@"+source(*e.Alarm)]
		if rule == nil {
			continue
		}
		for _, out := range rule.Outputs {
			if out.MaxOn > 0 {
				o.plan(revert{Signal: out.Write, Value: o.rest(out), At: now.Add(out.MaxOn)})
			}
			o.write(out.Write, out.Value, e.Alarm.ID)
		}
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

// rest is the value to which an output goes back: what it had, where that is known and another, else the opposite.
func (o *outputs) rest(out rules.Output) float64 {
	if s := o.h.live.signals[out.Write]; s != nil && s.Quality == drivers.Good && s.Value != out.Value {
		return s.Value
	}
	if out.Value == 0 {
		return 1
	}
	return 0
}

// plan remembers a revert; one that is already planned for the signal keeps its value and gets the later time.
func (o *outputs) plan(r revert) {
	for i := range o.due {
		if o.due[i].Signal == r.Signal {
			o.due[i].At = r.At
			o.save()
			return
		}
	}
	o.due = append(o.due, r)
	o.save()
}

func (o *outputs) save() {
	data, err := json.Marshal(o.due)
	if err == nil {
		err = o.h.store.Set(context.Background(), outputsKey, string(data))
	}
	if err != nil {
		o.h.log.Error("pending outputs not saved", "err", err)
	}
}

// next is when the next output goes back; zero: none waits.
func (o *outputs) next() time.Time {
	var next time.Time
	for _, r := range o.due {
		if next.IsZero() || r.At.Before(next) {
			next = r.At
		}
	}
	return next
}

// tick writes back what was on for its longest time.
func (o *outputs) tick(now time.Time) {
	kept := o.due[:0]
	var over []revert
	for _, r := range o.due {
		if now.Before(r.At) {
			kept = append(kept, r)
			continue
		}
		over = append(over, r)
	}
	if len(over) == 0 {
		return
	}
	o.due = kept
	o.save()
	for _, r := range over {
		o.write(r.Signal, r.Value, "")
	}
}

// write switches an output beside the hub, and tells the hub how it went.
func (o *outputs) write(key string, value float64, alarmID string) {
	h := o.h
	h.writes.Go(func() {
		err := h.g.write(key, value)
		h.post(func(now time.Time) {
			note := fmt.Sprintf("%s = %g", key, value)
			kind := "output.written"
			if err != nil {
				kind, note = "output.failed", note+": "+err.Error()
				h.log.Error("output not written", "signal", key, "value", value, "err", err)
			}
			if alarmID != "" {
				note += " (" + alarmID + ")"
			}
			h.fault(now, outputFailed, key, err != nil, err)
			h.record(now, kind, note)
		})
	})
}

// write asks the driver of a signal, a few times.
func (g *Gateway) write(key string, value float64) error {
	w := g.writer(key)
	if w == nil {
		return fmt.Errorf("write %s: no driver can", key)
	}
	var err error
	for range writeTries {
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		err = w.Write(ctx, key, value)
		cancel()
		if err == nil {
			return nil
		}
	}
	return err
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

// post hands the hub something to do, unless it has stopped.
func (h *hub) post(f func(now time.Time)) {
	select {
	case h.acts <- f:
	case <-h.quit:
	}
}
