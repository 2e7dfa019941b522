package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"embergate/drivers/i18n"
	"embergate/drivers/sim"
)

// golden compares what a verb printed with testdata/NAME; UPDATE=1 writes what it prints now.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("got\n%s\nwant\n%s%v", got, want, err)
	}
}

// modbusServer is pymodbus with the units of drivers/modbus/testdata/server.py; it answers its port.
func modbusServer(t *testing.T) int {
	python, port := needsPymodbus(t), freePort(t)
	start(t, port, python, "../../drivers/modbus/testdata/server.py", "tcp", fmt.Sprint(port))
	return port
}

// verb runs a verb to its end.
func verb(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), append(args, "--language", "en"), &o, &e)
	return status, o.String(), e.String()
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const aPlant = `
site: {id: h, name: H}
endpoints:
  - id: bus
    modbus: {url: "tcp://127.0.0.1:%d", timeout: 300ms, retries: 0}
    devices:
      - id: meter
        unit: 1
        every: 1h
        signals:
          - {id: voltage, kind: voltage, at: "input:2", type: float32, order: CDAB}
          - {id: first, kind: number, at: "holding:0", scale: 0.1, unit: kPa}
          - {id: odd, kind: contact, at: "discrete:5"}
          - {id: alarms, kind: status_word, type: bits, at: "holding:1", flags: {0: low, 3: high}}
          - {id: gone, kind: number, at: "holding:100"}
          - {id: none, kind: number, at: "holding:2", na: [1002]}
      - {id: other, unit: 2, every: 1h, signals: [{id: s, kind: number, at: "holding:3"}]}
      - {id: dead, unit: 77, every: 1h, signals: [{id: s, kind: number, at: "holding:3"}]}
  - id: nowhere
    modbus: {url: "tcp://127.0.0.1:%d"}
    devices: [{id: lost, unit: 1, signals: [{id: s, kind: number, at: "holding:3"}]}]
`

// Row MB34: values are read through the driver of the daemon, with what the wire said.
func TestReadShowsWhatDevicesSayNow(t *testing.T) {
	file := configFile(t, fmt.Sprintf(aPlant, modbusServer(t), freePort(t)))
	status, out, errs := verb(t, "read", "-c", file, "meter", "other.s")
	if status != exitDone || errs != "" {
		t.Errorf("status %d %s", status, errs)
	}
	golden(t, "read.txt", out)

	status, out, _ = verb(t, "read", "-c", file, "--json", "meter.first", "meter.gone")
	var values []map[string]any
	if err := json.Unmarshal([]byte(out), &values); err != nil || len(values) != 2 || status != exitDone {
		t.Fatal(status, err, out)
	}
	for key, want := range map[string]any{"signal": "meter.first", "value": 100.0, "unit": "kPa", "quality": "good", "reason": "", "raw": "03e8"} {
		if values[0][key] != want {
			t.Errorf("%s is %v, want %v", key, values[0][key], want)
		}
	}
	if v := values[1]; v["value"] != nil || v["quality"] != "bad" || v["reason"] != "exception" || v["detail"] != "holding 100: exception 2: illegal data address" {
		t.Errorf("%v", v)
	}
}

func TestReadFailsWhereADeviceSaysNothing(t *testing.T) {
	file := configFile(t, fmt.Sprintf(aPlant, modbusServer(t), freePort(t)))
	for _, c := range []struct {
		name   string
		status int
		says   string
	}{
		{"dead", exitFailed, "no value of: dead"},
		{"lost", exitFailed, "the wire cannot be used: nowhere: modbus: connect"},
		{"nobody", exitInvalid, `there is no device and no signal "nobody"`},
	} {
		status, out, errs := verb(t, "read", "-c", file, c.name)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, %q\n%s", c.name, status, errs, out)
		}
	}
}

