package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// posts sends JSON to the daemon of this test, as the verbs of its machine do.
func posts(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(os.Getenv("EMBERGATE_TOKEN_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// TestWhatIsWrittenByHandIsInTheRegister (SE05): a server and a client of another make are the witnesses.
func TestWhatIsWrittenByHandIsInTheRegister(t *testing.T) {
	python, mbpoll := needsPymodbus(t), needs(t, "mbpoll", "mbpoll")
	wire, port := freePort(t), freePort(t)
	start(t, wire, python, "testdata/modbus_server.py", fmt.Sprint(wire))
	runDaemonOn(t, fmt.Sprintf(`
site: {id: h, name: H, language: en}
data: %s
console: {listen: "127.0.0.1:%d"}
rules: {packs: []}
endpoints:
  - id: bus
    modbus: {url: "tcp://127.0.0.1:%d"}
    devices:
      - id: fan
        unit: 7
        signals:
          - {id: limit, kind: number, at: "holding:3", scale: 0.1, range: [0, 50], writable: true}
          - {id: beyond, kind: number, at: "holding:200", writable: true}
          - {id: fixed, kind: number, at: "holding:4"}
`, t.TempDir(), port, wire))
	base := fmt.Sprintf("http://127.0.0.1:%d/api/v1/", port)
	page(t, base+"signals", `"signal":"fan.limit"`, `"writable":true`, `"value":0`)
	for _, c := range []struct {
		signal, body string
		status       int
		says         string
	}{
		{"fan.limit", `{"value": 20.44, "by": "zhang"}`, 200, `"value":20.4,"said":"read back: 20.4"`},
		{"fan.limit", `{"value": 51, "by": "zhang"}`, 400, "51 is outside its range, 0 to 50"},
		{"fan.fixed", `{"value": 1, "by": "zhang"}`, 409, "the configuration does not make it writable"},
		{"fan.beyond", `{"value": 1, "by": "zhang"}`, 409, "the device did not take it: modbus bus unit 7: write fan.beyond (holding:200): exception 2: illegal data address"},
		{"fan.limit", `{"value": 1}`, 400, "by is missing"},
	} {
		if status, answer := posts(t, base+"signals/"+c.signal+"/write", c.body); status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("%s %s: %d %s, want %d %s", c.signal, c.body, status, answer, c.status, c.says)
		}
	}
	out := do(t, mbpoll, "-m", "tcp", "-p", fmt.Sprint(wire), "-a", "7", "-0", "-r", "3", "-c", "2", "-t", "4", "-1", "127.0.0.1")
	if said := strings.Join(strings.Fields(out), " "); !strings.Contains(said, "[3]: 204 [4]: 0") {
		t.Errorf("mbpoll: %s", out)
	}
	page(t, base+"events?after=0&limit=100", `"type":"signal.written"`, `"by":"zhang"`, "fan fan.limit = 20.44, before 0; read back 20.4", `"type":"signal.failed"`, "51 is outside its range")
}
