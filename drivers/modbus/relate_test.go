package modbus

import (
	"encoding/binary"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// gasController is a device whose values depend on others of the same poll.
const gasController = `[
	{id: co, kind: co, at: "holding:2", type: int16, decimals_by: decimals, valid_if: {signal: state, in: [1, 4, 5, 6]}, range: [0, 1000]},
	{id: decimals, kind: number, at: "holding:4"},
	{id: state, kind: status_word, at: "holding:5"},
	{id: alarm, kind: gas_alarm, at: "holding:5", active: [5, 6], valid_if: [{signal: state, in: [1, 4, 5, 6]}, {signal: decimals, in: [0, 1, 2, 3]}]},
	{id: power, kind: power, at: "holding:6", type: int32, scale: 0.001, scale_by: [pt, ct]},
	{id: pt, kind: number, at: "holding:8"},
	{id: ct, kind: number, at: "holding:9", scale: 0.1, na: [0xFFFF]}]`

// Row MB19: decimals and ratios are read from the device; a value that means nothing in a state is none.
func TestValuesDependOnOtherSignalsOfTheDevice(t *testing.T) {
	root := conf.Parse("x", []byte("signals: "+gasController), conf.OS())
	signals := drivers.DecodeSignals(root.At("signals").Items())
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	sound := map[uint16]uint16{2: 245, 4: 1, 5: 1, 6: 0, 7: 1523, 8: 10, 9: 400}
	for _, c := range []struct {
		name, signal string
		differs      map[uint16]uint16
		value        float64
		reason       drivers.Reason
		detail       string
	}{
		{"a decimal point from the device", "co", nil, 24.5, "", ""},
		{"none", "co", map[uint16]uint16{4: 0}, 245, "", ""},
		{"three", "co", map[uint16]uint16{4: 3}, 0.245, "", ""},
		{"more than can be", "co", map[uint16]uint16{4: 10}, 0, drivers.Decode, "decimals is 10"},
		{"the range is that of the finished value", "co", map[uint16]uint16{2: 1001, 4: 0}, 0, drivers.Range, "1001 is outside 0 to 1000"},
		{"a sensor fault", "co", map[uint16]uint16{5: 3}, 0, drivers.DeviceFault, "no value while state is 3"},
		{"no alarm", "alarm", nil, 0, "", ""},
		{"an alarm", "alarm", map[uint16]uint16{5: 6}, 1, "", ""},
		{"a faulty sensor is not free of alarm", "alarm", map[uint16]uint16{5: 3}, 0, drivers.DeviceFault, "no value while state is 3"},
		{"the second of two conditions", "alarm", map[uint16]uint16{4: 4}, 0, drivers.DeviceFault, "no value while decimals is 4"},
		{"two ratios", "power", nil, 1.523 * 10 * 40, "", ""},
		{"a ratio that is not set", "power", map[uint16]uint16{8: 0}, 0, drivers.Decode, "pt is 0"},
		{"a ratio that the device does not have", "power", map[uint16]uint16{9: 0xFFFF}, 0, drivers.Sentinel, "ct: 0xffff means no value"},
		{"what others depend on is itself", "ct", nil, 40, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			readings := Decode(signals, func(_ Table, addr uint16, n int) (raw []byte, ok bool) {
				for i := range uint16(n) {
					v, changed := c.differs[addr+i]
					if !changed {
						v = sound[addr+i]
					}
					raw = binary.BigEndian.AppendUint16(raw, v)
				}
				return raw, true
			}, time.Unix(1, 0))
			for _, r := range readings {
				if r.Signal == c.signal && (math.Abs(r.Value-c.value) > 1e-9 || r.Reason != c.reason || r.Detail != c.detail || (r.Quality == drivers.Good) != (c.reason == "")) {
					t.Errorf("got %+v, want %v %q %q", r, c.value, c.reason, c.detail)
				}
			}
		})
	}
}

func TestARatioThatIsNotReadLeavesNoValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if pdu[0] == 4 {
				return exception(pdu, 2)
			}
			return echo(unit, pdu)
		}}
		r := start(t, one(t, p, tcpURL, `signals: [
			{id: i, kind: current, at: "holding:7", scale_by: ct}, {id: ct, kind: number, at: "input:1"},
			{id: u, kind: voltage, at: "holding:8", scale_by: pt}, {id: pt, kind: number, at: "holding:3"}]`))
		time.Sleep(3500 * time.Millisecond)
		r.end()
		if got := r.last("d.i"); got.Quality != drivers.Bad || got.Reason != drivers.Exception || got.Value != 0 || got.Detail != "ct: input 1: exception 2: illegal data address" {
			t.Errorf("%+v", got)
		}
		if got := r.last("d.u"); got.Value != 24 || got.Quality != drivers.Good {
			t.Errorf("%+v", got)
		}
	})
}

// FuzzRelate decodes a device of related signals from any registers: a value is finite, and stands on others that are good.
func FuzzRelate(f *testing.F) {
	signals := drivers.DecodeSignals(conf.Parse("x", []byte("signals: "+gasController), conf.OS()).At("signals").Items())
	f.Add([]byte{0, 245, 0, 0, 0, 1, 0, 5, 0, 0, 5, 243, 0, 10, 1, 144})
	f.Add([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 3, 0x80, 0, 0, 0, 0, 0, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, registers []byte) {
		readings := Decode(signals, func(_ Table, addr uint16, n int) ([]byte, bool) {
			first := 2 * (int(addr) - 2)
			if first+2*n > len(registers) {
				return nil, false
			}
			return registers[first : first+2*n], true
		}, time.Unix(1, 0))
		by := map[string]drivers.Reading{}
		for _, r := range readings {
			by[r.Signal] = r
		}
		for i, r := range readings {
			if r.Quality == drivers.Bad && (r.Value != 0 || r.Reason == "" || r.Detail == "") || math.IsNaN(r.Value) || math.IsInf(r.Value, 0) {
				t.Errorf("%+v", r)
			}
			for _, id := range signals[i].Related() {
				if r.Quality == drivers.Good && by[id].Quality != drivers.Good {
					t.Errorf("%s is good and %s is not", r.Signal, id)
				}
			}
		}
	})
}
