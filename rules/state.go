package rules

import (
	"math"
	"slices"
	"time"

	"embergate/drivers"

	"cel.dev/cel-go/common/types/ref"
)

// State is what the conditions of a set see: the latest reading of each signal, and windows of readings as long as the
// rules look back. One goroutine uses it. A reading counts from when it is handed in, not from when its payload says it
// was taken, and times are compared by Go's monotonic clock: neither a device's wrong clock nor a step of the wall clock
// changes an age or a window.
type State struct {
	set       *Set
	base      time.Time // the first time told; all others are kept as nanoseconds since
	last      int64     // the latest time told
	signals   []live
	windows   []window
	turns     []turn
	queue     queue
	stamp     uint64
	drill     bool
	tested    []bool // zones under test, by their index; empty: none
	active    func(Class) int
	eval      evaluation
	reached   []*Instance // answer of Update, reused
	dueAgain  []*Instance // answer of Due, reused
	drillings []int       // instances that ask for drill()
	zonal     []int       // instances of zones
	untested  []int       // signals of devices that ended their test in this batch
}

// live is the latest of one signal.
type live struct {
	reading    reading
	value      ref.Val // of a good reading, once a condition has asked for it; nil: none has
	lastGood   int64   // the state's start where there was none
	lastActive int64   // when it was last at 1; math.MinInt64 is never
	lastMeant  int64   // the same, forgotten when its device ends a test
	seen, good bool

	activeRetained bool // the reading that put it at 1 was a retained message
}

// reading is what is kept of one: all but its signal, which the set knows, and its bytes, which would keep a whole reply. There is
// one for each signal of the home.
type reading struct {
	Time              time.Time
	Value             float64
	Reason            drivers.Reason
	Detail            string
	Quality           drivers.Quality
	Retained, OwnTime bool
}

func keep(r *drivers.Reading) reading {
	return reading{r.Time, r.Value, r.Reason, r.Detail, r.Quality, r.Retained, r.OwnTime}
}

// of is the reading as it was.
func (r *reading) of(signal string) drivers.Reading {
	return drivers.Reading{
		Signal: signal, Time: r.Time, Value: r.Value, Quality: r.Quality, Reason: r.Reason, Detail: r.Detail,
		Retained: r.Retained, OwnTime: r.OwnTime,
	}
}

// turn is when an instance is to be evaluated again.
type turn struct {
	stamp  uint64 // of the Update that has it already
	due    int64
	queued int // entries in the queue
}

// Result is the outcome of one instance.
type Result struct {
	When  Value
	Until Value // of the clear condition; without one it is the opposite of When

	// Least and Most bound how urgent an alarm of it is: they differ where a reading that would tell is missing, or where a
	// more urgent level has not reached its own until. For a rule without levels both are the rule's.
	Least, Most Level

	// Reading is the latest of the signal that decides: the instance's own; for a zone's that of the signal that counts
	// and was at 1 last. It is zero where there is none.
	Reading drivers.Reading

	// Retained tells that all evidence for True is from retained MQTT messages: the signal's reading is one, or each one
	// that counts in the zone. It restores an alarm that is known, and raises no new one.
	Retained bool

	// Inner is the instance in a zone below that holds all the evidence and is True itself. When is then Unknown, so that
	// one fire raises one alarm, in the innermost zone; it neither raises nor clears that of the zone around it.
	Inner *Instance

	// Err says why a condition cannot be evaluated although its readings are good, such as a division by zero. It is nil
	// where a condition is Unknown for want of good readings.
	Err error
}

// NewState is the state before any reading: every signal is unknown.
func (s *Set) NewState() *State {
	st := &State{
		set: s, signals: make([]live, len(s.signals)), windows: make([]window, len(s.windows)),
		turns: make([]turn, len(s.instances)),
	}
	for i, span := range s.windows {
		st.windows[i] = newWindow(span)
	}
	for i := range st.signals {
		st.signals[i].lastActive, st.signals[i].lastMeant = math.MinInt64, math.MinInt64
	}
	for i, in := range s.instances {
		st.push(i, 0) // everything is looked at once
		if in.own < 0 {
			st.zonal = append(st.zonal, i)
		}
		if in.asks(opDrill) {
			st.drillings = append(st.drillings, i)
		}
	}
	st.eval.state = st
	return st
}

