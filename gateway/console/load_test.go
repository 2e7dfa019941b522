package console

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers/i18n"
)

// serveEnv makes the test binary serve a great home whose values all change at every snapshot, until its input ends.
const serveEnv = "EMBERGATE_SERVE_GREAT_HOME"

// great is a home of 200 devices with 25 signals each: 5,000 values, all other every second.
func (h home) great() *Snapshot {
	s := h.well()
	s.Zones, s.Devices = nil, nil
	for z := range 40 {
		id := fmt.Sprintf("z%d", z)
		s.Zones = append(s.Zones, Zone{ID: id, Name: id, Path: fmt.Sprintf("%d层 / %d室", z/10+1, z)})
		for d := range 5 {
			dev := Device{ID: fmt.Sprintf("d%d-%d", z, d), Name: fmt.Sprintf("%d室电表", d), Zone: id, Endpoint: "bus-1", Online: pointer(true), Since: h.before(time.Hour)}
			for i := range 25 {
				dev.Signals = append(dev.Signals, h.good(h.signal(fmt.Sprintf("v%d", i), fmt.Sprintf("电压 %d", i), "voltage"), 200+float64(i)))
			}
			s.Devices = append(s.Devices, dev)
		}
	}
	return s
}

func TestServeGreatHome(t *testing.T) {
	if os.Getenv(serveEnv) == "" {
		t.Skip("serves BenchmarkFiftyOpenPages, in a process of its own")
	}
	c := newCanned(home{i18n.Chinese, time.Now()}.great())
	server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
	defer server.Close()
	fmt.Println("serves", server.URL)
	ended := make(chan struct{})
	go func() { defer close(ended); io.Copy(io.Discard, os.Stdin) }()
	for tick := time.NewTicker(500 * time.Millisecond); ; {
		select {
		case now := <-tick.C:
			next := *c.Snapshot()
			next.Time = now
			c.set(&next)
		case <-ended:
			return
		}
	}
}

// BenchmarkFiftyOpenPages measures the processor time of the process that serves fifty pages, as a share of one core, while
// every value of 5,000 changes every second. What makes the snapshots is not in it.
func BenchmarkFiftyOpenPages(b *testing.B) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeGreatHome$")
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "serves ")
	if err != nil || !ok {
		b.Fatal(line, err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, path := range []string{"/", "/zones", "/wall"} {
		open, closePages := context.WithCancel(ctx)
		var pages sync.WaitGroup
		for range 50 {
			pages.Go(func() { watch(open, url, path) })
		}
		time.Sleep(500 * time.Millisecond) // all are open
		const span = 6 * time.Second
		began := cpu(b, cmd.Process.Pid)
		time.Sleep(span)
		spent := cpu(b, cmd.Process.Pid) - began
		b.ReportMetric(100*float64(spent)/float64(span), "%core"+strings.ReplaceAll(path, "/", ":"))
		closePages()
		pages.Wait()
	}
}

// watch does what live.js does: it listens, and fetches the page at every beat.
func watch(ctx context.Context, url, path string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	get := func(path string) io.ReadCloser {
		r, err := http.NewRequestWithContext(ctx, "GET", url+path, nil)
		if err != nil {
			return nil
		}
		r.Header.Set("Accept-Encoding", "gzip")
		answer, err := client.Do(r)
		if err != nil {
			return nil
		}
		return answer.Body
	}
	stream := get("/api/v1/stream?events=beat")
	if stream == nil {
		return
	}
	defer stream.Close()
	for lines := bufio.NewScanner(stream); lines.Scan(); {
		if !bytes.HasPrefix(lines.Bytes(), []byte("data:")) {
			continue
		}
		if page := get(path); page != nil {
			io.Copy(io.Discard, page)
			page.Close()
		}
	}
}

// cpu is the processor time that a process has had, in user and system (proc(5), /proc/pid/stat, fields 14 and 15).
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Skip("needs /proc", err)
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] {
		n, _ := strconv.Atoi(field)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on Linux
}
