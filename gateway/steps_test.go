package gateway

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unsafe"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// stepped is t after somebody moved the wall clock: the monotonic part stays. Package time offers no such thing, so it
// reaches into time.Time (wall, ext, loc), and checks what it got.
func stepped(t testing.TB, from time.Time, step time.Duration) time.Time {
	t.Helper()
	moved := from.Add(step)
	(*struct {
		wall uint64
		ext  int64
	})(unsafe.Pointer(&moved)).ext -= int64(step)
	if moved.Sub(from) != 0 || moved.Round(0).Sub(from.Round(0)) != step {
		t.Fatalf("time.Time is not what this test thinks: %v, %v", from, moved)
	}
	return moved
}

// idle is a hub without goroutines: the test tells it the time.
func idle(t testing.TB, s *script, config string) *hub {
	t.Helper()
	root := conf.Parse("home.yaml", []byte(config), conf.OS())
	g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": s.protocol}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	h, err := newHub(t.Context(), g, st)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const clockHome = `
site: {id: home, name: home, language: en}
data: /nowhere
zones: [{id: hall, name: Hall}, {id: cellar, name: Cellar}]
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: smoke, zone: hall, every: 5s, signals: [{id: smoke, kind: smoke}]}
      - {id: heat, zone: hall, every: 5s, signals: [{id: heat, kind: heat}, {id: temperature, kind: temperature}]}
      - {id: gas, zone: cellar, every: 5s, signals: [{id: lel, kind: gas_lel}]}
      - {id: meter, zone: hall, every: 5s, signals: [{id: rcd, kind: residual_current}, {id: mains, kind: mains}, {id: volt, kind: voltage}]}
`

// TestSettingTheClockFiresAndClearsNothing (RU16, RE05): the whole chain from reading to journal, told the times: delays,
// windows, stale signals, lost devices, a test and its end. Whatever is done to the wall clock, the same things happen at
// the same seconds.
func TestSettingTheClockFiresAndClearsNothing(t *testing.T) {
	const since1970 = 56 * 365 * 24 * time.Hour
	want := clockStory(t, func(int) time.Duration { return 0 })
	for _, word := range []string{"raised smoke", "raised fire-confirmed", "raised residual-current", "cleared residual-current", "raised device-lost", "raised mains-lost",
		"raised voltage-low", "cleared mains-lost", "raised temperature-rise", "raised gas-low (test)", "test.ended", "raised gas-low\n"} {
		if !strings.Contains(want, word) {
			t.Errorf("the story lacks %q:\n%s", word, want)
		}
	}
	for name, step := range map[string]func(i int) time.Duration{
		"an hour ahead": func(i int) time.Duration {
			if i >= 95 {
				return time.Hour
			}
			return 0
		},
		"an hour back": func(i int) time.Duration {
			if i >= 95 {
				return -time.Hour
			}
			return 0
		},
		"to and fro": func(i int) time.Duration {
			return []time.Duration{0, time.Hour, -time.Hour, 24 * time.Hour}[i%4]
		},
		"from 1970": func(i int) time.Duration {
			if i < 95 {
				return -since1970
			}
			return 0
		},
	} {
		if got := clockStory(t, step); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// clockStory plays four minutes and tells what happened at which second.
func clockStory(t *testing.T, step func(i int) time.Duration) string {
	h := idle(t, newScript(), clockHome)
	begin := time.Now()
	var story strings.Builder
	var seq int64
	for i := range 240 {
		now := stepped(t, begin.Add(time.Duration(i)*time.Second), step(i))
		if i == 0 {
			h.take(now, drivers.LinkUp("bus", now))
		}
		if i == 60 {
			if _, err := h.exercise.test(now, time.Time{}, "cellar", alarm.Act{By: "li"}); err != nil {
				t.Fatal(err)
			}
			h.exercise.Tests[0].Until = now.Add(2 * time.Minute) // as if asked for
			h.exercise.changed(now)
		}
		for _, batch := range clockReadings(i, now) {
			h.take(now, batch)
		}
		h.tick(now)
		events, err := h.store.Events(t.Context(), seq, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			seq = e.Seq
			line := e.Type
			if strings.HasPrefix(line, "clock.") {
				continue // that it was set is said, and nothing else
			}
			if e.Alarm != nil {
				_, line, _ = strings.Cut(e.Type, ".")
				line += " " + e.Alarm.Rule
				if e.Alarm.Test {
					line += " (test)"
				}
			}
			fmt.Fprintf(&story, "%3d %s\n", i, line)
		}
	}
	return story.String()
}

// clockReadings are what the devices say at a second of the story.
func clockReadings(i int, now time.Time) (batches [][]drivers.Reading) {
	if i%5 != 0 {
		return nil
	}
	good := func(signal string, value float64) drivers.Reading {
		return drivers.Reading{Signal: signal, Time: now, Value: value, Quality: drivers.Good}
	}
	between := func(from, to int, in, out float64) float64 {
		if i >= from && i < to {
			return in
		}
		return out
	}
	batches = append(batches,
		[]drivers.Reading{good("smoke.smoke", between(30, 40, 1, 0))},
		[]drivers.Reading{good("heat.heat", between(100, 110, 1, 0)), good("heat.temperature", 20+max(0, float64(i-80)/5))},
		[]drivers.Reading{good("gas.lel", between(90, 240, 12, 0))},
	)
	if i < 150 || i > 220 { // and then it is silent
		batches = append(batches, []drivers.Reading{good("meter.rcd", between(50, 140, 400, 20)), good("meter.mains", between(80, 120, 0, 1)), good("meter.volt", between(60, 150, 190, 220))})
	}
	return batches
}
