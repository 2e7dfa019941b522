package printer

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/drivertest"

	"go.uber.org/goleak"
	"golang.org/x/text/encoding/simplifiedchinese"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// say is a record as testdata/gst9000.txt writes it.
func say(r record) string {
	if r.damaged != "" {
		return "!" + r.damaged
	}
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return r.point + "/" + words(r.status) + "/" + words(r.rest)
}

// scripts are the inputs of testdata/gst9000.txt, as on the wire, with what they say.
func scripts(t testing.TB) (in [][]byte, says [][]string) {
	data, err := os.ReadFile("testdata/gst9000.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "in":
			text, err := strconv.Unquote(value)
			if err != nil {
				t.Fatal(value, err)
			}
			in, says = append(in, onWire(t, text)), append(says, nil)
		case "say":
			says[len(says)-1] = append(says[len(says)-1], value)
		}
	}
	return in, says
}

// onWire is text in GBK; what is no UTF-8 in it stays as it is.
func onWire(t testing.TB, text string) (wire []byte) {
	for _, part := range strings.SplitAfter(text, "\n") {
		b, err := simplifiedchinese.GBK.NewEncoder().Bytes([]byte(part))
		if err != nil {
			b = []byte(part)
		}
		wire = append(wire, b...)
	}
	return wire
}

func TestRecordsAreReadAsPrinted(t *testing.T) {
	in, says := scripts(t)
	for i, b := range in {
		var s scanner
		var got []string
		for _, r := range append(s.feed(b), s.flush()...) {
			got = append(got, say(r))
		}
		if !slices.Equal(got, says[i]) {
			t.Errorf("%q: got %q, want %q", b, got, says[i])
		}
	}
}

// The capture of a real panel, where it is: every line of it is a record, as its index says.
func TestTheCaptureOfAPanel(t *testing.T) {
	file, err := os.Open("../../../shared/realinput/serial/gst9000_printer.hex")
	if err != nil {
		t.Skip("no recordings here")
	}
	defer file.Close()
	var s scanner
	var got []string
	var p panel
	p.connected(noon, 0)
	var state []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if digits, ok := strings.CutPrefix(lines.Text(), "< "); ok {
			b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range s.feed(b) {
				got = append(got, r.String())
				p.take(noon, r)
				state = append(state, fmt.Sprintf("any=%v count=%v 004-004=%v", p.reading(noon, pathAny).Value, p.reading(noon, pathCount).Value, p.reading(noon, "004-004").Value))
			}
		}
	}
	want := []string{
		"004-004 首次火警 裙楼一层上空 感烟探测器 (panel clock 08/12/02 17:24)",
		"006-007 火警后续 中烟六层计划部 感烟探测器 (panel clock 08/12/02 17:21)",
		"系统复位 (panel clock 08/12/02 17:25)",
	}
	if !slices.Equal(got, want) || s.begun() {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if want := []string{"any=1 count=1 004-004=1", "any=1 count=2 004-004=1", "any=0 count=0 004-004=0"}; !slices.Equal(state, want) {
		t.Errorf("%q, want %q", state, want)
	}
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// What a panel does not say is never taken for all well.
func TestSilenceIsNotQuiet(t *testing.T) {
	fire := record{clock: "x", point: "001-002", status: "首次火警", rest: "一层 感烟探测器"}
	reset := record{clock: "x", status: "系统复位"}
	damaged := record{damaged: "no GBK"}
	other := record{clock: "x", status: "模块动作"}
	for _, c := range []struct {
		name    string
		records []record
		after   time.Duration
		any     string
		point   string
	}{
		{"before anything was printed", nil, 0, "0 uncertain stale", "0 uncertain stale"},
		{"after a reset", []record{reset}, 0, "0 good ", "0 good "},
		{"a fire", []record{fire}, 0, "1 good ", "0 uncertain stale"},
		{"a fire after a reset", []record{reset, fire}, 0, "1 good ", "0 good "},
		{"a reset after a fire", []record{fire, reset}, 0, "0 good ", "0 good "},
		{"a record that cannot be read", []record{reset, damaged}, 0, "0 bad decode", "0 bad decode"},
		{"it may have been a reset, but a fire stays", []record{fire, damaged}, 0, "1 good ", "0 bad decode"},
		{"a reset that can be read ends the doubt", []record{damaged, reset}, 0, "0 good ", "0 good "},
		{"what nobody knows is a sign of life", []record{reset, other}, 24 * time.Hour, "0 good ", "0 good "},
		{"nothing for a day and an hour", []record{reset}, 26 * time.Hour, "0 bad offline", "0 bad offline"},
		{"a fire does not end by silence", []record{fire}, 26 * time.Hour, "1 good ", "0 bad offline"},
	} {
		var p panel
		p.connected(noon, usualExpire)
		for _, r := range c.records {
			p.take(noon, r)
		}
		show := func(path string) string {
			r := p.reading(noon.Add(c.after), path)
			return fmt.Sprintf("%v %s %s", r.Value, r.Quality, r.Reason)
		}
		if any, point := show(pathAny), show("009-009"); any != c.any || point != c.point {
			t.Errorf("%s: any %q, a point %q, want %q, %q", c.name, any, point, c.any, c.point)
		}
	}
}

func endpoint(text string) (drivers.Endpoint, conf.Section) {
	root := conf.Parse("home.yaml", []byte(text), conf.OS())
	return drivers.Endpoint{
		ID: "panel", Settings: root.At("printer"), Devices: root.At("devices").Items(), Log: slog.New(slog.DiscardHandler), Monitor: drivers.Discard{},
	}, root
}

func TestMistakesAreNamedAtTheirPlace(t *testing.T) {
	e, root := endpoint(`printer: {url: "http://h", format: gst200, baud: 9601, parity: mark, stop_bits: 3, data_bits: 9, colour: red}
devices:
  - id: p
    signals: [{id: a, kind: smoke, path: "4-4"}, {id: b, kind: temperature, path: any}, {id: c, kind: smoke, path: count}, {id: d, kind: smoke, path: "001-001", at: "holding:0"}]
`)
	New()(e)
	const want = `home.yaml:1:16: printer.url: a printer port is serial:///dev/… or tcp://host:port of a serial server, not "http://h"
home.yaml:1:36: printer.format: "gst200" is not known; allowed: gst9000; did you mean gst9000?
home.yaml:1:50: printer.baud: 9601 is no speed of a serial line
home.yaml:1:64: printer.parity: "mark" is not known; allowed: none, even, odd
home.yaml:1:81: printer.stop_bits: "3" is not known; allowed: 1, 2; did you mean 1?
home.yaml:1:95: printer.data_bits: "9" is not known; allowed: 7, 8; did you mean 7?
home.yaml:1:98: printer.colour: unknown key; allowed: baud, data_bits, expire, format, parity, stop_bits, url
home.yaml:4:42: devices[0].signals[0].path: the path of a signal is any, count, or a point of the panel such as 004-017, not "4-4"
home.yaml:4:64: devices[0].signals[1].kind: temperature cannot be told by any: any and points are states, count is a number
home.yaml:4:103: devices[0].signals[2].kind: smoke cannot be told by count: any and points are states, count is a number
home.yaml:4:166: devices[0].signals[3].at: a panel that prints has no at`
	if got := root.Problems().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// server is a transparent serial server with a panel behind it: what is printed while nobody is connected waits, as in its buffer.
type server struct {
	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]bool
	waiting  []byte
	serving  sync.WaitGroup
}

func newServer(t *testing.T) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: l, conns: map[net.Conn]bool{}}
	s.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.serving.Wait()
	})
	return s
}

