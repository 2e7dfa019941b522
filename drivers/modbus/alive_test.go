package modbus

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
)

// Row MB28: a device that watches over the gateway is told that it is alive as long as the gateway takes its readings, and no
// longer: where the hub hangs, the device's own watchdog sees it.
func TestADeviceIsToldThatTheGatewayIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: echo}
		d := one(t, p, tcpURL, `every: 1s, alive: "holding:100", signals: [{id: valve, kind: valve, at: "coil:1"}]`)
		ctx, stop := context.WithCancel(t.Context())
		hung, ended := make(chan bool), make(chan error)
		begin := time.Now()
		go func() {
			ended <- d.Run(ctx, func([]drivers.Reading) {
				if time.Since(begin) > 4500*time.Millisecond {
					<-hung
				}
			})
		}()
		told := func() (values []string) {
			for _, q := range p.seen() {
				if q.pdu[0] == 6 && q.first == 100 {
					values = append(values, fmt.Sprint(q.count))
				}
			}
			return values
		}
		time.Sleep(10 * time.Second)
		if got := fmt.Sprint(told()); got != "[1 2 3 4 5]" {
			t.Errorf("told %s before the hub hung and after", got)
		}
		close(hung)
		time.Sleep(3 * time.Second)
		if got := len(told()); got < 7 {
			t.Errorf("told %d times after the hub turned again", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Row MB28: whoever reads beside the daemon, or in its place, does not tell a device that the gateway watches over its outputs.
func TestWhoOnlyReadsSaysNotThatTheGatewayIsAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: echo}
		d := one(t, p, tcpURL, `every: 1s, alive: "holding:100", signals: [{id: valve, kind: valve, at: "coil:1"}]`)
		d.Asked = func(string) bool { return true }
		r := start(t, d)
		time.Sleep(3 * time.Second)
		if err := r.end(); err != nil {
			t.Error(err)
		}
		for _, q := range p.seen() {
			if q.pdu[0] == 6 {
				t.Fatal("it was written")
			}
		}
	})
}

// A device that does not answer to the write costs the others no timeout in each period.
func TestAnAliveThatIsNotAnsweredIsSaidLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: func(unit byte, pdu []byte) reply {
			if pdu[0] == 6 {
				return reply{}
			}
			return echo(unit, pdu)
		}}
		r := start(t, one(t, p, tcpURL+", timeout: 500ms", `every: 1s, alive: "holding:100", signals: [{id: valve, kind: valve, at: "coil:1"}]`))
		time.Sleep(time.Minute)
		n := 0
		for _, q := range p.seen() {
			if q.pdu[0] == 6 {
				n++
			}
		}
		if n < 5 || n > 8 {
			t.Errorf("said %d times in a minute", n)
		}
		p.become(echo)
		time.Sleep(time.Minute + 500*time.Millisecond) // longer than the longest pause, and between two periods
		before := len(p.seen())
		time.Sleep(3 * time.Second)
		if n := len(p.seen()) - before; n < 6 {
			t.Errorf("%d requests in three periods after it was answered again, want six", n)
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}

// Row DM09: a device out of service is not asked and not written, and stays configured.
func TestADeviceOutOfServiceIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{framing: tcp, answer: echo}
		r := start(t, one(t, p, tcpURL, `disabled: true, signals: [{id: v, kind: valve, at: "coil:1", writable: true}]`))
		time.Sleep(5 * time.Second)
		if _, err := r.Write(t.Context(), "d.v", 1); err == nil {
			t.Error("it was written")
		}
		if n := len(p.seen()); n != 0 || len(r.Devices()) != 1 || len(r.all()) != 1 {
			t.Errorf("%d requests, %d devices, told %v", n, len(r.Devices()), r.all())
		}
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
}