// Adopt takes over what another state has seen of the same signals: the latest readings, and the windows of the same
// length. A reload does so, and no window starts anew.
func (st *State) Adopt(old *State) {
	st.base, st.last, st.drill, st.active = old.base, old.last, old.drill, old.active
	for i, w := range st.set.signals {
		j, ok := old.set.index[w.key]
		if !ok {
			continue
		}
		st.signals[i] = old.signals[j]
		for _, n := range w.windows {
			for _, m := range old.set.signals[j].windows {
				if old.windows[m].span == st.windows[n].span {
					st.windows[n] = old.windows[m].clone()
				}
			}
		}
	}
}

// clock turns a time into nanoseconds since the first one told. It never goes back.
func (st *State) clock(now time.Time) int64 {
	if st.base.IsZero() {
		st.base = now
	}
	st.last = max(st.last, int64(now.Sub(st.base)))
	return st.last
}

// Update takes a batch of readings and answers the instances to evaluate: those that read a signal of the batch whose
// value, quality or reason changed, so far as they read it, or a window or age of it. The answer is valid until the next Update. Where a batch
// has a signal twice, the instances see the later reading; a window sees both.
func (st *State) Update(now time.Time, batch []drivers.Reading) []*Instance {
	at := st.clock(now)
	st.stamp++
	st.reached = st.reached[:0]
	n := -1
	for i := range batch {
		var ok bool
		if n, ok = st.set.find(n+1, batch[i].Signal); !ok {
			continue
		}
		w, s := &st.set.signals[n], &st.signals[n]
		brought := s.take(at, &batch[i])
		if brought != onReading && w.tests != nil && s.good && s.reading.Value != 1 {
			st.untested = append(st.untested, w.tests...)
		}
		if s.good {
			for _, win := range w.windows {
				st.windows[win].add(at, s.reading.Value)
			}
		}
		for _, d := range w.dependents {
			if d.on >= brought && st.turns[d.instance].stamp != st.stamp {
				st.turns[d.instance].stamp = st.stamp
				st.reached = append(st.reached, st.set.instances[d.instance])
			}
		}
	}
	for _, i := range st.untested { // after all of the batch: a device may say both in one message
		if s := &st.signals[i]; !s.good || s.reading.Value != 1 {
			s.lastMeant = math.MinInt64
		}
	}
	st.untested = st.untested[:0]
	return st.reached
}

// find is the index of a signal by its key. Batches come in the order of a device's signals, so that of the one that may
// follow is tried first.
func (s *Set) find(follows int, key string) (int, bool) {
	if follows < len(s.signals) && s.signals[follows].key == key {
		return follows, true
	}
	n, ok := s.index[key]
	return n, ok
}

// take stores a reading and tells what it brings that the one before did not.
func (s *live) take(at int64, r *drivers.Reading) occasion {
	old, first := &s.reading, !s.seen
	good := r.Quality == drivers.Good && !math.IsNaN(r.Value) && !math.IsInf(r.Value, 0)
	brought := onReading
	switch {
	case first || good != s.good || r.Quality != old.Quality || r.Reason != old.Reason || r.Retained != old.Retained || !good && r.Value != old.Value:
		brought = onStatus
	case r.Value != old.Value:
		brought = onValue
	}
	if r.Value != old.Value {
		s.value = nil
	}
	if s.good && old.Value == 1 && (!good || r.Value != 1) {
		s.lastActive, s.lastMeant = at, at // until now
	}
	s.reading, s.seen, s.good = keep(r), true, good
	if !good && r.Quality != drivers.Bad && r.Quality != drivers.Uncertain {
		s.reading.Quality, s.reading.Reason = drivers.Bad, drivers.Decode // not a number
	}
	if good {
		if !r.Retained { // what a broker kept is no sign of life
			s.lastGood = at
		}
		if r.Value == 1 {
			s.lastActive, s.lastMeant, s.activeRetained = at, at, r.Retained
		}
	}
	return brought
}

