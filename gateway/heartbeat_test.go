package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// heard is an outside watcher.
type heard struct {
	*httptest.Server
	mu     sync.Mutex
	beats  []beat
	refuse int // so many are answered 500
}

func newHeard(t *testing.T) *heard {
	h := &heard{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b beat
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil || r.Method != http.MethodPost {
			http.Error(w, "not a beat", http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.beats = append(h.beats, b)
		if h.refuse > 0 {
			h.refuse--
			http.Error(w, "later", http.StatusInternalServerError)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *heard) latest() (b beat, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n = len(h.beats); n > 0 {
		b = h.beats[n-1]
	}
	return b, n
}

// FL01: two watchers are told how the gateway is; one that is gone holds up neither the other nor alarms.
func TestHeartbeatTellsHowTheGatewayIs(t *testing.T) {
	s, w := newScript(), newHeard(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	dir := t.TempDir()
	h := startConfig(t, s, dir, fmt.Sprintf(scriptedHome, dir, "", "0s")+
		fmt.Sprintf("heartbeat: [{url: %q, every: 5s}, {url: \"http://%s/secret\", every: 5s}]\n", w.URL, gone.Addr()))
	s.reads("gas.lel", 30)
	h.alarms("high unacknowledged")
	eventually(t, "a beat has the alarm", func() bool {
		b, _ := w.latest()
		return b.Open["gas"] == 1 && b.Site == "home" && b.Uptime > 0 && time.Since(b.Time) < time.Minute
	})
}

// A beat that did not arrive is a miss; three are a fault, and one that arrives ends it.
func TestThreeMissedBeatsAreAFault(t *testing.T) {
	w := newHeard(t)
	w.refuse = 4
	one := newWatchers([]Heartbeat{{URL: w.URL + "/token", Every: time.Minute}}, slog.New(slog.DiscardHandler))[0]
	ask := func(context.Context) (beat, error) { return beat{Site: "home"}, nil }
	for i, want := range []bool{true, true, false, false, true} {
		one.note(time.Now(), one.send(t.Context(), ask))
		works, _, why := one.stand()
		if works != want {
			t.Errorf("after beat %d: works %v, %v", i+1, works, why)
		}
		if why != nil && (strings.Contains(why.Error(), "token") || strings.Contains(one.id, "token")) {
			t.Errorf("the address is shown: %v", why)
		}
	}
}

// A hub that stands still must not be reported alive: silence tells the watcher.
func TestAHubThatStandsStillSendsNoBeat(t *testing.T) {
	w := newHeard(t)
	one := newWatchers([]Heartbeat{{URL: w.URL, Every: leastBeat}}, slog.New(slog.DiscardHandler))[0]
	err := one.send(t.Context(), func(context.Context) (beat, error) { return beat{}, errors.New("the hub does not answer") })
	if _, n := w.latest(); err == nil || n > 0 {
		t.Errorf("%d beats, %v", n, err)
	}
}

func TestBeatsComeEveryPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := newWatchers([]Heartbeat{{URL: "http://127.0.0.1:1", Every: time.Minute}}, slog.New(slog.DiscardHandler))[0]
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute+time.Second)
		defer stop()
		asked := 0
		one.run(ctx, func(context.Context) (beat, error) { asked++; return beat{}, errors.New("busy") })
		if asked < 11 || asked > 12 {
			t.Errorf("%d beats in ten minutes", asked)
		}
		if works, since, _ := one.stand(); works || time.Since(since) < 10*time.Minute {
			t.Errorf("works %v since %v", works, since)
		}
	})
}
