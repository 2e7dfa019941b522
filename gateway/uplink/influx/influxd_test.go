package influx

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/gateway/store"
)

// TestInfluxDB1 sends to a real InfluxDB 1.8, which Debian does not have:
//
//	GOBIN=/tmp go install github.com/influxdata/influxdb/cmd/influxd@v1.8.3
//	EMBERGATE_INFLUXD=/tmp/influxd go test ./gateway/uplink/influx -run InfluxDB1
//
// Good lines arrive, a conflict of types and a point that is too old become dead letters.
func TestInfluxDB1(t *testing.T) {
	program := os.Getenv("EMBERGATE_INFLUXD")
	if program == "" {
		t.Skip("needs EMBERGATE_INFLUXD, the path of influxd 1.8")
	}
	address, ask := startInfluxd(t, program)
	st := openStore(t)
	q := st.Queue("platform", store.QueueLimit{})
	u := newUplink(t, fmt.Sprintf(`{url: "http://%s", bucket: sites/autogen, token: "user:password"}`, address), nil, t.Output())
	stop := start(t, u, q, st)
	defer stop()
	now := time.Now().Truncate(time.Second)
	for n := range 50 {
		at := now.Add(time.Duration(n-50) * time.Second)
		u.Readings(kitchen(), []drivers.Reading{{Signal: "kitchen-gas.lel", Time: at, Value: float64(n) / 4, Quality: drivers.Good}})
	}
	eventually(t, "the first are sent", func() bool { return q.Stats().Records == 0 && u.Status().Working })
	u.Point(Point{Measurement: "gas", Time: now, Fields: []Field{String("lel", "seven")}})
	u.Point(Point{Measurement: "gas", Time: now.Add(-30 * 24 * time.Hour), Fields: []Field{Float("lel", 1)}})
	u.Readings(kitchen(), []drivers.Reading{{Signal: "kitchen-gas.lel", Time: now, Value: 12.5, Quality: drivers.Good}})
	eventually(t, "two are refused", func() bool { return u.Status().Rejected == 2 && q.Stats().Records == 0 })
	if got := ask("SELECT count(lel), max(lel) FROM gas WHERE device = 'kitchen-gas' AND zone = 'f1-kitchen' AND site = 'zb-1'"); got != "51 12.5" {
		t.Errorf("read back: %s, want 51 values, at most 12.5", got)
	}
}

// startInfluxd starts a server with a database that keeps a week, and answers where it is and how to ask it.
func startInfluxd(t *testing.T, program string) (address string, ask func(query string) string) {
	t.Helper()
	dir := t.TempDir()
	var free [2]string
	for i := range free {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free[i] = l.Addr().String()
		l.Close()
	}
	config := fmt.Sprintf("reporting-disabled = true\nbind-address = %q\n[meta]\ndir = %q\n[data]\ndir = %q\nwal-dir = %q\n[http]\nbind-address = %q\n",
		free[0], dir+"/meta", dir+"/data", dir+"/wal", free[1])
	file := filepath.Join(dir, "influxdb.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(program, "-config", file)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	client := &http.Client{Timeout: 5 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	ask = func(query string) string {
		answer, err := client.PostForm("http://"+free[1]+"/query", url.Values{"db": {"sites"}, "q": {query}})
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		var body struct {
			Results []struct {
				Series []struct{ Values [][]any }
			}
		}
		if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || len(body.Results) != 1 || len(body.Results[0].Series) == 0 {
			return fmt.Sprintf("%+v %v", body, err)
		}
		return fmt.Sprintf("%v %v", body.Results[0].Series[0].Values[0][1:]...)
	}
	eventually(t, "the server works", func() bool {
		answer, err := client.PostForm("http://"+free[1]+"/query", url.Values{"q": {"CREATE DATABASE sites WITH DURATION 7d NAME autogen"}})
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return free[1], ask
}
