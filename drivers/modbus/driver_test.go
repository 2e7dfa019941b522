package modbus

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
)

// one is an endpoint with one device of the given keys behind a peer.
func one(t testing.TB, p *peer, settings, keys string) *driver {
	t.Helper()
	return configure(t, p.dial, fmt.Sprintf("endpoints: [{modbus: {%s}, devices: [{id: d, unit: 1, %s}]}]", settings, keys))[0]
}

const tcpURL = `url: "tcp://h"`

// Row MB01: a device reads the same over all three framings.
func TestReadingsOfAllTablesComeInOneBatch(t *testing.T) {
	for name, c := range map[string]struct {
		framing framing
		url     string
	}{"tcp": {tcp, `url: "tcp://h"`}, "rtu": {rtu, `url: "rtu:///dev/x"`}, "rtu+tcp": {rtuOver, `url: "rtu+tcp://h:1"`}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{framing: c.framing, answer: echo}
				r := start(t, one(t, p, c.url, `signals: [
					{id: h, kind: number, at: "holding:258", scale: 0.1}, {id: i, kind: number, at: "input:3", type: uint32},
					{id: c, kind: relay, at: "coil:7"}, {id: d, kind: contact, at: "discrete:8"}, {id: b, kind: fault, at: "holding:259.1"}]`))
				began := time.Now()
				time.Sleep(500 * time.Millisecond)
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
				if len(r.batches) != 2 {
					t.Fatalf("%d batches, want the link and one poll", len(r.batches))
				}
				if link := r.batches[0][0]; link.Signal != "e0.link" || link.Value != 1 || !link.Time.Equal(began) {
					t.Errorf("%+v", link)
				}
				var got []string
				for _, reading := range r.batches[1] {
					got = append(got, fmt.Sprintf("%s=%v %s % x", reading.Signal, reading.Value, reading.Quality, reading.Raw))
				}
				want := []string{"d.h=25.8 good 01 02", "d.i=196612 good 00 03 00 04", "d.c=1 good 01", "d.d=0 good 00", "d.b=1 good 01 03"}
				if !slices.Equal(got, want) {
					t.Errorf("got  %q\nwant %q", got, want)
				}
				if n := len(p.seen()); n != 4 {
					t.Errorf("%d requests, want 4", n)
				}
				if frames := r.Frames("d"); len(frames) != 8 || !frames[0].Sent || frames[1].Sent || r.Frames("x") != nil {
					t.Errorf("%+v", frames)
				}
			})
		})
	}
}

// Rows MB07 and MB21: a late reply is known by its transaction id; a timeout gives no value.
func TestLateReplyIsThrownAwayAndTheNextPollSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			r := echo(unit, pdu)
			if n++; n == 1 {
				r.after = 1500 * time.Millisecond
				r.pdu[3] = 0xEE // its value is never seen
			}
			return r
		}}
		r := start(t, one(t, p, tcpURL+", retries: 0", `every: 2s, signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(1100 * time.Millisecond)
		if got := r.last("d.s"); got.Quality != drivers.Bad || got.Reason != drivers.Timeout || got.Value != 0 || got.Detail != "holding 7: no answer" {
			t.Errorf("%+v", got)
		}
		time.Sleep(5 * time.Second)
		r.end()
		if got := r.last("d.s"); got.Value != 7 || got.Quality != drivers.Good {
			t.Errorf("%+v", got)
		}
		if p.opened != 1 {
			t.Errorf("%d connections for a late reply", p.opened)
		}
		if !slices.ContainsFunc(r.Frames("d"), func(f drivers.Frame) bool { return f.Note == "a late reply: thrown away" }) {
			t.Errorf("the trace does not say it: %+v", r.Frames("d"))
		}
	})
}

// Row MB08.
func TestSerialInputIsEmptiedBeforeARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &peer{framing: rtu, answer: func(unit byte, pdu []byte) reply {
			r := echo(unit, pdu)
			if n++; n == 1 { // the answer to this one arrives when nobody waits any more
				r.after, r.pdu[3] = 700*time.Millisecond, 0xEE
			}
			return r
		}}
		r := start(t, one(t, p, `url: "rtu:///dev/x", retries: 0`, `signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(5 * time.Second)
		r.end()
		for _, got := range r.all()["d.s"] {
			if got.Quality == drivers.Good && got.Value != 7 {
				t.Errorf("a late answer was taken for the next one: %+v", got)
			}
		}
		if r.last("d.s").Value != 7 || p.opened != 1 {
			t.Errorf("%+v after %d connections", r.last("d.s"), p.opened)
		}
	})
}

