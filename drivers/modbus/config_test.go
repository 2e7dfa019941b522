package modbus

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// endpoints are what the gateway gives a protocol: those of a file's list, named e0, e1 and so on.
func endpoints(root conf.Section) (all []drivers.Endpoint) {
	model := conf.Parse("profile.yaml", []byte(`{unit: 99, max_gap: 4, max_registers: 22, gap: 50ms}`), conf.OS())
	for i, s := range root.At("endpoints").Items() {
		e := drivers.Endpoint{
			ID: "e" + string(rune('0'+i)), Settings: s.At("modbus"), Devices: s.At("devices").Items(), Log: slog.New(slog.DiscardHandler), Monitor: drivers.Discard{},
			Profiles: drivers.Profiles{
				"kb6000iii": {ID: "kb6000iii", Protocol: "modbus", Every: 2 * time.Second, Settings: model, Signals: []drivers.Signal{{ID: "state", Kind: "status_word", At: "holding:505", Scale: 1}}},
				"broken":    {ID: "broken", Protocol: "modbus", Signals: []drivers.Signal{{ID: "s", Kind: "number", At: "holding:0", Type: "float", Scale: 1}}},
			},
		}
		all = append(all, e)
	}
	return all
}

// configure makes the drivers of a configuration without mistakes, with wires opened by open.
func configure(t testing.TB, open opener, text string) (all []*driver) {
	t.Helper()
	root := conf.Parse("home.yaml", []byte(text), conf.OS())
	protocol := protocol(open)
	for _, e := range endpoints(root) {
		all = append(all, protocol(e).(*driver))
	}
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	return all
}

// TestEveryMistakeIsNamedAtItsPlace compares what is said of each file of testdata/bad with the file of the same name
// that ends in .txt. UPDATE=1 writes what is said now. Row MB02: two framings of one port are refused. Row MB23: an address as manuals print it is told in the form of the wire.
func TestEveryMistakeIsNamedAtItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			root := conf.Parse(filepath.Base(file), text, conf.OS())
			protocol := New()
			for _, e := range endpoints(root) {
				protocol(e)
			}
			got := root.Problems().Error() + "\n"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(strings.TrimSuffix(file, ".yaml")+".txt", []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".txt")
			if err != nil || got != string(want) {
				t.Errorf("got\n%swant\n%s%v", got, want, err)
			}
		})
	}
}

func TestDefaultsAndWhatAProfilePresets(t *testing.T) {
	all := configure(t, nil, `
endpoints:
  - modbus: {url: "tcp://Gateway.example"}
    devices:
      - {id: gas, profile: kb6000iii}
      - {id: gas-2, profile: kb6000iii, unit: 3, max_gap: 0, every: 500ms}
      - {id: meter, unit: 1, signals: [{id: u, kind: voltage, at: "input:0", type: float32}, {id: t, kind: temperature, at: "input:2"}]}
  - modbus: {url: "rtu:///dev/ttyUSB0"}
    devices: [{id: smoke, unit: 1, signals: [{id: s, kind: smoke, at: "discrete:0"}]}]
  - modbus: {url: "rtu+tcp://[::1]:4196", timeout: 3s, retries: 0, gap: 5ms}
    devices: [{id: valve, unit: 255, signals: [{id: v, kind: valve, at: "coil:0"}]}]
`)
	tcpDriver, serial, over := all[0], all[1], all[2]
	if s := tcpDriver.settings; tcpDriver.wire.at != (place{framing: tcp, name: "gateway.example:502"}) || s.Timeout != time.Second || s.Retries != 1 || *s.Gap != 0 {
		t.Errorf("%+v %+v", tcpDriver.wire.at, s)
	}
	if s := serial.settings; serial.wire.at != (place{framing: rtu, name: "/dev/ttyUSB0"}) || s.Timeout != 500*time.Millisecond || *s.Gap != 20*time.Millisecond || serial.wire.line != (line{Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none"}) {
		t.Errorf("%+v %+v", serial.wire, s)
	}
	if s := over.settings; over.wire.at != (place{framing: rtuOver, name: "[::1]:4196"}) || s.Timeout != 3*time.Second || s.Retries != 0 || *s.Gap != 5*time.Millisecond {
		t.Errorf("%+v %+v", over.wire.at, s)
	}
	gas, gas2, meter := tcpDriver.devices[0], tcpDriver.devices[1], tcpDriver.devices[2]
	if gas.unit != 99 || gas.Every != 2*time.Second || gas.limits != (limits{4, 22, 2000}) || gas.rest != 50*time.Millisecond {
		t.Errorf("%+v", gas)
	}
	if gas2.unit != 3 || gas2.Every != 500*time.Millisecond || gas2.limits != (limits{0, 22, 2000}) {
		t.Errorf("%+v", gas2)
	}
	if meter.Every != time.Second || meter.limits != (limits{0, 125, 2000}) || meter.points[0].key != "meter.u" {
		t.Errorf("%+v", meter)
	}
	for _, c := range []struct {
		device *device
		fast   bool
	}{{gas, false}, {meter, false}, {serial.devices[0], true}, {over.devices[0], true}} {
		if c.device.fast != c.fast {
			t.Errorf("%s is fast: %v", c.device.ID, c.device.fast)
		}
	}
	if got := tcpDriver.Devices(); len(got) != 3 || got[2].Key(got[2].Signals[1]) != "meter.t" {
		t.Errorf("%+v", got)
	}
}

// Rows MB03 and MB04: what names one place shares one wire.
func TestEndpointsOfOnePlaceShareAWire(t *testing.T) {
	const devices = `devices: [{id: a, unit: 1, signals: [{id: s, kind: number, at: "holding:0"}]}]`
	all := configure(t, nil, `
endpoints:
  - {modbus: {url: "tcp://h:502"}, `+devices+`}
  - {modbus: {url: "tcp://H", connect_delay: 2s}, `+devices+`}
  - {modbus: {url: "tcp://h:503"}, `+devices+`}
  - {modbus: {url: "rtu:///dev/a"}, `+devices+`}
  - {modbus: {url: "rtu:///dev/../dev/a"}, `+devices+`}
`)
	if all[0].wire != all[1].wire || all[0].wire == all[2].wire || all[3].wire != all[4].wire {
		t.Error("endpoints of one place do not share their wire, or others do")
	}
	if all[0].wire.delay != 2*time.Second || all[1].shift != 1 {
		t.Error(all[0].wire.delay, all[1].shift)
	}
}

func TestReferenceConfiguration(t *testing.T) {
	root, err := conf.Load("../../../shared/contract/nursing-home.yaml", conf.OS())
	if err != nil {
		t.Skip("no reference configuration here")
	}
	e := endpoints(root)[0]
	e.Profiles["chint-dtsu666"] = e.Profiles["kb6000iii"]
	d := New()(e).(*driver)
	if p := root.Problems(); p != nil || len(d.devices) != 2 || d.devices[1].unit != 7 || !d.devices[1].fast {
		t.Error(p, d.devices)
	}
}

func FuzzConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		root := conf.Parse("home.yaml", text, conf.OS())
		protocol := New()
		for _, e := range endpoints(root) {
			if e.Settings.Exists() {
				protocol(e).Devices()
			}
		}
		_ = root.Problems().Error()
	})
}
