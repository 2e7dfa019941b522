package modbus

import (
	"errors"
	"fmt"
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
		if !slices.ContainsFunc(r.Frames("d"), func(f Frame) bool { return f.Note == "a late reply: thrown away" }) {
			t.Errorf("the trace does not say it: %+v", r.Frames("d"))
		}
	})
}

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

func TestConnectionThatBreaksIsMadeAnewWithinTheRequest(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*peer, *int) reply
	}{
		{"reset while a request is under way", func(_ *peer, n *int) reply { return reply{hang: *n == 2} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				p := &peer{framing: tcp}
				p.answer = func(unit byte, pdu []byte) reply {
					n++
					if r := c.do(p, &n); r.hang {
						return r
					}
					return echo(unit, pdu)
				}
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
		})
	}
}

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

// without is a unit that refuses requests that touch one of its holes.
func without(holes ...int) func(byte, []byte) reply {
	return func(unit byte, pdu []byte) reply {
		first, count := int(pdu[1])<<8|int(pdu[2]), int(pdu[3])<<8|int(pdu[4])
		for _, hole := range holes {
			if hole >= first && hole < first+count {
				return exception(pdu, 2)
			}
		}
		return echo(unit, pdu)
	}
}

// registers are signals s0, s1 and so on, of one register each.
func registers(addresses ...int) string {
	var list []string
	for _, a := range addresses {
		list = append(list, fmt.Sprintf(`{id: s%d, kind: number, at: "holding:%d"}`, a, a))
	}
	return "signals: [" + strings.Join(list, ", ") + "]"
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func TestRefusedBlockIsHalvedUntilTheBadRegisterIsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: without(11)}
		r := start(t, one(t, p, tcpURL, registers(upTo(20)...)))
		time.Sleep(500 * time.Millisecond)
		first := len(p.seen())
		time.Sleep(4 * time.Second)
		for a := range 20 {
			got := r.all()[fmt.Sprintf("d.s%d", a)]
			for _, reading := range got {
				switch {
				case a == 11 && (reading.Reason != drivers.Exception || reading.Detail != "holding 11: exception 2: illegal data address"):
					t.Errorf("register 11: %+v", reading)
				case a != 11 && (reading.Quality != drivers.Good || reading.Value != float64(a)):
					t.Errorf("register %d: %+v", a, reading)
				}
			}
			if len(got) != 5 {
				t.Errorf("register %d: %d readings", a, len(got))
			}
		}
		if later := len(p.seen()) - first; first > 12 || later != 4*2 {
			t.Errorf("%d requests to find it, then %d in 4 polls; the rest is 2 requests a poll", first, later)
		}
		p.become(echo) // the register is there after an update of the device
		time.Sleep(time.Minute)
		if got := r.last("d.s11"); got.Value != 11 || got.Quality != drivers.Good {
			t.Errorf("%+v", got)
		}
		r.end()
	})
}

func TestTwoBadRegistersAndAGapThatMustNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: without(3, 4, 12)} // 12 is in the gap between 10 and 14
		r := start(t, one(t, p, tcpURL, "max_gap: 5, "+registers(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16)))
		time.Sleep(5500 * time.Millisecond)
		before := len(p.seen())
		time.Sleep(time.Second)
		r.end()
		for signal, all := range r.all() {
			bad := signal == "d.s3" || signal == "d.s4"
			for _, got := range all {
				if (got.Quality == drivers.Bad) != bad {
					t.Errorf("%+v", got)
				}
			}
		}
		if n := len(p.seen()) - before; n != 3 {
			t.Errorf("%d requests a poll", n)
		}
	})
}

func TestUnitThatAnswersOnlySmallRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if pdu[4] > 14 {
				return exception(pdu, 3)
			}
			return echo(unit, pdu)
		}}
		r := start(t, one(t, p, tcpURL, registers(upTo(50)...)))
		time.Sleep(3500 * time.Millisecond)
		r.end()
		for signal, all := range r.all() {
			for _, got := range all {
				if got.Quality != drivers.Good {
					t.Errorf("%s: %+v", signal, got)
				}
			}
		}
	})
}

func TestBlockThatIsNeverAnsweredCostsTheOthersOnePoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if pdu[2] == 100 {
				return reply{} // a unit that ignores what it does not know
			}
			return echo(unit, pdu)
		}}
		r := start(t, one(t, p, tcpURL+", timeout: 200ms", registers(0, 100, 200)))
		time.Sleep(59500 * time.Millisecond)
		r.end()
		all := r.all()
		for _, signal := range []string{"d.s0", "d.s200"} {
			good := 0
			for _, got := range all[signal] {
				if got.Quality == drivers.Good {
					good++
				}
			}
			if good < 54 || len(all[signal]) != 60 {
				t.Errorf("%s: %d of %d polls good", signal, good, len(all[signal]))
			}
		}
		for _, got := range all["d.s100"] {
			if got.Quality != drivers.Bad || got.Reason != drivers.Timeout {
				t.Errorf("%+v", got)
			}
		}
	})
}

