package modbus

import (
	"context"
	"fmt"
	"time"

	"embergate/drivers/conf"

	"github.com/goburrow/modbus"
)

// alive is a register or coil by which a device that has outputs watches over us: it is written after each poll whose readings
// the gateway has taken, and changes each time. Where the gateway dies or hangs it changes no more, and the device's own
// watchdog brings its outputs to what is safe (MB28).
type alive struct {
	at     Address
	count  uint16
	failed int       // writes running that were not confirmed
	next   time.Time // not written before
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

// sayAlive writes the next count: 1 to 65535 and again to a register, 1 and 0 to a coil. One that is not confirmed twice running is
// written less and less often, as a unit that does not answer is probed: it must not cost the wire a timeout in each period.
func (p *poller) sayAlive(ctx context.Context) {
	a := p.device.alive
	if time.Now().Before(a.next) {
		return
	}
	a.count = max(1, a.count+1)
	q := p.driver.request(ctx, p.device, writing)
	q.do = func(c modbus.Client) ([]byte, error) {
		if a.at.Table == Coil {
			return c.WriteSingleCoil(a.at.Number, a.count%2*0xFF00)
		}
		return c.WriteSingleRegister(a.at.Number, a.count)
	}
	err := p.session.ask(q).err
	switch {
	case ctx.Err() != nil || p.session.ended():
	case err == nil && a.failed > 0:
		p.log().Info("device is told again that the gateway is alive", "at", a.at.String())
		a.failed = 0
	case err != nil:
		if a.failed++; a.failed == 1 {
			p.log().Error("device was not told that the gateway is alive", "at", a.at.String(), "detail", explain(err, fmt.Sprint(a.at)).detail)
			return
		}
		a.next = time.Now().Add(p.backoff(a.failed - 1))
	}
}
