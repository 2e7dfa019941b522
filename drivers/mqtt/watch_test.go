package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// neighbours is an endpoint that watches for devices, with models that they may be of.
func neighbours(t testing.TB, address string, m drivers.Monitor) *driver {
	e, root := endpoint("home.yaml", fmt.Sprintf(`
mqtt: {url: "mqtt://%s", topic: "zigbee2mqtt/{id}", watch: ["shellies/#", "application/+/device/+/event/up"]}
devices:
  - {id: smoke-201, profile: zigbee}
  - {id: shelly, topic: shellies/known, profile: bare}
`, address))
	bytes := conf.Parse("bytes.yaml", []byte(`{format: chirpstack, bytes: {checksum: sum, fields: [{key: event, at: 0, type: uint8}]}}`), conf.OS())
	e.Monitor = m
	delete(e.Profiles, "broken")
	e.Profiles["detailed"] = drivers.Profile{ID: "detailed", Protocol: "mqtt", Signals: []drivers.Signal{
		{ID: "smoke", Kind: "smoke", JSON: "smoke"}, {ID: "battery", Kind: "battery", JSON: "battery"}}}
	e.Profiles["bare"] = drivers.Profile{ID: "bare", Protocol: "mqtt", Signals: []drivers.Signal{{ID: "gas", Kind: "gas_alarm", Path: "sensor/gas", Enum: map[string]int{"none": 0, "mild": 1}}}}
	e.Profiles["lora"] = drivers.Profile{ID: "lora", Protocol: "mqtt", Settings: bytes, Signals: []drivers.Signal{{ID: "smoke", Kind: "smoke", JSON: "object.event"}}}
	d := New()(e).(*driver)
	if p := append(root.Problems(), bytes.Problems()...); p != nil {
		t.Fatal(p)
	}
	return d
}

// MQ19: an unknown device under a wildcard is told with the model that would fit, and gives no readings.
func TestUnclaimedDevicesAreToldWithTheModelThatWouldFit(t *testing.T) {
	for name, c := range map[string]struct {
		says []string // topic=payload
		want []string
	}{
		"a detector behind the pattern of the endpoint": {[]string{`zigbee2mqtt/new={"smoke":false}`}, []string{"zigbee2mqtt/new detailed"}},
		"once, however often it speaks":                 {[]string{`zigbee2mqtt/new={"smoke":false}`, `zigbee2mqtt/new={"smoke":true}`}, []string{"zigbee2mqtt/new detailed"}},
		"again when it turns out to be of a model":      {[]string{`zigbee2mqtt/new={"x":1}`, `zigbee2mqtt/new={"smoke":true}`}, []string{"zigbee2mqtt/new", "zigbee2mqtt/new detailed"}},
		"what is configured is not unclaimed":           {[]string{`zigbee2mqtt/smoke-201={"smoke":true}`, `shellies/known/sensor/gas=mild`, `shellies/known/other=1`}, nil},
		"a value on a topic below the device's":         {[]string{"shellies/unknown/sensor/gas=none"}, []string{"shellies/unknown bare"}},
		"a word that the model does not know":           {[]string{"shellies/unknown/sensor/gas=what"}, []string{"shellies/unknown/sensor/gas"}},
		"bytes whose checksum is right":                 {[]string{`application/a/device/b/event/up={"fPort":1,"data":"Af8="}`}, []string{"application/a/device/b lora"}},
		"bytes whose checksum is wrong":                 {[]string{`application/a/device/b/event/up={"fPort":1,"data":"Afw="}`}, []string{"application/a/device/b/event/up"}},
		"a message outside what is watched":             {[]string{`elsewhere={"smoke":true}`, `zigbee2mqtt/new=`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			seen := &counts{}
			d := neighbours(t, "127.0.0.1", seen)
			now := noon
			for _, one := range c.says {
				topic, payload, _ := strings.Cut(one, "=")
				now = now.Add(time.Second)
				if told := d.take(&publication{topic: topic, payload: []byte(payload)}, now); !strings.Contains(topic, "smoke-201") && !strings.Contains(topic, "known/") && told.readings != nil {
					t.Errorf("%s tells %v", topic, told.readings)
				}
			}
			if !slices.Equal(seen.unclaimed, c.want) {
				t.Errorf("%q, want %q", seen.unclaimed, c.want)
			}
		})
	}
}

