package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const outputHome = `
site: {id: home, name: home, language: en}
data: %s
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: a, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: b, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: siren, every: 1h, signals: [{id: sounder, kind: sounder, writable: true}]}
      - {id: gas, every: 1h, signals: [{id: lel, kind: gas_lel}, {id: valve, kind: relay, writable: true}, {id: fan, kind: relay, writable: true}]}
rules:
  packs: []
  inline:
    - {id: first, class: fire, level: alarm, signal: a.smoke, when: value == 1, latch: true, outputs: [{write: siren.sounder, value: 1}]}
    - {id: second, class: fire, level: alarm, signal: b.smoke, when: value == 1, latch: true, outputs: [{write: siren.sounder, value: 1}]}
    - id: gas
      class: gas
      level: alarm
      signal: gas.lel
      when: value >= 25
      latch: true
      outputs: [{write: gas.valve, value: 1}, {write: gas.fan, value: 1, stop: reset, rest_on_stop: true}]
`

// TestASounderStopsOnSilence (AL07): and sounds again at a new trigger; where two alarms want it, at the silence of the
// second.
func TestASounderStopsOnSilence(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, fmt.Sprintf(outputHome, dir))
	wrote := func(what, want string) {
		t.Helper()
		eventually(t, what, func() bool { return s.outputs() == want })
		s.mu.Lock()
		s.written = nil
		s.mu.Unlock()
	}
	s.reads("a.smoke", 1)
	wrote("it sounds", "siren.sounder=1")
	h.act("first", "silence")
	wrote("it is silenced", "siren.sounder=0")
	s.reads("a.smoke", 0)
	h.alarms("first returned")
	s.reads("a.smoke", 1)
	wrote("a new trigger", "siren.sounder=1")
	s.reads("b.smoke", 1)
	wrote("a second alarm", "siren.sounder=1")
	h.act("first", "silence")
	h.act("second", "ack")
	h.alarms("first unacknowledged, second acknowledged")
	h.act("second", "silence")
	wrote("nobody wants it any more", "siren.sounder=0")
}

// TestAValveDoesNotOpenBecauseSomebodyWantedQuiet (AL07, RU19): what stops on reset does so then, and a valve never by
// itself.
func TestAValveDoesNotOpenBecauseSomebodyWantedQuiet(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, fmt.Sprintf(outputHome, dir))
	s.reads("gas.lel", 30)
	eventually(t, "valve and fan", func() bool { return strings.Count(s.outputs(), "=1") == 2 })
	h.act("gas", "silence")
	s.reads("gas.lel", 0)
	h.alarms("gas returned")
	h.act("gas", "ack")
	if got := s.outputs(); strings.Contains(got, "=0") {
		t.Errorf("before the reset: %s", got)
	}
	h.act("gas", "reset")
	eventually(t, "the fan stops", func() bool { return strings.HasSuffix(s.outputs(), "gas.fan=0") })
	if got := s.outputs(); strings.Contains(got, "gas.valve=0") {
		t.Errorf("after the reset: %s", got)
	}
}

// TestAnOutputRestsWhileTheGatewayIsStopped (RU19, MB28): where the configuration says so; it is on again after the start while
// its alarm is open, and a reload leaves it alone.
func TestAnOutputRestsWhileTheGatewayIsStopped(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, fmt.Sprintf(outputHome, dir))
	s.reads("gas.lel", 30)
	eventually(t, "valve and fan", func() bool { return strings.Count(s.outputs(), "=1") == 2 })
	h.alarms("gas unacknowledged")
	h.end(ErrReplaced)
	if got := s.outputs(); strings.Contains(got, "=0") {
		t.Errorf("a reload: %s", got)
	}

	s = newScript()
	h = startConfig(t, s, dir, fmt.Sprintf(outputHome, dir))
	h.alarms("gas unacknowledged")
	h.stop()
	if got := s.outputs(); !strings.HasSuffix(got, "gas.fan=0") || strings.Contains(got, "gas.valve=0") {
		t.Errorf("a stop: %s", got)
	}

	s = newScript()
	startConfig(t, s, dir, fmt.Sprintf(outputHome, dir))
	eventually(t, "the fan again", func() bool { return s.outputs() == "gas.fan=1" })
}

// TestAClockIn1970KeepsNoOutputOnForYears (RU16, RU19): what is left of its longest time is no more than all of it.
func TestAClockIn1970KeepsNoOutputOnForYears(t *testing.T) {
	h := idle(t, newScript(), clockHome)
	boot := time.Unix(20, 0)
	saved := fmt.Sprintf(`{"gas.valve": {"value": 1, "alarm": "1", "back": %q, "done": true, "max_on": 600000000000}}`, time.Now().Format(time.RFC3339))
	if err := h.store.Set(t.Context(), outputsKey, saved); err != nil {
		t.Fatal(err)
	}
	if got := newOutputs(h, boot).next().Sub(boot); got != 10*time.Minute {
		t.Errorf("it goes back in %s", got)
	}
}