// TestReadOfASimulatedHome: a device that speaks by itself is waited for, over MQTT.
func TestReadOfASimulatedHome(t *testing.T) {
	home, err := sim.Start(sim.Options{Modbus: "127.0.0.1:0", MQTT: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- home.Run(ctx) }()
	defer func() { stop(); <-ended; home.Close() }()
	file := configFile(t, string(home.Config(i18n.English, t.TempDir(), "127.0.0.1:8080")))
	status, out, errs := verb(t, "read", "-c", file, "--json", "--wait", "60s", "smoke-201", "kitchen-gas")
	var values []shown
	if err := json.Unmarshal([]byte(out), &values); err != nil || status != exitDone {
		t.Fatal(status, err, errs)
	}
	raw := map[string]string{}
	for _, v := range values {
		if v.Quality == "good" {
			raw[v.Signal] = v.Raw
		}
	}
	if raw["smoke-201.smoke"] != "false" || len(raw["kitchen-gas.lel"]) != 4 {
		t.Errorf("%v\n%s", raw, out)
	}
}

func TestWatchShowsWhatComes(t *testing.T) {
	text := strings.ReplaceAll(fmt.Sprintf(aPlant, modbusServer(t), freePort(t)), "1h", "100ms")
	ctx, stop := context.WithCancel(t.Context())
	var out lockedBuffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"read", "-c", configFile(t, text), "other", "--watch", "--json"}, &out, &out)
	}()
	eventually(t, "three values", func() error {
		if n := strings.Count(out.String(), `{"signal":"other.s","value":2003,`); n < 3 {
			return fmt.Errorf("%d: %s", n, out.String())
		}
		return nil
	})
	stop()
	if status := <-ended; status != exitDone {
		t.Error(status)
	}
}

func TestScanNamesTheUnitsThatAnswer(t *testing.T) {
	url := fmt.Sprintf("tcp://127.0.0.1:%d", modbusServer(t))
	status, out, errs := verb(t, "scan", url, "--units", "1-3,77", "--timeout", "300ms")
	if status != exitDone {
		t.Errorf("status %d %s", status, errs)
	}
	golden(t, "scan.txt", out)
	status, out, _ = verb(t, "scan", url, "--units", "2", "--json")
	var units []found
	if err := json.Unmarshal([]byte(out), &units); err != nil || status != exitDone || len(units) != 1 || units[0].Unit != 2 || !strings.HasPrefix(units[0].Identity, "Gasworks") {
		t.Error(status, err, out)
	}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"scan", url, "--units", "77"}, exitFailed, "no unit answered"},
		{[]string{"scan", url, "--units", "3-1"}, exitInvalid, "--units 3-1"},
		{[]string{"scan", "http://h"}, exitInvalid, "url: an address is"},
		{[]string{"scan", "rtu:///dev/x", "--baud", "9601"}, exitInvalid, "baud"},
		{[]string{"scan", "rtu:///dev/no-such-line"}, exitFailed, "/dev/no-such-line"},
		{[]string{"scan", fmt.Sprintf("tcp://127.0.0.1:%d", freePort(t))}, exitFailed, "the wire cannot be used"},
	} {
		if status, _, errs := verb(t, c.args...); status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%v: status %d, %q", c.args, status, errs)
		}
	}
}

// Row MB34: all byte orders, to find the right one.
func TestProbeShowsRegistersUnderEveryTypeAndOrder(t *testing.T) {
	url := fmt.Sprintf("tcp://127.0.0.1:%d", modbusServer(t))
	var all strings.Builder
	for _, args := range [][]string{{"--at", "input:2", "--unit", "1"}, {"--at", "holding:0", "--unit", "2", "--count", "4"}, {"--at", "discrete:4", "--unit", "1", "--count", "3"}} {
		status, out, errs := verb(t, append([]string{"probe", url}, args...)...)
		if status != exitDone {
			t.Errorf("%v: status %d %s", args, status, errs)
		}
		fmt.Fprintf(&all, "%s\n%s\n", strings.Join(args, " "), out)
	}
	golden(t, "probe.txt", all.String())
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--at", "holding:100"}, exitFailed, "unit 1 answers, but not with these registers"},
		{[]string{"--at", "holding:0", "--unit", "77", "--timeout", "200ms"}, exitFailed, "unit 77 does not answer"},
		{[]string{"--at", "holding:0.3"}, exitInvalid, "give a whole register"},
		{[]string{"--at", "40001"}, exitInvalid, "--at: "},
		{[]string{"--at", "holding:65535"}, exitInvalid, "--count: must be between 1 and 1"},
		{[]string{"--at", "holding:0", "--unit", "300"}, exitInvalid, "--unit"},
		{nil, exitInvalid, "--at: an address is"},
	} {
		if status, _, errs := verb(t, append([]string{"probe", url}, c.args...)...); status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("%v: status %d, %q", c.args, status, errs)
		}
	}
}