// Latest is the latest reading of a signal.
func (st *State) Latest(signal string) (drivers.Reading, bool) {
	n, ok := st.set.index[signal]
	if !ok || !st.signals[n].seen {
		return drivers.Reading{}, false
	}
	return st.signals[n].reading.of(signal), true
}

// SetDrill says whether a drill is on; the conditions that ask for it are due at once.
func (st *State) SetDrill(on bool) {
	if on == st.drill {
		return
	}
	st.drill = on
	for _, i := range st.drillings {
		st.push(i, st.last)
	}
}

// SetTested says which zones are under test, those below them included. What is found in them counts for rules of those
// zones, and for no zone around them; when the test is over, what was found in it is no evidence any more. All rules of
// zones are due at once.
func (st *State) SetTested(zones []string) {
	place := map[string]int{}
	for i, z := range st.set.zones {
		place[z.ID] = i
	}
	before := st.tested
	st.tested = nil
	for i, z := range st.set.zones {
		for _, out := range around(st.set.zones, place, z.ID) {
			if slices.Contains(zones, out) {
				if st.tested == nil {
					st.tested = make([]bool, len(st.set.zones))
				}
				st.tested[i] = true
			}
		}
	}
	for i, w := range st.set.signals {
		if w.place >= 0 && w.place < len(before) && before[w.place] && !st.tests(w.place) {
			if s := &st.signals[i]; !s.good || s.reading.Value != 1 {
				s.lastActive, s.lastMeant = math.MinInt64, math.MinInt64
			}
		}
	}
	for _, i := range st.zonal {
		st.push(i, st.last)
	}
}

// tests tells whether a zone is under test.
func (st *State) tests(place int) bool {
	return place >= 0 && place < len(st.tested) && st.tested[place]
}

// SetActive gives any_alarm() the number of active alarms of a class.
func (st *State) SetActive(active func(class Class) int) { st.active = active }

// Due answers the instances that time alone may have changed since they were evaluated last: at most a second late, for
// windows longer than a minute a sixtieth of the window, but never more than a minute. The answer is valid until the
// next Due.
func (st *State) Due(now time.Time) []*Instance {
	at := st.clock(now)
	st.dueAgain = st.dueAgain[:0]
	for len(st.queue) > 0 && st.queue[0].at <= at {
		i := st.queue.pop().instance
		t, in := &st.turns[i], st.set.instances[i]
		t.queued--
		if t.due <= at {
			st.dueAgain = append(st.dueAgain, in)
			t.due = at + max(in.every, 1)
		}
		if in.every > 0 && t.queued == 0 {
			st.push(i, t.due)
		}
	}
	return st.dueAgain
}

// Next is when Due has something to answer, or earlier; zero where it never will.
func (st *State) Next() time.Time {
	if len(st.queue) == 0 || st.base.IsZero() {
		return time.Time{}
	}
	return st.base.Add(time.Duration(st.queue[0].at))
}

func (st *State) push(instance int, at int64) {
	st.turns[instance].due = at
	st.turns[instance].queued++
	st.queue.push(entry{at, instance})
}

// entry is an instance in the queue of Due.
type entry struct {
	at       int64
	instance int
}

// queue is a heap, the earliest first. It is written out because container/heap would allocate for every entry.
type queue []entry

func (q *queue) push(e entry) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].at <= h[i].at {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

func (q *queue) pop() entry {
	h := *q
	top := h[0]
	h[0] = h[len(h)-1]
	h = h[:len(h)-1]
	*q = h
	for i := 0; ; {
		down := 2*i + 1
		if down+1 < len(h) && h[down+1].at < h[down].at {
			down++
		}
		if down >= len(h) || h[i].at <= h[down].at {
			return top
		}
		h[i], h[down] = h[down], h[i]
		i = down
	}
}