// Row MB09.
func TestConnectionThatBreaksIsMadeAnewWithinTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if n++; n == 2 {
				return reply{hang: true} // with a request under way
			}
			return echo(unit, pdu)
		}}
		r := start(t, one(t, p, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(1500 * time.Millisecond)
		p.hangUp() // between two requests
		time.Sleep(time.Second)
		r.end()
		readings := r.all()["d.s"]
		for _, got := range readings {
			if got.Quality != drivers.Good {
				t.Errorf("%+v", got)
			}
		}
		if len(readings) != 3 || p.opened != 3 {
			t.Errorf("%d readings over %d connections, want 3 over 3", len(readings), p.opened)
		}
	})
}

// Row MB09: what cannot be made anew ends Run, and Run can be called again.
func TestLostEndpointEndsRunWithAnError(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		framing        framing
		want           string
	}{
		{"a server that is gone", tcpURL, tcp, "modbus: connect: connection refused"},
		{"an adapter that is unplugged", `url: "rtu:///dev/x"`, rtu, "modbus: serial line /dev/x: EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{framing: c.framing, answer: echo}
				r := start(t, one(t, p, c.settings, `signals: [{id: s, kind: number, at: "holding:7"}]`))
				time.Sleep(500 * time.Millisecond)
				p.mu.Lock()
				p.refuse = true
				p.mu.Unlock()
				p.hangUp()
				if err := <-r.ended; err == nil || err.Error() != c.want {
					t.Errorf("%v, want %s", err, c.want)
				}
				if got := r.all()["d.s"]; len(got) != 1 {
					t.Errorf("%+v", got)
				}
				if err := r.Run(t.Context(), nil); err == nil || err.Error() != "modbus: connect: connection refused" {
					t.Errorf("the next try: %v", err)
				}
				p.mu.Lock()
				p.refuse = false
				p.mu.Unlock()
				again := start(t, r.driver)
				time.Sleep(500 * time.Millisecond)
				if err := again.end(); err != nil || again.last("d.s").Value != 7 || again.last("e0.link").Value != 1 {
					t.Errorf("%v %+v", err, again.all())
				}
			})
		})
	}
}

func TestServerThatHangsUpOnOneUnitDoesNotEndTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if unit == 2 {
				return reply{hang: true}
			}
			return echo(unit, pdu)
		}}
		r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: [
			{id: a, unit: 1, signals: [{id: s, kind: number, at: "holding:7"}]}, {id: b, unit: 2, signals: [{id: s, kind: number, at: "holding:7"}]}]}]`)[0])
		time.Sleep(10 * time.Second)
		if err := r.end(); err != nil {
			t.Error(err)
		}
		if got := r.last("b.s"); got.Reason != drivers.Offline || got.Detail != "holding 7: connection lost: EOF" && !strings.Contains(got.Detail, "closed pipe") {
			t.Errorf("%+v", got)
		}
		if n := len(r.all()["a.s"]); n != 10 || r.last("a.s").Quality != drivers.Good {
			t.Errorf("%d polls of the good unit, last %+v", n, r.last("a.s"))
		}
	})
}

func TestSilentServerIsDialledAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(byte, []byte) reply { return reply{} }}
		r := start(t, one(t, p, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(10 * time.Second)
		p.mu.Lock()
		p.refuse = true
		p.mu.Unlock()
		if err := <-r.ended; err == nil || p.opened < 2 {
			t.Errorf("a host that says nothing stays connected: %v after %d connections", err, p.opened)
		}
	})
}

// Rows MB11 and MB21.
func TestExceptionsByMeaning(t *testing.T) {
	for _, c := range []struct {
		code     byte
		reason   drivers.Reason
		detail   string
		requests int // in the first 10 s, at a period of 1 s
	}{
		{1, drivers.Exception, "exception 1: illegal function", 1},
		{2, drivers.Exception, "exception 2: illegal data address", 1},
		{3, drivers.Exception, "exception 3: illegal data value", 1},
		{4, drivers.DeviceFault, "exception 4: server device failure", 10},
		{5, drivers.Exception, "exception 5: acknowledge, still working", 40},
		{6, drivers.Exception, "exception 6: server device busy", 40},
		{8, drivers.DeviceFault, "exception 8: memory parity error", 10},
		{10, drivers.Offline, "exception 10: gateway path unavailable", 3},
		{11, drivers.Offline, "exception 11: gateway target device failed to respond", 4},
	} {
		t.Run(c.detail, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{framing: tcp, answer: func(_ byte, pdu []byte) reply { return exception(pdu, c.code) }}
				r := start(t, one(t, p, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}]`))
				time.Sleep(9900 * time.Millisecond)
				r.end()
				if got := r.last("d.s"); got.Quality != drivers.Bad || got.Reason != c.reason || got.Detail != "holding 7: "+c.detail || got.Value != 0 {
					t.Errorf("%+v", got)
				}
				if n := len(p.seen()); n != c.requests {
					t.Errorf("%d requests in 10 s, want %d", n, c.requests)
				}
				if p.opened != 1 {
					t.Errorf("%d connections", p.opened)
				}
			})
		})
	}
}

