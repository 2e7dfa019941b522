package profiles_test

import (
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/modbus"
	"embergate/drivers/mqtt"
	"embergate/drivers/profiles"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// decode is what a device of the model would give for a vector, through the driver's own decoder.
func decode(t *testing.T, m profiles.Model, v profiles.Vector) []drivers.Reading {
	t.Helper()
	if m.Protocol == "modbus" {
		return modbus.Decode(m.Signals, func(table modbus.Table, first uint16, n int) ([]byte, bool) {
			return v.Wire(table.String(), first, n)
		}, noon)
	}
	var all []drivers.Reading
	for _, message := range v.Messages {
		readings, err := mqtt.Decode(m.Signals, message.Topic, []byte(message.Payload), noon)
		if err != nil {
			t.Errorf("%s, topic %q: %v", v.Name, message.Topic, err)
		}
		all = append(all, readings...)
	}
	return all
}

func TestEveryVectorOfEveryModelHolds(t *testing.T) {
	models, err := profiles.Models()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models {
		for _, v := range m.Vectors {
			t.Run(m.ID+"/"+v.Name, func(t *testing.T) {
				for _, wrong := range v.Check(decode(t, m, v)) {
					t.Error(wrong)
				}
			})
		}
	}
}

func TestCheckSaysWhatDiffers(t *testing.T) {
	v := profiles.Vector{Readings: map[string]profiles.Want{
		"good": {Value: 230.1}, "off": {Value: 1}, "gone": {Value: 2}, "broken": {Reason: drivers.Sentinel}, "doubtful": {Value: 3},
	}}
	got := v.Check([]drivers.Reading{
		{Signal: "good", Value: 230.10000610351562, Quality: drivers.Good},
		{Signal: "off", Value: 1.001, Quality: drivers.Good},
		{Signal: "broken", Value: 64250, Quality: drivers.Good},
		{Signal: "doubtful", Value: 3, Quality: drivers.Uncertain, Reason: drivers.Stale},
	})
	want := []string{
		"broken: 64250, want bad: sentinel",
		"doubtful: 3, uncertain: stale, want 3",
		"gone: no reading, want 2",
		"off: 1.001, want 1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
