package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

const (
	maxStreams   = 100             // open at once; a home has a dozen screens
	mostOfOne    = maxStreams / 2  // of them through one account, so that none takes those of others
	heartbeat    = 2 * time.Second // between two signs of life; a page shows a lost link after 4.5 s without one
	writeTimeout = 5 * time.Second // for a viewer to take what it is sent; then it is dropped
	replayChunk  = 100             // events read from the journal at a time
)

// stream sends what changes, as server-sent events:
//
//	alarm    one event of the journal that concerns an alarm, in the shape of /api/v1/events
//	reading  one signal, in the shape of /api/v1/signals: all of them at first, then those that changed
//	status   in the shape of /api/v1/status: at every change, and every 2 seconds as a sign of life
//	beat     only where asked for: when to fetch a page again. At once when the journal moves, else about every 2 seconds
//
// The id of each is the number of the last journal event before it, so that whoever comes back with Last-Event-ID
// misses no alarm. ?events=alarm,status leaves out the others.
func (w *web) stream(rw http.ResponseWriter, r *http.Request) {
	who := identityOf(r)
	leave, open := w.streams.enter(string(who.Kind) + " " + who.ID)
	if leave == nil {
		rw.Header().Set("Retry-After", "5")
		w.problem(rw, r, http.StatusServiceUnavailable, i18n.T("%d streams are open already", open))
		return
	}
	defer leave()
	v := viewer{web: w, request: r, rw: rw, control: http.NewResponseController(rw), lang: w.lang(r), wants: wanted(r)}
	v.control.SetReadDeadline(time.Time{}) // there is nothing more to read; the server's limit would end the stream
	v.seq = resumeFrom(r, cmp.Or(w.Source.Snapshot(), &Snapshot{}).Seq)

	rw.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	rw.Header().Set("X-Accel-Buffering", "no")
	v.buf.WriteString("retry: 1000\n\n")
	if err := v.run(r.Context()); err != nil && r.Context().Err() == nil {
		w.Log.Info("console stream dropped", "remote", r.RemoteAddr, "err", err)
	}
}

// streams counts those that are open, in all and by account.
type streams struct {
	mu  sync.Mutex
	all int
	of  map[string]int
}

// enter takes a place for a stream; where there is none, leave is nil and open is how many there are. Where nobody logs in, all
// are of one account, which may have all.
func (s *streams) enter(account string) (leave func(), open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.all >= maxStreams:
		return nil, s.all
	case account != " " && s.of[account] >= mostOfOne:
		return nil, s.of[account]
	}
	s.all++
	s.of[account]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.of[account]--; s.of[account] == 0 {
			delete(s.of, account)
		}
	}, s.all
}

// wanted are the events that a request asks for; all of them where it does not say.
func wanted(r *http.Request) func(event string) bool {
	asked := r.URL.Query().Get("events")
	names := strings.Split(asked, ",")
	return func(event string) bool { return asked == "" && event != "beat" || slices.Contains(names, event) }
}

// resumeFrom is the number of the journal event after which a stream starts: where the viewer was, or the present. A
// number that this journal has not reached comes from another journal, and means nothing.
func resumeFrom(r *http.Request, present int64) int64 {
	last, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil || last < 0 || last > present {
		return present
	}
	return last
}

// viewer is one open stream.
type viewer struct {
	*web
	request *http.Request
	rw      http.ResponseWriter
	control *http.ResponseController
	lang    i18n.Lang
	wants   func(event string) bool

	seq  int64     // the last event of the journal that was sent, or passed over
	sent *Snapshot // whose readings were sent last
	beat beat
	buf  bytes.Buffer
}

