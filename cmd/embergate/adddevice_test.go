package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestADeviceIsAddedToTheFileOfARunningDaemon (UI09): tried over the wire that the daemon has, saved as it was tried with every
// comment kept, and read from then on. What is wrong is said, and saves nothing.
func TestADeviceIsAddedToTheFileOfARunningDaemon(t *testing.T) {
	python := needsPymodbus(t)
	wire, port, dir := freePort(t), freePort(t), t.TempDir()
	start(t, wire, python, "testdata/modbus_server.py", fmt.Sprint(wire))
	before := fmt.Sprintf(`# The laundry's box.
site: {id: h, name: H, language: en}
data: %s
console: {listen: "127.0.0.1:%d"}
zones: [{id: laundry, name: Laundry}]   # one room
rules: {packs: []}
endpoints:
  - id: bus
    modbus: {url: "tcp://127.0.0.1:%d", timeout: 300ms, retries: 0}
    devices:
      - id: meter   # was here before
        unit: 7
        signals: [{id: s, kind: number, at: "holding:3"}]
`, dir, port, wire)
	const after = `  # the next wire
  - id: later
    mqtt: {url: "mqtt://127.0.0.1:1"}
`
	file := filepath.Join(t.TempDir(), "home.yaml")
	runDaemonAt(t, file, before+after)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	page(t, base+"/api/v1/signals", `"signal":"meter.s"`, `"value":0`)
	content := func() string {
		t.Helper()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	try := func(body string) (status int, answer string) { return posts(t, base+"/api/v1/devices/try", body) }
	for _, c := range []struct{ name, body, says string }{
		{"a bad id", `{"by":"zhang","endpoint":"bus","profile":"renke-ws-n01","id":"Warm Air","unit":7}`, `an id is 1 to 40 of a-z, 0-9 and -, not`},
		{"an id that is taken", `{"by":"zhang","endpoint":"bus","profile":"renke-ws-n01","id":"meter","unit":7}`, `is there twice`},
		{"a wrong unit", `{"by":"zhang","endpoint":"bus","profile":"renke-ws-n01","id":"air","unit":300}`, "devices[1].unit: must be between 0 and 255"},
		{"no such model", `{"by":"zhang","endpoint":"bus","profile":"renke-ws-n02","id":"air","unit":7}`, "did you mean renke-ws-n01?"},
		{"no such place", `{"by":"zhang","endpoint":"bus","profile":"renke-ws-n01","id":"air","unit":7,"zone":"attic"}`, `\"attic\" is not known`},
		{"no such connection", `{"by":"zhang","endpoint":"nowhere","profile":"renke-ws-n01","id":"air","unit":7}`, "there is no connection"},
		{"no model", `{"by":"zhang","endpoint":"bus","id":"air","unit":7}`, "which model is it?"},
	} {
		if status, answer := try(c.body); status != 400 || !strings.Contains(answer, c.says) {
			t.Errorf("%s: %d %s, want %s", c.name, status, answer, c.says)
		}
	}
	if status, answer := try(`{"by":"zhang","endpoint":"bus","profile":"renke-ws-n01","id":"air","unit":9}`); status != 200 || !strings.Contains(answer, `"said":"0 of 2 values are good.`) || !strings.Contains(answer, `"word":"no answer","detail":"holding 0 to 1: `) {
		t.Errorf("a unit that is silent: %d %s", status, answer)
	}

	const air = `"by":"zhang","endpoint":"bus","profile":"renke-ws-n01","id":"air","name":"Air of the laundry","zone":"laundry","unit":7`
	test := func() (seen string) {
		t.Helper()
		status, answer := try("{" + air + "}")
		var tried struct {
			Seen, Lines string
			Line        int
		}
		if err := json.Unmarshal([]byte(answer), &tried); err != nil || status != 200 || !strings.Contains(answer, `"said":"2 of 2 values are good.`) {
			t.Fatalf("%d %s %v", status, answer, err)
		}
		if want := "- id: air\n  name: Air of the laundry\n  zone: laundry\n  profile: renke-ws-n01\n  unit: 7"; tried.Lines != want {
			t.Errorf("%s\nwant\n%s", tried.Lines, want)
		}
		return tried.Seen
	}
	save := func(body string) (int, string) { return posts(t, base+"/api/v1/devices", body) }
	seen := test()
	edited := strings.Replace(before, "The laundry's box", "Edited meanwhile", 1)
	if err := os.WriteFile(file, []byte(edited+after), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, answer := save(`{` + air + `,"seen":"` + seen + `"}`); status != 409 || !strings.Contains(answer, "is not what was tested") || content() != edited+after {
		t.Errorf("over somebody's edit: %d %s\n%s", status, answer, content())
	}
	seen = test()
	if _, answer := try("{" + air + "}"); !strings.Contains(answer, "The file was changed since the gateway read it") {
		t.Error("the edit is not told:", answer)
	}
	if status, answer := save(`{` + strings.Replace(air, `"unit":7`, `"unit":8`, 1) + `,"seen":"` + seen + `"}`); status != 409 || content() != edited+after {
		t.Errorf("another device than tested: %d %s", status, answer)
	}
	status, answer := save(`{` + air + `,"seen":"` + seen + `"}`)
	if status != 200 || !strings.Contains(answer, `"id":"air"`) {
		t.Fatalf("%d %s", status, answer)
	}
	added := "      - id: air\n        name: Air of the laundry\n        zone: laundry\n        profile: renke-ws-n01\n        unit: 7\n"
	if content() != edited+added+after {
		t.Errorf("the file is\n%s", content())
	}
	page(t, base+"/api/v1/signals", `"signal":"air.temperature"`, `"device":"air"`, `"signal":"meter.s"`)
	page(t, base+"/devices/air", "Air of the laundry")
	page(t, base+"/api/v1/events?after=0&limit=200", `"type":"device.added"`, `"by":"zhang"`, "Air of the laundry (air) added to bus as renke-ws-n01, in line 14 of")
	if _, out, errs := verb(t, "config", "history", "-c", file); !strings.Contains(out, "1") || errs != "" {
		t.Errorf("%s %s", out, errs)
	}

	// Somebody who saves and goes away at once has saved all the same: it is in force, and in the journal.
	damp := strings.NewReplacer(`"air"`, `"damp"`, `Air of`, `Damp of`).Replace(air)
	if _, answer = try("{" + damp + "}"); json.Unmarshal([]byte(answer), &struct{ Seen *string }{&seen}) != nil {
		t.Fatal(answer)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	token, err2 := os.ReadFile(os.Getenv("EMBERGATE_TOKEN_FILE"))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	body := "{" + damp + `,"seen":"` + seen + `"}`
	fmt.Fprintf(conn, "POST /api/v1/devices HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		strings.TrimSpace(string(token)), len(body), body)
	conn.Close()
	page(t, base+"/api/v1/signals", `"signal":"damp.temperature"`)
	page(t, base+"/api/v1/events?after=0&limit=200", "Damp of the laundry (damp) added to bus")
}

// again runs the same test in a process of another user.
func again(t *testing.T, user uint32) {
	t.Helper()
	dir, err := os.MkdirTemp("", "embergate-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile(os.Args[0])
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "test"), program, 0o755), os.Chmod(dir, 0o777)); err != nil { // past the umask
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "test"), "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAFileThatTheDaemonMayNotWriteIsLeftToPeople (UI09): they get the lines to write, and why.
func TestAFileThatTheDaemonMayNotWriteIsLeftToPeople(t *testing.T) {
	if os.Geteuid() == 0 { // whom no mode keeps out
		again(t, 65534)
		return
	}
	wire, port, dir := soleServer(t), freePort(t), t.TempDir()
	file := filepath.Join(t.TempDir(), "home.yaml")
	text := fmt.Sprintf(`
site: {id: h, name: H, language: en}
data: %s
console: {listen: "127.0.0.1:%d"}
rules: {packs: []}
endpoints: [{id: bus, modbus: {url: "tcp://127.0.0.1:%d"}, devices: [{id: meter, unit: 7, signals: [{id: s, kind: number, at: "holding:3"}]}]}]
`, dir, port, wire)
	runDaemonAt(t, file, text)
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	page(t, base+"/api/v1/signals", `"value":3`)
	if err := os.Chmod(filepath.Dir(file), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(filepath.Dir(file), 0o700) })
	const air = `"by":"zhang","endpoint":"bus","profile":"renke-ws-n01","id":"air","unit":7`
	status, answer := posts(t, base+"/api/v1/devices/try", "{"+air+"}")
	var tried struct{ Seen, Lines, Said string }
	if err := json.Unmarshal([]byte(answer), &tried); err != nil || status != 200 || !strings.Contains(tried.Said, "But the gateway may not write in") || tried.Lines != "{id: air, profile: renke-ws-n01, unit: 7}" {
		t.Errorf("%d %s", status, answer)
	}
	status, answer = posts(t, base+"/api/v1/devices", "{"+air+`,"seen":"`+tried.Seen+`"}`)
	if status != 409 || !strings.Contains(answer, "write the lines into the file yourself") {
		t.Errorf("%d %s", status, answer)
	}
	page(t, base+"/new-device?lang=zh", "网关无权写入")
	if left, err := os.ReadFile(file); err != nil || string(left) != text {
		t.Error(err, string(left))
	}
}

// TestADeviceThatSpeaksByItselfIsListenedFor (UI09): over a connection of its own, and the session of the daemon is left alone.
func TestADeviceThatSpeaksByItselfIsListenedFor(t *testing.T) {
	mosquitto, pub := needs(t, "mosquitto", "mosquitto"), needs(t, "mosquitto_pub", "mosquitto-clients")
	broker, port := freePort(t), freePort(t)
	start(t, broker, mosquitto, "-p", fmt.Sprint(broker))
	do(t, pub, "-p", fmt.Sprint(broker), "-r", "-t", "shellies/flood-1/sensor/flood", "-m", "true")
	file := filepath.Join(t.TempDir(), "home.yaml")
	stop := runDaemonAt(t, file, fmt.Sprintf(`
site: {id: h, name: H, language: en}
data: %s
console: {listen: "127.0.0.1:%d"}
rules: {packs: []}
endpoints:
  - {id: zigbee, mqtt: {url: "mqtt://127.0.0.1:%d"}}
`, t.TempDir(), port, broker))
	base := fmt.Sprintf("http://127.0.0.1:%d", port)
	page(t, base+"/api/v1/status", `"id":"zigbee"`, `"up":true`)
	const flood = `"by":"zhang","endpoint":"zigbee","profile":"shelly-flood","id":"flood","topic":"shellies/flood-1"`
	status, answer := posts(t, base+"/api/v1/devices/try", "{"+flood+"}")
	var tried struct {
		Seen, Lines string
		Signals     []struct {
			Signal, Quality string
			Value           float64
		}
	}
	if err := json.Unmarshal([]byte(answer), &tried); err != nil || status != 200 || len(tried.Signals) == 0 || tried.Signals[0].Signal != "flood.leak" || tried.Signals[0].Value != 1 {
		t.Fatalf("%d %s", status, answer)
	}
	if status, answer := posts(t, base+"/api/v1/devices", "{"+flood+`,"seen":"`+tried.Seen+`"}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	page(t, base+"/api/v1/signals", `"signal":"flood.leak"`, `"value":1`)
	if _, log := stop(); strings.Contains(log, "link lost") {
		t.Error(log)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `devices: [{id: flood, profile: shelly-flood, topic: shellies/flood-1}]`) {
		t.Errorf("%v %s", err, text)
	}
}
