package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"embergate/gateway/store"
	"log/slog"
)

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// hook is the far side of a webhook: it checks every signature and keeps what came.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	forged int
}

const hookSecret = "correct horse battery staple"

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(hookSecret))
		fmt.Fprintf(mac, "%s.%s", r.Header.Get("X-Embergate-Timestamp"), body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if r.Header.Get("X-Embergate-Signature") != "v1="+hex.EncodeToString(mac.Sum(nil)) {
			h.forged++
		}
		h.bodies = append(h.bodies, string(body))
	}))
	t.Cleanup(h.Close)
	return h
}

// received tells whether a message of the type about the rule came.
func (h *hook) received(kind, rule string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.forged > 0 {
		return fmt.Errorf("%d bodies with a wrong signature", h.forged)
	}
	for _, b := range h.bodies {
		var m struct {
			Event string
			Alarm struct{ Rule string }
		}
		if json.Unmarshal([]byte(b), &m) == nil && m.Event == kind && m.Alarm.Rule == rule {
			return nil
		}
	}
	return fmt.Errorf("no %s of %s among %d messages: %s", kind, rule, len(h.bodies), strings.Join(h.bodies, "\n"))
}

// TestFromTheWireToTheWebhookAndThePlatform takes a register of a pymodbus server over its limit, and a publish of
// mosquitto_pub through Mosquitto, all the way: rule, alarm in the journal on disk, webhook accepted, readings in
// VictoriaMetrics. In between the broker is restarted, and Prometheus' own tool judges the metrics.
func TestFromTheWireToTheWebhookAndThePlatform(t *testing.T) {
	python, mosquitto, pub := needsPymodbus(t), needs(t, "mosquitto", "mosquitto"), needs(t, "mosquitto_pub", "mosquitto-clients")
	mbpoll, victoria := needs(t, "mbpoll", "mbpoll"), needs(t, "victoria-metrics", "victoria-metrics")
	promtool, prometheus := needs(t, "promtool", "prometheus"), needs(t, "prometheus", "prometheus")

	dir := t.TempDir()
	modbusPort, mqttPort, vmPort, consolePort, promPort := freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)
	receiver := newHook(t)
	start(t, modbusPort, python, "testdata/modbus_server.py", fmt.Sprint(modbusPort))
	do(t, needs(t, "mosquitto_passwd", "mosquitto"), "-c", "-b", filepath.Join(dir, "passwd"), "gateway", "s3cret")
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\npassword_file %s\nallow_anonymous false\nuser root\npersistence true\npersistence_location %s/\n", mqttPort, filepath.Join(dir, "passwd"), dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stopBroker := start(t, mqttPort, mosquitto, "-c", conf)
	start(t, vmPort, victoria, "-storageDataPath="+filepath.Join(dir, "vm"), fmt.Sprintf("-httpListenAddr=127.0.0.1:%d", vmPort), "-retentionPeriod=1")

	stop := runDaemonOn(t, fmt.Sprintf(`
site: {id: e2e, name: 试点, region: "370305", language: zh}
data: %s
zones: [{id: f1, name: 一层}, {id: kitchen, name: 厨房, in: f1}]
endpoints:
  - id: meters
    modbus: {url: "tcp://127.0.0.1:%d"}
    devices:
      - id: kitchen-gas
        name: 厨房燃气探测器
        zone: kitchen
        unit: 7
        every: 200ms
        signals:
          - {id: lel, kind: gas_lel, at: "holding:0", type: uint16, scale: 0.1, unit: "%%LEL"}
          - {id: valve, kind: relay, at: "coil:0", writable: true}
  - id: zigbee
    mqtt: {url: "mqtt://127.0.0.1:%d", username: gateway, password: s3cret}
    devices:
      - {id: smoke-201, name: 201室烟感, zone: f1, profile: zigbee2mqtt, topic: zigbee2mqtt/smoke-201}
rules:
  packs: [fire, comms]
  inline:
    - {id: gas, name: 燃气高报, class: gas, level: alarm, signal: kitchen-gas.lel, when: value >= 25.0, until: value < 10.0,
       outputs: [{write: kitchen-gas.valve, value: 1, max_on: 10m}], message: "{zone} {device} {value} {unit}"}
channels: [{id: hook, webhook: {url: %q, secret: %q}}]
uplinks: [{id: platform, influxdb: {url: "http://127.0.0.1:%d", org: fire, bucket: sites, token: t0ken}}]
console: {listen: "127.0.0.1:%d"}
`, filepath.Join(dir, "data"), modbusPort, mqttPort, receiver.URL, hookSecret, vmPort, consolePort))
	console := fmt.Sprintf("http://127.0.0.1:%d", consolePort)
	page(t, console+"/readyz", `"ready":true`)
	publish := func(payload string) {
		do(t, pub, "-h", "127.0.0.1", "-p", fmt.Sprint(mqttPort), "-u", "gateway", "-P", "s3cret", "-q", "1", "-t", "zigbee2mqtt/smoke-201", "-m", payload)
	}
	setGas := func(value string) {
		do(t, mbpoll, "-m", "tcp", "-p", fmt.Sprint(modbusPort), "-a", "7", "-0", "-r", "0", "-t", "4", "127.0.0.1", value)
	}

	setGas("301") // 30.1 %LEL
	eventually(t, "the gas alarm at the webhook", func() error { return receiver.received("alarm.raised", "gas") })
	eventually(t, "the valve's coil is on", func() error {
		out := do(t, mbpoll, "-m", "tcp", "-p", fmt.Sprint(modbusPort), "-a", "7", "-0", "-r", "0", "-t", "0", "-1", "127.0.0.1")
		if !strings.Contains(strings.ReplaceAll(out, "\t", " "), "[0]:  1") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	publish(`{"smoke":false,"battery":97}`)
	page(t, console+"/api/v1/signals", `smoke-201.battery`, `97`)
	publish(`{"smoke":true,"battery":97}`)
	eventually(t, "the smoke alarm at the webhook", func() error { return receiver.received("alarm.raised", "smoke") })
	setGas("20")
	eventually(t, "the gas alarm is cleared", func() error { return receiver.received("alarm.cleared", "gas") })

	stopBroker()
	page(t, console+"/readyz", `"ready":false`, `endpoint zigbee`)
	start(t, mqttPort, mosquitto, "-c", conf)
	page(t, console+"/readyz", `"ready":true`)
	publish(`{"smoke":true,"battery":55}`)
	page(t, console+"/api/v1/signals", `55`)

	for _, series := range []string{`gas_lel`, `fire_smoke`, `gas_lel{device="kitchen-gas",region="370305",site="e2e",zone="kitchen"}`} {
		name, _, _ := strings.Cut(series, "{")
		eventually(t, series+" at the platform", func() error {
			body, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/api/v1/export?match[]=%s", vmPort, name))
			if err == nil && !strings.Contains(body, `"__name__":"`+name+`"`) {
				err = fmt.Errorf("answered %.500s", body)
			}
			return err
		})
	}

	metrics, _, err := get(console + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(metrics)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	scraped(t, prometheus, dir, promPort, consolePort)

	status, log := stop()
	if status != 0 {
		t.Errorf("status %d", status)
	}
	for _, secret := range []string{"s3cret", "t0ken", hookSecret} {
		if strings.Contains(log, secret) || strings.Contains(metrics, secret) {
			t.Errorf("the secret %q is shown", secret)
		}
	}
	journal(t, filepath.Join(dir, "data"))
}

// scraped has Prometheus scrape the console and asks it what it saw.
func scraped(t *testing.T, prometheus, dir string, port, target int) {
	t.Helper()
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: gateway, static_configs: [{targets: ['127.0.0.1:%d']}]}]\n", target)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, port, prometheus, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "prom"), fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port))
	eventually(t, "Prometheus has the gateway's metrics", func() error {
		body, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/api/v1/query?query=embergate_device_up", port))
		if err == nil && !strings.Contains(body, `"device":"kitchen-gas"`) {
			err = fmt.Errorf("answered %s", body)
		}
		return err
	})
}

