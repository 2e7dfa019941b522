package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"embergate/drivers/conf"
	"embergate/rules"
)

// Heartbeat is an outside watcher that is told that the gateway lives. Whoever does not hear of it for three periods takes
// it for dead, so nothing is sent that the hub has not just answered.
type Heartbeat struct {
	URL   string        `yaml:"url"`
	Every time.Duration `yaml:"every"` // default 60 s
}

const (
	beatEvery  = time.Minute
	leastBeat  = 5 * time.Second
	mostBeat   = time.Hour
	beatMisses = 3 // so many beats that did not arrive are a fault
)

// readHeartbeats sets the defaults of the heartbeat: key and reports its mistakes.
func readHeartbeats(s conf.Section, list []Heartbeat) {
	for i, at := range s.Items() {
		h := &list[i]
		if u, err := url.Parse(h.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			at.At("url").Problem("the address of a heartbeat is http://host/… or https://host/…") // whatever stands there may be a secret
		}
		if h.Every == 0 {
			h.Every = beatEvery
		}
		if h.Every < leastBeat || h.Every > mostBeat {
			at.At("every").Problem("a heartbeat comes every %s to %s", leastBeat, mostBeat)
		}
	}
}

// beat is the body of a heartbeat.
type beat struct {
	Site    string              `json:"site"`
	Name    string              `json:"name"`
	Region  string              `json:"region"`
	Version string              `json:"version"`
	Time    time.Time           `json:"time"`
	Uptime  float64             `json:"uptime_s"`
	Ready   bool                `json:"ready"` // every component works
	Failing []string            `json:"failing"`
	Open    map[rules.Class]int `json:"alarms_open"` // by class
	Unsent  float64             `json:"queue_age_s"` // of the oldest record that waits for a platform
	ClockOK bool                `json:"clock_ok"`
}

// watcher is one heartbeat at work.
type watcher struct {
	Heartbeat
	id     string // host of the address: the rest of it may be a secret
	client *http.Client
	log    *slog.Logger

	mu     sync.Mutex
	misses int       // in a row; guarded by mu
	since  time.Time // of the first of them, or of the last success; guarded by mu
	err    error     // of the last miss; guarded by mu
}

func newWatchers(list []Heartbeat, log *slog.Logger) []*watcher {
	var all []*watcher
	for i, h := range list {
		u, err := url.Parse(h.URL)
		if err != nil {
			continue // reported
		}
		w := &watcher{Heartbeat: h, id: fmt.Sprintf("%d-%s", i+1, u.Hostname()), client: &http.Client{Timeout: min(h.Every, 10*time.Second)}}
		w.log = log.With("heartbeat", w.id)
		all = append(all, w)
	}
	return all
}

// run sends a beat every period until ctx ends, the first at once. ask answers how the gateway is; where it does not in
// time, nothing is sent: silence is what tells.
func (w *watcher) run(ctx context.Context, ask func(context.Context) (beat, error)) {
	defer w.client.CloseIdleConnections()
	w.mu.Lock()
	w.since = time.Now()
	w.mu.Unlock()
	for {
		w.note(time.Now(), w.send(ctx, ask))
		select {
		case <-time.After(w.Every - rand.N(w.Every/20)): // so that a thousand gateways do not come at once
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) send(ctx context.Context, ask func(context.Context) (beat, error)) error {
	ctx, cancel := context.WithTimeout(ctx, w.client.Timeout)
	defer cancel()
	b, err := ask(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(b)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the url cannot be used")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "embergate")
	answer, err := w.client.Do(r)
	if err != nil {
		return bare(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

// note counts misses in a row; the first is logged, and the end.
func (w *watcher) note(now time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil && w.misses > 0:
		w.log.Info("heartbeat restored", "after", now.Sub(w.since).Round(time.Second))
		w.misses, w.since = 0, now
	case err != nil:
		if w.misses == 0 {
			w.since = now
			w.log.Warn("heartbeat lost", "err", err)
		}
		w.misses++
	}
	w.err = err
}

// stand tells how the heartbeat stands: since when it arrives, or has not for beatMisses times, and why.
func (w *watcher) stand() (works bool, since time.Time, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.misses < beatMisses, w.since, w.err
}

// health is asked on the hub's goroutine, so that it is an answer of the part that must not stand still.
func (h *hub) health(ctx context.Context) (b beat, err error) {
	err = h.ask(ctx, func(now time.Time) { b = h.beat(now) })
	return b, err
}

func (h *hub) beat(now time.Time) beat {
	s := h.g.cfg.Site
	b := beat{
		Site: s.ID, Name: s.Name, Region: s.Region, Version: h.g.Version, Time: now.In(h.g.location), Uptime: now.Sub(h.page.started).Seconds(),
		Failing: []string{}, Open: map[rules.Class]int{}, ClockOK: h.gate.clock.ok(),
	}
	for _, c := range h.components(h.snapshot(now)) {
		if !c.Working {
			b.Failing = append(b.Failing, c.Name)
		}
	}
	b.Ready = len(b.Failing) == 0
	for _, a := range h.board.Open() {
		if !a.Test && !a.Drill {
			b.Open[a.Class]++
		}
	}
	for _, u := range h.g.uplinks {
		if oldest := h.backlog(u).Oldest; !oldest.IsZero() {
			b.Unsent = max(b.Unsent, now.Sub(oldest).Seconds())
		}
	}
	return b
}
