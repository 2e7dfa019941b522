// Package proof holds the vectors of device models against what the drivers make of them: the built-in models in the tests,
// and a user's own with `embergate profiles test`. It stands apart from the models because it needs the drivers.
package proof

import (
	"log/slog"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/drivers/modbus"
	"embergate/drivers/mqtt"
	"embergate/drivers/profiles"
)

// Failure is a vector that does not hold.
type Failure struct {
	Vector string
	Wrong  []i18n.Text // what differs, one line a signal
}

// protocols are the drivers with the least that an endpoint and a device of theirs need.
var protocols = map[string]struct {
	driver           func() drivers.Protocol
	endpoint, device string
}{
	"modbus": {modbus.New, "tcp://127.0.0.1:502", "unit: 1"},
	"mqtt":   {mqtt.New, "mqtt://127.0.0.1:1883", `topic: "spBv1.0/g/+/e/d"`},
}

// Check reports in s, the file of the model, what its driver will not take.
func Check(s conf.Section, m profiles.Model) {
	p, ok := protocols[m.Protocol]
	if !ok || s.Problems() != nil {
		return // reported already
	}
	root := conf.Parse("", []byte("settings: {url: \""+p.endpoint+"\"}\ndevice: {id: one, profile: "+m.ID+", "+p.device+"}\n"), conf.OS())
	p.driver()(drivers.Endpoint{
		ID: "one", Settings: root.At("settings"), Devices: []conf.Section{root.At("device")},
		Profiles: drivers.Profiles{m.ID: m.Profile}, Log: slog.New(slog.DiscardHandler), Monitor: drivers.Discard{},
	})
	for _, problem := range root.Problems() {
		s.At("signals").Problem(problem.What.Format, problem.What.Args...)
	}
}

// Vectors are the vectors of a model that do not hold; nil if all do. The model has no mistakes.
func Vectors(m profiles.Model, now time.Time) []Failure {
	var failed []Failure
	for _, v := range m.Vectors {
		var got []drivers.Reading
		var wrong []i18n.Text
		if m.Protocol == "mqtt" {
			got, wrong = messages(m, v, now)
		} else {
			got = registers(m, v, now)
		}
		if wrong = append(wrong, v.Check(got)...); wrong != nil {
			failed = append(failed, Failure{v.Name, wrong})
		}
	}
	return failed
}

// registers are the readings of a vector of registers.
func registers(m profiles.Model, v profiles.Vector, now time.Time) []drivers.Reading {
	return modbus.Decode(m.Signals, func(table modbus.Table, first uint16, n int) ([]byte, bool) {
		return v.Wire(table.String(), first, n)
	}, now)
}

// messages are the readings of a vector of messages, and the messages that were refused or taken against its word.
func messages(m profiles.Model, v profiles.Vector, now time.Time) (got []drivers.Reading, wrong []i18n.Text) {
	decoders := map[string]*mqtt.Decoder{}
	for _, one := range v.Messages {
		if decoders[one.Member] == nil {
			decoders[one.Member] = mqtt.NewDecoder(m.Settings, m.Profile, one.Member)
		}
		payload, _ := one.Bytes()
		readings, err := decoders[one.Member].Decode(one.Topic, payload, now)
		got = append(got, readings...)
		switch {
		case err != nil && !one.Malformed:
			wrong = append(wrong, i18n.T("the message at %q is refused: %s", one.Topic, err.Error()))
		case err == nil && one.Malformed:
			wrong = append(wrong, i18n.T("the message at %q is taken, and should be refused", one.Topic))
		}
	}
	return got, wrong
}