// Rows MB11 and MB16.
func TestBusyUnitIsAskedAgainAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if n++; n%3 != 0 {
				return exception(pdu, 6)
			}
			return echo(unit, pdu)
		}}
		r := start(t, one(t, p, tcpURL+", retries: 0", `signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(4500 * time.Millisecond)
		r.end()
		readings := r.all()["d.s"]
		for _, got := range readings {
			if got.Quality != drivers.Good {
				t.Errorf("%+v", got)
			}
		}
		if len(readings) != 5 {
			t.Errorf("%d readings", len(readings))
		}
	})
}

func TestDamagedFrameIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &peer{framing: rtu, answer: func(unit byte, pdu []byte) reply {
			r := echo(unit, pdu)
			if n++; n%2 == 1 {
				r.raw = withCRC(append([]byte{unit}, r.pdu...))
				r.raw[3] ^= 1
			}
			return r
		}}
		r := start(t, one(t, p, `url: "rtu:///dev/x"`, `signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(3500 * time.Millisecond)
		r.end()
		for _, got := range r.all()["d.s"] {
			if got.Quality != drivers.Good {
				t.Errorf("%+v", got)
			}
		}
		if len(r.monitor.malformed) != 4 || !strings.HasPrefix(r.monitor.malformed[0], "d crc holding 7: wrong CRC: 01") {
			t.Errorf("%q", r.monitor.malformed)
		}
	})
}

func TestPanicEndsRunWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: echo}
		d := one(t, p, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}]`)
		err := d.Run(t.Context(), func(batch []drivers.Reading) {
			if batch[0].Signal == "d.s" {
				panic("the gateway's mistake")
			}
		})
		if err == nil || !strings.Contains(err.Error(), "the gateway's mistake") {
			t.Error(err)
		}
	})
}

// Row MB30.
func TestSerialPathThatMayChangeIsWarnedOf(t *testing.T) {
	for path, warned := range map[string]bool{"/dev/ttyUSB0": true, "/dev/ttyACM12": true, "/dev/serial/by-id/usb-FTDI-if00-port0": false, "/dev/ttyS1": false} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			d := one(t, &peer{framing: rtu, answer: echo}, `url: "rtu://`+path+`"`, `signals: [{id: s, kind: number, at: "holding:7"}]`)
			d.Log = slog.New(slog.NewTextHandler(&log, nil))
			r := start(t, d)
			synctest.Wait()
			r.end()
			if got := strings.Contains(log.String(), "path="+path); got != warned {
				t.Errorf("%s: %q", path, log.String())
			}
		})
	}
}

func TestStateChangesAreOneLineOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := &peer{framing: tcp, answer: func(byte, []byte) reply { return reply{} }}
		d := one(t, p, tcpURL, `signals: [{id: s, kind: number, at: "holding:7"}, {id: t, kind: number, at: "holding:9"}]`)
		d.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		r := start(t, d)
		time.Sleep(20 * time.Second)
		p.become(without(9))
		time.Sleep(time.Minute)
		p.become(echo)
		time.Sleep(time.Minute)
		r.end()
		want := `level=WARN msg="device does not answer" endpoint=e0 device=d unit=1 detail="holding 7: no answer"
level=WARN msg="registers refused" endpoint=e0 device=d unit=1 block="holding 9" detail="holding 9: exception 2: illegal data address"
level=INFO msg="device answers again" endpoint=e0 device=d unit=1 after=33.05s
level=INFO msg="registers are answered again" endpoint=e0 device=d unit=1 block="holding 9"
`
		if log.String() != want {
			t.Errorf("got\n%swant\n%s", log.String(), want)
		}
	})
}
