package modbus

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
)

// Row RE03: a mistake of ours in any goroutine of the driver ends its Run with an error that holds the stack; nothing else
// ends, nothing stays behind, and the driver can be run again.
func TestPanicAnywhereIsAnErrorOfRun(t *testing.T) {
	for _, c := range []struct {
		name, where string
		break_      func(d *driver, p *peer) (mend func())
	}{
		{"while a frame is looked at, by who has the turn of the wire", "trapped.Read", func(d *driver, p *peer) func() {
			d.wire.open = func(ctx context.Context, at place, l line) (port, error) {
				conn, err := p.dial(ctx, at, l)
				return trapped{conn.(net.Conn)}, err
			}
			return func() { d.wire.open = p.dial }
		}},
		{"while values are decoded, in the goroutine of a device", "relate", func(d *driver, _ *peer) func() {
			d.devices[0].points[0].relations = []relation{{other: 99}}
			return func() { d.devices[0].points[0].relations = nil }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{framing: tcp, answer: echo}
				all := configure(t, p.dial, `endpoints: [{modbus: {url: "tcp://h"}, devices: [{id: d, unit: 1, signals: [{id: s, kind: number, at: "holding:7"}]}]},
					{modbus: {url: "tcp://elsewhere"}, devices: [{id: b, unit: 1, signals: [{id: s, kind: number, at: "holding:8"}]}]}]`)
				mend := c.break_(all[0], p)
				other := start(t, all[1])
				broken := start(t, all[0])
				err := <-broken.ended
				if !errors.Is(err, drivers.ErrPanic) || !strings.Contains(err.Error(), c.where) {
					t.Errorf("Run ended with %v", err)
				}
				mend()
				again := start(t, all[0])
				time.Sleep(1500 * time.Millisecond)
				if err := errors.Join(again.end(), other.end()); err != nil || again.last("d.s").Value != 7 {
					t.Errorf("%v %+v", err, again.all())
				}
				if n := len(other.all()["b.s"]); n != 2 {
					t.Errorf("the other wire was read %d times meanwhile", n)
				}
			})
		})
	}
}

// trapped is a connection whose first byte trips over a mistake.
type trapped struct{ net.Conn }

func (trapped) Read([]byte) (int, error) { panic("a mistake of ours") }
