package influx

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/gateway/store"
)

// BenchmarkDrain fills the queue as an outage of ten minutes at 5,000 values a second does (200 devices of 25 numbers, once a
// second, so 200 lines a batch), then lets the uplink send it to a server on this machine. It tells values drained a second,
// and what a value costs on disk: as kept, and as written. An hour is six times as much; the rate is the same.
func BenchmarkDrain(b *testing.B) {
	const devices, signals, seconds = 200, 25, 600
	var list []drivers.Device
	for i := range devices {
		d := drivers.Device{ID: fmt.Sprintf("meter-%d-%d", i/10, i%10), Zone: "f1-power"}
		for j := range signals {
			d.Signals = append(d.Signals, drivers.Signal{ID: fmt.Sprintf("value_%d", j), Kind: "voltage"})
		}
		list = append(list, d)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		st, err := store.Open(b.TempDir(), slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
		q := st.Queue("platform", store.QueueLimit{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusNoContent)
		}))
		u := newUplink(b, fmt.Sprintf(`{url: %q, bucket: b}`, server.URL), nil, io.Discard)
		c := newCompressor()
		values := make([]float64, devices*signals) // as instruments': the last digit moves
		for second := range seconds {
			for i, d := range list {
				at := noon.Add(time.Duration(second)*time.Second + time.Duration(random.IntN(1e9)))
				var batch []drivers.Reading
				for j, s := range d.Signals {
					v := &values[i*signals+j]
					*v += float64(random.IntN(3)-1) * 0.1
					batch = append(batch, drivers.Reading{Signal: d.Key(s), Time: at, Value: float64(int(*v*10)) / 10, Quality: drivers.Good})
				}
				u.Readings(d, batch)
			}
			u.save(b.Context(), q, c, false)
		}
		size, written := q.Stats().Bytes, st.Written()[store.SeriesFile]
		began := time.Now()
		stop := start(b, u, q, st)
		for q.Stats().Records > 0 {
			time.Sleep(5 * time.Millisecond)
		}
		took := time.Since(began)
		stop()
		const all = devices * signals * seconds
		b.ReportMetric(all/took.Seconds(), "values/s")
		b.ReportMetric(float64(size)/all, "B/value-kept")
		b.ReportMetric(float64(written)/all, "B/value-written")
		b.ReportMetric(float64(written)/seconds*86400/1e9, "GB-written/day-at-5000/s")
		server.Close()
		st.Close()
	}
}
