package modbus

import (
	"context"
	"fmt"

	"embergate/drivers/conf"

	"github.com/goburrow/modbus"
)

// alive is a register or coil by which a device that has outputs watches over us: it is written after each poll whose readings
// the gateway has taken, and changes each time. Where the gateway dies or hangs it changes no more, and the device's own
// watchdog brings its outputs to what is safe (MB28).
type alive struct {
	at     Address
	count  uint16
	failed bool
}

func newAlive(s conf.Section, text string) *alive {
	at, why, ok := ParseAddress(text)
	switch {
	case !ok:
		s.Problem(why.Format, why.Args...)
	case at.Field || at.Table != Coil && at.Table != Holding:
		s.Problem("what a device watches is a whole holding register or a coil, not %s", text)
	}
	return &alive{at: at}
}

// sayAlive writes the next count: 1 to 65535 and again to a register, 1 and 0 to a coil.
func (p *poller) sayAlive(ctx context.Context) {
	a := p.device.alive
	a.count = max(1, a.count+1)
	q := p.driver.request(ctx, p.device, writing)
	q.do = func(c modbus.Client) ([]byte, error) {
		if a.at.Table == Coil {
			return c.WriteSingleCoil(a.at.Number, a.count%2*0xFF00)
		}
		return c.WriteSingleRegister(a.at.Number, a.count)
	}
	err := p.session.ask(q).err
	if ctx.Err() != nil || p.session.ended() || (err != nil) == a.failed {
		return
	}
	if a.failed = err != nil; a.failed {
		p.log.Error("device was not told that the gateway is alive", "at", a.at.String(), "detail", explain(err, fmt.Sprint(a.at)).detail)
		return
	}
	p.log.Info("device is told again that the gateway is alive", "at", a.at.String())
}
