package modbus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/serial"
)

const python = "/usr/bin/python3" // Debian's own, with python3-pymodbus

// need skips the test where a Debian package is missing; in CI that is a mistake.
func need(t *testing.T, found error, name, pkg string) {
	t.Helper()
	switch {
	case found == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("needs %s (Debian package %s): %v", name, pkg, found)
	default:
		t.Skipf("needs %s (Debian package %s)", name, pkg)
	}
}

// process runs a program until stop or the end of the test; what it said is shown where the test fails.
func process(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			cmd.Wait()
			if t.Failed() {
				t.Logf("%s: %s", name, said.String())
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// until waits for a condition on something outside of this process.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("in 30 s: not %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// serve starts the pymodbus server over TCP.
func serve(t *testing.T, mode, port string) (stop func()) {
	t.Helper()
	need(t, exec.Command(python, "-c", "import pymodbus").Run(), "pymodbus", "python3-pymodbus")
	stop = process(t, python, "testdata/server.py", mode, port)
	until(t, "listening", func() bool {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return stop
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// plugged is a pair of serial lines joined by socat, with the server at one end; it returns the other end.
func plugged(t *testing.T, near, far string) (unplug func()) {
	t.Helper()
	_, err := exec.LookPath("socat")
	need(t, err, "socat", "socat")
	need(t, exec.Command(python, "-c", "import pymodbus, serial_asyncio").Run(), "pymodbus", "python3-pymodbus")
	unplug = process(t, "socat", "pty,raw,echo=0,link="+near, "pty,raw,echo=0,link="+far)
	until(t, "plugged in", func() bool {
		_, errNear := os.Stat(near)
		_, errFar := os.Stat(far)
		return errNear == nil && errFar == nil
	})
	return unplug
}

// home is an endpoint with two units of the server, one of its signals beyond what it has, and a unit that is not there.
func home(t *testing.T, settings string) *driver {
	return configure(t, openWire, `
endpoints:
  - modbus: {`+settings+`}
    devices:
      - id: a
        unit: 1
        every: 100ms
        signals:
          - {id: first, kind: number, at: "holding:0", writable: true}
          - {id: second, kind: number, at: "holding:1", type: uint32}
          - {id: missing, kind: number, at: "holding:100"}
          - {id: last, kind: number, at: "holding:99", type: int16, scale: 0.1}
          - {id: voltage, kind: voltage, at: "input:2", type: float32, order: CDAB}
          - {id: relay, kind: relay, at: "coil:3", writable: true}
          - {id: contact, kind: contact, at: "discrete:5"}
          - {id: setpoint, kind: number, at: "holding:20", type: float32, writable: true}
          - {id: bit, kind: state, at: "holding:30.0", writable: true}
      - {id: b, unit: 2, every: 100ms, signals: [{id: s, kind: number, at: "holding:3"}]}
      - {id: nobody, unit: 77, every: 100ms, signals: [{id: s, kind: number, at: "holding:3"}]}
`)[0]
}

// Row MB01, against pymodbus.
func TestRealServer(t *testing.T) {
	t.Run("tcp", func(t *testing.T) {
		port := freePort(t)
		serve(t, "tcp", port)
		readsAndWrites(t, home(t, `url: "tcp://127.0.0.1:`+port+`", timeout: 300ms`))
	})
	t.Run("rtu over tcp", func(t *testing.T) {
		port := freePort(t)
		serve(t, "rtu+tcp", port)
		readsAndWrites(t, home(t, `url: "rtu+tcp://127.0.0.1:`+port+`", timeout: 300ms`))
	})
	t.Run("rtu", func(t *testing.T) {
		near, far := filepath.Join(t.TempDir(), "near"), filepath.Join(t.TempDir(), "far")
		plugged(t, near, far)
		process(t, python, "testdata/server.py", "rtu", far)
		readsAndWrites(t, home(t, `url: "rtu://`+near+`", baud: 19200, gap: 5ms`))
	})
}

// readsAndWrites runs the driver against the server until every signal says what it should.
func readsAndWrites(t *testing.T, d *driver) {
	r := start(t, d)
	defer r.end()
	for signal, want := range map[string]float64{
		"a.first": 1000, "a.second": 1001<<16 + 1002, "a.last": 109.9, "a.voltage": 230.5, "a.relay": 0, "a.contact": 1, "a.bit": 0, "b.s": 2003,
	} {
		until(t, signal+" "+fmt.Sprint(want), func() bool { got := r.last(signal); return got.Quality == drivers.Good && got.Value == want })
	}
	until(t, "refused: a.missing", func() bool {
		got := r.last("a.missing")
		return got.Reason == drivers.Exception && strings.Contains(got.Detail, "holding 100: exception 2: illegal data address")
	})
	until(t, "silent: nobody.s", func() bool { return r.last("nobody.s").Reason == drivers.Timeout })
	for signal, value := range map[string]float64{"a.first": 4711, "a.relay": 1, "a.setpoint": -2.5, "a.bit": 1} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, err := d.Write(ctx, signal, value); err != nil {
			t.Error(err)
		}
		cancel()
		until(t, signal+" as written", func() bool { return r.last(signal).Value == value })
	}
	if _, err := d.Write(t.Context(), "a.last", 1); err == nil {
		t.Error("a signal that is not writable was written")
	}
	if frames := d.Frames("b"); len(frames) == 0 {
		t.Error("no frames of b")
	}
}

// rerun runs the driver as the gateway does, again whenever it ends, and gives what is read to the returned driver.
func rerun(t *testing.T, d *driver) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{driver: d, monitor: &monitor{}, stop: cancel, ended: make(chan error, 1)}
	d.Monitor = r.monitor
	go func() {
		for ctx.Err() == nil {
			d.Run(ctx, func(batch []drivers.Reading) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.batches = append(r.batches, batch)
			})
			sleep(ctx, 50*time.Millisecond)
		}
		r.ended <- nil
	}()
	return r
}

// Row MB09, against pymodbus.
func TestRealServerKilledAndStartedAgain(t *testing.T) {
	port := freePort(t)
	kill := serve(t, "tcp", port)
	r := rerun(t, home(t, `url: "tcp://127.0.0.1:`+port+`", timeout: 300ms`))
	defer r.end()
	until(t, "read", func() bool { return r.last("b.s").Value == 2003 })
	kill()
	links := len(r.all()["e0.link"])
	serve(t, "tcp", port)
	until(t, "connected again", func() bool { return len(r.all()["e0.link"]) > links })
	again := time.Now()
	until(t, "read again", func() bool { got := r.last("b.s"); return got.Value == 2003 && got.Time.After(again) })
}

// Row MB30.
func TestAdapterUnpluggedAndPluggedInAgain(t *testing.T) {
	near, far := filepath.Join(t.TempDir(), "near"), filepath.Join(t.TempDir(), "far")
	unplug := plugged(t, near, far)
	stop := process(t, python, "testdata/server.py", "rtu", far)
	d := home(t, `url: "rtu://`+near+`", baud: 19200, gap: 5ms`)
	first := start(t, d)
	until(t, "read", func() bool { return first.last("b.s").Value == 2003 })
	unplug()
	if err := <-first.ended; err == nil || !strings.Contains(err.Error(), "serial line "+near) {
		t.Errorf("an adapter that is unplugged ends Run with %v", err)
	}
	stop()
	r := rerun(t, d)
	defer r.end()
	plugged(t, near, far)
	process(t, python, "testdata/server.py", "rtu", far)
	until(t, "read again", func() bool { return r.last("b.s").Value == 2003 })
}

func TestSerialLineIsForOneProcess(t *testing.T) {
	near, far := filepath.Join(t.TempDir(), "near"), filepath.Join(t.TempDir(), "far")
	plugged(t, near, far)
	for _, l := range []line{{Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none"}, {Baud: 115200, DataBits: 8, StopBits: 2, Parity: "none"}, {Baud: 2400, DataBits: 8, StopBits: 1, Parity: "even"}, {Baud: 1200, DataBits: 7, StopBits: 1, Parity: "odd"}} {
		p, err := serial.Open(near, l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := serial.Open(near, l); !errors.Is(err, serial.ErrHeld) {
			t.Errorf("the line was opened twice: %v", err)
		}
		p.Close()
	}
	if _, err := serial.Open(near, line{Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none", RS485: true}); err == nil || !strings.Contains(err.Error(), "rs485") { // row MB31
		t.Errorf("direction control of a line that has none: %v", err)
	}
	if _, err := serial.Open("/dev/null", line{Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none"}); err == nil || !strings.Contains(err.Error(), "/dev/null") {
		t.Errorf("what is no serial line: %v", err)
	}
	if _, err := serial.Open(near+"-gone", line{Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none"}); err == nil || !strings.Contains(err.Error(), near+"-gone") {
		t.Errorf("an adapter that is not there: %v", err)
	}
}

func TestBusReadsWithoutADriver(t *testing.T) {
	port := freePort(t)
	serve(t, "tcp", port)
	b, err := Open(t.Context(), conf.Parse("x", []byte(`{url: "tcp://127.0.0.1:`+port+`", timeout: 300ms, retries: 0}`), conf.OS()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got, err := b.Read(t.Context(), 1, Holding, 3, 2); err != nil || string(got) != "\x03\xeb\x03\xec" {
		t.Errorf("% x %v", got, err)
	}
	if _, err := b.Read(t.Context(), 1, Holding, 200, 1); err == nil || !Answered(err) || !strings.Contains(err.Error(), "illegal data address") {
		t.Error(err)
	}
	if _, err := b.Read(t.Context(), 77, Holding, 0, 1); err == nil || Answered(err) {
		t.Error(err)
	}
	for unit, want := range map[uint8]bool{1: true, 2: true, 77: false} {
		there, said, err := b.Look(t.Context(), unit)
		if there != want || err != nil || there != (said != "") {
			t.Errorf("unit %d: %v %q %v", unit, there, said, err)
		}
	}
	if got := b.Identity(t.Context(), 1); got != "Gasworks GW-7 1.04 Kitchen gas" {
		t.Errorf("unit 1 says of itself %q", got)
	}
	if _, err := Open(t.Context(), conf.Parse("x", []byte(`{url: "tcp://127.0.0.1:`+freePort(t)+`"}`), conf.OS())); err == nil {
		t.Error("nobody listens there")
	}
	if _, err := Open(t.Context(), conf.Parse("x", []byte(`{url: "x"}`), conf.OS())); err == nil {
		t.Error("x is no address")
	}
}
