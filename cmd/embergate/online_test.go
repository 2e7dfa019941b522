package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Row OP04: devices and channels are tried before the daemon runs, each is told of, and nothing is sent to anybody.
func TestCheckOnlineTriesWhatIsReached(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/v2/write" && r.Header.Get("Authorization") != "Token right":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v2/write":
			w.WriteHeader(http.StatusNoContent)
		case r.Method != http.MethodGet:
			t.Errorf("%s %s", r.Method, r.URL)
		}
	}))
	defer server.Close()
	text := fmt.Sprintf(`
site: {id: h, language: en}
data: %s
endpoints:
  - id: bus
    modbus: {url: "tcp://127.0.0.1:%d", timeout: 300ms, retries: 0}
    devices:
      - {id: meter, unit: 7, signals: [{id: s, kind: number, at: "holding:3"}, {id: gone, kind: number, at: "holding:100"}]}
      - {id: deaf, unit: 8, signals: [{id: s, kind: number, at: "holding:3"}]}
  - id: away
    modbus: {url: "tcp://127.0.0.1:%d", timeout: 300ms}
    devices: [{id: lost, unit: 1, signals: [{id: s, kind: number, at: "holding:3"}]}]
channels:
  - {id: hook, webhook: {url: "%[4]s/hook"}}
  - {id: tg, telegram: {url: "http://127.0.0.1:%[3]d", token: t0ken, chat_id: 1}}
uplinks:
  - {id: city, influxdb: {url: "%[4]s", org: o, bucket: b, token: right}}
  - {id: wrong, influxdb: {url: "%[4]s", org: o, bucket: b, token: wr0ng}}
`, t.TempDir(), soleServer(t), freePort(t), server.URL)
	status, out, errs := verb(t, "check", "--online", "-c", configFile(t, text), "--wait", "3s", "--url", "http://127.0.0.1:1")
	for _, line := range []string{
		"+  Device   meter  answers: 1 of 2 signals; meter.gone is exception (holding 100: exception 2: illegal data address)",
		"!  Device   deaf   does not answer: timeout", "!  Device   lost   does not answer: offline",
		"+  Channel  hook   reached; whether it takes the key shows only when something is sent: embergate notify test hook", "!  Channel  tg     does not work: ",
		"+  Uplink   city   reached, and logged in", "!  Uplink   wrong  does not work: 401",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in:\n%s", line, out)
		}
	}
	if status != exitFailed || !strings.Contains(errs, "4 of 7 do not work") || strings.Contains(out+errs, "t0ken") || strings.Contains(out+errs, "wr0ng") {
		t.Errorf("%d %s%s", status, out, errs)
	}
}