// A serial line that the daemon holds is not disturbed, and whoever asks is told so.
func TestASerialLineInUseIsLeftAlone(t *testing.T) {
	socat := needs(t, "socat", "socat")
	near, far := filepath.Join(t.TempDir(), "near"), filepath.Join(t.TempDir(), "far")
	cmd := exec.Command(socat, "pty,raw,echo=0,link="+near, "pty,raw,echo=0,link="+far)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	eventually(t, "a serial line", func() error { _, err := os.Stat(near); return err })
	file := configFile(t, `
site: {id: h, name: H}
endpoints: [{id: bus, modbus: {url: "rtu://`+near+`"}, devices: [{id: d, unit: 1, signals: [{id: s, kind: number, at: "holding:3"}]}]}]
`)
	ctx, stop := context.WithCancel(t.Context())
	var out lockedBuffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"read", "-c", file, "--watch"}, &out, &out) }()
	eventually(t, "the line is used", func() error {
		if !strings.Contains(out.String(), "d.s") {
			return fmt.Errorf("%s", out.String())
		}
		return nil
	})
	const held = "another program holds the serial line"
	if status, _, errs := verb(t, "scan", "rtu://"+near, "--units", "1"); status != exitFailed || !strings.Contains(errs, held) {
		t.Errorf("scan: status %d %q", status, errs)
	}
	if status, _, errs := verb(t, "read", "-c", file); status != exitFailed || !strings.Contains(errs, held) {
		t.Errorf("read: status %d %q", status, errs)
	}
	stop()
	<-ended
}

// Row MB06: a plan that cannot work is warned of, and is no mistake.
func TestCheckSaysHowBusyAWireIs(t *testing.T) {
	file := configFile(t, `
site: {id: h, name: H}
endpoints:
  - id: bus
    modbus: {url: "rtu:///dev/x", baud: 1200}
    devices:
      - {id: gas, unit: 1, every: 500ms, signals: [{id: lel, kind: gas_lel, at: "holding:0"}]}
      - {id: meter, unit: 2, every: 200ms, signals: [{id: power, kind: power, at: "holding:0", type: float32}]}
`)
	status, out, errs := verb(t, "check", "-c", file)
	if status != exitDone || errs != "" {
		t.Errorf("status %d %s", status, errs)
	}
	for _, line := range []string{
		"- bus: reading its 2 devices once takes 345ms at 1200 baud; their periods use 123 % of the line",
		"- warning: the wire of bus is asked for 123 % of its time, so these cannot keep their periods: meter; give them longer ones, or the line more baud",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
}

// Row MB33: what went over the wire of a device is in the console of the running daemon.
func TestFramesOfARunningDaemon(t *testing.T) {
	port := freePort(t)
	runDaemonOn(t, fmt.Sprintf(`
site: {id: h, name: H}
data: %s
console: {listen: "127.0.0.1:%d"}
endpoints:
  - id: bus
    modbus: {url: "tcp://127.0.0.1:%d"}
    devices: [{id: meter, unit: 2, signals: [{id: s, kind: number, at: "holding:3"}]}]
`, t.TempDir(), port, modbusServer(t)))
	page(t, fmt.Sprintf("http://127.0.0.1:%d/api/v1/devices/meter/frames", port), `"sent":true,"bytes":"00 01 00 00 00 06 02 03 00 03 00 01","note":""`, `"sent":false,"bytes":"00 01 00 00 00 05 02 03 02 07 d3"`)
}
