package drivertest_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/drivertest"
	"embergate/drivers/modbus"
	"embergate/drivers/mqtt"
	"embergate/drivers/profiles"
	"embergate/drivers/sim"
)

// driver makes the driver of the one endpoint of a configuration.
func driver(t *testing.T, protocol drivers.Protocol, name, text string) drivers.Driver {
	t.Helper()
	all, err := profiles.Load()
	if err != nil {
		t.Fatal(err)
	}
	root := conf.Parse("home.yaml", []byte(text), conf.OS())
	d := protocol(drivers.Endpoint{
		ID: "bus", Settings: root.At(name), Devices: root.At("devices").Items(),
		Profiles: all, Log: slog.New(slog.DiscardHandler), Monitor: drivers.Discard{},
	})
	if problems := root.Problems(); problems != nil {
		t.Fatal(problems)
	}
	return d
}

func home(t *testing.T) *sim.Home {
	t.Helper()
	h, err := sim.Start(sim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestModbusIsADriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Fixture {
		h := home(t)
		proxy := drivertest.NewProxy(t, h.Buses()[0])
		return drivertest.Fixture{
			Driver: driver(t, modbus.New(), "modbus", fmt.Sprintf(`
modbus: {url: "tcp://%s", timeout: 200ms, retries: 0}
devices:
  - {id: kitchen-gas, unit: 7, every: 20ms, signals: [
      {id: lel, kind: gas_lel, at: "holding:0", scale: 0.1, unit: "%%LEL"},
      {id: temperature, kind: temperature, at: "input:4", type: float32, order: CDAB},
      {id: valve, kind: relay, at: "coil:0", writable: true}]}
  - {id: relays, unit: 6, every: 20ms, profile: waveshare-relay-8}
`, proxy.Address())),
			Endpoint: "bus", Break: proxy.Break, Mend: proxy.Mend,
			Signal: "kitchen-gas.valve",
			Set:    func(v float64) { h.Set("kitchen-gas.valve", v) },
			Damage: func() { h.Silence("kitchen-gas", true) },
			Repair: func() { h.Silence("kitchen-gas", false) },
			Output: "relays.relay_3",
			Written: func() float64 {
				v, _ := h.Value("relays.relay_3")
				return v
			},
		}
	})
}

func TestMQTTIsADriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Fixture {
		h := home(t)
		address, user, password := h.Broker()
		proxy := drivertest.NewProxy(t, address)
		return drivertest.Fixture{
			Driver: driver(t, mqtt.New(), "mqtt", fmt.Sprintf(`
mqtt: {url: "mqtt://%s", client_id: suite, username: %s, password: %s}
devices:
  - {id: smoke-201, profile: zigbee2mqtt, topic: "zigbee2mqtt/201室烟感"}
  - {id: sos-201, profile: zigbee2mqtt, topic: zigbee2mqtt/sos-201}
`, proxy.Address(), user, password)),
			Endpoint: "bus", Break: proxy.Break, Mend: proxy.Mend,
			Signal: "smoke-201.smoke",
			Set:    func(v float64) { h.Set("smoke-201.smoke", v) },
			Damage: func() { h.Silence("smoke-201", true) },
			Repair: func() { h.Silence("smoke-201", false) },
			Pushes: true,
		}
	})
}

func TestFaultFindsWhatAReadingMayNotBe(t *testing.T) {
	now := time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)
	keys := map[string]bool{"a.b": true}
	for name, x := range map[string]drivers.Reading{
		"a reading of a signal that the endpoint does not have": {Signal: "a.c", Time: now, Quality: drivers.Good},
		"a reading without a time":                              {Signal: "a.b", Quality: drivers.Good},
		"a reading of the future":                               {Signal: "a.b", Time: now.Add(time.Second), Quality: drivers.Good},
		"a good reading with a reason":                          {Signal: "a.b", Time: now, Quality: drivers.Good, Reason: drivers.Stale},
		"a reading that is not good without a reason":           {Signal: "a.b", Time: now},
		"a bad reading with a value":                            {Signal: "a.b", Time: now, Reason: drivers.CRC, Value: 1},
		"":                                                      {Signal: "a.b", Time: now, Reason: drivers.CRC},
	} {
		if got := drivertest.Fault(x, keys, now); got != name {
			t.Errorf("got %q, want %q", got, name)
		}
	}
}
