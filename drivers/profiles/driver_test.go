package profiles_test

import (
	"testing"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/modbus"
	"embergate/drivers/mqtt"
	"embergate/drivers/profiles"
)

func TestADriverTakesADeviceOfEveryModelWithoutProblems(t *testing.T) {
	models, err := profiles.Models()
	if err != nil {
		t.Fatal(err)
	}
	all, err := profiles.Load()
	if err != nil {
		t.Fatal(err)
	}
	protocols := map[string]struct {
		protocol      drivers.Protocol
		url, location string
	}{
		"modbus": {modbus.New(), "tcp://127.0.0.1:502", "unit: 1"},
		"mqtt":   {mqtt.New(), "mqtt://127.0.0.1:1883", "topic: a/b"},
	}
	for _, m := range models {
		p := protocols[m.Protocol]
		root := conf.Parse("home.yaml", []byte("settings: {url: \""+p.url+"\"}\ndevice: {id: one, profile: "+m.ID+", "+p.location+"}\n"), conf.OS())
		d := p.protocol(drivers.Endpoint{
			ID: "bus", Settings: root.At("settings"), Devices: []conf.Section{root.At("device")},
			Profiles: all, Log: discard, Monitor: drivers.Discard{},
		})
		if problems := root.Problems(); problems != nil {
			t.Errorf("%s: %v", m.ID, problems)
		}
		if problems := m.Settings.Problems(); problems != nil {
			t.Errorf("%s: %v", m.ID, problems)
		}
		if devices := d.Devices(); len(devices) != 1 || len(devices[0].Signals) != len(m.Signals) {
			t.Errorf("%s: the driver has %d devices and not all signals", m.ID, len(devices))
		}
	}
}
