package influx

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/gateway/store"
)

// Row RE02: while the platform is down nothing but the queue on disk grows. 500 values come a second; what four minutes of
// them leave in memory is what one left. The queue then holds every line.
func TestMemoryIsFlatThroughAnOutage(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	st := openStore(t)
	q := st.Queue("platform", store.QueueLimit{})
	u := newUplink(t, fmt.Sprintf(`{url: %q, bucket: b}`, server.URL), nil, io.Discard)
	ctx, cancel := context.WithCancel(t.Context())
	sent := make(chan struct{})
	go func() { defer close(sent); newSender(u, q, st).run(ctx) }()
	defer func() { cancel(); <-sent; u.wire.close() }()
	var devices []drivers.Device
	for i := range 20 {
		d := drivers.Device{ID: fmt.Sprint("meter-", i)}
		for j := range 25 {
			d.Signals = append(d.Signals, drivers.Signal{ID: fmt.Sprint("value_", j), Kind: "voltage"})
		}
		devices = append(devices, d)
	}
	c, seconds := newCompressor(), 0
	outage := func(minutes int) (inUse uint64) {
		for range minutes * 60 {
			for _, d := range devices {
				batch := make([]drivers.Reading, len(d.Signals))
				for j, s := range d.Signals {
					batch[j] = drivers.Reading{Signal: d.Key(s), Time: noon.Add(time.Duration(seconds) * time.Second), Value: float64(seconds*j%1000) / 10, Quality: drivers.Good}
				}
				u.Readings(d, batch)
			}
			u.save(t.Context(), q, c, false)
			seconds++
		}
		runtime.GC()
		runtime.GC() // what the first one freed by finalizers
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	one, four := outage(1), outage(3)
	if four > one+1<<20 {
		t.Errorf("in use after a minute %d kB, after four %d kB", one>>10, four>>10)
	}
	if s := q.Stats(); s.Records != int64(20*seconds) || s.Dropped+u.Status().Dropped > 0 {
		t.Errorf("%d of %d lines wait, %d were dropped", s.Records, 20*seconds, s.Dropped)
	}
}
