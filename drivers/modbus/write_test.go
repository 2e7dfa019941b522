package modbus

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Row MB27: outputs are allow-listed and read back; the time limit and the audit are the gateway's.
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
		write := func(signal string, value float64) error { _, err := d.Write(t.Context(), signal, value); return err }
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
		if got, err := d.Write(t.Context(), "d.limit", 20.04); err != nil || got != 20 {
			t.Errorf("20.04 where the register holds tenths: %v, %v", got, err)
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
		if err := write("d.valve", 0); err == nil || err.Error() != "modbus e0 unit 1: write d.valve (coil:0): exception 2: illegal data address" {
			t.Error(err)
		}
		r.end()
		if err := write("d.valve", 1); err == nil || !strings.HasSuffix(err.Error(), "not connected") {
			t.Error(err)
		}
	})
}
