package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"embergate/gateway/alarm"
)

// receiver is a platform that keeps every point under its identity, and the phone that messages go to.
type receiver struct {
	*httptest.Server
	down atomic.Int32 // 0: it takes everything; else the way in which it does not

	mu       sync.Mutex
	points   map[string]string // measurement, tags and time → fields
	again    int               // points that came more than once
	differs  []string          // points that came again and were not the same
	messages map[string]int    // event id → deliveries
}

// The ways of a platform that is down.
const (
	up = iota
	unavailable
	breaksOff
	takesButDoesNotSay // it keeps the points, and its answer is lost
	ways
)

func newReceiver(t *testing.T) *receiver {
	r := &receiver{points: map[string]string{}, messages: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/write", r.write)
	mux.HandleFunc("POST /hook", r.hook)
	r.Server = httptest.NewServer(mux)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) write(w http.ResponseWriter, q *http.Request) {
	way := r.down.Load()
	if way == breaksOff {
		panic(http.ErrAbortHandler)
	}
	if way == unavailable {
		http.Error(w, `{"code":"unavailable","message":"restarting"}`, http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // it did not arrive
	}
	lines, err := gunzip(body)
	if err == nil {
		err = r.keep(lines)
	}
	if err != nil {
		http.Error(w, fmt.Sprintf(`{"code":"invalid","message":%q}`, err), http.StatusBadRequest)
		return
	}
	if way == takesButDoesNotSay {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) keep(lines []byte) error {
	points, err := pointsOf(lines)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, fields := range points {
		before, known := r.points[id]
		if known {
			r.again++
		}
		if known && before != fields && len(r.differs) < 10 {
			r.differs = append(r.differs, fmt.Sprintf("%s\n  first %s\n  again %s", id, before, fields))
		}
		r.points[id] = fields
	}
	return nil
}

func (r *receiver) hook(w http.ResponseWriter, q *http.Request) {
	var m struct{ ID string }
	if err := json.NewDecoder(q.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages[m.ID]++
}

// told asserts that every alarm was told to the phone.
func (r *receiver) told(events []alarm.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		if (e.Type == alarm.EventRaised || e.Type == alarm.EventCounted) && r.messages[e.ID] == 0 {
			return fmt.Errorf("event %d, %s of %s, was not told", e.Seq, e.Type, e.Alarm.Device)
		}
	}
	return nil
}

// repeated is how often a message came once more.
func (r *receiver) repeated() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.messages {
		n += times - 1
	}
	return n
}

// copy is what the platform has.
func (r *receiver) copy() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]string, len(r.points))
	for id, fields := range r.points {
		all[id] = fields
	}
	return all
}

func gunzip(body []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// pointsOf splits lines of line protocol into identity (series and time) and fields. Two points of one identity in one
// body are an error: one of them would be lost at the platform.
func pointsOf(lines []byte) (map[string]string, error) {
	points := map[string]string{}
	for line := range strings.Lines(string(lines)) {
		line = strings.TrimSuffix(line, "\n")
		series := 0
		for series < len(line) && (line[series] != ' ' || line[series-1] == '\\') {
			series++
		}
		at := strings.LastIndexByte(line, ' ')
		if at <= series || series == 0 {
			return nil, fmt.Errorf("no line protocol: %q", line)
		}
		id := line[:series] + line[at:]
		if fields, double := points[id]; double {
			return nil, fmt.Errorf("two points of one identity: %s: %s and %s", id, fields, line[series+1:at])
		}
		points[id] = line[series+1 : at]
	}
	return points, nil
}
