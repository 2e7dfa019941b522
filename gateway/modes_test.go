package gateway

import (
	"errors"
	"testing"
	"time"

	"embergate/gateway/alarm"
)

var who = alarm.Act{By: "zhang", Note: "yearly"}

// TestTestsAndDrillsEndByThemselves (AL09, AL10): after the time that was asked for, the usual one, and no later than the
// longest.
func TestTestsAndDrillsEndByThemselves(t *testing.T) {
	now := time.Now()
	m := &modes{}
	if _, err := m.test(now, now.Add(9*time.Hour), "f1", who); !errors.Is(err, alarm.ErrInput) {
		t.Errorf("nine hours: %v", err)
	}
	if _, err := m.test(now, now.Add(-time.Second), "f1", who); !errors.Is(err, alarm.ErrInput) {
		t.Errorf("an end that has passed: %v", err)
	}
	if _, err := m.test(now, now.Add(time.Hour), "f1", who); err != nil {
		t.Fatal(err)
	}
	if _, err := m.test(now, time.Time{}, "f2", who); err != nil {
		t.Fatal(err)
	}
	if err := m.start(now, time.Time{}, "gas.lel", who); err != nil {
		t.Fatal(err)
	}
	if err := m.start(now, time.Time{}, "gas.lel", who); !errors.Is(err, alarm.ErrState) {
		t.Errorf("a second drill: %v", err)
	}
	if got := m.next(); !got.Equal(now.Add(usualDrill)) {
		t.Errorf("next is %s", got.Sub(now))
	}
	if tests, drill := m.over(now.Add(usualDrill)); len(tests) != 0 || !drill {
		t.Errorf("after %s: %v, %v", usualDrill, tests, drill)
	}
	m.Drill = nil
	if tests, _ := m.over(now.Add(time.Hour)); len(tests) != 1 || tests[0].Zone != "f1" {
		t.Errorf("after an hour: %v", tests)
	}
	if tests, _ := m.over(now.Add(usualTest)); len(tests) != 1 || !m.next().IsZero() {
		t.Errorf("after %s: %v", usualTest, tests)
	}
}

// TestTestsSurviveARestartAndEndTooSoonRatherThanTooLate (AL09, AL11, RU16).
func TestTestsSurviveARestartAndEndTooSoonRatherThanTooLate(t *testing.T) {
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	stored := began.Add(10 * time.Minute)
	for _, test := range []struct {
		name string
		boot time.Time
		left time.Duration
	}{
		{"at once", stored, 50 * time.Minute},
		{"half an hour later", stored.Add(30 * time.Minute), 20 * time.Minute},
		{"a day later", stored.Add(24 * time.Hour), 0},
		{"with a clock that began in 1970", time.Unix(5, 0), 0},
		{"with a clock an hour behind, beyond what was stored", stored.Add(-time.Hour), 0},
		{"with a clock an hour ahead", stored.Add(time.Hour), 0},
	} {
		m := &modes{}
		if _, err := m.test(began, began.Add(time.Hour), "f1", who); err != nil {
			t.Fatal(err)
		}
		if err := m.start(began, began.Add(time.Hour), "gas.lel", who); err != nil {
			t.Fatal(err)
		}
		back, err := restoreModes(test.boot, m.record(stored))
		if err != nil {
			t.Fatal(err)
		}
		if got := back.Tests[0].Until.Sub(test.boot); got != test.left {
			t.Errorf("%s: the test lasts for %s more, want %s", test.name, got, test.left)
		}
		if got := back.Drill.Until.Sub(test.boot); got != test.left || back.Drill.Signal != "gas.lel" || back.Drill.By != "zhang" {
			t.Errorf("%s: the drill lasts for %s more, want %s", test.name, got, test.left)
		}
	}
	if m, err := restoreModes(stored, "{"); err == nil || m == nil {
		t.Error("a record that cannot be read is no error")
	}
}