func TestSignalThatAUnitMayLackIsSilentUntilItIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: without(1)}
		r := start(t, one(t, p, tcpURL, `signals: [{id: s, kind: number, at: "holding:0"}, {id: o, kind: number, at: "holding:1", optional: true}]`))
		time.Sleep(3500 * time.Millisecond)
		if all := r.all(); len(all["d.s"]) != 4 || len(all["d.o"]) != 0 {
			t.Errorf("%+v", all)
		}
		p.become(echo)
		time.Sleep(time.Minute)
		p.become(without(1))
		time.Sleep(2 * time.Second)
		r.end()
		if got := r.last("d.o"); got.Reason != drivers.Exception {
			t.Errorf("a signal that was seen is bad when it is gone: %+v", got)
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

func TestWriteIsReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		coil, register, large := false, uint16(0x1234), []byte{0, 0, 0, 0}
		stuck, multipleOnly, busy := false, false, 0
		p := &peer{framing: rtu, answer: func(unit byte, pdu []byte) reply {
			switch {
			case busy > 0:
				busy--
				return exception(pdu, 6)
			case multipleOnly && (pdu[0] == 5 || pdu[0] == 6):
				return exception(pdu, 1)
			case stuck && pdu[0] >= 5:
			case pdu[0] == 5:
				coil = pdu[3] == 0xFF
			case pdu[0] == 15:
				coil = pdu[6] == 1
			case pdu[0] == 6:
				register = uint16(pdu[3])<<8 | uint16(pdu[4])
			case pdu[0] == 16 && pdu[4] == 1:
				register = uint16(pdu[6])<<8 | uint16(pdu[7])
			case pdu[0] == 16:
				copy(large, pdu[6:])
			case pdu[0] == 1 && coil:
				return reply{pdu: []byte{1, 1, 1}}
			case pdu[0] == 1:
				return reply{pdu: []byte{1, 1, 0}}
			case pdu[0] == 3 && pdu[4] == 2:
				return reply{pdu: append([]byte{3, 4}, large...)}
			case pdu[0] == 3:
				return reply{pdu: []byte{3, 2, byte(register >> 8), byte(register)}}
			}
			return reply{pdu: pdu[:5]}
		}}
		d := one(t, p, `url: "rtu:///dev/x"`, `every: 1h, signals: [
			{id: valve, kind: relay, at: "coil:0", writable: true}, {id: inverse, kind: relay, at: "coil:0", scale: -1, offset: 1, writable: true},
			{id: limit, kind: number, at: "holding:1", scale: 0.1, offset: -10, range: [-10, 100], writable: true},
			{id: mode, kind: number, at: "holding:1.4-7", writable: true}, {id: high, kind: number, at: "holding:1", type: uint8h, writable: true},
			{id: set, kind: number, at: "holding:2", type: float32, order: CDAB, writable: true}, {id: read, kind: number, at: "holding:1"}]`)
		write := func(signal string, value float64) error { return d.Write(t.Context(), signal, value) }
		if err := write("d.valve", 1); err == nil || err.Error() != "modbus e0 unit 1: write d.valve (coil:0): not connected" {
			t.Error(err)
		}
		r := start(t, d)
		time.Sleep(time.Second)

		for _, c := range []struct {
			signal string
			value  float64
			ok     func() bool
		}{
			{"d.valve", 1, func() bool { return coil }},
			{"d.valve", 0, func() bool { return !coil }},
			{"d.inverse", 0, func() bool { return coil }},
			{"d.limit", 25.5, func() bool { return register == 355 }},
			{"d.mode", 9, func() bool { return register == 355&^0xF0|0x90 }},
			{"d.high", 0xAB, func() bool { return register == 0xAB<<8|(355&^0xF0|0x90)&0xFF }},
			{"d.set", 1.5, func() bool { return slices.Equal(large, []byte{0, 0, 0x3F, 0xC0}) }},
		} {
			if err := write(c.signal, c.value); err != nil || !c.ok() {
				t.Errorf("%s = %v: %v; coil %v register %#x large % x", c.signal, c.value, err, coil, register, large)
			}
		}
		multipleOnly = true
		if err := errors.Join(write("d.valve", 0), write("d.limit", 0)); err != nil || coil || register != 100 {
			t.Error(err, coil, register)
		}
		multipleOnly, busy = false, 2
		if err := write("d.valve", 1); err != nil || !coil {
			t.Error(err, coil)
		}
		stuck = true
		for _, c := range []struct {
			signal string
			value  float64
			want   string
		}{
			{"d.valve", 0, "modbus e0 unit 1: write d.valve (coil:0): read back 1 instead of 0"},
			{"d.limit", 5, "modbus e0 unit 1: write d.limit (holding:1): read back 0 instead of 5"},
			{"d.limit", 101, "modbus e0 unit 1: write d.limit (holding:1): 101 is outside -10 to 100"},
			{"d.read", 1, "modbus e0 unit 1: write d.read (holding:1): the signal is not writable"},
			{"d.none", 1, "modbus e0: write d.none: no such signal"},
		} {
			if err := write(c.signal, c.value); err == nil || err.Error() != c.want {
				t.Errorf("%s: %v", c.signal, err)
			}
		}
		p.become(func(_ byte, pdu []byte) reply { return exception(pdu, 2) })
		if err := write("d.valve", 0); err == nil || err.Error() != "modbus e0 unit 1: write d.valve (coil:0): coil:0: exception 2: illegal data address" {
			t.Error(err)
		}
		r.end()
		if err := write("d.valve", 1); err == nil || !strings.HasSuffix(err.Error(), "not connected") {
			t.Error(err)
		}
	})
}
