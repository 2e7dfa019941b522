package rules_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
	"unsafe"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/rules"
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

// A run of readings and silences gives the same outcomes at the same instants, whatever is done to the wall clock.
func TestAStepOfTheWallClockChangesNothing(t *testing.T) {
	m := everything()
	root := conf.Parse("r.yaml", []byte(`
inline:
  - {id: mean, class: gas, level: alarm, each: kind == "co", when: 'avg("1m") > 50 || rate("1m") > 30', until: 'max("30s") < 20'}
  - {id: quiet, class: gas, level: fault, each: kind == "co", when: age() > 45}
  - {id: pair, class: fire, level: alarm, zone: each, when: 'active(["smoke", "heat"], "40s") >= 2'}
`), conf.OS())
	set := rules.New(root, m)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	key := func(kind string) string {
		i := slices.IndexFunc(m.Signals, func(s rules.Signal) bool { return s.Signal.Kind == kind })
		return m.Signals[i].Key
	}
	begin := time.Now()
	run := func(step func(i int) time.Duration) []string {
		st := set.NewState()
		st.SetActive(func(rules.Class) int { return 0 })
		var outcomes []string
		for i := range 200 {
			now := stepped(t, begin.Add(time.Duration(i)*time.Second), step(i))
			var batch []drivers.Reading
			switch {
			case i < 60:
				batch = append(batch, good(key("co"), float64(i*2)), good(key("temperature"), 20+float64(i)/10))
			case i == 70:
				batch = append(batch, good(key("smoke"), 1))
			case i == 72:
				batch = append(batch, good(key("smoke"), 0), good(key("heat"), 1))
			}
			told := append(slices.Clone(st.Update(now, batch)), st.Due(now)...)
			for _, in := range told {
				r := st.Eval(in, now)
				outcomes = append(outcomes, fmt.Sprint(i, in.Key, r.When, r.Until))
			}
			if wait := st.Next().Sub(now); wait > time.Minute || wait < -time.Second {
				t.Fatalf("at %d s the next look is in %s", i, wait)
			}
		}
		return outcomes
	}
	want := run(func(int) time.Duration { return 0 })
	if len(want) < 1000 || !slices.ContainsFunc(want, func(s string) bool { return s == fmt.Sprint(72, "pair@home", rules.True, rules.False) }) {
		t.Fatalf("the story is not told: %d outcomes", len(want))
	}
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		got := run(func(i int) time.Duration {
			if i >= 65 {
				return step
			}
			return 0
		})
		if !slices.Equal(got, want) {
			for i := range want {
				if i >= len(got) || got[i] != want[i] {
					t.Errorf("%s: outcome %d is %q, want %q", step, i, got[min(i, len(got)-1)], want[i])
					break
				}
			}
		}
	}
}

// RU09: the hours of the day are the wall clock's by nature.
func TestTheHoursOfTheDayFollowTheWallClock(t *testing.T) {
	set, in := rule(t, abc(), `schedule("22:00-06:00")`)
	st := set.NewState()
	noon := time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC) // 12:00 in Shanghai
	for hours, want := range map[int]rules.Value{0: rules.False, 10: rules.True, 17: rules.True, 18: rules.False} {
		if r := st.Eval(in, noon.Add(time.Duration(hours)*time.Hour)); r.When != want {
			t.Errorf("%d hours after noon: %s, want %s", hours, r.When, want)
		}
	}
}
