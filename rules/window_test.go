package rules

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

type sample struct {
	at int64
	v  float64
}

// naive computes an operand from all samples that are not older than the span.
func naive(o op, all []sample, now, span int64) (float64, bool) {
	var in []sample
	var changes float64
	for i, s := range all {
		if now-s.at <= span {
			in = append(in, s)
			if i > 0 && all[i-1].v != s.v {
				changes++
			}
		}
	}
	if o == opChanges {
		return changes, true
	}
	if len(in) == 0 {
		return 0, false
	}
	first, last := in[0], in[len(in)-1]
	sum, squares, least, most := 0.0, 0.0, math.Inf(1), math.Inf(-1)
	for _, s := range in {
		sum += s.v
		least, most = min(least, s.v), max(most, s.v)
	}
	mean := sum / float64(len(in))
	for _, s := range in {
		squares += (s.v - mean) * (s.v - mean)
	}
	switch o {
	case opAvg:
		return mean, true
	case opMin:
		return least, true
	case opMax:
		return most, true
	case opDelta:
		return last.v - first.v, last.at > first.at
	case opRate:
		took := last.at - first.at
		return (last.v - first.v) / (float64(took) / 60e9), took > 0 && took >= span/2
	default:
		return math.Sqrt(squares / float64(len(in))), len(in) > 1
	}
}

func TestAWindowAgreesWithTheFormulaOverAllItsReadings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		span := int64(rapid.IntRange(1, 100).Draw(t, "span")) * int64(time.Second)
		w := newWindow(span)
		var all []sample
		now := int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "readings") {
			// At least a bucket's width apart: nothing shares a bucket.
			now += span/buckets + int64(rapid.IntRange(1, 5e9).Draw(t, "gap"))
			v := float64(rapid.IntRange(-50, 50).Draw(t, "value"))
			w.add(now, v)
			all = append(all, sample{now, v})
		}
		now += int64(rapid.IntRange(0, 20e9).Draw(t, "silence"))
		for o := opAvg; o <= opChanges; o++ {
			got, ok := w.read(o, now)
			want, wantOK := naive(o, all, now, span)
			if ok != wantOK || ok && math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
				t.Fatalf("operand %d: got %g, %t, want %g, %t", o, got, ok, want, wantOK)
			}
		}
		if len(w.ring) > 256 {
			t.Fatalf("the ring has grown to %d buckets", len(w.ring))
		}
	})
}

func TestAWindowOfManyReadingsStaysSmallAndExactButForItsOldEdge(t *testing.T) {
	span := int64(time.Hour)
	w := newWindow(span)
	var all []sample
	for i := range 2 * 36_000 { // two hours at 10 Hz
		now := int64(i) * int64(100*time.Millisecond)
		v := math.Sin(float64(i) / 1000)
		w.add(now, v)
		all = append(all, sample{now, v})
	}
	now := all[len(all)-1].at
	held := now - w.at(0).from
	if w.n > buckets+1 || held > span || held < span-span/buckets {
		t.Fatalf("%d buckets hold %s of %s", w.n, time.Duration(held), time.Duration(span))
	}
	for o := opAvg; o <= opChanges; o++ {
		got, ok := w.read(o, now)
		want, _ := naive(o, all, now, held)
		if o == opRate {
			want = (all[len(all)-1].v - w.at(0).first) / (float64(held) / 60e9)
		}
		if !ok || math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
			t.Errorf("operand %d: got %g, want %g", o, got, want)
		}
	}
}
