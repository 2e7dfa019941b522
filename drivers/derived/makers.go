package derived

import (
	"fmt"
	"time"

	"embergate/drivers"
)

type sum struct{}

func (sum) value(_ time.Time, of []drivers.Reading) (v float64, _ string, _ bool) {
	for _, r := range of {
		v += r.Value
	}
	return v, "", true
}

// difference is the first without the second.
type difference struct{}

func (difference) value(_ time.Time, of []drivers.Reading) (float64, string, bool) {
	return of[0].Value - of[1].Value, "", true
}

// ratio is the first in parts of the second.
type ratio struct{}

func (ratio) value(_ time.Time, of []drivers.Reading) (float64, string, bool) {
	if of[1].Value == 0 {
		return 0, "the second is 0", false
	}
	return of[0].Value / of[1].Value, "", true
}

// rate is the change a minute, between the oldest and the newest value of a time.
type rate struct {
	over    time.Duration
	samples []sample
}

type sample struct {
	at    time.Time
	value float64
}

const mostSamples = 60 // of a rate's time; between two there is at least a 60th of it

func (r *rate) value(now time.Time, of []drivers.Reading) (float64, string, bool) {
	for len(r.samples) > 1 && now.Sub(r.samples[1].at) >= r.over {
		r.samples = r.samples[1:]
	}
	if n := len(r.samples); n == 0 || now.Sub(r.samples[n-1].at) >= r.over/mostSamples {
		r.samples = append(r.samples, sample{now, of[0].Value})
	}
	first := r.samples[0]
	if span := now.Sub(first.at); span >= r.over/2 {
		return (of[0].Value - first.value) / span.Minutes(), "", true
	}
	return 0, "half of the time that it is taken over must have passed", false
}

// pause forgets: over a gap there is no rate.
func (r *rate) pause() { r.samples = nil }

// hours is how long a state has been 1. A time in which it is not known does not count.
type hours struct {
	sum float64
	on  time.Time // since when it is known to be 1; zero where it is not
}

func (h *hours) value(now time.Time, of []drivers.Reading) (float64, string, bool) {
	if !h.on.IsZero() {
		h.sum += max(0, now.Sub(h.on).Hours())
	}
	h.on = time.Time{}
	if of[0].Value == 1 && !of[0].Retained {
		h.on = now
	}
	return h.sum, "", true
}

func (h *hours) pause()           { h.on = time.Time{} }
func (h *hours) memory() Memory   { return Memory{Sum: h.sum} }
func (h *hours) restore(m Memory) { h.sum = m.Sum }

// total is a counter that never goes back. It begins at what its meter shows. Where the meter's counter begins again at its
// modulus, the total goes on; where it goes back otherwise and stays so, it is another meter: what that one showed when it was
// put in is not known to have been used, so it counts from there. A single low value is neither.
type total struct {
	modulus float64
	sum     float64
	last    float64
	begun   bool
	back    int     // values running that are lower than last
	first   float64 // of them
	low     float64 // the latest of them
}

const believed = 3 // values running, after which a counter that went back is another meter's

func (t *total) value(_ time.Time, of []drivers.Reading) (float64, string, bool) {
	v := of[0].Value
	switch {
	case !t.begun:
		t.sum, t.begun = v, true
	case v >= t.last:
		t.sum += v - t.last
	case t.modulus > 0 && t.last > 0.9*t.modulus && v < 0.1*t.modulus:
		t.sum += t.modulus - t.last + v
	default:
		if t.back > 0 && v < t.low {
			t.back = 0 // a counter does not go back twice: neither was it
		}
		if t.back == 0 {
			t.first = v
		}
		if t.back++; t.back < believed {
			t.low = v
			return t.sum, fmt.Sprintf("its meter went back from %g to %g; the next values tell whether it is another", t.last, v), true
		}
		detail := fmt.Sprintf("its meter went back from %g to %g: taken for another one", t.last, v)
		t.sum += v - t.first
		t.last, t.back = v, 0
		return t.sum, detail, true
	}
	t.last, t.back = v, 0
	return t.sum, "", true
}

func (t *total) memory() Memory   { return Memory{t.sum, t.last, t.begun} }
func (t *total) restore(m Memory) { t.sum, t.last, t.begun = m.Sum, m.Last, m.Begun }
