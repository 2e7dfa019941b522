package modbus

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
)

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

// Row MB12.
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
		before := len(p.seen())
		time.Sleep(10 * time.Second)
		r.end()
		if n := len(p.seen()) - before; n != 10 {
			t.Errorf("%d requests in 10 polls of a map that is whole again", n)
		}
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
