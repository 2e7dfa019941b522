package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
	"embergate/rules"
)

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