func (s *server) serve(conn net.Conn) {
	s.mu.Lock()
	s.conns[conn] = true
	conn.Write(s.waiting)
	s.waiting = nil
	s.mu.Unlock()
	io.Copy(io.Discard, conn) // until the other side is gone
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	conn.Close()
}

func (s *server) print(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == 0 {
		s.waiting = b
	}
	for c := range s.conns {
		c.Write(b)
	}
}

func TestConformance(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Fixture {
		s := newServer(t)
		proxy := drivertest.NewProxy(t, s.listener.Addr().String())
		e, root := endpoint(`printer: {url: "tcp://` + proxy.Address() + `"}
devices: [{id: p, signals: [{id: fire, kind: fire_panel_alarm, path: any}]}]`)
		d := New()(e)
		if p := root.Problems(); p != nil {
			t.Fatal(p)
		}
		return drivertest.Fixture{
			Driver: d, Endpoint: "panel", Break: proxy.Break, Mend: proxy.Mend, Signal: "p.fire", Pushes: true,
			Set: func(value float64) {
				if value == 1 {
					s.print(onWire(t, "\x1b626/11/21  03:02\n  002-017\n\x1b9首次火警\n二层东\n感烟探测器\n\n"))
					return
				}
				s.print(onWire(t, "\x1b626/11/21  03:02\n  \n\x1b9系统复位\n\n"))
			},
			Damage: func() { s.print(onWire(t, "\x1b626/11/21  03:02\n  \n\x1b9系统复位\n\n\x1b9\xff\xff\n\n")) },
			Repair: func() {},
		}
	})
}

