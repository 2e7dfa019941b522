package duty

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/gateway/alarm"
)

// checked is a plan with two shifts and checks.
func checked(t *testing.T, more string) *Plan {
	t.Helper()
	return plan(t, "UTC", `
shifts:
  - {name: day, from: "08:00", to: "20:00", people: [zhang]}
  - {name: night, from: "20:00", to: "08:00", people: [li]}
`+more)
}

var monday = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// TestThoseOnDutyAreAskedAtTimesNobodyKnows goes through a week turn by turn: each shift is asked as often as configured,
// within its hours, with time to answer before its end. Row NO19.
func TestThoseOnDutyAreAskedAtTimesNobodyKnows(t *testing.T) {
	p := checked(t, "checks: {per_shift: 3, answer: 10m, missed: wang}\n")
	c, err := RestoreChecks(monday, p, rand.New(rand.NewPCG(1, 2)), "")
	if err != nil {
		t.Fatal(err)
	}
	asked, missed, offsets := map[string]int{}, 0, map[time.Duration]bool{}
	for now := monday; now.Before(monday.AddDate(0, 0, 7)); now = now.Add(time.Minute) {
		e, ok := c.Tick(now, false)
		if !ok {
			continue
		}
		turn := p.Turns(now, now.Add(1))[0]
		switch {
		case e.Missed:
			missed++
		default:
			asked[turn.From.Format(time.RFC3339)+turn.Shift]++
			offsets[now.Sub(turn.From)] = true
			if e.Shift != turn.Shift || len(e.People) != 1 || e.People[0] != turn.People[0] {
				t.Errorf("%s: asked %+v, on duty is %+v", now, e, turn)
			}
			if e.Until.After(turn.To.Add(time.Hour)) {
				t.Errorf("%s: until %s, the shift ends %s", now, e.Until, turn.To)
			}
		}
		if !e.Missed && missed%2 == 0 {
			if _, err := c.Answer(now.Add(time.Minute), e.ID); err != nil {
				t.Error(err)
			}
			missed++
		}
	}
	total := 0
	for turn, n := range asked {
		total += n
		if n > 3 {
			t.Errorf("%s: asked %d times, 3 are configured", turn, n)
		}
	}
	if total < 40 || len(offsets) < 35 {
		t.Errorf("asked %d times in a week at %d different times, want 42 or nearly", total, len(offsets))
	}
}

// TestADutyCheckNobodyAnswersIsMissedOnceAlsoAfterARestart asks, stops for longer than the time to answer has left, and
// goes on. Row NO19.
func TestADutyCheckNobodyAnswersIsMissedOnceAlsoAfterARestart(t *testing.T) {
	p := checked(t, "checks: {per_shift: 1}\n")
	c, _ := RestoreChecks(monday, p, rand.New(rand.NewPCG(1, 2)), "")
	now := monday
	var asked CheckEvent
	for ok := false; !ok; now = now.Add(time.Minute) {
		asked, ok = c.Tick(now, false)
	}
	record := c.Record(now.Add(time.Minute))
	later := now.Add(time.Hour)
	c, err := RestoreChecks(later, p, rand.New(rand.NewPCG(3, 4)), record)
	if err != nil || c.Open == nil || c.Open.ID != asked.ID {
		t.Fatalf("restored %+v, %v", c.Open, err)
	}
	if e, ok := c.Tick(later, false); ok {
		t.Errorf("%+v at once after the restart; the time to answer goes on", e)
	}
	e, ok := c.Tick(later.Add(5*time.Minute), false)
	if !ok || !e.Missed || e.ID != asked.ID {
		t.Errorf("%+v, want it missed", e)
	}
	for now := later.Add(6 * time.Minute); now.Before(asked.Asked.Truncate(24 * time.Hour).Add(20 * time.Hour)); now = now.Add(time.Minute) {
		if e, ok := c.Tick(now, false); ok {
			t.Errorf("%s: %+v; this shift was asked", now, e)
		}
	}
	if _, err := c.Answer(later, asked.ID); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("answered when it was over: %v", err)
	}
}

func TestNobodyIsAskedWhileTheHomeIsBusy(t *testing.T) {
	p := checked(t, "checks: {per_shift: 1}\n")
	c, _ := RestoreChecks(monday, p, rand.New(rand.NewPCG(1, 2)), "")
	now := monday
	for ; now.Before(monday.Add(11 * time.Hour)); now = now.Add(time.Minute) {
		if e, ok := c.Tick(now, true); ok {
			t.Fatalf("asked %+v while busy", e)
		}
	}
	if _, ok := c.Tick(now, false); !ok {
		t.Error("not asked when it was over")
	}
}

// Row SF16: a fire centre calls for a check. One is open at a time, the home may be busy, and somebody must be on duty.
func TestACheckThatSomebodyOutsideOrders(t *testing.T) {
	c, _ := RestoreChecks(monday, checked(t, ""), rand.New(rand.NewPCG(1, 2)), "")
	e, ok := c.Order(monday, 10*time.Minute)
	if !ok || e == nil || e.Shift != "day" || !e.Until.Equal(monday.Add(10*time.Minute)) {
		t.Fatalf("ordered %+v %v", e, ok)
	}
	if again, ok := c.Order(monday.Add(time.Minute), time.Hour); again != nil || !ok || !c.Open.Until.Equal(e.Until) {
		t.Errorf("ordered again: %+v %v", again, ok)
	}
	if _, err := c.Answer(monday.Add(2*time.Minute), e.ID); err != nil {
		t.Error(err)
	}
	for answer, want := range map[time.Duration]time.Duration{0: usualAnswer, 255 * time.Minute: longestAnswer} {
		e, ok := c.Order(monday, answer)
		if !ok || e.Until.Sub(monday) != want {
			t.Errorf("%v to answer: %+v %v", answer, e, ok)
		}
		if missed, ok := c.Tick(monday.Add(want), false); !ok || !missed.Missed {
			t.Errorf("nobody answered: %+v %v", missed, ok)
		}
	}
	empty, _ := RestoreChecks(monday, plan(t, "UTC", ""), rand.New(rand.NewPCG(1, 2)), "")
	if e, ok := empty.Order(monday, 0); e != nil || ok {
		t.Errorf("with nobody on duty: %+v %v", e, ok)
	}
}

func TestChecksAreReadStrictly(t *testing.T) {
	for text, want := range map[string]string{
		"checks: {per_shift: 99}\n":            "between 0 and 12 checks in a shift",
		"checks: {per_shift: 1, answer: 1s}\n": "the time to answer is between 1m0s and 1h0m0s",
		"checks: {missed: nobody}\n":           "nobody",
		"hazards: {due: 1m}\n":                 "the time to put a hazard right is at least 1h0m0s",
		"hazards: {owner: somebody}\n":         "somebody",
		"hazards: {after: -1h}\n":              "is not a duration",
	} {
		root := conf.Parse("duty.yaml", []byte(people+text), conf.OS())
		Read(root, Options{})
		if got := root.Problems(); len(got) != 1 || !strings.Contains(got.Error(), want) {
			t.Errorf("%s: %v, want %q", text, got, want)
		}
	}
}
