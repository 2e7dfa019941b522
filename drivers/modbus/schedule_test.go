package modbus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
)

// timed is a unit like echo that takes its time to answer.
func timed(after time.Duration) func(byte, []byte) reply {
	return func(unit byte, pdu []byte) reply {
		r := echo(unit, pdu)
		r.after = after
		return r
	}
}

// units is a list of devices u1 to un with one register each.
func units(n int, keys string) string {
	var list []string
	for i := 1; i <= n; i++ {
		list = append(list, fmt.Sprintf(`{id: u%d, unit: %d, %s, signals: [{id: s, kind: number, at: "holding:7"}]}`, i, i, keys))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// Row MB05: of 20 units on one wire 6 are dead; the others lose less than a tenth of their readings.
func TestDeadUnitsDoNotSlowTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		framing framing
		url     string
	}{"serial": {rtu, "rtu:///dev/x"}, "rtu+tcp": {rtuOver, "rtu+tcp://h:1"}, "tcp": {tcp, "tcp://h"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{framing: c.framing, answer: func(unit byte, pdu []byte) reply {
					if unit%3 == 1 && unit < 18 { // 1, 4, 7, 10, 13, 16
						return reply{}
					}
					return timed(15*time.Millisecond)(unit, pdu)
				}}
				r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "`+c.url+`", timeout: 500ms}, devices: `+units(20, "every: 1s")+`}]`)[0])
				const long = 5 * time.Minute
				time.Sleep(long)
				r.end()
				all := r.all()
				for i := 1; i <= 20; i++ {
					id := fmt.Sprintf("u%d", i)
					got, dead := all[id+".s"], i%3 == 1 && i < 18
					if dead {
						if len(got) > 20 || slices.ContainsFunc(got, func(r drivers.Reading) bool { return r.Quality != drivers.Bad || r.Reason != drivers.Timeout }) {
							t.Errorf("%s, dead, was probed %d times", id, len(got))
						}
						continue
					}
					if want := int(long / time.Second); len(got) < want*9/10 {
						t.Errorf("%s was read %d times, want %d less at most 10 %%", id, len(got), want)
					}
					for j := 1; j < len(got); j++ {
						if gap := got[j].Time.Sub(got[j-1].Time); gap > 2100*time.Millisecond {
							t.Errorf("%s was not read for %v", id, gap)
						}
					}
				}
				costs := map[byte]int{}
				for _, q := range p.seen() {
					costs[q.unit]++
				}
				if costs[1] > 21 { // the first poll twice, then probes
					t.Errorf("%d requests to a dead unit in %v", costs[1], long)
				}
			})
		})
	}
}

// A probe is due in the second in which all others are: it may not go first.
func TestAProbeIsBehindThoseWhoAreDueWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if unit == 1 {
				return reply{}
			}
			return timed(0)(unit, pdu)
		}}
		r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h", timeout: 500ms}, devices: [{id: dead, unit: 1, every: 1s, signals: [{id: s, kind: number, at: "holding:0"}]},
			{id: smoke, unit: 2, every: 1s, signals: [{id: s, kind: smoke, at: "discrete:1"}]}]}]`)[0])
		time.Sleep(30 * time.Minute)
		r.end()
		got := r.all()["smoke.s"][3:] // the first polls of the dead unit are no probes
		for i := 1; i < len(got); i++ {
			if gap := got[i].Time.Sub(got[i-1].Time); gap != time.Second {
				t.Errorf("smoke was not read for %v", gap)
			}
		}
		if n := len(r.all()["dead.s"]); n < 60 || len(got) < 1700 {
			t.Errorf("%d probes, smoke was read %d times", n, len(got))
		}
	})
}

