package store

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"embergate/drivers"
)

// BenchmarkHistory writes an hour of 1,000 signals of a home at 1 Hz through the real path, and tells bytes on disk: of a
// day of changes and a month of minutes, and a chart.
func BenchmarkHistory(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	h, random := s.History(), rand.New(rand.NewPCG(1, 2))
	const signals, hours = 1000, 2
	var now time.Time
	values := make([]float64, signals)
	began := time.Now()
	batch := make([]drivers.Reading, signals)
	for second := range hours * 3600 {
		now = noon.Add(time.Duration(second)*time.Second + time.Duration(random.IntN(20))*time.Millisecond)
		for i := range batch {
			switch i % 4 { // as a home: a quarter states, the rest numbers that drift by the last digit, one of them noisy
			case 0:
				if random.IntN(3600) == 0 {
					values[i] = 1 - values[i]
				}
			case 1, 2:
				values[i] = math.Round((values[i]+float64(random.IntN(3)-1)*0.1)*10) / 10
			case 3:
				values[i] = math.Round(2200+20*random.NormFloat64()) / 10
			}
			batch[i] = drivers.Reading{Signal: names[i], Time: now, Value: values[i], Quality: drivers.Good}
		}
		h.Readings(now, batch)
		if second%300 == 299 {
			if err := h.Keep(b.Context(), now); err != nil {
				b.Fatal(err)
			}
		}
	}
	took := time.Since(began)
	if err := h.Keep(b.Context(), noon.Add(hours*time.Hour+time.Second)); err != nil {
		b.Fatal(err)
	}
	var raw, minutes int64
	for table, into := range map[string]*int64{"history_raw": &raw, "history_minutes": &minutes} {
		if err := s.series.readers.QueryRow(`SELECT SUM(pgsize) FROM dbstat WHERE name = ?`, table).Scan(into); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
	}
	b.ReportMetric(float64(raw)/hours*25/1e6, "MB/day-raw")
	b.ReportMetric(float64(minutes)/hours*24*30/1e6, "MB/month")
	b.ReportMetric(float64(s.Written()[SeriesFile])/hours*24/1e6, "MB-written/day")
	b.ReportMetric(float64(took.Nanoseconds())/(signals*hours*3600), "ns/value")
}

// BenchmarkHistoryOfFloats keeps ten minutes of 5,000 signals whose every bit changes each second, as the daemon does it: what
// is written a day, what a value costs, and what is in memory before it is written.
func BenchmarkHistoryOfFloats(b *testing.B) {
	s := openAt(b, b.TempDir())
	h, random := s.History(), rand.New(rand.NewPCG(1, 2))
	const signals, seconds, each = 5000, 600, 40
	devices := make([][]drivers.Reading, 200)
	for i := range signals {
		at := i % len(devices)
		devices[at] = append(devices[at], drivers.Reading{Signal: fmt.Sprint("device-", at, ".signal-", i), Quality: drivers.Good})
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var took time.Duration
	live := uint64(0)
	for second := range seconds {
		now := noon.Add(time.Duration(second) * time.Second)
		for _, batch := range devices {
			for i := range batch {
				batch[i].Time, batch[i].Value = now, float64(float32(200+random.NormFloat64()))
			}
			began := time.Now()
			h.Readings(now, batch)
			took += time.Since(began)
		}
		if second%each == each-1 {
			runtime.GC()
			runtime.ReadMemStats(&after)
			live = max(live, after.HeapAlloc-before.HeapAlloc)
			if err := h.Keep(b.Context(), now); err != nil {
				b.Fatal(err)
			}
		}
	}
	runtime.ReadMemStats(&after)
	for b.Loop() {
	}
	b.ReportMetric(float64(s.Written()[SeriesFile])/seconds*86400/1e9, "GB-written/day")
	b.ReportMetric(float64(took.Nanoseconds())/(signals*seconds), "ns/value-in-the-hub")
	b.ReportMetric(float64(live)/1e6, "MB-in-memory")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/(signals*seconds), "B-allocated/value")
}

var names = func() (list [1000]string) {
	for i := range list {
		list[i] = fmt.Sprintf("meter-%03d.signal_%d", i/10, i%10)
	}
	return list
}()

// BenchmarkChart asks for a chart of 24 hours of one signal among a thousand, of minutes and of changes.
func BenchmarkChart(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	h, random := s.History(), rand.New(rand.NewPCG(1, 2))
	start := time.Now().Add(-24 * time.Hour).Truncate(time.Hour)
	const signals = 100 // at 1 Hz; a thousand would take long to write, and are as many look-ups for one
	for second := range 24 * 3600 {
		now := start.Add(time.Duration(second) * time.Second)
		var batch []drivers.Reading
		for i := range signals {
			batch = append(batch, drivers.Reading{Signal: names[i], Time: now, Value: math.Round(2200+20*random.NormFloat64()) / 10, Quality: drivers.Good})
		}
		h.Readings(now, batch)
		if second%300 == 299 {
			if err := h.Keep(b.Context(), now); err != nil {
				b.Fatal(err)
			}
		}
	}
	for name, chart := range map[string]struct{ days, points int }{"minutes": {1, 1440}, "changes": {1, 5000}, "a month of which there is a day": {30, 1000}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				end := start.Add(24 * time.Hour)
				if _, err := h.Query(b.Context(), names[7], end.AddDate(0, 0, -chart.days), end, chart.points); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	info, err := os.Stat(filepath.Join(dir, SeriesFile))
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("file of %d signals: %d MB", signals, info.Size()>>20)
}
