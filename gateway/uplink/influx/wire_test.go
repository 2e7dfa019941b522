package influx

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventually polls a condition that a real server decides.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// TestOverTheWire sends through the store and a real connection to a server that breaks the first, and refuses one line.
func TestOverTheWire(t *testing.T) {
	for name, keys := range map[string]string{"gzip": "", "plain": ", gzip: false"} {
		t.Run(name, func(t *testing.T) {
			p := &platform{t: t}
			p.answer = func(post int, l []string) (answer, []string) {
				if post == 1 {
					return answer{}, l
				}
				return sieve(l, 400, unparsable, false)
			}
			server := httptest.NewServer(p)
			defer server.Close()
			st := openStore(t)
			q := st.Queue("platform", store.QueueLimit{})
			u := newUplink(t, fmt.Sprintf(`{url: %q, org: fire, bucket: "sites/x y", token: s3cret%s}`, server.URL, keys), nil, t.Output())
			stop := start(t, u, q, st)
			for n := range 20 {
				u.Readings(meter, sample(n))
			}
			u.Point(Point{Measurement: "bad", Time: noon, Fields: []Field{Integer("n", 1)}})
			eventually(t, "the queue is sent", func() bool { return q.Stats().Records == 0 && !u.Status().LastSuccess.IsZero() })
			stop()
			for n := range 20 {
				if p.kept[sampleLine(n)] == 0 {
					t.Errorf("lost: reading %d", n)
				}
			}
			dead, err := q.DeadLetters(context.Background(), 0)
			if err != nil || len(dead) != 1 || !strings.HasPrefix(string(dead[0].Lines), "bad,") || !strings.Contains(dead[0].Reason, "unable to parse") {
				t.Errorf("dead letters %v, %v", dead, err)
			}
			if p.auth != "Token s3cret" || p.query != "/api/v2/write?bucket=sites%2Fx+y&org=fire&precision=ns" {
				t.Errorf("asked %s as %s", p.query, p.auth)
			}
		})
	}
}

// TestAnswerWithoutEnd: a server that never stops talking costs 64 KiB.
func TestAnswerWithoutEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(503)
		for chunk := []byte(strings.Repeat("x", 32<<10)); r.Context().Err() == nil; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	u := newUplink(t, fmt.Sprintf(`{url: %q, bucket: b, timeout: 5s}`, server.URL), nil, t.Output())
	defer u.wire.close()
	r := u.post(context.Background(), newCompressor().compress([]byte("m v=1 1\n")))
	if r == nil || r.verdict != retry || r.status != 503 || len(r.words) > 600 {
		t.Errorf("%+v", r)
	}
}

// TestNoAnswer: a server that accepts the connection and says nothing costs the timeout.
func TestNoAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	u := newUplink(t, fmt.Sprintf(`{url: "http://%s", bucket: b, timeout: 100ms}`, listener.Addr()), nil, t.Output())
	defer u.wire.close()
	if r := u.post(context.Background(), newCompressor().compress([]byte("m v=1 1\n"))); r == nil || r.verdict != retry || r.words != "no answer in time" {
		t.Errorf("%+v", r)
	}
}

// TestUnknownCertificateIsRefused: the server's certificate is verified.
func TestUnknownCertificateIsRefused(t *testing.T) {
	p := &platform{t: t}
	server := httptest.NewTLSServer(p)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	defer server.Close()
	u := newUplink(t, fmt.Sprintf(`{url: %q, bucket: b, token: s3cret}`, server.URL), nil, t.Output())
	defer u.wire.close()
	r := u.post(context.Background(), newCompressor().compress([]byte("m v=1 1\n")))
	if r == nil || !strings.Contains(r.words, "certificate") || len(p.posts) != 0 {
		t.Errorf("%+v after %d posts", r, len(p.posts))
	}
}

