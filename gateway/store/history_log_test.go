package store

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"embergate/drivers"
)

// What signals said comes out of the log of memory as it went in, also of blocks that were looked at while it went on.
func TestTheLogOfMemoryKeepsEveryChange(t *testing.T) {
	if codeBad+len(drivers.Reasons)-1 > headCode {
		t.Fatalf("%d codes do not fit into the head of a change", codeBad+len(drivers.Reasons))
	}
	random := rand.New(rand.NewPCG(1, 2))
	const signals = 1000
	from := ticks(noon)
	s, at := stretch{from: from}, from
	want := make([][]entry, signals+1) // the last signal says nothing
	n, i := 0, int32(0)
	var seen stretch
	seenN := 0
	for n < 3*changesAtOnce {
		switch i = (i + 1) % signals; random.IntN(20) {
		case 0:
			i = random.Int32N(signals)
		case 1:
			at += random.Int64N(50) - 10
		case 2:
			at += random.Int64N(1<<34) - 1<<33 // a clock that is set: held at the ends of what a log reaches
		case 3:
			at = from + int64(n)
		}
		e := entry{at: int32(min(max(at-from, math.MinInt32), math.MaxInt32)), code: uint8(random.IntN(codeBad + len(drivers.Reasons)))}
		if e.code < codeBad {
			e.value = []float64{0, -1, 23.4, math.Pi, float64(float32(math.E)), math.MaxFloat64, math.SmallestNonzeroFloat64, 1e9}[random.IntN(8)]
		}
		s.add(i, at, e.code, e.value)
		want[i] = append(want[i], e)
		if n++; n == changesAtOnce {
			seen, seenN = s.seen(at), n
		}
	}
	if s.n != n {
		t.Errorf("%d changes, want %d", s.n, n)
	}
	next := 0
	err := s.each(signals+1, func(i int, list []entry) error {
		for ; next < i; next++ {
			if len(want[next]) > 0 {
				t.Errorf("signal %d is left out", next)
			}
		}
		next = i + 1
		if !slices.Equal(list, want[i]) || i%100 == 0 && !slices.Equal(s.of(int32(i)), want[i]) {
			t.Fatalf("signal %d: %v, want %v", i, list, want[i])
		}
		return nil
	})
	if err != nil || next != signals {
		t.Errorf("%d signals said something: %v", next, err)
	}
	for range seen.changes(0, math.MaxInt32) {
		seenN--
	}
	if seenN != 0 {
		t.Errorf("who looked while it went on missed %d changes", seenN)
	}
}
