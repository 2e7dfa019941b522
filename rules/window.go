package rules

import "math"

// window holds the good readings of one signal over the last span. Up to buckets readings it holds each of them; where
// more come, those within span/buckets of each other share a bucket: mean, least, greatest, deviation and changes stay
// exact for the readings it holds, and its old edge moves in steps of that width. Nothing older than span is ever in it.
type window struct {
	span, width int64    // nanoseconds
	ring        []bucket // its length is a power of two
	head, n     int      // oldest bucket, number of buckets
	latest      float64  // the last value added, for changes
	any         bool
}

const buckets = 120

// bucket is one reading, or some that follow each other closely.
type bucket struct {
	from, to    int64 // time of the first and the last
	first, last float64
	min, max    float64
	mean, m2    float64 // m2: sum of squares of the distances from the mean (Welford)
	n, changes  int
}

func newWindow(span int64) window { return window{span: span, width: span / buckets} }

func (w *window) at(i int) *bucket { return &w.ring[(w.head+i)&(len(w.ring)-1)] }

// add puts a reading in; time never goes back.
func (w *window) add(at int64, v float64) {
	w.expire(at)
	changed := 0
	if w.any && v != w.latest {
		changed = 1
	}
	w.latest, w.any = v, true
	if w.n > 0 {
		if b := w.at(w.n - 1); at-b.from < w.width {
			b.n++
			d := v - b.mean
			b.mean += d / float64(b.n)
			b.m2 += d * (v - b.mean)
			b.to, b.last, b.min, b.max, b.changes = at, v, min(b.min, v), max(b.max, v), b.changes+changed
			return
		}
	}
	if w.n == len(w.ring) {
		w.grow()
	}
	w.n++
	*w.at(w.n - 1) = bucket{from: at, to: at, first: v, last: v, min: v, max: v, mean: v, n: 1, changes: changed}
}

// grow doubles the ring. Buckets start at least a width apart, so it never holds more than buckets + 1 of them.
func (w *window) grow() {
	ring := make([]bucket, max(2*len(w.ring), 8))
	for i := range w.n {
		ring[i] = *w.at(i)
	}
	w.ring, w.head = ring, 0
}

// expire drops what is older than the span.
func (w *window) expire(now int64) {
	for w.n > 0 && now-w.at(0).from > w.span {
		w.head = (w.head + 1) & (len(w.ring) - 1)
		w.n--
	}
}

// read is what an operand asks of the readings up to now; false where there are too few: none, for stddev, delta and
// rate one, and for rate less than half the span. No reading is no change.
func (w *window) read(o op, now int64) (float64, bool) {
	w.expire(now)
	if w.n == 0 {
		return 0, o == opChanges // of a signal that is good and says nothing new
	}
	old, young := w.at(0), w.at(w.n-1)
	switch o {
	case opDelta:
		return young.last - old.first, young.to > old.from
	case opRate:
		took := young.to - old.from
		if took == 0 || took < w.span/2 {
			return 0, false
		}
		return (young.last - old.first) / (float64(took) / 60e9), true
	}
	return w.sum(o)
}

// sum goes over all buckets.
func (w *window) sum(o op) (float64, bool) {
	switch o {
	case opAvg:
		total, n := 0.0, 0
		for i := range w.n {
			b := w.at(i)
			total += b.mean * float64(b.n)
			n += b.n
		}
		return total / float64(n), true
	case opMin:
		least := w.at(0).min
		for i := range w.n {
			if v := w.at(i).min; v < least {
				least = v
			}
		}
		return least, true
	case opMax:
		most := w.at(0).max
		for i := range w.n {
			if v := w.at(i).max; v > most {
				most = v
			}
		}
		return most, true
	case opChanges:
		changes := 0
		for i := range w.n {
			changes += w.at(i).changes
		}
		return float64(changes), true
	default: // opStddev
		all := *w.at(0)
		for i := 1; i < w.n; i++ {
			all.merge(w.at(i))
		}
		return math.Sqrt(all.m2 / float64(all.n)), all.n > 1
	}
}

// merge adds a later bucket's readings to n, mean and m2 (Chan's formula).
func (b *bucket) merge(c *bucket) {
	n := b.n + c.n
	d := c.mean - b.mean
	b.m2 += c.m2 + d*d*float64(b.n)*float64(c.n)/float64(n)
	b.mean += d * float64(c.n) / float64(n)
	b.n = n
}

func (w *window) clone() window {
	c := *w
	c.ring = append([]bucket(nil), w.ring...)
	return c
}