func TestAFloodOfUnclaimedDevicesIsBounded(t *testing.T) {
	seen := &counts{}
	d := neighbours(t, "127.0.0.1", seen)
	for i := range 10_000 {
		d.take(&publication{topic: fmt.Sprint("zigbee2mqtt/", i), payload: []byte(`{"smoke":true}`)}, noon)
	}
	if len(seen.unclaimed) != triesASecond {
		t.Errorf("%d looked at within a second, want %d", len(seen.unclaimed), triesASecond)
	}
	for i := range 10_000 {
		d.take(&publication{topic: fmt.Sprint("zigbee2mqtt/", i), payload: []byte(`{"smoke":true}`)}, noon.Add(time.Duration(i)*time.Second))
	}
	if len(seen.unclaimed) != maxStrangers {
		t.Errorf("%d kept, want %d", len(seen.unclaimed), maxStrangers)
	}
}

func TestMosquittoShowsUnclaimedDevices(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	m.pub("-r", "-t", "zigbee2mqtt/new", "-m", `{"smoke":false}`)
	seen := &counts{}
	r := start(t, neighbours(t, m.address, seen)).up(t)
	m.pub("-t", "zigbee2mqtt/smoke-201", "-m", `{"smoke":true}`)
	r.tells(t, "smoke-201.smoke=1")
	eventually(t, "the new one is told", func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		return slices.Equal(seen.unclaimed, []string{"zigbee2mqtt/new detailed"})
	})
	if n := strings.Count(r.all(), "smoke-201.smoke=1"); n != 1 {
		t.Errorf("a message under two of our filters is told %d times", n)
	}
	if strings.Contains(r.all(), "new") {
		t.Error("it gives readings: ", r.all())
	}
}

// Row MQ19: devices that share a topic with one of ours, and that nobody configured, are told too: of a ThingsBoard gateway, of a
// Zigbee bridge by Tasmota.
func TestUnclaimedMembersOfAMessageAreTold(t *testing.T) {
	e, root := endpoint("home.yaml", `
mqtt: {url: "mqtt://h"}
devices:
  - {id: pump, topic: v1/gateway, format: thingsboard, member: Pump room, signals: [{id: p, kind: number, json: p}]}
  - {id: smoke, topic: tele/bridge, format: tasmota, member: smoke-1, signals: [{id: s, kind: number, json: s}]}
`)
	seen := &counts{}
	e.Monitor = seen
	d := New()(e).(*driver)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	for _, one := range []string{
		`v1/gateway/telemetry={"Pump room":{"p":1},"Boiler":{"p":2}}`,
		`v1/gateway/telemetry={"Boiler":{"p":2}}`,
		`v1/gateway/connect={"device":"Roof"}`,
		`tele/bridge/SENSOR={"ZbReceived":{"0x1FAB":{"Device":"0x1FAB","Name":"smoke-1","s":1},"0x2222":{"Device":"0x2222","s":1}}}`,
		`tele/bridge/SENSOR={"ZbReceived":[1,2]}`,
		`tele/bridge/SENSOR=[`,
	} {
		topic, payload, _ := strings.Cut(one, "=")
		d.take(&publication{topic: topic, payload: []byte(payload)}, noon)
	}
	if want := []string{"v1/gateway member Boiler", "v1/gateway member Roof", "tele/bridge member 0x2222"}; !slices.Equal(seen.unclaimed, want) {
		t.Errorf("%q, want %q", seen.unclaimed, want)
	}
}
