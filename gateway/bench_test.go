package gateway

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"embergate/drivers"
)

// district is a home of so many devices with five signals each, four devices a zone, under all packs.
func district(devices int) string {
	var b strings.Builder
	b.WriteString("site: {id: home, name: home, language: en}\ndata: /nowhere\nzones:\n")
	for z := range (devices + 3) / 4 {
		fmt.Fprintf(&b, "  - {id: z%d}\n", z)
	}
	b.WriteString("endpoints:\n  - id: bus\n    script: {}\n    devices:\n")
	for d := range devices {
		fmt.Fprintf(&b, "      - {id: d%d, zone: z%d, every: 1s, signals: [{id: smoke, kind: smoke}, {id: temperature, kind: temperature}, {id: lel, kind: gas_lel}, {id: rcd, kind: residual_current}, {id: battery, kind: battery}]}\n", d, d/4)
	}
	return b.String()
}

// quiet are values at which nothing is wrong, in the order of a device's signals.
var quiet = [...]float64{0, 20, 3, 20, 90}

// second is a second of the district: every device is read, each number moves a little, and the hub takes its turn.
func second(h *hub, batches [][]drivers.Reading, now time.Time, n int) {
	for _, batch := range batches {
		for i := range batch {
			batch[i].Time = now
			if i > 0 {
				batch[i].Value = quiet[i] + float64(n%3)/10
			}
		}
		h.take(now, slices.Clone(batch))
	}
	h.tick(now)
}

func readings(devices int) (batches [][]drivers.Reading) {
	for d := range devices {
		var batch []drivers.Reading
		for _, s := range []string{"smoke", "temperature", "lel", "rcd", "battery"} {
			batch = append(batch, drivers.Reading{Signal: fmt.Sprintf("d%d.%s", d, s), Quality: drivers.Good})
		}
		batches = append(batches, batch)
	}
	return batches
}

// processor is the processor time that this process has used: on a machine with other work it says more than the clock.
func processor(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSecondOfADistrict is one second of 5,000 signals that all report a new value: live state, rules and alarms, the
// hub's own turn. The figure of the project is at most 5 % of one core for 10,000 instances.
func BenchmarkSecondOfADistrict(b *testing.B) {
	const devices = 1000
	h := idle(b, newScript(), district(devices))
	batches := readings(devices)
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	for n := range 70 { // windows of a minute fill
		now = now.Add(time.Second)
		second(h, batches, now, n)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := processor(b)
	for n := range b.N {
		now = now.Add(time.Second)
		second(h, batches, now, n)
	}
	spent := float64(processor(b) - before)
	b.ReportMetric(spent/float64(b.N)/1e7, "%core")
	b.ReportMetric(float64(len(h.g.rules.Instances())), "instances")
	b.ReportMetric(spent/float64(b.N)/5/devices, "cpu-ns/reading")
	if open := h.board.Open(); len(open) != 0 {
		b.Fatalf("%d alarms are open: %+v", len(open), open[0])
	}
}

// BenchmarkSampleToJournal is the time from a sample in the hands of the hub to its alarm on disk, synced at once. The
// figure of the project is at most 20 ms for the slowest of a hundred.
func BenchmarkSampleToJournal(b *testing.B) {
	s := newScript()
	h := idle(b, s, district(4))
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	h.take(now, []drivers.Reading{{Signal: "d0.lel", Time: now, Quality: drivers.Good}})
	h.tick(now)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for n := range b.N {
		now = now.Add(11 * time.Minute) // so that it does not flap
		signal := fmt.Sprintf("d%d.lel", n%4)
		began := time.Now()
		h.take(now, []drivers.Reading{{Signal: signal, Time: now, Value: 12, Quality: drivers.Good}})
		took = append(took, time.Since(began))
		h.take(now, []drivers.Reading{{Signal: signal, Time: now, Value: 0, Quality: drivers.Good}})
	}
	b.StopTimer()
	if seq, err := h.store.LastSeq(b.Context()); err != nil || seq < int64(2*b.N) {
		b.Fatalf("%d events of %d alarms are on disk, %v", seq, b.N, err)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// TestAnHourAddsNothingToMemory: an hour of readings, with a gas alarm that comes and goes every five minutes, leaves no
// more memory in use than its first ten minutes did.
func TestAnHourAddsNothingToMemory(t *testing.T) {
	const devices = 5
	h := idle(t, newScript(), district(devices))
	batches := readings(devices)
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // the first moves what pools hold aside, the second frees it
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for n := range 3600 {
		if n == 600 {
			before = inUse()
		}
		now = now.Add(time.Second)
		leak := readings(1)[0]
		for i := range leak {
			leak[i].Time, leak[i].Value = now, quiet[i]
		}
		if n%300 < 30 {
			leak[2].Value = 12
		}
		h.take(now, leak)
		second(h, batches[1:], now, n)
		if n%300 == 299 {
			if err := h.store.History().Keep(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := inUse()
	t.Logf("%d kB in use after ten minutes, %d kB after an hour", before>>10, after>>10)
	if after > before+before/10+256<<10 {
		t.Errorf("%d bytes more than after ten minutes", after-before)
	}
	if seq, err := h.store.LastSeq(t.Context()); err != nil || seq < 24 {
		t.Errorf("%d events, %v: the alarm did not come and go", seq, err)
	}
}
