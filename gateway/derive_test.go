package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"embergate/drivers"
	"embergate/drivers/conf"
)

const derivedHome = `
site: {id: home, name: home, language: en}
data: %s
console: {listen: "127.0.0.1:0"}
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: a, signals: [{id: energy, kind: energy}, {id: power, kind: power}]}
      - {id: b, signals: [{id: power, kind: power}]}
derived:
  - id: house
    name: House
    signals:
      - {id: power, kind: power, sum: [a.power, b.power]}
      - {id: energy, kind: energy, total: a.energy, modulus: 1000}
rules:
  inline:
    - {id: load, name: Load, class: electrical, level: prealarm, signal: house.power, when: "value > 10"}
`

// Rows DM08 and DM11: what is derived raises alarms as what is read does, and totals outlive a restart.
func TestDerivedSignalsAreReadAsOthersAre(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, fmt.Sprintf(derivedHome, dir))
	s.reads("a.energy", 998)
	s.reads("a.power", 6)
	s.reads("b.power", 5)
	h.alarms("load unacknowledged")
	s.reads("b.power", 1)
	h.alarms("load returned")
	h.stop()

	s = newScript()
	h = startConfig(t, s, dir, fmt.Sprintf(derivedHome, dir))
	s.reads("a.energy", 5)                   // the counter has begun again meanwhile
	eventually(t, "the total", func() bool { // 998 kWh, 2 to the end of the counter, 5 since
		answer, err := http.Get(h.url + "/api/v1/signals")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		var signals []struct {
			Signal string
			Value  *float64
		}
		if err := json.NewDecoder(answer.Body).Decode(&signals); err != nil {
			return false
		}
		return slices.ContainsFunc(signals, func(s struct {
			Signal string
			Value  *float64
		}) bool {
			return s.Signal == "house.energy" && s.Value != nil && *s.Value == 1005
		})
	})
}

func TestADerivedDeviceHasAnIDOfItsOwn(t *testing.T) {
	root := conf.Parse("home.yaml", []byte(strings.Replace(fmt.Sprintf(derivedHome, t.TempDir()), "id: house", "id: a", 1)), conf.OS())
	if _, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": newScript().protocol}, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if got := root.Problems().Error(); !strings.Contains(got, `derived[0].id: the id "a" is there twice`) {
		t.Error(got)
	}
}