// Nor may it go between the blocks of one that has answered.
func TestAProbeDoesNotGoBetweenTheBlocksOfAPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if unit == 1 {
				return reply{}
			}
			return timed(60*time.Millisecond)(unit, pdu) // the probe is due within the first block
		}}
		r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h", timeout: 500ms}, devices: [{id: dead, unit: 1, every: 1s, signals: [{id: s, kind: number, at: "holding:0"}]},
			{id: smoke, unit: 2, every: 1s, signals: [{id: s, kind: smoke, at: "discrete:1"}, {id: t, kind: smoke, at: "discrete:5000"}]}]}]`)[0])
		time.Sleep(10 * time.Minute)
		r.end()
		for _, signal := range []string{"smoke.s", "smoke.t"} {
			got := r.all()[signal][3:] // the first polls of the dead unit are no probes
			for i := 1; i < len(got); i++ {
				if gap := got[i].Time.Sub(got[i-1].Time); gap != time.Second {
					t.Errorf("%s was not read for %v", signal, gap)
				}
			}
		}
		if n := len(r.all()["dead.s"]); n < 20 {
			t.Errorf("%d probes", n)
		}
	})
}

// Row MB05: a dead unit is probed with back-off.
func TestDeadUnitIsProbedWithBackOffAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: rtu, answer: func(byte, []byte) reply { return reply{} }}
		began := time.Now()
		r := start(t, one(t, p, `url: "rtu:///dev/x"`, `signals: [{id: s, kind: number, at: "holding:7"}]`))
		time.Sleep(100 * time.Second)
		var at []string
		for _, q := range p.seen() {
			at = append(at, q.at.Sub(began).Round(10*time.Millisecond).String())
		}
		// the first poll is tried twice; then once after 2, 4, 8, 16, 30 and 30 s, a little behind the beat of the period
		if want := "20ms 540ms 3.05s 7.05s 15.05s 31.05s 1m1.05s 1m31.05s"; strings.Join(at, " ") != want {
			t.Errorf("probes at %s, want %s", strings.Join(at, " "), want)
		}
		p.become(echo)
		time.Sleep(35 * time.Second)
		if got := r.last("d.s"); got.Value != 7 {
			t.Errorf("%+v", got)
		}
		before := len(r.all()["d.s"])
		time.Sleep(10 * time.Second)
		r.end()
		if n := len(r.all()["d.s"]) - before; n != 10 {
			t.Errorf("%d polls in 10 s after it came back", n)
		}
	})
}

// Row MB05: a back-off is whole periods, and one where that is longer than the longest back-off; who answers again is asked
// once a period at once.
func TestBackOffIsInWholePeriods(t *testing.T) {
	for every, want := range map[string]string{
		"20ms": "0s 500ms 1.05s 1.63s 1.64s 1.66s 1.68s", "1s": "0s 500ms 3.05s 7.05s 8s 9s 10s",
		"10s": "0s 500ms 20.05s 50.05s 1m0s 1m10s 1m20s", "30s": "0s 500ms 30.05s 1m0.05s 1m30s 2m0s 2m30s", "1h": "0s 500ms 1h0m0.05s 2h0m0.05s 3h0m0s 4h0m0s 5h0m0s",
	} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
				if requests++; requests < 4 { // the first poll, its retry, and a probe
					return reply{}
				}
				return timed(0)(unit, pdu)
			}}
			began := time.Now()
			r := start(t, one(t, p, tcpURL+", timeout: 500ms", `every: `+every+`, signals: [{id: s, kind: number, at: "holding:7"}]`))
			for len(p.seen()) < 7 {
				time.Sleep(time.Second)
			}
			r.end()
			var at []string
			for _, q := range p.seen()[:7] {
				at = append(at, q.at.Sub(began).String())
			}
			if got := strings.Join(at, " "); got != want || len(r.monitor.overruns) > 0 {
				t.Errorf("%s: asked at %s, want %s; overruns %v", every, got, want, r.monitor.overruns)
			}
		})
	}
}

// A block that was silent once, and no other of its device, is asked again in the second period, or in the next where the
// period is as long as the longest back-off.
func TestABlockThatWasSilentIsAskedAgainInWholePeriods(t *testing.T) {
	for every, want := range map[string]string{"1s": "0s 2s 2.5s 4s 5s", "10s": "0s 20s 20.5s 40s 50s", "1h": "0s 2h0m0s 2h0m0.5s 3h0m0s 4h0m0s"} {
		synctest.Test(t, func(t *testing.T) {
			var at []string
			began := time.Now()
			p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
				if pdu[1] == 0 {
					return timed(0)(unit, pdu)
				}
				at = append(at, time.Since(began).String())
				if len(at) == 3 || len(at) == 4 { // and its retry
					return reply{}
				}
				return timed(0)(unit, pdu)
			}}
			r := start(t, one(t, p, tcpURL+", timeout: 500ms", `every: `+every+`, signals: [{id: s, kind: number, at: "holding:7"}, {id: t, kind: number, at: "holding:256"}]`))
			for len(p.seen()) < 12 {
				time.Sleep(time.Second)
			}
			r.end()
			if got := strings.Join(slices.Delete(at[:6], 1, 2), " "); got != want {
				t.Errorf("%s: asked at %s, want %s", every, got, want)
			}
		})
	}
}

// Rows MB04, MB24 and MB29: one request at a time over one connection, spread, without drift, stamped when the reply
// arrives.
func TestFirstPollsAreSpreadAndThePeriodDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: timed(30 * time.Millisecond)}
		all := configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: `+units(4, "every: 8s")+`}, {modbus: {url: "tcp://h"}, devices: [{id: last, unit: 9, every: 10s, signals: [{id: s, kind: number, at: "holding:7"}]}]}]`)
		began := time.Now()
		a, b := start(t, all[0]), start(t, all[1])
		time.Sleep(10*time.Minute - 200*time.Millisecond)
		a.end()
		b.end()
		for i := range 4 {
			got := a.all()[fmt.Sprintf("u%d.s", i+1)]
			if len(got) != 75 {
				t.Errorf("u%d: %d readings in 10 minutes, want 75", i+1, len(got))
			}
			for n, r := range got {
				want := began.Add(time.Duration(n)*8*time.Second + (time.Duration(i) * 1600 * time.Millisecond).Truncate(beat) + 30*time.Millisecond)
				if late := r.Time.Sub(want); late < 0 || late > 31*time.Millisecond {
					t.Fatalf("u%d: reading %d is stamped %v after its reply was due", i+1, n, late)
				}
			}
		}
		if got := b.all()["last.s"]; len(got) != 60 || got[0].Time.Sub(began).Truncate(100*time.Millisecond) != 8*time.Second {
			t.Errorf("%d readings of the second endpoint, the first %v", len(got), got[0].Time.Sub(began))
		}
		if p.mostAt != 1 || p.opened != 1 {
			t.Errorf("%d requests at once over %d connections", p.mostAt, p.opened)
		}
		if len(a.monitor.polls) != 300 || a.monitor.polls[0] != 30*time.Millisecond || len(a.monitor.overruns) != 0 {
			t.Errorf("%d polls, %v; overruns %v", len(a.monitor.polls), a.monitor.polls[0], a.monitor.overruns)
		}
		if n := len(a.monitor.busy); n < 55 || a.monitor.busy[30] < 0.0149 || a.monitor.busy[30] > 0.0211 {
			t.Errorf("the wire is used 30 ms for 5 to 7 requests in 10 s, told %d times: %v", n, a.monitor.busy[30])
		}
		if len(b.monitor.busy) == 0 {
			t.Error("only one of the endpoints is told how busy the wire is")
		}
	})
}

