package main

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// TestEscalationGoesOnOverKills (NO06, AL11): daemons are killed with SIGKILL at random moments, mostly between two steps of
// an escalation that nobody answers. Afterwards the journal has every step once, and each was told.
func TestEscalationGoesOnOverKills(t *testing.T) {
	t.Parallel()
	const steps = 5
	p := newReceiver(t)
	dir := filepath.Join(t.TempDir(), "data")
	escalation := ""
	for i := range steps {
		escalation += fmt.Sprintf("      - {after: %dms, to: li, via: [hook]}\n", i*500)
	}
	config := filepath.Join(t.TempDir(), "home.yaml")
	text := fmt.Sprintf(`
site: {id: home, name: home, language: en}
data: %s
endpoints:
  - id: tally
    tally: {every: 20ms}
    devices: [{id: tally-1, every: 1m, signals: [{id: n, kind: number}, {id: life, kind: status_word}, {id: smoke, kind: smoke}]}]
rules:
  packs: []
  inline: [{id: smoke, class: fire, level: alarm, signal: tally-1.smoke, when: value == 1.0, latch: true}]
channels: [{id: hook, webhook: {url: %q}}]
duty:
  people: [{id: li, name: Li}]
  escalation:
    alarm:
%sconsole: {listen: "127.0.0.1:0"}
`, dir, p.URL+"/hook", escalation)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	first := startLife(t, config, 1)
	eventually(t, "the alarm is in the journal", func() error {
		if first.raised.Load() == 0 {
			return fmt.Errorf("it is not")
		}
		return nil
	})
	first.kill(1)
	lives := 1
	for ; len(escalated(t, dir)) < steps-1 && lives < 60; lives++ {
		d := startLife(t, config, 0)
		d.isReady()
		time.Sleep(rand.N(900 * time.Millisecond))
		d.kill(lives)
	}
	last := startLife(t, config, 0)
	last.isReady()
	time.Sleep(time.Second) // nothing more may come
	eventually(t, "every step is told", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, id := range escalated(t, dir) {
			if p.messages[id] == 0 {
				return fmt.Errorf("%s is not", id)
			}
		}
		return nil
	})
	if err := last.stop(); err != nil {
		t.Errorf("the last life ended with %v\n%s", err, last.complaint())
	}
	if got := escalated(t, dir); len(got) != steps-1 {
		t.Errorf("after %d lives the journal has %d steps, want %d", lives, len(got), steps-1)
	}
	t.Logf("%d lives, %d messages came again", lives, p.repeated())
}

// escalated are the ids of the steps after the first, as the journal has them.
func escalated(t *testing.T, dir string) (ids []string) {
	t.Helper()
	for _, e := range journalIn(t, dir) {
		if e.Type == alarm.EventEscalated {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// journalIn is the journal of a data directory.
func journalIn(t *testing.T, dir string) []alarm.Event {
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
	return events
}
