package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
)

// recorder feeds a history by the clock of a test.
type recorder struct {
	t   *testing.T
	s   *Store
	h   *History
	now time.Time // of the last keep
}

func newRecorder(t *testing.T, dir string) *recorder {
	s := openAt(t, dir)
	return &recorder{t: t, s: s, h: s.History()}
}

func (r *recorder) says(at time.Time, signal string, value float64) {
	r.h.Readings(at, []drivers.Reading{{Signal: signal, Time: at, Value: value, Quality: drivers.Good}})
}

func (r *recorder) bad(at time.Time, signal string, reason drivers.Reason) {
	r.h.Readings(at, []drivers.Reading{{Signal: signal, Time: at, Reason: reason}})
}

func (r *recorder) keep(now time.Time) {
	r.t.Helper()
	r.now = now
	if err := r.h.Keep(context.Background(), now); err != nil {
		r.t.Fatal(err)
	}
}

// chart is a query as one line a step: start, min mean max last, seconds good, seconds bad and why.
func (r *recorder) chart(signal string, from, to time.Time, points int) string {
	r.t.Helper()
	buckets, err := r.h.query(r.t.Context(), r.now, signal, from, to, points)
	if err != nil {
		r.t.Fatal(err)
	}
	var b strings.Builder
	for _, k := range buckets {
		fmt.Fprintf(&b, "%s", k.Start.Format("15:04:05"))
		if k.Known {
			fmt.Fprintf(&b, " %.4g %.4g %.4g %.4g", k.Min, k.Mean, k.Max, k.Last)
		}
		fmt.Fprintf(&b, " good %g bad %g %s\n", k.Good.Seconds(), k.Bad.Seconds(), k.Reason)
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

func (r *recorder) wants(signal string, from, to time.Time, points int, want string) {
	r.t.Helper()
	if got := strings.TrimSpace(r.chart(signal, from, to, points)); got != strings.TrimSpace(want) {
		r.t.Errorf("%s\ngot\n%s\nwant\n%s", signal, got, strings.TrimSpace(want))
	}
}

// TS05: a gap, a zero and a stale signal are different things, in memory, as changes and as minutes.
func TestAGapAZeroAndAStaleSignalAreDifferentThings(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(t, dir)
	at := func(minute, second int) time.Time {
		return noon.Add(time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
	}
	r.says(at(0, 0), "gas.lel", 0)
	r.says(at(1, 30), "gas.lel", 8)
	r.says(at(1, 45), "gas.lel", 4)
	r.bad(at(2, 15), "gas.lel", drivers.Stale)
	r.says(at(3, 0), "gas.lel", 0)
	r.keep(at(4, 0)) // then the gateway stops for two minutes
	r.s.Close()
	want := `
12:00:00 0 0 0 0 good 60 bad 0
12:01:00 0 3 8 4 good 60 bad 0
12:02:00 4 4 4 4 good 15 bad 45 stale
12:03:00 0 0 0 0 good 60 bad 0
12:04:00 good 0 bad 0
12:05:00 good 0 bad 0
12:06:00 2 2 2 2 good 60 bad 0
12:07:00 2 2 2 2 good 60 bad 0`
	r = newRecorder(t, dir)
	r.says(at(6, 0), "gas.lel", 2)
	r.keep(at(8, 0))
	r.wants("gas.lel", at(0, 0), at(8, 0), 8, want)
	r.wants("gas.lel", at(2, 0), at(3, 20), 4, `
12:02:00 4 4 4 4 good 15 bad 5 stale
12:02:20 good 0 bad 20 stale
12:02:40 good 0 bad 20 stale
12:03:00 0 0 0 0 good 20 bad 0`)
	r.keep(at(60, 1)) // the hour is over
	count := 0
	if err := r.s.series.readers.QueryRow(`SELECT COUNT(*) FROM history_minutes`).Scan(&count); err != nil || count != 1 {
		t.Fatalf("%d hours of minutes, %v", count, err)
	}
	r.wants("gas.lel", at(0, 0), at(8, 0), 8, want)
	r.wants("nobody.knows", at(0, 0), at(2, 0), 2, "12:00:00 good 0 bad 0\n12:01:00 good 0 bad 0")
	if _, err := r.h.Query(t.Context(), "gas.lel", at(1, 0), at(1, 0), 10); err != ErrRange {
		t.Error(err)
	}
}

// What is in memory counts too, and what is held goes on over a flush and a restart within the period.
func TestHistoryGoesOnOverFlushAndRestart(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(t, dir)
	r.says(noon, "a.n", 1)
	r.keep(noon.Add(30 * time.Second))
	r.says(noon.Add(40*time.Second), "a.n", 1) // nothing new
	r.says(noon.Add(50*time.Second), "a.n", 3)
	r.keep(noon.Add(60 * time.Second))
	r.s.Close()
	r = newRecorder(t, dir)
	r.says(noon.Add(70*time.Second), "a.n", 5)
	r.keep(noon.Add(80 * time.Second))
	r.wants("a.n", noon, noon.Add(80*time.Second), 8, `
12:00:00 1 1 1 1 good 10 bad 0
12:00:10 1 1 1 1 good 10 bad 0
12:00:20 1 1 1 1 good 10 bad 0
12:00:30 1 1 1 1 good 10 bad 0
12:00:40 1 1 1 1 good 10 bad 0
12:00:50 3 3 3 3 good 10 bad 0
12:01:00 good 0 bad 0
12:01:10 5 5 5 5 good 10 bad 0`)
}

// TS06, and the limits: changes of a day, minutes of a month; hours of a long stop are made when it is over.
func TestHistoryExpires(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	start := noon.Add(-32 * 24 * time.Hour)
	for day := range 32 {
		at := start.Add(time.Duration(day) * 24 * time.Hour)
		r.says(at, "a.n", float64(day))
		r.keep(at.Add(2 * time.Minute))
		r.says(at.Add(2*time.Minute), "a.n", -1)
		r.keep(at.Add(time.Hour))
	}
	r.keep(noon)
	for table, most := range map[string]int{"history_raw": 26 * 12, "history_minutes": 31 * 24} {
		n := 0
		if err := r.s.series.readers.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil || n == 0 || n > most {
			t.Errorf("%s: %d rows, %v", table, n, err)
		}
	}
	days, err := r.h.Query(t.Context(), "a.n", noon.Add(-30*24*time.Hour), noon, 30)
	if err != nil || len(days) != 30 {
		t.Fatal(len(days), err)
	}
	for i, d := range days {
		if want := float64(i + 2); !d.Known || d.Max != want || d.Min != -1 {
			t.Errorf("day %d: %+v, want greatest %g", i, d, want)
		}
	}
}

// The minutes of the hour in which the gateway stopped are made when it is back, after days too.
func TestTheMinutesOfTheLastHourSurviveDaysOff(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(t, dir)
	r.says(noon.Add(57*time.Minute), "a.n", 7)
	r.keep(noon.Add(61 * time.Minute)) // one piece, which reaches into the hour after
	r.s.Close()
	r = newRecorder(t, dir)
	back := noon.Add(5*24*time.Hour + 10*time.Minute)
	r.says(back, "a.n", 9)
	r.keep(back.Add(2 * time.Minute))
	r.wants("a.n", noon.Add(56*time.Minute), noon.Add(62*time.Minute), 6, `
12:56:00 good 0 bad 0
12:57:00 7 7 7 7 good 60 bad 0
12:58:00 7 7 7 7 good 60 bad 0
12:59:00 7 7 7 7 good 60 bad 0
13:00:00 7 7 7 7 good 60 bad 0
13:01:00 good 0 bad 0`)
	raw := 0
	if err := r.s.series.readers.QueryRow(`SELECT COUNT(*) FROM history_raw`).Scan(&raw); err != nil || raw != 1 {
		t.Errorf("%d rows of changes, want that of today alone: %v", raw, err)
	}
}

// Hours that were made by a clock that ran ahead keep none from being made once it is right (RE05).
func TestAClockThatRanAheadStopsNoMinutes(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	ahead := noon.Add(40 * 24 * time.Hour)
	r.says(ahead, "a.n", 1)
	r.keep(ahead.Add(time.Minute))
	r.keep(ahead.Add(61 * time.Minute))
	r.says(noon, "a.n", 2)
	r.keep(noon.Add(2 * time.Minute))
	r.keep(noon.Add(61 * time.Minute))
	r.keep(noon.Add(27 * time.Hour)) // the changes are gone
	r.wants("a.n", noon, noon.Add(2*time.Minute), 2, `
12:00:00 2 2 2 2 good 60 bad 0
12:01:00 2 2 2 2 good 60 bad 0`)
}

// SF04: a full disk keeps history from being written, not from getting shorter; no change goes without its minutes.
func TestHistoryExpiresOnAFullDiskToo(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	r.says(noon, "a.n", 1)
	r.keep(noon.Add(2 * time.Minute))
	r.keep(noon.Add(61 * time.Minute)) // its minutes are made
	r.says(noon.Add(70*time.Minute), "a.n", 2)
	r.keep(noon.Add(72 * time.Minute))
	r.s.reserve = math.MaxInt64
	full := func(at time.Time, raw, minutes int) {
		t.Helper()
		if err := r.h.Keep(t.Context(), at); !errors.Is(err, ErrFull) {
			t.Errorf("%v, want ErrFull", err)
		}
		for table, want := range map[string]int{"history_raw": raw, "history_minutes": minutes} {
			n := 0
			if err := r.s.series.readers.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n); err != nil || n != want {
				t.Errorf("%s: %d rows, want %d, %v", table, n, want, err)
			}
		}
	}
	full(noon.Add(30*time.Hour), 6, 1)    // those of the second hour, which has no minutes, and what may reach into it
	full(noon.Add(32*24*time.Hour), 6, 0) // a month later
}

func TestAClockSetBackMakesTwoPieces(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	r.says(noon.Add(time.Minute), "a.n", 1)
	r.says(noon.Add(time.Minute+30*time.Second), "a.n", 2)
	r.says(noon, "a.n", 3) // by the network
	r.keep(noon.Add(30 * time.Second))
	r.wants("a.n", noon, noon.Add(2*time.Minute), 4, `
12:00:00 3 3 3 3 good 30 bad 0
12:00:30 3 3 3 3 good 0 bad 0
12:01:00 1 1 1 1 good 30 bad 0
12:01:30 2 2 2 2 good 0 bad 0`)
}

// A clock that is set far ahead holds nothing over the time that never passed (RE05).
func TestAClockSetAheadHoldsNothingInBetween(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	year := noon.AddDate(1, 0, 0)
	r.says(noon, "a.n", 1)
	r.says(noon.Add(time.Minute), "a.m", 1)
	r.h.partLocked(ticks(noon.Add(time.Minute))) // by the difference of the clocks, which a test cannot set
	r.says(year, "a.n", 1)
	r.keep(year.Add(time.Minute))
	r.wants("a.n", noon, noon.Add(2*time.Minute), 2, "12:00:00 1 1 1 1 good 60 bad 0\n12:01:00 good 0 bad 0")
	r.wants("a.n", year.Add(-time.Minute), year.Add(time.Minute), 2, "11:59:00 good 0 bad 0\n12:00:00 1 1 1 1 good 60 bad 0")
	r.wants("a.m", noon.Add(time.Minute), noon.Add(2*time.Minute), 1, "12:01:00 1 1 1 1 good 0 bad 0")
}

// SF04: a disk that was full for hours leaves no gap behind, where memory had room for it.
func TestADiskThatWasFullForHoursLeavesNoGap(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	r.says(noon, "a.n", 1)
	r.says(noon.Add(time.Hour), "a.n", 2)
	r.keep(noon.Add(3 * time.Hour))
	want := "12:00:00 1 1 1 1 good 3600 bad 0\n13:00:00 2 2 2 2 good 3600 bad 0\n14:00:00 2 2 2 2 good 3600 bad 0"
	r.wants("a.n", noon, noon.Add(3*time.Hour), 3, want)
	r.wants("a.n", noon.Add(150*time.Minute), noon.Add(150*time.Minute+20*time.Second), 2,
		"14:30:00 2 2 2 2 good 10 bad 0\n14:30:10 2 2 2 2 good 10 bad 0")
}

// What an earlier version wrote, all changes of five minutes of a signal in one row, is read beside what this one writes.
func TestHistoryOfAnEarlierVersionIsRead(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(t, dir)
	r.says(noon, "a.n", 1)
	r.keep(noon.Add(time.Minute))
	p := &packer{}
	var body []byte
	for minute := int64(1); minute < 5; minute++ {
		from := ticks(noon) + minute*ticksPerMinute
		body = framed(body, p.raw(chunk{from: from, until: from + ticksPerMinute, entries: []entry{{value: float64(minute)}}}))
	}
	_, err := r.s.series.conn.ExecContext(t.Context(), `UPDATE history_raw SET id = ?, body = CAST(body || ? AS BLOB)`, ticks(noon)/3000<<20|1, body)
	if err != nil {
		t.Fatal(err)
	}
	r.s.Close()
	r = newRecorder(t, dir)
	r.says(noon.Add(5*time.Minute), "a.n", 7)
	r.keep(noon.Add(6 * time.Minute))
	want := `
12:00:00 1 1 1 1 good 60 bad 0
12:01:00 1 1 1 1 good 60 bad 0
12:02:00 2 2 2 2 good 60 bad 0
12:03:00 3 3 3 3 good 60 bad 0
12:04:00 4 4 4 4 good 60 bad 0
12:05:00 7 7 7 7 good 60 bad 0`
	r.wants("a.n", noon, noon.Add(6*time.Minute), 6, want)
	r.keep(noon.Add(time.Hour + time.Minute))
	r.wants("a.n", noon, noon.Add(6*time.Minute), 6, want)
	r.wants("a.n", noon.Add(4*time.Minute), noon.Add(4*time.Minute+10*time.Second), 1, "12:04:00 4 4 4 4 good 10 bad 0")
}

// Each flush writes rows of its own: what is on disk is not written again.
func TestWhatIsWrittenIsNotWrittenAgain(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	for second := range 600 {
		now := noon.Add(time.Duration(second) * time.Second)
		for _, name := range names[:200] {
			r.says(now, name, float64(second)/3)
		}
		if second%60 == 59 {
			r.keep(now)
		}
	}
	rows, bytes := int64(0), int64(0)
	if err := r.s.series.readers.QueryRow(`SELECT COUNT(*), SUM(LENGTH(body)) FROM history_raw`).Scan(&rows, &bytes); err != nil || rows != 200*10 {
		t.Errorf("%d rows, want one of each signal and flush; %v", rows, err)
	}
	if written := r.s.Written()[SeriesFile]; written > 3*bytes {
		t.Errorf("%d bytes written for %d", written, bytes)
	}
}

// An old time of its own, as of a retained message, says nothing of the time in between.
func TestARetainedValueBeginsWhenItCame(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	r.h.Readings(noon, []drivers.Reading{{Signal: "a.n", Time: noon.Add(-time.Hour), Value: 1, Quality: drivers.Good}})
	r.keep(noon.Add(time.Minute))
	r.wants("a.n", noon.Add(-time.Minute), noon.Add(time.Minute), 2, "11:59:00 good 0 bad 0\n12:00:00 1 1 1 1 good 60 bad 0")
}

func TestMemoryOfHistoryIsBounded(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	for i := range mostChanges + mostWaiting + 1000 {
		r.says(noon.Add(time.Duration(i)*100*time.Millisecond), "a.n", float64(i))
	}
	if r.h.now.n > mostChanges || len(r.h.waiting) != 1 || r.h.waiting[0].n > mostWaiting || r.h.dropped == 0 || len(r.h.full) != 1 {
		t.Errorf("%d changes and %d stretches, %d dropped, %d woken", r.h.now.n, len(r.h.waiting), r.h.dropped, len(r.h.full))
	}
	r.s.reserve = math.MaxInt64 // a full disk
	for range 5 {
		if err := r.h.Keep(t.Context(), noon.Add(24*time.Hour)); err == nil {
			t.Fatal("written to a full disk")
		}
	}
}

// Who looks while memory goes to disk sees it once: neither a gap, nor the same minutes twice.
func TestAChartIsWholeWhileHistoryIsWritten(t *testing.T) {
	r := newRecorder(t, t.TempDir())
	for minute := range 30 {
		for s := range 200 {
			r.says(noon.Add(time.Duration(minute)*time.Minute), names[s], float64(minute%7))
		}
	}
	now := noon.Add(30 * time.Minute)
	written := make(chan error, 1)
	go func() { written <- r.h.flush(t.Context(), &packer{}, now) }()
	for flushing := true; flushing; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatal(err)
			}
			flushing = false
		default:
		}
		buckets, err := r.h.query(t.Context(), now, names[7], noon, now, 1)
		if err != nil || len(buckets) != 1 || buckets[0].Good != 30*time.Minute {
			t.Fatalf("%+v %v", buckets, err)
		}
	}
}

// A name whose bytes changed on the disk is still in the index of names, where SQLite's quick check does not look.
func TestASignalWhoseNameIsDamagedHasHistory(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(t, dir)
	r.says(noon, "a.n", 1)
	r.keep(noon.Add(time.Minute))
	var page int
	if err := r.s.series.readers.QueryRow(`SELECT rootpage FROM sqlite_schema WHERE name = 'history_signals'`).Scan(&page); err != nil {
		t.Fatal(err)
	}
	r.s.Close()
	damage(t, filepath.Join(dir, SeriesFile), func(b []byte) []byte {
		copy(b[page*pageSize-len("a.n"):page*pageSize], "a.o")
		return b
	})
	r = newRecorder(t, dir)
	r.says(noon.Add(2*time.Minute), "a.n", 2)
	r.keep(noon.Add(3 * time.Minute))
	r.wants("a.n", noon.Add(2*time.Minute), noon.Add(3*time.Minute), 1, "12:02:00 2 2 2 2 good 60 bad 0")
}