// TestMistakesAreReportedAtTheirPlace, in both languages.
func TestMistakesAreReportedAtTheirPlace(t *testing.T) {
	for keys, want := range map[string]string{
		`{}`: "c.yaml:1:4: u.url: the uplink needs the url of the server, such as http://127.0.0.1:8086\n" +
			"c.yaml:1:4: u.bucket: the uplink needs a bucket; for InfluxDB 1.8 it is database/retention-policy",
		`{url: "mqtt://h", bucket: b}`:                           "c.yaml:1:10: u.url: the url of the server begins with http:// or https:// and has a host",
		`{url: "http://me:pw@h", bucket: b}`:                     "c.yaml:1:10: u.url: the url of the server is only its address; org, bucket and token have keys of their own",
		`{url: "http://h", bucket: b, timeout: 1ms}`:             "c.yaml:1:42: u.timeout: the timeout of a request is between 100ms and 5m0s",
		`{url: "http://h", bucket: b, tocken: x}`:                "c.yaml:1:33: u.tocken: unknown key; allowed: bucket, gzip, org, timeout, token, token_file, url; did you mean token?",
		`{url: "http://h", bucket: b, token_file: /nowhere}`:     "c.yaml:1:45: u.token_file: the secret file cannot be read: open /nowhere: no such file or directory",
		`{url: "https://h:8086/base", bucket: db/rp, gzip: yes}`: `c.yaml:1:54: u.gzip: "yes" is not true or false`,
	} {
		root := conf.Parse("c.yaml", []byte("u: "+keys), conf.OS())
		New(root.At("u"), Options{})
		if got := root.Problems().In(i18n.English); got != want {
			t.Errorf("%s\n got %s\nwant %s", keys, got, want)
		}
		for _, p := range root.Problems() {
			if !i18n.Has(p.What.Format) {
				t.Errorf("no Chinese for %q", p.What.Format)
			}
		}
	}
}

// TestVictoriaMetrics writes readings and events through a real server and reads them back.
func TestVictoriaMetrics(t *testing.T) {
	path, err := exec.LookPath("victoria-metrics")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs victoria-metrics (Debian package victoria-metrics)")
		}
		t.Skip("needs victoria-metrics (Debian package victoria-metrics)")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	// A batch whose answer came too late is sent again, and this server keeps a point twice unless told not to.
	server := exec.Command(path, "-storageDataPath="+t.TempDir(), "-httpListenAddr="+address, "-retentionPeriod=100y", "-dedup.minScrapeInterval=1ms", "-loggerLevel=ERROR")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()

	st := openStore(t)
	q := st.Queue("platform", store.QueueLimit{})
	u := newUplink(t, fmt.Sprintf(`{url: "http://%s", org: fire, bucket: sites, timeout: 2s}`, address), nil, t.Output())
	now := time.Now().Truncate(time.Millisecond)
	a := alarm.Alarm{ID: "A1", Rule: "gas-high", Class: "gas", Level: "alarm", Device: "kitchen-gas", RaisedAt: now, Drill: true}
	if err := st.Commit(context.Background(), &store.Transaction{Events: []alarm.Event{{ID: "A1/1", Time: now, Type: "alarm.raised", Alarm: &a}}}); err != nil {
		t.Fatal(err)
	}
	stop := start(t, u, q, st)
	defer stop()
	for n := range 50 {
		at := now.Add(time.Duration(n-50) * time.Second)
		u.Readings(kitchen(), []drivers.Reading{
			{Signal: "kitchen-gas.lel", Time: at, Value: float64(n) / 4, Quality: drivers.Good},
			{Signal: "kitchen-gas.valve", Time: at, Value: 1, Quality: drivers.Good},
		})
	}
	eventually(t, "everything is sent", func() bool { return q.Stats().Records == 0 && u.Status().Working })
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	read := func(match string) (labels map[string]string, values []float64) {
		// It shows what it took some seconds later, or when it is told to.
		if answer, err := client.Get("http://" + address + "/internal/force_flush"); err == nil {
			answer.Body.Close()
		}
		answer, err := client.Get("http://" + address + "/api/v1/export?" + url.Values{"match[]": {match}}.Encode())
		if err != nil {
			return nil, nil
		}
		defer answer.Body.Close()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			var series struct {
				Metric map[string]string `json:"metric"`
				Values []float64         `json:"values"`
			}
			if err := json.Unmarshal(lines.Bytes(), &series); err != nil {
				t.Fatal(err)
			}
			labels, values = series.Metric, append(values, series.Values...)
		}
		return labels, values
	}
	var labels map[string]string
	var values []float64
	eventually(t, "50 values are there", func() bool { labels, values = read("gas_lel"); return len(values) == 50 })
	for n, v := range values {
		if v != float64(n)/4 {
			t.Errorf("value %d reads back as %g", n, v)
		}
	}
	for name, want := range map[string]string{"site": "zb-1", "region": "370305", "zone": "f1-kitchen", "device": "kitchen-gas"} {
		if labels[name] != want {
			t.Errorf("tag %s is %q, want %q", name, labels[name], want)
		}
	}
	eventually(t, "states are there", func() bool { _, v := read("device_valve"); return len(v) == 50 && v[0] == 1 })
	eventually(t, "the event is there", func() bool { _, v := read(`alarm_drill{rule="gas-high"}`); return len(v) == 1 && v[0] == 1 })
}