// Wires that were connected at odd times are read in the same instants: the machine wakes once a second, not once for
// each device.
func TestWiresAreReadInTheSameBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: timed(0)}
		all := configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://a"}, devices: `+units(3, "every: 4s")+`}, {modbus: {url: "tcp://b"}, devices: [{id: last, unit: 9, every: 4s, signals: [{id: s, kind: number, at: "holding:7"}]}]}]`)
		began := time.Now()
		time.Sleep(37 * time.Millisecond)
		a := start(t, all[0])
		time.Sleep(21 * time.Millisecond)
		b := start(t, all[1])
		time.Sleep(40 * time.Second)
		a.end()
		b.end()
		for signal, want := range map[string]time.Duration{"u1.s": 1, "u2.s": 2, "u3.s": 3, "last.s": 1} {
			got := append(a.all()[signal], b.all()[signal]...)
			if len(got) != 10 {
				t.Errorf("%s was read %d times in 40 s", signal, len(got))
			}
			for n, r := range got {
				if at := r.Time.Sub(began); at != (time.Duration(4*n)+want)*time.Second {
					t.Errorf("%s: reading %d at %v", signal, n, at)
				}
			}
		}
	})
}

// What watches for fire or gas is read as soon as its wire is connected, and from then on in the beat.
func TestFastDevicesAreReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: timed(0)}
		all := configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: [{id: meter, unit: 1, every: 1s, signals: [{id: s, kind: number, at: "holding:0"}]},
			{id: smoke, unit: 2, every: 1s, signals: [{id: s, kind: smoke, at: "discrete:1"}]}, {id: gas, unit: 3, every: 300ms, signals: [{id: s, kind: gas_lel, at: "holding:0"}]}]}]`)
		began := time.Now()
		time.Sleep(120 * time.Millisecond)
		r := start(t, all[0])
		time.Sleep(2 * time.Second)
		r.end()
		for signal, want := range map[string][]time.Duration{"meter.s": {1000, 2000}, "smoke.s": {120, 1000, 2000}, "gas.s": {120, 400, 700, 1000, 1300, 1600, 1900}} {
			exact := time.Millisecond
			if signal == "meter.s" {
				exact = 2 * settle // who asks first in an instant is chance, and behind an answer waits who has not answered yet
			}
			var at []time.Duration
			for _, reading := range r.all()[signal] {
				at = append(at, reading.Time.Sub(began).Truncate(exact)/time.Millisecond)
			}
			if !slices.Equal(at, want) {
				t.Errorf("%s was read at %d, want %d", signal, at, want)
			}
		}
	})
}

// Row MB25.
func TestFastDevicesAreNotBehindALongMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var blocks []string
		for i := range 40 {
			blocks = append(blocks, fmt.Sprintf(`{id: s%d, kind: number, at: "holding:%d"}`, i, 10*i))
		}
		p := &peer{framing: tcp, answer: timed(50 * time.Millisecond)}
		r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: [
			{id: meter-1, unit: 1, every: 5s, signals: [`+strings.Join(blocks, ",")+`]}, {id: meter-2, unit: 2, every: 5s, signals: [`+strings.Join(blocks, ",")+`]},
			{id: smoke, unit: 3, every: 1s, signals: [{id: s, kind: smoke, at: "discrete:1"}]}, {id: gas, unit: 4, every: 1s, signals: [{id: s, kind: gas_lel, at: "holding:0"}]}]}]`)[0])
		time.Sleep(2 * time.Minute)
		r.end()
		all := r.all()
		for _, signal := range []string{"smoke.s", "gas.s"} {
			got := all[signal]
			if len(got) < 119 {
				t.Errorf("%s was read %d times in 2 minutes", signal, len(got))
			}
			for i := 1; i < len(got); i++ {
				if gap := got[i].Time.Sub(got[i-1].Time); gap > 1150*time.Millisecond {
					t.Errorf("%s was not read for %v", signal, gap)
				}
			}
		}
		if n := len(all["meter-1.s0"]); n < 20 {
			t.Errorf("the meter was read %d times", n)
		}
	})
}

