package modbus

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// exchangeTime is what a line of 9600 baud, 8N1, needs at the least to read n registers: 8 characters asked, 5 + 2n answered,
// and 3.5 characters of silence before each of the two frames. Source: MODBUS over Serial Line V1.02, 2.5.1.1.
func exchangeTime(n int) time.Duration {
	return time.Duration((8+5+2*n)*10+70) * time.Second / 9600
}

// At 9600 baud the scheduler leaves less than 5 % of the line unused while more is asked for than it can carry.
func TestScheduleUsesTheLine(t *testing.T) {
	for _, registers := range []int{2, 50, 125} {
		t.Run(fmt.Sprintf("%d registers", registers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{framing: rtu, answer: atLineSpeed(9600, 3645*time.Microsecond)}
				var devices []string
				for i := range 10 {
					devices = append(devices, fmt.Sprintf(`{id: d%d, unit: %d, every: 100ms, %s}`, i, i+1, registersOf(registers)))
				}
				r := start(t, configure(t, p.dial, `endpoints: [{modbus: {url: "rtu:///dev/x", gap: 0s}, devices: [`+strings.Join(devices, ",")+`]}]`)[0])
				time.Sleep(time.Second)
				before := len(p.seen())
				const long = time.Minute
				time.Sleep(long)
				got := len(p.seen()) - before
				r.end()
				if ratio := float64(time.Duration(got)*exchangeTime(registers)) / float64(long); ratio < 0.95 {
					t.Errorf("%d requests in %v: %.1f %% of what the line allows", got, long, 100*ratio)
				}
			})
		})
	}
}

// registersOf is the signals of a device that is read as one block of n registers.
func registersOf(n int) string {
	return fmt.Sprintf(`max_gap: 124, signals: [{id: a, kind: number, at: "holding:0"}, {id: b, kind: number, at: "holding:%d"}]`, n-1)
}

// terminal is a pair of a pseudo-terminal: the far end, and the path of the near one.
func terminal(tb testing.TB) (far *os.File, path string) {
	tb.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		tb.Skipf("no pseudo-terminals here: %v", err)
	}
	tb.Cleanup(func() { far.Close() })
	if err := unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		tb.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	if err != nil {
		tb.Fatal(err)
	}
	return far, fmt.Sprintf("/dev/pts/%d", n)
}

// BenchmarkLineOf9600Baud polls blocks of 50 registers through a pseudo-terminal, whose far end answers when the last bit of
// the reply would have come over a line of 9600 baud. line-ratio is the achieved rate as a share of what the line allows.
func BenchmarkLineOf9600Baud(b *testing.B) {
	const registers = 50
	far, path := terminal(b)
	go func() {
		respond, buffer := atLineSpeed(9600, 0), make([]byte, 256)
		for have := 0; ; {
			n, err := far.Read(buffer[have:])
			if err != nil {
				return
			}
			if have += n; have < 8 {
				continue
			}
			heard := time.Now()
			r := respond(buffer[0], buffer[1:6])
			frame := frameOf(rtu, buffer[:8], r.pdu)
			time.Sleep(time.Until(heard.Add(exchangeTime(registers) - 3645*time.Microsecond)))
			have = 0
			if _, err := far.Write(frame); err != nil {
				return
			}
		}
	}()
	d := configure(b, openWire, `endpoints: [{modbus: {url: "rtu://`+path+`", gap: 0s}, devices: [{id: d, unit: 1, `+registersOf(registers)+`}]}]`)[0]
	s := d.wire.join(d)
	defer d.wire.leave(s, d)
	poller := newPoller(d, d.devices[0], s, time.Now())
	for b.Loop() {
		if got := poller.poll(b.Context()); got[1].Value != registers-1 {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(time.Duration(b.N)*exchangeTime(registers))/float64(b.Elapsed()), "line-ratio")
}
