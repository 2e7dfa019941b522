package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
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
