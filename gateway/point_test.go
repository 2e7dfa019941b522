package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/notify"
)

const bedHome = `
site: {id: home, name: home, language: zh}
data: %[1]s
console: {listen: "127.0.0.1:0"}
zones:
  - {id: a, name: A栋}
  - {id: f3, name: 三层, in: a}
  - {id: r301, name: "301", in: f3}
  - {id: r301-2, name: 2床, in: r301}
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: smoke, name: 床头烟感, zone: r301-2, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: meter, name: 电表, zone: f3, every: 1h, signals: [{id: power, kind: power}]}
rules:
  packs: [fire]
  inline:
    - {id: blind, name: 表坏, class: fault, level: fault, signal: meter.power, when: 'reason() == "crc"'}
channels: [{id: hook, webhook: {url: "%[2]s/hook"}}]
uplinks: [{id: platform, influxdb: {url: "%[2]s", org: o, bucket: b, token: t}}]
`

// Row DM05: the way from the building to the bed is in every alarm and its text; its zone is in every series.
// Row DM06: quality and reason reach rules, the API with the time since when, and history.
func TestPlaceAndQualityGoWithEveryReading(t *testing.T) {
	far, s := newOutside(t), newScript()
	h := startConfig(t, s, t.TempDir(), fmt.Sprintf(bedHome, t.TempDir(), far.URL))
	s.reads("smoke.smoke", 1)
	const path = "A栋 / 三层 / 301 / 2床"
	eventually(t, "the message", func() bool {
		far.mu.Lock()
		defer far.mu.Unlock()
		return slices.ContainsFunc(far.messages, func(m notify.Message) bool {
			return m.Alarm != nil && m.Alarm.ZonePath == path && strings.Contains(m.Text, path) && strings.Contains(m.Alarm.Message, path)
		})
	})
	eventually(t, "the points", func() bool {
		series := far.series()
		return strings.Contains(series, "fire,device=smoke,site=home,zone=r301-2 smoke=1i") && strings.Contains(series, "site=home,zone=r301-2 event=")
	})

	s.say <- []drivers.Reading{{Signal: "meter.power", Time: time.Now(), Reason: drivers.CRC, Detail: "wrong CRC"}}
	eventually(t, "the rule on the reason", func() bool {
		var alarms []alarm.Alarm
		h.get("/api/v1/alarms", &alarms)
		return slices.ContainsFunc(alarms, func(a alarm.Alarm) bool { return a.Rule == "blind" })
	})
	var signals []struct {
		Signal, Quality, Reason, Detail string
		Value                           *float64
		Since                           time.Time
	}
	h.get("/api/v1/signals", &signals)
	for _, s := range signals {
		if s.Signal == "meter.power" && (s.Value != nil || s.Quality != "bad" || s.Reason != "crc" || s.Detail != "wrong CRC" || time.Since(s.Since) > time.Minute) {
			t.Errorf("the API says %+v", s)
		}
	}
	eventually(t, "history", func() bool {
		var chart struct{ Steps []console.Step }
		h.get(fmt.Sprintf("/api/v1/history?signal=meter.power&from=%d", time.Now().Add(-time.Minute).Unix()), &chart)
		return slices.ContainsFunc(chart.Steps, func(s console.Step) bool { return s.Why == drivers.CRC })
	})
}

// Row DM09: history goes by the id of a device, not by what it is called or where it hangs.
func TestARenamedAndMovedDeviceKeepsItsHistory(t *testing.T) {
	far, s, dir := newOutside(t), newScript(), t.TempDir()
	config := fmt.Sprintf(bedHome, dir, far.URL)
	h := startConfig(t, s, dir, config)
	s.reads("meter.power", 7)
	has := func() bool {
		var chart struct{ Steps []console.Step }
		h.get(fmt.Sprintf("/api/v1/history?signal=meter.power&from=%d", time.Now().Add(-time.Minute).Unix()), &chart)
		return slices.ContainsFunc(chart.Steps, func(s console.Step) bool { return s.Max != nil && *s.Max == 7 })
	}
	eventually(t, "it is there", has)
	h.stop()
	s = newScript()
	h = startConfig(t, s, dir, strings.Replace(config, "name: 电表, zone: f3", "name: 总电表, zone: a", 1))
	eventually(t, "it is there still", has)
}