// journal reads the journal on disk after the daemon has stopped: both alarms are in it, and its chain holds.
func journal(t *testing.T, dir string) {
	t.Helper()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	events, err := st.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		if e.Alarm != nil {
			got = append(got, e.Type+" "+e.Alarm.Rule)
		} else {
			got = append(got, e.Type)
		}
	}
	for _, want := range []string{"gateway.started", "alarm.raised gas", "output.written", "alarm.raised smoke", "alarm.cleared gas", "gateway.stopped"} {
		if !slices.Contains(got, want) {
			t.Errorf("the journal lacks %q: %v", want, got)
		}
	}
	if n, err := st.VerifyJournal(t.Context()); err != nil || n != int64(len(events)) {
		t.Errorf("the chain of %d events does not hold: %d, %v", len(events), n, err)
	}
}

// TestEverythingIsDownAtStart (OP06): the device, the broker and the database are not there; the daemon starts, says so, and
// recovers by itself as each comes.
func TestEverythingIsDownAtStart(t *testing.T) {
	python, mosquitto, victoria := needsPymodbus(t), needs(t, "mosquitto", "mosquitto"), needs(t, "victoria-metrics", "victoria-metrics")
	dir := t.TempDir()
	modbusPort, mqttPort, vmPort, consolePort := freePort(t), freePort(t), freePort(t), freePort(t)
	runDaemonOn(t, fmt.Sprintf(`
site: {id: down, name: 停电后, language: en}
data: %s
endpoints:
  - id: meters
    modbus: {url: "tcp://127.0.0.1:%d"}
    devices: [{id: gas, unit: 7, every: 500ms, signals: [{id: lel, kind: gas_lel, at: "holding:0", type: uint16}]}]
  - id: zigbee
    mqtt: {url: "mqtt://127.0.0.1:%d"}
    devices: [{id: smoke, profile: zigbee2mqtt, topic: z/smoke}]
uplinks: [{id: platform, influxdb: {url: "http://127.0.0.1:%d", org: fire, bucket: sites, token: t}}]
console: {listen: "127.0.0.1:%d"}
`, dir, modbusPort, mqttPort, vmPort, consolePort))
	console := fmt.Sprintf("http://127.0.0.1:%d", consolePort)
	page(t, console+"/readyz", `"ready":false`, "endpoint meters", "endpoint zigbee", "uplink platform", "connection refused")
	page(t, console+"/", "not connected")
	if body, status, err := get(console + "/readyz"); err != nil || status != http.StatusServiceUnavailable {
		t.Error(status, err, body)
	}
	if _, status, err := get(console + "/healthz"); err != nil || status != http.StatusOK {
		t.Error("alive is not ready:", status, err)
	}
	start(t, modbusPort, python, "testdata/modbus_server.py", fmt.Sprint(modbusPort))
	conf := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(conf, []byte(fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nuser root\n", mqttPort)), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, mqttPort, mosquitto, "-c", conf)
	start(t, vmPort, victoria, "-storageDataPath="+filepath.Join(dir, "vm"), fmt.Sprintf("-httpListenAddr=127.0.0.1:%d", vmPort), "-retentionPeriod=1")
	page(t, console+"/readyz", `"ready":true`)
}
