package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// toxic is what a bad network does to a connection.
type toxic int32

const (
	clean     toxic = iota
	latency         // every piece comes 50 to 400 ms late
	resets          // the connection is reset after some bytes, on the way there or back
	slowClose       // nothing passes any more, and the connection stays open
	narrow          // 4 kB a second
	toxics
)

// proxy stands between daemon and platform and is as bad as told; open connections go bad too.
type proxy struct {
	net.Listener
	target string
	toxic  atomic.Int32
	seen   [toxics]atomic.Int64 // connections that met it
	open   sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, target: strings.TrimPrefix(target, "http://")}
	p.open.Go(p.accept)
	t.Cleanup(func() { l.Close(); p.open.Wait() })
	return p
}

func (p *proxy) accept() {
	for {
		near, err := p.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.open.Go(func() { p.pass(near, far) })
		p.open.Go(func() { p.pass(far, near) })
	}
}

// pass carries one direction until it ends, and then ends the other.
func (p *proxy) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 4096)
	left := 100 + rand.IntN(8000) // bytes until a reset
	for {
		from.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // to see what it is told
		n, err := from.Read(buf)
		bad := toxic(p.toxic.Load())
		if n > 0 {
			p.seen[bad].Add(1)
		}
		switch {
		case bad == resets && n > left:
			to.Write(buf[:max(left, 0)]) // other poisons count down too
			from.(*net.TCPConn).SetLinger(0)
			to.(*net.TCPConn).SetLinger(0)
			return
		case bad == slowClose && n > 0:
			time.Sleep(3 * time.Second) // longer than the daemon waits
			return
		case bad == latency && n > 0:
			time.Sleep(50*time.Millisecond + rand.N(350*time.Millisecond))
		case bad == narrow && n > 0:
			time.Sleep(time.Duration(n) * time.Second / 4000)
		}
		left -= n
		if _, failed := to.Write(buf[:n]); failed != nil || err == io.EOF || err != nil && !os.IsTimeout(err) {
			return
		}
	}
}

// TestNothingIsLostThroughABadNetwork puts a proxy between daemon and platform that delays, resets, never closes, and
// lets little through, each for a while. Every reading arrives all the same, once or with the same identity, and the
// alarms do not notice; and the daemon grows by neither files nor threads nor memory.
//
// EMBERGATE_SOAK=168h go test -run BadNetwork -timeout 0 ./cmd/embergate goes on for so long.
//
// Rows SF01, SF05, SF10, RE01, RE10.
func TestNothingIsLostThroughABadNetwork(t *testing.T) {
	p := newReceiver(t)
	way := newProxy(t, p.URL)
	a := newAccount(t)
	config := talliedHome(t, a.dir, "http://"+way.Addr().String(), p.URL)
	rewrite(t, config, "bucket: sites", "bucket: sites, timeout: 1s")
	d := startLife(t, config, 1)
	d.isReady()
	var soak time.Duration
	if text := os.Getenv("EMBERGATE_SOAK"); text != "" {
		var err error
		if soak, err = time.ParseDuration(text); err != nil {
			t.Fatalf("EMBERGATE_SOAK: %v", err)
		}
	}
	var first usage
	for began, round := time.Now(), 1; round == 1 || time.Since(began) < soak; round++ {
		for _, bad := range []toxic{latency, resets, narrow, slowClose, resets, latency} {
			way.toxic.Store(int32(bad))
			raised := d.raised.Load()
			time.Sleep(2500 * time.Millisecond)
			if d.raised.Load() <= raised {
				t.Errorf("no alarm while the network has toxic %d", bad)
			}
			if first == (usage{}) {
				first = d.uses()
			}
		}
		if now := d.uses(); now.files > first.files+20 || now.threads > first.threads+20 || now.memory > first.memory+32<<10 {
			t.Errorf("round %d: %+v, at the beginning %+v", round, now, first)
		}
	}
	way.toxic.Store(int32(clean))
	d.kill(1)
	a.take(1, d)
	a.settle(p, config)
	for bad := range toxics {
		if way.seen[bad].Load() == 0 {
			t.Errorf("toxic %d was never met", bad)
		}
	}
}

// rewrite replaces a text in a file that has it once.
func rewrite(t *testing.T, file, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), old); n != 1 {
		t.Fatalf("%s has %q %d times", file, old, n)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// usage is what a process holds.
type usage struct{ files, threads, memory int } // memory resident, kB

func (d *life) uses() (u usage) {
	d.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", d.cmd.Process.Pid)
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		d.t.Fatal(err)
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		d.t.Fatal(err)
	}
	u.files = len(files)
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "Threads: %d", &u.threads)
		fmt.Sscanf(line, "VmRSS: %d", &u.memory)
	}
	return u
}