// Row MB27.
func TestWritesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: timed(100 * time.Millisecond)}
		d := configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: [{id: relay, unit: 30, every: 1h, signals: [{id: s, kind: relay, at: "coil:1", writable: true}]},
			`+strings.TrimPrefix(units(20, "every: 1s"), "[")+`}]`)[0]
		r := start(t, d)
		time.Sleep(10 * time.Second) // 20 units × 100 ms do not fit into 1 s: something always waits
		before := time.Now()
		if _, err := d.Write(t.Context(), "relay.s", 1); err != nil {
			t.Error(err)
		}
		if took := time.Since(before); took > 301*time.Millisecond {
			t.Errorf("writing and reading back took %v: one request under way, and two of its own", took)
		}
		r.end()
	})
}

func TestOverrunIsToldAndNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		p := &peer{framing: tcp, answer: nil}
		p.answer = func(unit byte, pdu []byte) reply {
			r := echo(unit, pdu)
			if slow {
				slow, r.after = false, 3500*time.Millisecond
			}
			return r
		}
		r := start(t, one(t, p, tcpURL+", timeout: 5s", `signals: [{id: s, kind: number, at: "holding:7"}]`))
		began := time.Now()
		time.Sleep(6500 * time.Millisecond)
		r.end()
		var at []string
		for _, got := range r.all()["d.s"] {
			at = append(at, got.Time.Sub(began).String())
		}
		if want := "3.5s 3.5s 4s 5s 6s"; strings.Join(at, " ") != want || r.monitor.overruns["d"] != 1 {
			t.Errorf("read at %s, want %s; overruns %v", at, want, r.monitor.overruns)
		}
	})
}

func TestNobodyStarvesOnAWireThatIsTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if unit == 40 {
				return reply{}
			}
			return timed(200*time.Millisecond)(unit, pdu)
		}}
		var fast []string
		for i := 1; i <= 10; i++ {
			fast = append(fast, fmt.Sprintf(`{id: f%d, unit: %d, signals: [{id: s, kind: smoke, at: "coil:1"}]}`, i, i))
		}
		r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: [`+strings.Join(fast, ",")+`,
			{id: meter, unit: 30, signals: [{id: s, kind: number, at: "holding:7"}]}, {id: dead, unit: 40, signals: [{id: s, kind: number, at: "holding:7"}]}]}]`)[0])
		time.Sleep(3 * time.Minute)
		r.end()
		if n := len(r.all()["meter.s"]); n < 15 {
			t.Errorf("the meter was read %d times in 3 minutes", n)
		}
		if n := len(r.all()["dead.s"]); n < 4 {
			t.Errorf("the dead unit was probed %d times in 3 minutes", n)
		}
		if len(r.monitor.overruns) == 0 {
			t.Error("nobody is told that the wire is too slow")
		}
	})
}

