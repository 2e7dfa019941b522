package modbus

import (
	"fmt"
	"math/bits"
	"testing"

	"embergate/drivers"

	"pgregory.net/rapid"
)

func pointAt(table Table, first, count int) point {
	return point{Signal: &drivers.Signal{ID: "s"}, at: Address{Table: table, Number: uint16(first)}, count: count}
}

// fits tells, by counting addresses, whether one request may read all of the spans.
func fits(all []span, l limits) bool {
	covered := map[int]bool{}
	first, end := all[0].first, 0
	for _, s := range all {
		if s.table != all[0].table {
			return false
		}
		first, end = min(first, s.first), max(end, s.end())
		for a := s.first; a < s.end(); a++ {
			covered[a] = true
		}
	}
	most := l.registers
	if all[0].table.Bits() {
		most = l.bits
	}
	for a, gap := first, 0; a < end; a++ {
		gap++
		if covered[a] {
			gap = 0
		}
		if gap > l.gap {
			return false
		}
	}
	return end-first <= most
}

// fewest is the least number of requests that read all spans, found by trying every way to share them out.
func fewest(all []span, l limits) int {
	least := make([]int, 1<<len(all))
	for set := 1; set < len(least); set++ {
		least[set] = bits.OnesCount(uint(set))
		for part := set; part > 0; part = (part - 1) & set {
			var together []span
			for i := range all {
				if part>>i&1 == 1 {
					together = append(together, all[i])
				}
			}
			if 1+least[set^part] < least[set] && fits(together, l) {
				least[set] = 1 + least[set^part]
			}
		}
	}
	return least[len(least)-1]
}

// Rows MB13 and MB14.
func TestPlanIsCompleteAndTakesTheFewestRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{gap: rapid.IntRange(0, 3).Draw(t, "gap"), registers: rapid.IntRange(4, 9).Draw(t, "registers"), bits: rapid.IntRange(1, 6).Draw(t, "bits")}
		points := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) point {
			table := rapid.SampledFrom([]Table{Holding, Holding, Holding, Coil}).Draw(t, "table")
			count := 1
			if table == Holding {
				count = rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(t, "count")
			}
			return pointAt(table, rapid.IntRange(0, 20).Draw(t, "first"), count)
		}), 1, 7).Draw(t, "points")
		blocks := plan(points, l)
		if want := fewest(spans(points), l); len(blocks) != want {
			t.Fatalf("%d requests, %d would do: %v", len(blocks), want, blocks)
		}
		read := make([]int, len(points))
		for _, b := range blocks {
			if !fits(b.spans, l) {
				t.Fatalf("%v breaks %+v", b, l)
			}
			for _, s := range b.spans {
				for _, i := range s.points {
					read[i]++
					if p := points[i]; p.at.Table != b.table() || int(p.at.Number) != s.first || p.count != s.count || s.first < b.first() || s.end() > b.end() {
						t.Fatalf("the value %v is cut by %v", p.at, b)
					}
				}
			}
		}
		for i, n := range read {
			if n != 1 {
				t.Fatalf("value %d is read %d times", i, n)
			}
		}
	})
}

func TestBlocksOfAMap(t *testing.T) {
	adw300 := []point{
		pointAt(Holding, 20, 1), pointAt(Holding, 21, 1), pointAt(Holding, 22, 1), pointAt(Holding, 26, 1), pointAt(Holding, 27, 1),
		pointAt(Holding, 28, 1), pointAt(Holding, 30, 2), pointAt(Holding, 32, 2), pointAt(Holding, 62, 2), pointAt(Coil, 0, 1), pointAt(Coil, 1, 1),
	}
	for _, c := range []struct {
		name   string
		limits limits
		want   string
	}{
		{"neighbours only", limits{0, 125, 2000}, "[coil 0 to 1 holding 20 to 22 holding 26 to 28 holding 30 to 33 holding 62 to 63]"},
		{"over gaps of 3", limits{3, 125, 2000}, "[coil 0 to 1 holding 20 to 33 holding 62 to 63]"},
		{"everything", limits{124, 125, 2000}, "[coil 0 to 1 holding 20 to 63]"},
		{"at most 5 registers and 1 bit", limits{3, 5, 1}, "[coil 0 coil 1 holding 20 to 22 holding 26 to 28 holding 30 to 33 holding 62 to 63]"},
	} {
		if got := fmt.Sprint(plan(adw300, c.limits)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
