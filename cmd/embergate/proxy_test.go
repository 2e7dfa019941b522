package main

import (
	"errors"
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
// alarms do not notice; and the daemon grows by neither files nor threads nor goroutines nor memory.
//
// EMBERGATE_SOAK=168h go test -run BadNetwork -timeout 0 -v ./cmd/embergate goes on for so long.
//
// Rows SF01, SF05, SF10, RE01, RE10.
func TestNothingIsLostThroughABadNetwork(t *testing.T) {
	t.Parallel()
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
	var rounds []usage
	for began := time.Now(); len(rounds) == 0 || time.Since(began) < soak; {
		for _, bad := range []toxic{latency, resets, narrow, slowClose, resets, latency} {
			way.toxic.Store(int32(bad))
			raised := d.raised.Load()
			time.Sleep(2500 * time.Millisecond)
			eventually(t, fmt.Sprint("an alarm while the network has toxic ", bad), func() error {
				if d.raised.Load() <= raised {
					return errors.New("none")
				}
				return nil
			})
			if first == (usage{}) {
				first = d.uses()
			}
		}
		now := d.uses()
		if rounds = append(rounds, now); len(rounds)%10 == 1 {
			t.Logf("round %d: %v", len(rounds), now)
		}
		if most := first.plus(usage{20, 20, 50, 32 << 10}); now.least(most) != now {
			t.Errorf("round %d: %v, at the beginning %v", len(rounds), now, first)
		}
	}
	wantFlat(t, rounds)
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
type usage struct{ files, threads, goroutines, memory int } // memory resident and its own, kB

func (u usage) String() string {
	return fmt.Sprintf("%d files, %d threads, %d goroutines, %d kB", u.files, u.threads, u.goroutines, u.memory)
}

func (u usage) plus(v usage) usage {
	return usage{u.files + v.files, u.threads + v.threads, u.goroutines + v.goroutines, u.memory + v.memory}
}

func (u usage) least(v usage) usage {
	return usage{min(u.files, v.files), min(u.threads, v.threads), min(u.goroutines, v.goroutines), min(u.memory, v.memory)}
}

// wantFlat compares what the process held at the least in the second quarter of the rounds and in the last: what leaks
// raises the least that it holds, what comes and goes does not. The first quarter is for what fills up once, such as the
// caches of the databases, within three minutes. Fewer than twelve rounds, three minutes, say nothing.
func wantFlat(t *testing.T, rounds []usage) {
	t.Helper()
	if len(rounds) < 12 {
		return
	}
	quarter := len(rounds) / 4
	floor := func(of []usage) usage {
		least := of[0]
		for _, u := range of {
			least = least.least(u)
		}
		return least
	}
	early, late := floor(rounds[quarter:2*quarter]), floor(rounds[3*quarter:])
	t.Logf("%d rounds; at the least in the second quarter: %v; in the last: %v", len(rounds), early, late)
	if late.least(early.plus(usage{2, 3, 5, 4 << 10})) != late {
		t.Errorf("it grows: at the least %v in the second quarter, %v in the last", early, late)
	}
}

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
	u.files, u.goroutines = len(files), int(d.goroutines.Load())
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "Threads: %d", &u.threads)
		fmt.Sscanf(line, "RssAnon: %d", &u.memory) // without the program itself, which comes in bit by bit
	}
	return u
}
