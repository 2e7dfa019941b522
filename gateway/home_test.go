package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// script is a protocol that does what a test says: its Run hands over what comes on say, panics or loses its endpoint on
// command, and its outputs are remembered.
type script struct {
	devices []drivers.Device
	say     chan []drivers.Reading
	fail    chan any // an error to return, anything else to panic with

	mu      sync.Mutex
	runs    int
	written []string
	refuse  int // so many writes fail
	hang    int // so many writes end only when they are given up
	hanging int // of those, how many are under way
}

func newScript() *script {
	return &script{say: make(chan []drivers.Reading), fail: make(chan any)}
}

func (s *script) protocol() drivers.Protocol {
	return func(e drivers.Endpoint) drivers.Driver {
		e.Settings.Decode()
		for _, at := range e.Devices {
			d, _ := e.Device(at, "script", &struct{}{})
			s.devices = append(s.devices, d)
		}
		return s
	}
}

func (s *script) Devices() []drivers.Device { return s.devices }

func (s *script) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	s.mu.Lock()
	s.runs++
	s.mu.Unlock()
	emit(drivers.LinkUp("bus", time.Now()))
	for {
		select {
		case batch := <-s.say:
			emit(batch)
		case f := <-s.fail:
			if err, ok := f.(error); ok {
				return err
			}
			panic(f)
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *script) Write(ctx context.Context, signal string, value float64) (float64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang > 0 {
		s.hang--
		s.hanging++
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		s.hanging--
		return 0, ctx.Err()
	}
	if s.refuse > 0 {
		s.refuse--
		return 0, errors.New("the relay does not answer")
	}
	s.written = append(s.written, fmt.Sprintf("%s=%g", signal, value))
	return value, nil
}

func (s *script) outputs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.written, " ")
}

// reads hands over one good reading.
func (s *script) reads(signal string, value float64) {
	s.say <- []drivers.Reading{{Signal: signal, Time: time.Now(), Value: value, Quality: drivers.Good}}
}

// home is a gateway over a script, with its page and its journal.
type home struct {
	t    *testing.T
	dir  string
	url  string
	stop func()
	end  func(cause error) // of its context
}

const scriptedHome = `
site: {id: home, name: home, language: en}
data: %s
zones: [{id: kitchen, name: Kitchen}]
endpoints:
  - id: bus
    script: {}
    devices:
      - id: gas
        zone: kitchen
        every: 1h
        signals:
          - {id: lel, kind: gas_lel}
          - {id: valve, kind: relay, writable: true}
%s
rules:
  packs: [comms]
  inline:
    - {id: high, class: gas, level: alarm, signal: gas.lel, when: value >= 25.0, latch: true,
       outputs: [{write: gas.valve, value: 1, max_on: %s}], message: "{zone} {value} {unit}"}
`

// mute is a device that says nothing.
const mute = `      - {id: mute, every: 100ms, signals: [{id: a, kind: voltage}]}`

// startHome starts the gateway of a scripted home in a folder, and waits until it is alive.
func startHome(t *testing.T, s *script, dir, maxOn string, more ...string) *home {
	t.Helper()
	return startConfig(t, s, dir, fmt.Sprintf(scriptedHome, dir, strings.Join(more, "\n"), maxOn))
}

// startConfig starts the gateway of a configuration over a script.
func startConfig(t *testing.T, s *script, dir, config string) *home {
	t.Helper()
	l := httptest.NewUnstartedServer(nil).Listener
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	root := conf.Parse(filepath.Join(dir, "home.yaml"), []byte(config), conf.OS())
	g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": s.protocol}, Log: log, Listener: l})
	if err != nil {
		t.Fatal(err)
	}
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stopped := false
	h := &home{t: t, dir: dir, url: "http://" + l.Addr().String()}
	homes.of(l.Addr().String(), string(g.cfg.Data))
	h.stop = func() { h.end(nil) }
	h.end = func(cause error) {
		if cancel(cause); !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(h.stop)
	return h
}

// alarms waits until the open alarms are as wanted, as "rule state, …".
func (h *home) alarms(want string) {
	h.t.Helper()
	var got string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		r, err := http.Get(h.url + "/api/v1/alarms")
		if err != nil {
			continue
		}
		var list []alarm.Alarm
		err = json.NewDecoder(r.Body).Decode(&list)
		r.Body.Close()
		if err != nil {
			h.t.Fatal(err)
		}
		var words []string
		for _, a := range list {
			words = append(words, a.Rule+" "+string(a.State))
		}
		if got = strings.Join(words, ", "); got == want {
			return
		}
	}
	h.t.Fatalf("open alarms are %q, want %q", got, want)
}

// act posts an act on the one open alarm of a rule.
func (h *home) act(rule, act string) {
	h.t.Helper()
	r, err := http.Get(h.url + "/api/v1/alarms")
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Body.Close()
	var list []alarm.Alarm
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		h.t.Fatal(err)
	}
	for _, a := range list {
		if a.Rule != rule {
			continue
		}
		answer, err := http.Post(h.url+"/api/v1/alarms/"+a.ID+"/"+act, "application/json", strings.NewReader(`{"by":"zhang"}`))
		if err != nil {
			h.t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode/100 != 2 {
			h.t.Fatalf("%s: %s %s", act, answer.Status, body)
		}
		return
	}
	h.t.Fatalf("no open alarm of %s", rule)
}

// journal are the events on disk after the home has stopped, as "type rule".
func (h *home) journal() []string {
	h.t.Helper()
	h.stop()
	st, err := store.Open(h.dir, slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatal(err)
	}
	defer st.Close()
	events, err := st.Events(h.t.Context(), 0, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	var list []string
	for _, e := range events {
		line := e.Type
		if e.Alarm != nil {
			line += " " + e.Alarm.Rule
		}
		list = append(list, line)
	}
	return list
}

// eventually waits for something that the hub does in its own time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 20 s: %s", what)
}
