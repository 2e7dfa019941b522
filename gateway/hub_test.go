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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
	"embergate/rules"
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

// Rows AL11 and RE09.
func TestAnAlarmSurvivesARestartAndNothingClearsByIt(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startHome(t, s, dir, "0s")
	s.reads("gas.lel", 30)
	h.alarms("high unacknowledged")
	h.act("high", "ack")
	h.alarms("high acknowledged")
	h.stop()

	s = newScript()
	h = startHome(t, s, dir, "0s")
	h.alarms("high acknowledged") // before any reading
	s.reads("gas.lel", 5)
	h.alarms("high latched")
	h.act("high", "reset")
	h.alarms("")
	want := "gateway.started alarm.raised high alarm.acknowledged high gateway.stopped " +
		"gateway.started alarm.cleared high alarm.reset high alarm.closed high gateway.stopped"
	events := slices.DeleteFunc(h.journal(), func(e string) bool { return e == "output.written" }) // it comes in its own time
	if got := strings.Join(events, " "); got != want {
		t.Errorf("journal\ngot  %s\nwant %s", got, want)
	}
}

// Row RE03.
func TestAPanicInADriverRestartsItAndIsAFault(t *testing.T) {
	s := newScript()
	h := startHome(t, s, t.TempDir(), "0s")
	s.fail <- "index out of range"
	h.alarms("gateway-driver unacknowledged")
	s.reads("gas.lel", 30) // the driver runs again
	h.alarms("high unacknowledged, gateway-driver returned")
}

func TestALostEndpointIsTriedAgain(t *testing.T) {
	s := newScript()
	startHome(t, s, t.TempDir(), "0s")
	s.fail <- errors.New("connection reset")
	eventually(t, "the driver runs again", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.runs == 2 })
	s.reads("gas.lel", 1)
}

func TestAnOutputGoesBackAfterItsLongestTimeAlsoAfterARestart(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startHome(t, s, dir, "200ms")
	s.reads("gas.valve", 0)
	s.reads("gas.lel", 30)
	eventually(t, "on and off", func() bool { return s.outputs() == "gas.valve=1 gas.valve=0" })
	s.reads("gas.lel", 5)
	s.reads("gas.lel", 31) // a new trigger
	eventually(t, "on again", func() bool { return strings.HasPrefix(s.outputs(), "gas.valve=1 gas.valve=0 gas.valve=1") })
	h.stop()
	if s.outputs() == "gas.valve=1 gas.valve=0 gas.valve=1" { // stopped while on
		s = newScript()
		startHome(t, s, dir, "200ms")
		eventually(t, "off after the restart", func() bool { return s.outputs() == "gas.valve=0" })
	}
}

func TestAnOutputThatDoesNotDoAsToldIsAFault(t *testing.T) {
	s := newScript()
	s.refuse = toleratedFail
	h := startHome(t, s, t.TempDir(), "0s")
	s.reads("gas.lel", 30)
	h.alarms("high unacknowledged, gateway-output unacknowledged")
	h.alarms("high unacknowledged, gateway-output returned") // it was tried again, and did
	if got := strings.Join(h.journal(), " "); !strings.Contains(got, "output.failed") || !strings.Contains(got, "output.written") {
		t.Error(got)
	}
}

func TestAHomeWhoseDiskCannotBeUsedIsProtectedAllTheSame(t *testing.T) {
	dir, s := filepath.Join(t.TempDir(), "file"), newScript()
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	h := startHome(t, s, dir, "0s")
	s.reads("gas.lel", 30)
	h.alarms("high unacknowledged, gateway-disk unacknowledged")
	r, err := http.Get(h.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("ready: %s", r.Status)
	}
}

// TestABusyBusDoesNotKeepTheHubFromItsTurns: one device speaks without a pause, the other dies; its silence is noticed.
func TestABusyBusDoesNotKeepTheHubFromItsTurns(t *testing.T) {
	s := newScript()
	h := startHome(t, s, t.TempDir(), "0s", mute)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s.say <- []drivers.Reading{{Signal: "gas.lel", Time: time.Now(), Value: 1, Quality: drivers.Good}}:
			case <-done:
				return
			}
		}
	}()
	h.alarms("device-lost unacknowledged")
}

