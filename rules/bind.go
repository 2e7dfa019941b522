package rules

import (
	"slices"
	"time"

	"embergate/drivers"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// reader is an operand bound to the signals of one instance. There are some for each instance, so what few need is apart.
type reader struct {
	op     op
	bit    uint8
	window int32
	signal int   // -1 is none, ofInstance that of the instance
	span   int64 // how far active() looks back, ns
	*wide
}

// ofInstance is the signal of a reader that many instances of a rule have in common.
const ofInstance = -2

// wide is what operands read that are about more than a signal.
type wide struct {
	list   []int   // of own() and imbalance()
	groups []group // of active() and active_devices()
	unit   ref.Val
	hours  hours
	class  Class
}

// group is what counts once: the signals of one device, or one signal with its twin; the signals that say that it is under
// test, and the index of its zone.
type group struct {
	members, tests []int
	place          int
}

// bind gives every operand of a condition its signals, and notes what the instance depends on.
func (b *builder) bind(c *condition, in *Instance) bound {
	if c == nil {
		return bound{}
	}
	bd := bound{condition: c, operands: make([]reader, len(c.operands))}
	for i, o := range c.operands {
		r := b.reader(o, in)
		bd.operands[i] = r
		if r.signal >= 0 && r.signal == in.own {
			bd.operands[i].signal = ofInstance
		}
		b.depend(in, o.op.occasion(), r.signal)
		b.depend(in, onValue, r.list...)
		for _, g := range r.groups {
			b.depend(in, onValue, g.members...)
			b.depend(in, onValue, g.tests...)
		}
		if every := o.every(); every > 0 && (in.every == 0 || every < in.every) {
			in.every = every
		}
	}
	if slices.Equal(bd.operands, c.last) {
		bd.operands = c.last
	}
	c.last = bd.operands
	return bd
}

func (b *builder) reader(o operand, in *Instance) reader {
	r := reader{op: o.op, signal: in.own, span: int64(o.window), wide: b.narrow}
	if o.op.wide() {
		r.wide = &wide{hours: o.hours, class: o.class}
	}
	if o.signal != "" {
		r.signal = b.site.index[o.signal]
	}
	switch {
	case o.op.windowed():
		r.window = int32(b.window(r.signal, int64(o.window)))
	case o.op.counts():
		of := ofSignals
		if o.op == opDevices {
			of = ofDevices
		}
		r.signal, r.groups = -1, b.site.members(in.Zone, o.kinds, of)
	}
	switch o.op {
	case opFlag:
		n, _ := bit(b.site.signals[r.signal], o.flag)
		r.bit = uint8(n)
	case opUnit:
		s := b.site.signals[in.own].Signal
		r.unit = types.String(s.Of().Unit)
		if s.Of().Unit == "" {
			r.unit = types.String(s.Unit)
		}
	case opOnline:
		if o.signal == "" {
			r.signal = -1
			if i, ok := b.site.index[b.site.signals[in.own].Device.ID+"."+drivers.OnlineSignal]; ok {
				r.signal = i
			}
		}
	case opOwn:
		r.signal, r.list = -1, b.site.siblings(in.own, o.kinds)
	case opAnyAlarm, opSchedule, opWorkday, opDrill:
		r.signal = -1
	case opImbalance:
		r.signal = -1
		for _, key := range o.signals {
			r.list = append(r.list, b.site.index[key])
		}
	}
	return r
}

// window is the number of the window of a signal and span; conditions share them.
func (b *builder) window(signal int, span int64) int {
	key := [2]int64{int64(signal), span}
	n, ok := b.windows[key]
	if !ok {
		n = len(b.set.windows)
		b.windows[key] = n
		b.set.windows = append(b.set.windows, span)
		b.set.signals[signal].windows = append(b.set.signals[signal].windows, n)
	}
	return n
}

func (b *builder) depend(in *Instance, on occasion, signals ...int) {
	for _, i := range signals {
		if i < 0 {
			continue
		}
		list := b.set.signals[i].dependents
		if n := len(list); n > 0 && list[n-1].instance == in.index {
			list[n-1].on = max(list[n-1].on, on)
			continue
		}
		b.set.signals[i].dependents = append(list, dependent{in.index, on})
	}
}

// every is how soon time alone may change what an operand reads; 0 is never. Windows are looked at sixty times in their
// span, but not more often than every second; all else that time moves, every second.
func (o operand) every() int64 {
	switch {
	case o.op.windowed() || o.op.counts() && o.window > 0:
		return int64(min(max(o.window/60, time.Second), time.Minute))
	case o.op == opAge || o.op == opAnyAlarm || o.op == opSchedule || o.op == opWorkday:
		return int64(time.Second)
	}
	return 0
}
