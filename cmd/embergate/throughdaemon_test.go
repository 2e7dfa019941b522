package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// soleServer is a Modbus TCP device that serves one client at a time, as some converters do: unit 7, whose holding registers hold
// their own addresses.
func soleServer(t *testing.T) (port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan bool, 1)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			select {
			case busy <- true:
				go func() { serveSole(conn); <-busy }()
			default:
				conn.Close()
			}
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func serveSole(conn net.Conn) {
	defer conn.Close()
	request := make([]byte, 12)
	for {
		if _, err := io.ReadFull(conn, request[:8]); err != nil {
			return
		}
		rest := make([]byte, int(binary.BigEndian.Uint16(request[4:]))-2)
		if _, err := io.ReadFull(conn, rest); err != nil {
			return
		}
		reply := []byte{request[7] | 0x80, 1}
		switch first := 0; {
		case request[6] != 7:
			continue
		case request[7] == 3 && len(rest) == 4:
			first = int(binary.BigEndian.Uint16(rest))
			reply = []byte{3, 2 * rest[3]}
			for i := range int(rest[3]) {
				reply = binary.BigEndian.AppendUint16(reply, uint16(first+i))
			}
			if first >= 100 {
				reply = []byte{0x83, 2}
			}
		}
		head := append([]byte{}, request[:7]...)
		binary.BigEndian.PutUint16(head[4:], uint16(len(reply)+1))
		conn.Write(append(head, reply...))
	}
}

// Row MB34: where the daemon has the wire and gets nothing, it says why, and nobody asks there beside it.
func TestAWireOfWhichTheDaemonGetsNothingIsLeftAlone(t *testing.T) {
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/site" {
			io.WriteString(w, `{"id": "h"}`)
			return
		}
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, `{"status": 409, "detail": "meter gave no answer: not connected"}`)
	}))
	defer daemon.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := configFile(t, fmt.Sprintf(`
site: {id: h, name: H, language: en}
data: %s
endpoints: [{id: bus, modbus: {url: "tcp://%s", timeout: 50ms}, devices: [{id: meter, unit: 7, signals: [{id: s, kind: number, at: "holding:3"}]}]}]
`, t.TempDir(), l.Addr()))
	status, _, errs := verb(t, "read", "-c", file, "--url", daemon.URL, "--wait", "2s")
	if status != exitFailed || !strings.Contains(errs, "meter gave no answer: not connected") || !strings.Contains(errs, "no value of: meter") {
		t.Errorf("%d %s", status, errs)
	}
	l.(*net.TCPListener).SetDeadline(time.Now())
	if _, err := l.Accept(); err == nil {
		t.Error("the wire was opened")
	}
}

// Row MB34: read, scan and probe go through the queue of the daemon that has the wire, of which there is one client.
func TestAWireOfTheDaemonIsReadThroughItsQueue(t *testing.T) {
	port, wire := freePort(t), soleServer(t)
	text := fmt.Sprintf(`
site: {id: h, name: H, language: en}
data: %s
console: {listen: "127.0.0.1:%d"}
endpoints:
  - id: bus
    modbus: {url: "tcp://127.0.0.1:%d", timeout: 300ms, retries: 0}
    devices: [{id: meter, unit: 7, every: 1h, signals: [{id: s, kind: number, at: "holding:3", scale: 0.1}, {id: gone, kind: number, at: "holding:100"}]}]
`, t.TempDir(), port, wire)
	runDaemonOn(t, text)
	file := filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	page(t, fmt.Sprintf("http://127.0.0.1:%d/api/v1/signals", port), `"value":0.3`)

	status, out, errs := verb(t, "read", "-c", file, "--json")
	var values []shown
	if err := json.Unmarshal([]byte(out), &values); err != nil || status != exitDone || len(values) != 2 {
		t.Fatal(status, err, out, errs)
	}
	if v := values[0]; v.Signal != "meter.s" || v.Value == nil || *v.Value != 0.3 || v.Raw != "0003" {
		t.Errorf("%+v", v)
	}
	if v := values[1]; v.Reason != "exception" || v.Detail != "holding 100: exception 2: illegal data address" {
		t.Errorf("%+v", v)
	}

	url := fmt.Sprintf("tcp://127.0.0.1:%d", wire)
	status, out, errs = verb(t, "scan", url, "-c", file, "--units", "6-8")
	if status != exitDone || out != "  7  does not say what it is  (holding 0 = 0000)\n" || !strings.Contains(errs, "endpoint bus") {
		t.Errorf("scan: %d %q %q", status, out, errs)
	}
	status, out, errs = verb(t, "probe", url, "-c", file, "--unit", "7", "--at", "holding:9", "--count", "1")
	if status != exitDone || !strings.Contains(out, "uint16") || !strings.Contains(out, "9") {
		t.Errorf("probe: %d %q %q", status, out, errs)
	}
	for _, c := range []struct{ unit, at, says string }{
		{"7", "holding:100", "unit 7 answers, but not with these registers"},
		{"8", "holding:0", "unit 8 does not answer"},
	} {
		if status, _, errs := verb(t, "probe", url, "-c", file, "--unit", c.unit, "--at", c.at); status != exitFailed || !strings.Contains(errs, c.says) {
			t.Errorf("probe %s of %s: %d %q", c.at, c.unit, status, errs)
		}
	}
}