// run sends until the viewer leaves, the server stops, or a write fails.
func (v *viewer) run(ctx context.Context) error {
	stop, _ := ctx.Value(stopping{}).(<-chan struct{})
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		changed := v.Source.Changed() // before the snapshot, so that no change falls between
		if err := v.update(ctx); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-beat.C:
			if !v.still(v.request) {
				return nil // logged out, or no longer allowed
			}
			v.buf.WriteString(": alive\n")
		case <-stop:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// update sends what is new: alarms first.
func (v *viewer) update(ctx context.Context) error {
	s := v.Source.Snapshot()
	if s != nil && v.wants("alarm") {
		if err := v.alarms(ctx, s.Seq); err != nil {
			return err
		}
	}
	if s != nil && v.wants("reading") {
		if err := v.readings(s); err != nil {
			return err
		}
	}
	if v.wants("status") {
		if err := v.event("status", v.status(s, time.Now(), v.lang)); err != nil {
			return err
		}
	}
	if v.wants("beat") {
		if err := v.pulse(cmp.Or(s, &Snapshot{}), time.Now()); err != nil {
			return err
		}
	}
	return v.flush()
}

// beat tells an open page that it is time to fetch itself again.
type beat struct {
	Now time.Time `json:"now"`
	Seq int64     `json:"seq"`
}

// pulse sends a beat where one is due: to all pages at the same times, so that one rendering does for them; an alarm waits
// for no clock.
func (v *viewer) pulse(s *Snapshot, now time.Time) error {
	if s.Seq == v.beat.Seq && now.UnixNano()/int64(heartbeat) == v.beat.Now.UnixNano()/int64(heartbeat) {
		return nil
	}
	v.beat, v.seq = beat{now, s.Seq}, s.Seq
	return v.event("beat", v.beat)
}

// alarms sends the events of the journal up to a number, a chunk at a time.
func (v *viewer) alarms(ctx context.Context, upTo int64) error {
	for v.seq < upTo {
		events, err := v.Source.Events(ctx, v.seq, replayChunk)
		if err != nil {
			return fmt.Errorf("console stream: events after %d: %w", v.seq, err)
		}
		if len(events) == 0 {
			v.seq = upTo // the journal keeps no events as old as those
			return nil
		}
		for _, e := range events {
			v.seq = e.Seq
			if e.Alarm == nil {
				continue
			}
			if err := v.event("alarm", e); err != nil {
				return err
			}
		}
		if err := v.flush(); err != nil {
			return err
		}
	}
	return nil
}

// readings sends the signals that differ from what was sent last.
func (v *viewer) readings(s *Snapshot) error {
	known := map[string]Signal{}
	if v.sent == s {
		return nil
	}
	if v.sent != nil {
		for _, d := range v.sent.Devices {
			for _, sig := range d.Signals {
				known[d.ID+"."+sig.ID] = sig
			}
		}
	}
	for _, d := range s.Devices {
		for _, sig := range d.Signals {
			if old, ok := known[d.ID+"."+sig.ID]; ok && same(old, sig) {
				continue
			}
			if err := v.event("reading", d.json(sig)); err != nil {
				return err
			}
		}
	}
	v.sent = s
	return nil
}

// same tells whether two readings of a signal say the same.
func same(a, b Signal) bool {
	value := a.Value == b.Value || a.Quality == drivers.Bad
	return value && a.Quality == b.Quality && a.Reason == b.Reason && a.Detail == b.Detail && a.Label == b.Label &&
		a.Time.Equal(b.Time) && a.Since.Equal(b.Since)
}

// event adds one event to what is sent next, and sends when there is much of it.
func (v *viewer) event(name string, data any) error {
	body, err := json.Marshal(data) // on one line, as the format wants
	if err != nil {
		return fmt.Errorf("console stream: %s: %w", name, err)
	}
	fmt.Fprintf(&v.buf, "event: %s\nid: %d\ndata: %s\n\n", name, v.seq, body)
	if v.buf.Len() > 32<<10 {
		return v.flush()
	}
	return nil
}

// flush sends what has gathered. It fails when the viewer does not take it in time.
func (v *viewer) flush() error {
	if v.buf.Len() == 0 {
		return nil
	}
	if err := v.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return fmt.Errorf("console stream: %w", err)
	}
	_, err := v.rw.Write(v.buf.Bytes())
	v.buf.Reset()
	if err == nil {
		err = v.control.Flush()
	}
	if err != nil {
		return fmt.Errorf("console stream: write: %w", err)
	}
	return nil
}
