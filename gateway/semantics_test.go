package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
)

const manyDevices = `
site: {id: home, name: home, language: en}
data: %s
zones: [{id: hall, name: Hall}]
endpoints:
  - id: bus
    script: {}
    devices:
%s
rules:
  packs: [fire, comms]
  override: [{rule: endpoint-lost, for: 20ms}, {rule: device-lost, for: 20ms}, {rule: signal-fault, for: 20ms}]
  inline:
    - {id: ratio, class: supervisory, level: alarm, signal: two.number, when: 'value / last("one.number") > 1'}
`

// hall is a home of thirty detectors on one wire.
func hall(dir string) string {
	var devices strings.Builder
	for i := range 30 {
		fmt.Fprintf(&devices, "      - {id: d%d, zone: hall, every: 1h, signals: [{id: smoke, kind: smoke}]}\n", i)
	}
	devices.WriteString("      - {id: two, zone: hall, every: 1h, signals: [{id: smoke, kind: smoke}, {id: number, kind: number}]}\n")
	devices.WriteString("      - {id: one, zone: hall, every: 1h, signals: [{id: number, kind: number}]}\n")
	return fmt.Sprintf(manyDevices, dir, devices.String())
}

// mood is what the page says in one word.
func (h *home) mood() string {
	h.t.Helper()
	var status struct {
		Mood string `json:"mood"`
	}
	h.get("/api/v1/status", &status)
	return status.Mood
}

// read hands over good readings of one device.
func (s *script) read(pairs ...any) {
	var batch []drivers.Reading
	for i := 0; i < len(pairs); i += 2 {
		batch = append(batch, drivers.Reading{Signal: pairs[i].(string), Time: time.Now(), Value: float64(pairs[i+1].(int)), Quality: drivers.Good})
	}
	s.say <- batch
}

func (s *script) bad(signal string, reason drivers.Reason) {
	s.say <- []drivers.Reading{{Signal: signal, Time: time.Now(), Reason: reason}}
}

// TestALostEndpointIsOneAlarmAndHidesNoFire (RU04, RU05, RU11, AL11): thirty detectors behind one wire; a fire that was
// seen stays through loss, no data, reload and restart, and on top.
func TestALostEndpointIsOneAlarmAndHidesNoFire(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, hall(dir))
	for i := range 30 {
		s.reads(fmt.Sprintf("d%d.smoke", i), 0)
	}
	s.read("two.smoke", 1, "two.number", 1)
	h.alarms("smoke unacknowledged")
	s.fail <- errors.New("connection reset")
	h.alarms("smoke unacknowledged, endpoint-lost unacknowledged")
	if got := h.mood(); got != "alarm" {
		t.Errorf("the page says %s", got)
	}
	h.alarms("smoke unacknowledged, endpoint-lost returned") // the wire is back, and nobody has been heard
	s.bad("two.smoke", drivers.CRC)
	s.reads("two.number", 1) // the device answers, but not with its smoke
	h.alarms("smoke unacknowledged, endpoint-lost returned, signal-fault unacknowledged")

	h.end(ErrReplaced)
	s = newScript()
	h = startConfig(t, s, dir, hall(dir))
	h.alarms("smoke unacknowledged, endpoint-lost returned, signal-fault unacknowledged")
	h.stop()
	s = newScript()
	h = startConfig(t, s, dir, hall(dir))
	s.bad("two.smoke", drivers.Timeout)
	h.alarms("smoke unacknowledged, endpoint-lost returned, signal-fault unacknowledged")
	s.read("two.smoke", 0, "two.number", 1)
	h.alarms("smoke returned, endpoint-lost returned, signal-fault returned")
}

// TestARuleThatCannotBeEvaluatedIsAFault (RU18): and is none any more when it can.
func TestARuleThatCannotBeEvaluatedIsAFault(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, hall(dir))
	s.reads("one.number", 0)
	s.read("two.smoke", 0, "two.number", 5)
	h.alarms("gateway-rule unacknowledged")
	var open []alarm.Alarm
	h.get("/api/v1/alarms", &open)
	if !strings.Contains(open[0].Message, "ratio@two.number: ") || !strings.Contains(open[0].Message, "divided by zero") {
		t.Errorf("it says %q", open[0].Message)
	}
	s.reads("one.number", 10)
	h.alarms("gateway-rule returned")
	s.reads("two.number", 50)
	h.alarms("ratio unacknowledged, gateway-rule returned")
}

// TestAnAlarmIsRaisedOnArrival (RU15): between the sample and the alarm on disk there is no turn of a clock.
func TestAnAlarmIsRaisedOnArrival(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, hall(dir))
	var took []time.Duration
	for i := range 5 {
		read := time.Now()
		s.reads(fmt.Sprintf("d%d.smoke", i), 1)
		s.reads("d20.smoke", 0) // taken in when the alarm before is on disk
		took = append(took, time.Since(read))
	}
	h.alarms("smoke unacknowledged, smoke unacknowledged, fire-confirmed unacknowledged, smoke unacknowledged, smoke unacknowledged, smoke unacknowledged")
	if least := min(took[0], took[1], took[2], took[3], took[4]); least > 200*time.Millisecond {
		t.Errorf("the fastest of five took %s", least)
	}
}