// Row MB15.
func TestPausesBetweenRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: rtu, answer: echo}
		r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "rtu:///dev/x", gap: 0s, baud: 1200, connect_delay: 2s}, devices: [
			{id: a, unit: 1, every: 10s, gap: 300ms, max_registers: 1, signals: [{id: s, kind: number, at: "holding:1"}, {id: t, kind: number, at: "holding:2"}, {id: u, kind: number, at: "holding:3"}]},
			{id: b, unit: 2, every: 10s, signals: [{id: s, kind: number, at: "holding:1"}]}]}]`)[0])
		began := time.Now()
		time.Sleep(9 * time.Second)
		r.end()
		all := p.seen()
		if got := all[0].at.Sub(began); got < 2*time.Second || got > 2010*time.Millisecond {
			t.Errorf("the first request %v after connecting", got)
		}
		if got := r.all()["e0.link"][0].Time; !got.Equal(began) {
			t.Errorf("the link is told %v after it was there", got.Sub(began))
		}
		for i := 1; i < 3; i++ {
			if gap := all[i].at.Sub(all[i-1].at); gap < 300*time.Millisecond || gap > 340*time.Millisecond {
				t.Errorf("%v between two requests to a unit that wants 300 ms", gap)
			}
		}
		if quiet := (&link{line: line{Baud: 1200, DataBits: 8, StopBits: 1, Parity: "none"}, at: place{framing: rtu}}).quiet(); quiet.Round(100*time.Microsecond) != 29200*time.Microsecond {
			t.Errorf("3.5 characters of 10 bits at 1200 baud are %v", quiet)
		}
		if quiet := (&link{line: line{Baud: 115200, DataBits: 8, StopBits: 1, Parity: "none"}, at: place{framing: rtu}}).quiet(); quiet != 1750*time.Microsecond {
			t.Errorf("above 19200 baud the pause is %v", quiet)
		}
	})
}

// One that shares its wire ends when the exchange under way does, after a timeout at the latest; the last ends at once.
func TestRunEndsPromptlyAndClosesTheWireWithItsLastUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(byte, []byte) reply { return reply{} }}
		all := configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: `+units(2, "every: 1s")+`}, {modbus: {url: "tcp://h"}, devices: [{id: b, unit: 9, signals: [{id: s, kind: number, at: "holding:7"}]}]}]`)
		a, b := start(t, all[0]), start(t, all[1])
		time.Sleep(1300 * time.Millisecond) // a request is under way
		before := time.Now()
		if err := a.end(); err != nil || time.Since(before) > time.Second {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		if p.open != 1 {
			t.Errorf("%d connections while one still uses it", p.open)
		}
		time.Sleep(200 * time.Millisecond) // again one is under way
		before = time.Now()
		if err := b.end(); err != nil || time.Since(before) != 0 {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		synctest.Wait()
		if p.open != 0 {
			t.Errorf("%d connections when nobody uses it", p.open)
		}
	})
}

func BenchmarkPollThroughAPipe(b *testing.B) {
	p := &peer{framing: tcp, answer: echo}
	d := one(b, p, tcpURL, registers(upTo(50)...))
	s := d.wire.join(d)
	defer d.wire.leave(s, d)
	poller := newPoller(d, d.devices[0], s, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if got := poller.poll(b.Context()); got[49].Value != 49 {
			b.Fatal(got)
		}
	}
}
