package store

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// Chunks and hours come back as they were, to nine digits of the values, whatever they are.
func TestChunksComeBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	p := &packer{}
	kinds := map[string]func() float64{
		"registers": func() float64 { return float64(random.IntN(4000)) * 0.1 },
		"states":    func() float64 { return float64(random.IntN(2)) },
		"floats":    func() float64 { return float64(float32(random.NormFloat64() * 1e3)) },
		"great":     func() float64 { return random.NormFloat64() * math.Pow10(random.IntN(300)) },
		"odd": func() float64 {
			return []float64{0, math.Copysign(0, -1), 1e300, math.SmallestNonzeroFloat64, 1e-9}[random.IntN(5)]
		},
	}
	for name, value := range kinds {
		c := chunk{from: ticks(noon)}
		for range random.IntN(300) {
			c.entries = append(c.entries, entry{at: int32(c.until), code: uint8(random.IntN(4)), value: value()})
			c.until += random.Int64N(20)
		}
		c.until += c.from
		got, err := newUnpacker().raw(p.raw(c))
		if err != nil || got.from != c.from || got.until != c.until || len(got.entries) != len(c.entries) {
			t.Fatalf("%s: %v %+v", name, err, got)
		}
		for i, e := range c.entries {
			if g := got.entries[i]; g.at != e.at || g.code != e.code || e.code < codeBad && math.Abs(g.value-e.value) > 1e-9*math.Abs(e.value) {
				t.Fatalf("%s: entry %d: got %+v, want %+v", name, i, g, e)
			}
		}
		var h hour
		for i := range h {
			if random.IntN(5) == 0 {
				continue
			}
			v := []float64{value(), value(), value()}
			least, greatest := min(v[0], v[1], v[2]), max(v[0], v[1], v[2])
			h[i] = minute{good: uint16(1 + random.IntN(ticksPerMinute)), code: uint8(random.IntN(5)), min: least, max: greatest, last: v[2], mean: least/2 + greatest/2}
		}
		back, err := newUnpacker().hour(p.pack(&h))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		greatest := 0.0
		for _, m := range h {
			greatest = max(greatest, math.Abs(m.min), math.Abs(m.max))
		}
		for i, m := range h {
			b := back[i]
			near := func(x, y float64) bool { return math.Abs(x-y) <= 1e-5*greatest }
			if b.good != m.good || b.code != m.code || m.good > 0 && !(near(b.min, m.min) && near(b.max, m.max) && near(b.last, m.last) && near(b.mean, m.mean)) {
				t.Fatalf("%s: minute %d: got %+v, want %+v", name, i, b, m)
			}
		}
	}
}

// A chunk as the version before wrote it, with every difference of times by itself, is read.
func TestChunksOfAnEarlierVersionAreRead(t *testing.T) {
	c, err := newUnpacker().raw([]byte{0, 100, 40, 3, 0, 10, 15, 2, codeGood, 1, codeBad, 1, 2, 3})
	want := chunk{from: 100, until: 140, entries: []entry{{0, codeGood, 0.1}, {10, codeGood, -0.1}, {25, codeBad, 0}}}
	if err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("%v %+v", err, c)
	}
}

func FuzzHistory(f *testing.F) {
	p := &packer{}
	c := chunk{from: ticks(noon), until: ticks(noon) + 100, entries: []entry{{0, codeGood, 23.4}, {10, codeBad + 3, 0}, {20, codeUncertain, math.Pi}}}
	f.Add(p.raw(c))
	var sums hourSums
	sums.add(c.from/hourTicks*hourTicks, c)
	h, _ := sums.minutes()
	f.Add(p.pack(&h))
	f.Add([]byte{1, 2, 3})
	f.Add([]byte{2, 100, 40, 3, 0, 20, 1, 3, codeGood, asShortBits, 0, 1, 1})
	f.Add([]byte{0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := newUnpacker().hour(b); err == nil {
			for i := range h {
				if h[i].good > ticksPerMinute {
					t.Errorf("%+v", h[i])
				}
			}
		}
		for _, c := range append(newUnpacker().chunks(b), newUnpacker().chunks(framed(nil, b))...) {
			sums := make([]sum, 10)
			spread(sums, ticks(noon), ticksPerMinute, c)
			if len(c.entries) > 0 && len(c.entries) > 16<<20 {
				t.Error(len(c.entries))
			}
		}
	})
}
