package rules

import (
	"math"
	"slices"
	"strconv"
	"time"

	"embergate/drivers"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// evaluation is what CEL's nodes see of the state while one instance is evaluated.
type evaluation struct {
	state    *State
	operands []reader
	own      int // signal of the instance
	now      int64
	wall     time.Time
	tested   bool // the instance's zone is under test
}

// ResolveName finds nothing: every word of a condition is an operand.
func (e *evaluation) ResolveName(string) (any, bool) { return nil, false }

// Parent is none.
func (e *evaluation) Parent() cel.Activation { return nil }

// Eval decides an instance as of now.
func (st *State) Eval(in *Instance, now time.Time) Result {
	e := &st.eval
	e.now, e.wall = st.clock(now), now
	var r Result
	r.When, r.Err = e.decide(in, in.when)
	if r.When == True && len(in.inner) > 0 {
		if r.Inner = e.holder(in); r.Inner != nil {
			r.When = Unknown
		}
	}
	if in.until.condition != nil {
		var err error
		if r.Until, err = e.decide(in, in.until); r.Err == nil {
			r.Err = err
		}
	} else {
		r.Until = [...]Value{Unknown: Unknown, False: True, True: False}[r.When]
	}
	if err := e.grade(in, &r); r.Err == nil {
		r.Err = err
	}
	r.Reading, r.Retained = e.deciding(in)
	if in.every > 0 {
		st.turns[in.index].due = e.now + in.every
	}
	return r
}

func (e *evaluation) decide(in *Instance, b bound) (Value, error) {
	e.operands, e.own, e.tested = b.operands, in.own, e.state.tests(in.place)
	out, _, err := b.condition.program.Eval(e)
	switch {
	case out == types.True:
		return True, nil
	case out == types.False:
		return False, nil
	case err == error(errUnknown):
		return Unknown, nil
	}
	return Unknown, err
}

// holder is the zone below in which all the evidence lies, if its own condition is true: who is told of the corridor need
// not be told of the floor as well.
func (e *evaluation) holder(in *Instance) *Instance {
	for _, inner := range in.inner {
		if v, _ := e.decide(inner, inner.when); v == True && e.confined(in, inner) {
			return inner
		}
	}
	return nil
}

// confined tells whether all signals that count for an instance, one at least, are counted by an inner one. A condition
// that is true because nothing counts has no evidence that could lie anywhere.
func (e *evaluation) confined(in, inner *Instance) (some bool) {
	e.tested = e.state.tests(in.place)
	for i := range in.when.operands {
		op := &in.when.operands[i]
		for g := range op.groups {
			if e.apart(op, &op.groups[g]) {
				continue
			}
			for _, m := range op.groups[g].members {
				if !e.counts(&e.state.signals[m], op) {
					continue
				}
				if some = true; !inner.members[m] {
					return false
				}
			}
		}
	}
	return some
}

// apart tells whether what a device says is not meant: it is under test itself, or its zone is and the instance's is not.
func (e *evaluation) apart(r *reader, g *group) bool {
	return r.op == opDevices && e.state.any(g.tests) || !e.tested && e.state.tests(g.place)
}

// deciding is the reading that an alarm of the instance shows, and whether it rests on retained messages alone.
func (e *evaluation) deciding(in *Instance) (r drivers.Reading, retained bool) {
	st := e.state
	if in.own >= 0 {
		if s := &st.signals[in.own]; s.seen {
			r = s.reading.of(in.Signal)
		}
		return r, r.Retained
	}
	e.tested = st.tests(in.place)
	var youngest *live
	for i := range in.when.operands {
		op := &in.when.operands[i]
		for _, g := range op.groups {
			if e.apart(op, &g) {
				continue
			}
			for _, m := range g.members {
				s := &st.signals[m]
				if !e.counts(s, op) {
					continue
				}
				retained = s.activeRetained && (retained || youngest == nil)
				if youngest == nil || s.lastActive > youngest.lastActive {
					youngest, r = s, s.reading.of(st.set.signals[m].key)
				}
			}
		}
	}
	return r, retained
}

var (
	qualities = [...]ref.Val{drivers.Bad: types.String("bad"), drivers.Uncertain: types.String("uncertain"), drivers.Good: types.String("good")}
	zero      = ref.Val(types.Double(0))
)

// read is the value of one operand; unknown where it has no good reading.
func (e *evaluation) read(r *reader) ref.Val {
	st := e.state
	var s *live
	n := e.signal(r)
	if n >= 0 {
		s = &st.signals[n]
	}
	switch r.op {
	case opLast:
		if !s.good {
			return unknown
		}
		if s.value == nil {
			s.value = types.Double(s.reading.Value)
		}
		return s.value
	case opUnit:
		return r.unit
	case opAvg, opMin, opMax, opDelta, opRate, opStddev, opChanges:
		if !s.good {
			return unknown
		}
		v, ok := st.windows[r.window].read(r.op, e.now)
		if !ok {
			return unknown
		}
		return types.Double(v)
	case opFlag:
		if !s.good {
			return unknown
		}
		return types.Bool(uint64(s.reading.Value)>>r.bit&1 == 1)
	case opAge, opQuality, opReason:
		return e.health(r.op, s, n)
	case opOnline:
		if s == nil || !s.good {
			return unknown
		}
		return types.Bool(s.reading.Value == 1)
	case opOwn:
		return types.Bool(st.any(r.list))
	case opActive, opDevices:
		low, high := e.count(r)
		if low != high {
			return unknown
		}
		return types.Double(low)
	default:
		return e.surroundings(r)
	}
}

// signal is the index of the one that an operand reads, negative where it reads none.
func (e *evaluation) signal(r *reader) int {
	if r.signal == ofInstance {
		return e.own
	}
	return r.signal
}

// health reads the operands that are about how well a signal is known, not about its value.
func (e *evaluation) health(o op, s *live, n int) ref.Val {
	switch {
	case !s.seen && e.state.set.signals[n].optional:
		return unknown // not every unit of the model has it, and this one has not shown it yet
	case o == opAge:
		return types.Double(float64(e.now-s.lastGood) / 1e9)
	case o == opQuality:
		return qualities[min(s.reading.Quality, drivers.Good)]
	default: // opReason
		return types.String(s.reading.Reason)
	}
}

// surroundings reads the operands that are about no single signal.
func (e *evaluation) surroundings(r *reader) ref.Val {
	st := e.state
	switch r.op {
	case opAnyAlarm:
		if st.active == nil {
			return unknown
		}
		classes := Classes
		if r.class != "" {
			classes = []Class{r.class}
		}
		for _, c := range classes {
			if st.active(c) > 0 {
				return types.True
			}
		}
		return types.False
	case opSchedule:
		return types.Bool(r.hours.holds(e.wall.In(st.set.calendar.zone)))
	case opWorkday:
		return types.Bool(st.set.calendar.workday(e.wall.In(st.set.calendar.zone)))
	case opDrill:
		return types.Bool(st.drill)
	default: // opImbalance
		return e.imbalance(r.list)
	}
}

// imbalance is the greatest distance from the mean in per cent of the mean; 0 where the mean is 0: no load is even.
func (e *evaluation) imbalance(list []int) ref.Val {
	var mean float64
	for _, i := range list {
		if !e.state.signals[i].good {
			return unknown
		}
		mean += e.state.signals[i].reading.Value / float64(len(list))
	}
	if mean == 0 {
		return zero
	}
	var most float64
	for _, i := range list {
		most = max(most, math.Abs(e.state.signals[i].reading.Value-mean))
	}
	return types.Double(100 * most / math.Abs(mean))
}

// any tells whether one of the signals is known to be at 1.
func (st *State) any(list []int) bool {
	for _, i := range list {
		if s := &st.signals[i]; s.good && s.reading.Value == 1 {
			return true
		}
	}
	return false
}

// count is the least and the greatest number of signals, or for active_devices of devices not under test, that are at 1
// or were within the operand's span. A signal without a good reading may be.
func (e *evaluation) count(r *reader) (low, high float64) {
	st := e.state
	for i := range r.groups {
		g := &r.groups[i]
		if e.apart(r, g) {
			continue
		}
		var sure, maybe float64
		for _, m := range g.members {
			s := &st.signals[m]
			switch {
			case e.counts(s, r):
				sure++
			case !s.good && (s.seen || !st.set.signals[m].optional):
				maybe++
			}
		}
		sure = min(sure, 1)
		maybe = min(maybe, 1-sure)
		low, high = low+sure, high+sure+maybe
	}
	return low, high
}

// counts tells whether a signal is known to be at 1, or to have been within the operand's span.
func (e *evaluation) counts(s *live, r *reader) bool {
	last := s.lastActive
	if r.op == opDevices {
		last = s.lastMeant
	}
	return s.good && s.reading.Value == 1 || r.span > 0 && last != math.MinInt64 && e.now-last <= r.span
}

// Operand is a word of a condition and what it reads now.
type Operand struct {
	Text  string // avg("5m")
	Value string // 12.5, true, bad; unknown where there is no good reading
}

// Explain says what each word of an instance's conditions reads now: what it would need to fire, or to clear.
func (st *State) Explain(in *Instance, now time.Time) []Operand {
	e := &st.eval
	e.now, e.wall = st.clock(now), now
	e.own, e.tested = in.own, st.tests(in.place)
	var list []Operand
	for _, b := range in.bounds() {
		for i := range b.operands {
			v := "unknown"
			switch x := e.read(&b.operands[i]).(type) {
			case types.Double:
				v = strconv.FormatFloat(float64(x), 'f', -1, 64)
			case types.Bool:
				v = strconv.FormatBool(bool(x))
			case types.String:
				v = string(x)
			}
			list = append(list, Operand{b.condition.operands[i].text, v})
		}
	}
	return list
}

// Inputs are the signals that the conditions of the instance read, by key.
func (s *Set) Inputs(in *Instance) []string {
	read := map[int]bool{}
	for _, b := range in.bounds() {
		for _, r := range b.operands {
			read[max(r.signal, -1)] = true
			if r.signal == ofInstance {
				read[in.own] = true
			}
			for _, i := range r.list {
				read[i] = true
			}
			for _, g := range r.groups {
				for _, i := range slices.Concat(g.members, g.tests) {
					read[i] = true
				}
			}
		}
	}
	var keys []string
	for i := range read {
		if i >= 0 {
			keys = append(keys, s.signals[i].key)
		}
	}
	slices.Sort(keys)
	return keys
}

// asks tells whether a condition of the instance has an operand of the kind.
func (in *Instance) asks(o op) bool {
	for _, b := range in.bounds() {
		for i := range b.operands {
			if b.operands[i].op == o {
				return true
			}
		}
	}
	return false
}
