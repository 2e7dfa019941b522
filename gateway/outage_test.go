package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// metronome is a driver that reads a gas sensor each period, as a driver does: the next poll when its time has come and
// the last one is handed over. It writes down when each began. For one poll every 20 minutes there is gas.
type metronome struct {
	script
	period time.Duration
	polls  []time.Time
}

func (m *metronome) protocol() drivers.Protocol {
	open := m.script.protocol()
	return func(e drivers.Endpoint) drivers.Driver { open(e); return m }
}

func (m *metronome) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	emit(drivers.LinkUp("bus", time.Now()))
	tick := time.NewTicker(m.period)
	defer tick.Stop()
	for n := 0; ; n++ {
		now := time.Now()
		m.polls = append(m.polls, now)
		value := 5 + float64(n%7)
		if now.Minute()%20 == 10 && now.Second() == 0 {
			value = 40
		}
		emit([]drivers.Reading{{Signal: "gas.lel", Time: now, Value: value, Quality: drivers.Good}})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// silentListener is a console that nobody asks.
type silentListener struct{ closed chan struct{} }

func (l silentListener) Accept() (net.Conn, error) { <-l.closed; return nil, net.ErrClosed }
func (l silentListener) Addr() net.Addr            { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (l silentListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

const deafHome = `
site: {id: home, name: home, language: en}
data: %s
zones: [{id: kitchen}]
endpoints:
  - {id: bus, script: {}, devices: [{id: gas, zone: kitchen, every: 30s, signals: [{id: lel, kind: gas_lel}, {id: valve, kind: relay, writable: true}]}]}
rules:
  packs: [comms]
  inline: [{id: high, class: gas, level: alarm, signal: gas.lel, when: value >= 25.0, outputs: [{write: gas.valve, value: 1, max_on: 60s}]}]
channels:
  - {id: hook, webhook: {url: "http://127.0.0.1:1/hook"}}
uplinks:
  - {id: platform, influxdb: {url: "http://127.0.0.1:1", bucket: b}}
  - {id: district, mqtt: {url: "mqtt://127.0.0.1:1", topic: t}}
heartbeat: [{url: "http://127.0.0.1:1/beat", every: 60s}]
`

// TestNoOutputChangesNoPollAndNoAlarm: for 40 minutes, by a clock that only this test moves, the platform, the broker, the
// channel and the watcher refuse every connection. Each poll begins at its second all the same, and each alarm is raised in
// the very moment of its sample, closes its valve, and ends with the next good reading.
//
// EMBERGATE_OUTAGE=24h go test -run NoOutput ./gateway does it for a day.
//
// Row RE01.
func TestNoOutputChangesNoPollAndNoAlarm(t *testing.T) {
	outage := 40 * time.Minute
	if text := os.Getenv("EMBERGATE_OUTAGE"); text != "" {
		var err error
		if outage, err = time.ParseDuration(text); err != nil {
			t.Fatalf("EMBERGATE_OUTAGE: %v", err)
		}
	}
	dir := t.TempDir()
	const period = 30 * time.Second
	m := &metronome{script: *newScript(), period: period}
	var begun, ended time.Time
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))) // a clock before the program was built is not believed
		root := conf.Parse("home.yaml", fmt.Appendf(nil, deafHome, dir), conf.OS())
		g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": m.protocol}, Log: slog.New(slog.DiscardHandler), Listener: silentListener{make(chan struct{})}})
		if err != nil || root.Problems() != nil {
			t.Fatal(err, root.Problems())
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		begun = time.Now()
		go func() { done <- g.Run(ctx) }()
		time.Sleep(outage)
		synctest.Wait()
		ended = time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for i, at := range m.polls {
		if want := begun.Add(time.Duration(i) * period); !at.Equal(want) {
			t.Fatalf("poll %d began at %s, want %s", i, at, want)
		}
	}
	if n := int(ended.Sub(begun)/period) + 1; len(m.polls) != n {
		t.Errorf("%d polls, want %d", len(m.polls), n)
	}
	alarms := int(outage / (20 * time.Minute))
	wantAlarms(t, dir, begun, alarms)
	if got := len(m.written); got != 2*alarms { // closed, and opened again after its longest time
		t.Errorf("the valve was written %d times, want %d", got, 2*alarms)
	}
}

// wantAlarms asserts that the journal has an alarm every 20 minutes, at the second of its sample.
func wantAlarms(t *testing.T, dir string, begun time.Time, n int) {
	t.Helper()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	events, err := st.Events(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var raised, closed []time.Time
	for _, e := range events {
		switch {
		case e.Alarm == nil || e.Alarm.Rule != "high":
		case e.Type == alarm.EventRaised || e.Type == alarm.EventCounted: // the same one again: nobody acknowledged it
			raised = append(raised, e.Time)
		case e.Type == alarm.EventCleared:
			closed = append(closed, e.Time)
		}
	}
	var wantRaised, wantClosed []time.Time
	for i := range n {
		at := begun.Add(time.Duration(i)*20*time.Minute + 10*time.Minute).UTC()
		wantRaised, wantClosed = append(wantRaised, at), append(wantClosed, at.Add(30*time.Second))
	}
	if !slices.EqualFunc(raised, wantRaised, time.Time.Equal) {
		t.Errorf("raised at %v, want %v", raised, wantRaised)
	}
	if !slices.EqualFunc(closed, wantClosed, time.Time.Equal) {
		t.Errorf("cleared at %v, want %v", closed, wantClosed)
	}
}