// TestADeviceThatIsOffIsNotReady: /readyz names it.
func TestADeviceThatIsOffIsNotReady(t *testing.T) {
	s := newScript()
	h := startHome(t, s, t.TempDir(), "0s", mute)
	s.reads("gas.lel", 1)
	eventually(t, "/readyz names the dead device", func() bool {
		r, err := http.Get(h.url + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		body, _ := io.ReadAll(r.Body)
		return r.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), "device mute")
	})
}

func TestASecondAlarmNeverShortensAnOutput(t *testing.T) {
	o, now := &outputs{h: &hub{live: &live{signals: map[string]*signal{}}}, orders: map[string]*order{}}, time.Now()
	back := func(maxOn time.Duration) time.Duration {
		o.order(now, rules.Output{Write: "valve", Value: 1, MaxOn: maxOn}, "1")
		if o.orders["valve"].Back.IsZero() {
			return 0
		}
		return o.orders["valve"].Back.Sub(now)
	}
	for _, step := range []struct{ maxOn, want time.Duration }{
		{10 * time.Minute, 10 * time.Minute}, {time.Minute, 10 * time.Minute}, {time.Hour, time.Hour}, {0, 0}, {time.Minute, 0},
	} {
		if got := back(step.maxOn); got != step.want {
			t.Errorf("after %s more it goes back in %s, want %s", step.maxOn, got, step.want)
		}
	}
	if o.orders["valve"].Rest != 0 {
		t.Errorf("it goes back to %g", o.orders["valve"].Rest)
	}
}

// TestADiskThatWorksAgainTakesWhatWaited: also when nothing new happens.
func TestADiskThatWorksAgainTakesWhatWaited(t *testing.T) {
	s := newScript()
	root := conf.Parse("home.yaml", fmt.Appendf(nil, scriptedHome, t.TempDir(), "", "0s"), conf.OS())
	g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": s.protocol}, Log: slog.New(slog.DiscardHandler)})
	if err != nil || root.Problems() != nil {
		t.Fatal(err, root.Problems())
	}
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	h, err := newHub(t.Context(), g, st)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	h.diskFailed, h.diskTried = true, now
	h.events = []alarm.Event{{ID: "1", Time: now, Type: "output.failed"}}
	h.commit(now.Add(time.Second))
	if len(h.unsaved) != 1 {
		t.Fatalf("%d events wait, want 1: the disk is left alone for a while", len(h.unsaved))
	}
	h.commit(now.Add(diskPause))
	if n, err := st.LastSeq(t.Context()); err != nil || n != 1 || len(h.unsaved) != 0 || h.diskFailed {
		t.Errorf("%d events on disk, %d wait, %v", n, len(h.unsaved), err)
	}
}

// TS06: the console has what a signal was without any platform, over a restart; while the gateway was away is a gap.
func TestHistoryNeedsNoPlatform(t *testing.T) {
	dir, s := t.TempDir(), newScript()
	h := startHome(t, s, dir, "0s")
	s.reads("gas.lel", 7)
	chart := func() (steps []console.Step) {
		r, err := http.Get(fmt.Sprintf("%s/api/v1/history?signal=gas.lel&from=%d", h.url, time.Now().Add(-time.Minute).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var answer struct{ Steps []console.Step }
		if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
		return answer.Steps
	}
	has := func(value float64) func() bool {
		return func() bool {
			return slices.ContainsFunc(chart(), func(s console.Step) bool { return s.Max != nil && *s.Max == value })
		}
	}
	eventually(t, "it is in memory", has(7))
	if first := chart()[0]; first.Max != nil || first.Bad > 0 {
		t.Errorf("a minute ago nobody knew: %+v", first)
	}
	h.stop()
	s = newScript()
	h = startHome(t, s, dir, "0s")
	eventually(t, "it is on disk", has(7))
}
