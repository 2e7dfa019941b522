package gateway

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// SF14: what waits for a platform longer than ten minutes is a fault, which ends when it has arrived.
func TestAPlatformThatIsBehindIsAFault(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	q := st.Queue("platform", store.QueueLimit{})
	old := store.Batch{Lines: 1, Oldest: time.Now().Add(-lateAfter - time.Second), Body: []byte("x")}
	if err := q.Append(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	st.Close()
	h := startConfig(t, newScript(), dir, fmt.Sprintf(scriptedHome, dir, "", "0s")+"uplinks: [{id: platform, influxdb: {url: \"http://127.0.0.1:1\", bucket: b}}]\n")
	h.alarms("gateway-uplink unacknowledged")
	r, err := http.Get(h.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"records", "bytes", "oldest_seconds"} {
		if text := "embergate_queue_" + metric + `{queue="platform"} `; !strings.Contains(string(body), text) || strings.Contains(string(body), text+"0\n") {
			t.Errorf("the metrics lack %s", text)
		}
	}
}

// SF14: a fire centre that cannot be reached is a fault after a minute already.
func TestAFireCentreThatIsAwayIsAFaultSoon(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Set(t.Context(), "uplink/fire-centre/events", "0 "); err != nil { // it was there before
		t.Fatal(err)
	}
	old := alarm.Event{ID: "1", Time: time.Now().Add(-centreLateAfter - time.Second), Type: "gateway.started"}
	if err := st.Commit(t.Context(), &store.Transaction{Events: []alarm.Event{old}}); err != nil {
		t.Fatal(err)
	}
	st.Close()
	h := startConfig(t, newScript(), dir, fmt.Sprintf(scriptedHome, dir, "", "0s")+"uplinks: [{id: fire-centre, gbt26875: {address: \"127.0.0.1:1\", source: \"7\"}}]\n")
	h.alarms("gateway-uplink unacknowledged")
}

// SF03: how much a queue holds is configured; without the key it is bounded all the same.
func TestQueueLimits(t *testing.T) {
	for _, c := range []struct {
		keys    string
		want    store.QueueLimit
		problem string
	}{
		{"", store.QueueLimit{Bytes: queueBytes}, ""},
		{", queue: {bytes: 5000000, age: 48h}", store.QueueLimit{Bytes: 5_000_000, Age: 48 * time.Hour}, ""},
		{", queue: {bytes: 5}", store.QueueLimit{}, "uplinks[0].queue.bytes: a queue holds at least"},
		{", queue: {age: 1m}", store.QueueLimit{}, "uplinks[0].queue.age: a queue keeps at least"},
	} {
		text := "site: {id: home}\nuplinks: [{id: platform, influxdb: {url: \"http://127.0.0.1:1\", bucket: b}" + c.keys + "}]\n"
		root := conf.Parse("home.yaml", []byte(text), conf.OS())
		g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if p := fmt.Sprint(root.Problems()); c.problem != "" && !strings.Contains(p, c.problem) || c.problem == "" && root.Problems() != nil {
			t.Errorf("%s: %s", c.keys, p)
		} else if c.problem == "" && g.uplinks[0].limit != c.want {
			t.Errorf("%s: %+v", c.keys, g.uplinks[0].limit)
		}
	}
}

// Rows SF07 and SF09: a line that the platform refuses is counted, shown with its words, and a fault; the others arrive.
func TestWhatAPlatformRefusesIsShown(t *testing.T) {
	const words = `partial write: field type conflict: input field \"lel\" on measurement \"gas\" is type float, already exists as type integer dropped=1`
	platform := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		lines, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(lines), "gas,device=gas") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"code":"unprocessable entity","message":"`+words+`"}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer platform.Close()
	dir, s := t.TempDir(), newScript()
	h := startConfig(t, s, dir, fmt.Sprintf(scriptedHome, dir, "", "0s")+fmt.Sprintf("uplinks: [{id: platform, influxdb: {url: %q, bucket: b}}]\n", platform.URL))
	h.alarms("")
	s.reads("gas.lel", 3)
	h.alarms("gateway-refused unacknowledged")
	for path, want := range map[string]string{
		"/api/v1/queues":                  "field type conflict",
		"/api/v1/queues/platform/refused": "lel=3.0",
		"/metrics":                        `embergate_uplink_refused_total{uplink="platform"} 1`,
		"/health?lang=zh":                 "平台拒收 1 条",
	} {
		eventually(t, path+" tells it", func() bool {
			r, err := http.Get(h.url + path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Body.Close()
			body, err := io.ReadAll(r.Body)
			return err == nil && strings.Contains(string(body), want)
		})
	}
}
