package mqtt

import (
	"strings"

	"github.com/tidwall/gjson"
)

// unwrapTasmota reads tele/TOPIC/SENSOR and STATE. Without a member the sample is the whole object; with one it is what a
// Zigbee bridge says of that device, known by its short address or name:
//
//	{"ZbReceived":{"0x1FAB":{"Device":"0x1FAB","Name":"smoke","ZoneStatusChange":1,"LinkQuality":131}}}
//
// The bits of ZoneStatusChange are given as ZoneStatus.alarm_1 and so on. Temperatures are read in the unit that the device
// says it uses. Source: tasmota docs, MQTT and Zigbee; Zigbee Cluster Library, IAS zone status.
func unwrapTasmota(w *wrapping, p *publication, below string) ([]sample, error) {
	text, err := object(p.payload)
	if text == "" || err != nil {
		return nil, err
	}
	s := sample{text: text, fahrenheit: gjson.Get(text, "TempUnit").Str == "F"}
	if w.zone != nil {
		s.time = readTime(gjson.Get(text, "Time"), w.zone)
	}
	if w.member == "" {
		return []sample{s}, nil
	}
	s.text = ""
	gjson.Get(text, "ZbReceived").ForEach(func(key, value gjson.Result) bool {
		if value.IsObject() && (key.Str == w.member || value.Get("Name").Str == w.member || value.Get("Device").Str == w.member) {
			s.text = withZoneStatus(value.Raw)
		}
		return s.text == ""
	})
	if s.text == "" {
		return nil, nil // of another device
	}
	return []sample{s}, nil
}

// tasmotaMembers are the Zigbee devices that a bridge tells of, by short address and name.
func tasmotaMembers(p *publication, _ string) (all [][]string) {
	text, err := object(p.payload)
	if text == "" || err != nil {
		return nil
	}
	gjson.Get(text, "ZbReceived").ForEach(func(key, value gjson.Result) bool {
		if value.IsObject() && key.Str != "" {
			all = append(all, []string{key.Str, value.Get("Name").Str, value.Get("Device").Str})
		}
		return len(all) < maxStrangers
	})
	return all
}

// zoneStatus are the bits of an IAS zone's status, lowest first.
var zoneStatus = []string{
	"alarm_1", "alarm_2", "tamper", "battery_low", "supervision", "restore", "trouble", "ac_fault", "test", "battery_defect",
}

// withZoneStatus adds the bits of a zone's status by name.
func withZoneStatus(text string) string {
	v := gjson.Get(text, "ZoneStatusChange")
	if v.Type != gjson.Number || v.Num < 0 || v.Num > 0xFFFF {
		return text
	}
	word := uint(v.Num)
	var b strings.Builder
	for i, name := range zoneStatus {
		b.WriteString(`"` + name + `":` + map[bool]string{true: "true", false: "false"}[word>>i&1 == 1] + `,`)
	}
	bits := `{` + strings.TrimSuffix(b.String(), ",") + `}`
	return `{"ZoneStatus":` + bits + `,` + strings.TrimPrefix(strings.TrimSpace(text), "{")
}