// A record without an end is told after half a second of silence, and the state every 30 s.
func TestAFireIsToldWithoutTheEndOfItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := endpoint(`printer: {url: "tcp://h:1"}
devices: [{id: p, signals: [{id: fire, kind: fire_panel_alarm, path: any}, {id: n, kind: number, path: count}]}]`)
		d := New()(e).(*driver)
		near, far := net.Pipe()
		type told struct {
			at   time.Duration
			says string
		}
		start := time.Now()
		var got []told
		done := make(chan error)
		go func() {
			done <- d.listen(near, func(batch []drivers.Reading) {
				got = append(got, told{time.Since(start), fmt.Sprintf("%v %s %v", batch[0].Value, batch[0].Quality, batch[1].Value)})
			})
		}()
		time.Sleep(10 * time.Second)
		far.Write(onWire(t, "\x1b626/11/21  03:02\n  002-017\n\x1b9首次火警\n"))
		time.Sleep(45 * time.Second)
		far.Close()
		if err := <-done; err == nil {
			t.Error("the end of the line is no error")
		}
		want := []told{{0, "0 uncertain 0"}, {10500 * time.Millisecond, "1 good 1"}, {40500 * time.Millisecond, "1 good 1"}}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// A serial server that loses a packet stalls in the middle of a record, and of a character: the fire is one when it goes on.
func TestAFireThatStallsIsStillOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := endpoint(`printer: {url: "tcp://h:1"}
devices: [{id: p, signals: [{id: fire, kind: fire_panel_alarm, path: any}, {id: smoke, kind: smoke, path: 002-018}]}]`)
		d := New()(e).(*driver)
		near, far := net.Pipe()
		done, last := make(chan error), ""
		go func() {
			done <- d.listen(near, func(batch []drivers.Reading) {
				last = fmt.Sprintf("%v %s, %v %s", batch[0].Value, batch[0].Quality, batch[1].Value, batch[1].Quality)
			})
		}()
		far.Write(onWire(t, "\x1b626/11/21  03:02\n  \n\x1b9系统复位\n\n"))
		record := onWire(t, "\x1b626/11/21  03:02\n  002-017\n\x1b9首次火警\n二层东\n\n")
		middle := len(onWire(t, "\x1b626/11/21  03:02\n  002-017\n\x1b9首次火")) + 1
		far.Write(record[:middle])
		time.Sleep(3 * time.Second)
		far.Write(record[middle : middle+2]) // the word is there, the place not yet
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if want := "1 good, 0 good"; last != want {
			t.Errorf("%s, want %s", last, want)
		}
		far.Write(record[middle+2:])
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := "1 good, 0 good"; last != want {
			t.Errorf("at its end %s, want %s", last, want)
		}
		far.Close()
		<-done
	})
}

// Whoever speaks too much, in records that can be read or not, fills neither log nor memory, and hides no fire.
func TestAFloodOfRecordsIsBounded(t *testing.T) {
	e, _ := endpoint(`printer: {url: "tcp://h:1"}
devices: [{id: p, signals: [{id: smoke, kind: smoke, path: 999-999}]}]`)
	var log strings.Builder
	e.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	d := New()(e).(*driver)
	for i := range 3 * mostFires {
		d.take(noon, record{damaged: "noise"})
		d.take(noon, record{status: "首次火警", point: fmt.Sprintf("%03d-%03d", i/1000, i%1000)})
	}
	d.take(noon, record{status: "首次火警", point: "999-999"})
	if n := len(d.panel.fires); n > mostFires+2 {
		t.Errorf("%d points are kept", n)
	}
	if d.panel.reading(noon, "999-999").Value != 1 {
		t.Error("a point that is configured does not burn")
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines in the log for one state", n)
	}
}

func TestASerialLineThatIsNotThereIsAnError(t *testing.T) {
	e, _ := endpoint(`printer: {url: "serial:///dev/no-such-line"}
devices: [{id: p, signals: [{id: fire, kind: fire_panel_alarm, path: any}]}]`)
	if err := New()(e).Run(context.Background(), func([]drivers.Reading) { t.Error("told something") }); err == nil || !strings.Contains(err.Error(), "no-such-line") {
		t.Error(err)
	}
}

// FuzzGST9000: no stream makes it fall over, keep more than a record in memory, or miss the word for fire in a whole record.
func FuzzGST9000(f *testing.F) {
	in, _ := scripts(f)
	for _, b := range in {
		f.Add(b)
	}
	whole := onWire(f, "\x1b626/11/21  03:02\n  002-017\n\x1b9首次火警\n二层东\n\n")
	f.Fuzz(func(t *testing.T, b []byte) {
		var s scanner
		var p panel
		for _, r := range s.feed(b) {
			p.take(noon, r)
			_ = r.String()
		}
		if len(s.pending) > longest {
			t.Fatalf("%d bytes are kept", len(s.pending))
		}
		found := false
		for _, r := range append(s.feed(whole), s.flush()...) {
			found = found || r.fire()
		}
		if !found {
			t.Errorf("a fire behind %q is not seen", b)
		}
	})
}
