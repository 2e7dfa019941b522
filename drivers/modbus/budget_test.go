package modbus

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// plans is what all endpoints of a configuration say of their wires.
func plans(all []*driver) string {
	var lines []string
	for _, d := range all {
		for _, text := range d.Plan() {
			lines = append(lines, text.String())
		}
	}
	return strings.Join(lines, "\n")
}

// Row MB06: bus time is computed from frames, baud and gaps, and a device that cannot keep its period is named.
func TestPlanOfAWireIsItsFramesGapsAndBaud(t *testing.T) {
	meter := func(registers int, every string) string {
		return fmt.Sprintf(`every: %s, signals: [{id: a, kind: number, at: "holding:0"}, {id: b, kind: number, at: "holding:%d"}], max_gap: 124`, every, registers-1)
	}
	for _, c := range []struct{ name, endpoints, want string }{
		// 8 bytes asked, 9 answered, 10 bits each: 17.7 ms; 10 ms to think, 20 ms gap
		{"a serial line", `[{modbus: {url: "rtu:///dev/x"}, devices: [{id: d, unit: 1, ` + meter(2, "1s") + `}]}]`,
			"e0: reading its 1 devices once takes 48ms at 9600 baud; their periods use 5 % of the line"},
		{"parity and two stop bits make characters longer, faster baud shorter", `[{modbus: {url: "rtu:///dev/x", baud: 19200, parity: even, stop_bits: 2, gap: 0s}, devices: [{id: d, unit: 1, ` + meter(100, "1s") + `}]}]`,
			"e0: reading its 1 devices once takes 145ms at 19200 baud; their periods use 15 % of the line"}, // 213 characters of 12 bits are 133.1 ms, 3.5 are 2.2 ms
		{"a converter's line is taken for 9600 baud", `[{modbus: {url: "rtu+tcp://h:1"}, devices: [{id: d, unit: 1, ` + meter(2, "1s") + `}]}]`,
			"e0: reading its 1 devices once takes 28ms if the converter's line has 9600 baud; their periods use 3 % of it"},
		{"a connection", `[{modbus: {url: "tcp://h"}, devices: [{id: d, unit: 1, ` + meter(2, "1s") + `}]}]`,
			"e0: reading its 1 devices once takes about 10ms; their periods use 1 % of the connection"},
		{"endpoints of one wire are one plan", `[{modbus: {url: "rtu:///dev/x"}, devices: [{id: a, unit: 1, ` + meter(2, "1s") + `}]}, {modbus: {url: "rtu:///dev/x"}, devices: [{id: b, unit: 2, ` + meter(2, "500ms") + `}]}]`,
			"e0: reading its 2 devices once takes 95ms at 9600 baud; their periods use 14 % of the line"},
		{"a device that wants rests", `[{modbus: {url: "tcp://h"}, devices: [{id: d, unit: 1, every: 1s, gap: 600ms, signals: [{id: a, kind: number, at: "holding:0"}, {id: b, kind: number, at: "input:0"}]}]}]`,
			"e0: reading its 1 devices once takes about 20ms; their periods use 2 % of the connection\n" +
				"warning: d cannot be read every 1s: one reading takes 1.22s"},
		{"a line that is too slow for all", `[{modbus: {url: "rtu:///dev/x", baud: 1200}, devices: [{id: m1, unit: 1, ` + meter(50, "1s") + `}, {id: m2, unit: 2, ` + meter(50, "1500ms") + `},
			{id: gas, unit: 3, every: 1s, signals: [{id: lel, kind: gas_lel, at: "holding:0"}]}]}]`,
			"e0: reading its 3 devices once takes 2.126s at 1200 baud; their periods use 180 % of the line\n" +
				"warning: the wire of e0 is asked for 180 % of its time, so these cannot keep their periods: m1, m2; give them longer ones, or the line more baud"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := plans(configure(t, nil, "endpoints: "+c.endpoints)); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// The plan is true: on a line that answers at its speed, what it says fits is read on time, and what it warns of is not.
func TestPlanFitsWhatTheLineDoes(t *testing.T) {
	for _, c := range []struct {
		every  string
		warned bool
	}{{"1s", false}, {"300ms", true}} {
		synctest.Test(t, func(t *testing.T) {
			p := &peer{framing: rtu, answer: atLineSpeed(9600, turnaround)}
			d := configure(t, p.dial, `endpoints: [{modbus: {url: "rtu:///dev/x"}, devices: `+units(10, "every: "+c.every)+`}]`)[0]
			if got := strings.Contains(plans([]*driver{d}), "warning"); got != c.warned {
				t.Errorf("every %s: warned: %v\n%s", c.every, got, plans([]*driver{d}))
			}
			r := start(t, d)
			time.Sleep(time.Minute)
			r.end()
			if late := len(r.monitor.overruns) > 0; late != c.warned {
				t.Errorf("every %s: periods were lost: %v", c.every, r.monitor.overruns)
			}
		})
	}
}

// atLineSpeed is echo on a line of so many baud, 8N1: the request and the reply take the time of their characters.
func atLineSpeed(baud int, thinks time.Duration) func(byte, []byte) reply {
	return func(unit byte, pdu []byte) reply {
		r := echo(unit, pdu)
		characters := len(pdu) + 3 + len(r.pdu) + 3
		r.after = thinks + time.Duration(characters*10)*time.Second/time.Duration(baud)
		return r
	}
}

func TestPlanIsSaidInChinese(t *testing.T) {
	d := configure(t, nil, `endpoints: [{modbus: {url: "rtu:///dev/x"}, devices: `+units(2, "every: 1s")+`}]`)[0]
	text := d.Plan()[0]
	if got := i18n.Chinese.Say(text.Format, text.Args...); got != "e0：把 2 台设备各读一遍需 91ms（9600 波特）；按各自周期占用线路 9 %" {
		t.Error(got)
	}
	var _ drivers.Planner = d
}
