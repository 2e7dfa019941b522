package modbus

import (
	"context"
	"fmt"

	"embergate/drivers"
	"embergate/drivers/conf"

	"github.com/goburrow/modbus"
)

// Bus is a wire opened for one person: for the verbs that look for units and try types, not for polling.
type Bus struct {
	driver *driver
	ses    *session
}

// Open connects to the wire of an endpoint's modbus section. The configuration's mistakes are reported at the section, and
// make it fail.
func Open(ctx context.Context, s conf.Section) (*Bus, error) {
	set, at, ok := decodeSettings(s)
	if !ok || s.Problems() != nil {
		return nil, fmt.Errorf("modbus: open: the settings are wrong: %w", s.Problems())
	}
	w := &wire{at: at, line: set.line(), open: openWire, delay: set.ConnectDelay}
	d := &driver{Endpoint: drivers.Endpoint{Monitor: drivers.Discard{}}, settings: set, wire: w}
	b := &Bus{d, w.join(d)}
	select {
	case <-b.ses.up:
		return b, nil
	case <-b.ses.done:
		b.Close()
		return nil, b.ses.err
	case <-ctx.Done():
		b.Close()
		return nil, ctx.Err()
	}
}

// Close closes the wire.
func (b *Bus) Close() { b.driver.wire.leave(b.ses, b.driver) }

// Read reads n registers, as on the wire, or n bits packed as in a reply, from a unit. The error of a unit that refuses
// or does not answer says what it did.
func (b *Bus) Read(ctx context.Context, unit uint8, t Table, addr uint16, n int) ([]byte, error) {
	var frames trace
	a := b.ses.ask(&request{
		unit: unit, timeout: b.driver.settings.Timeout, gap: *b.driver.settings.Gap, trace: &frames, ctx: ctx,
		do: func(c modbus.Client) ([]byte, error) { return read(c, t, addr, uint16(n)) },
	})
	if a.err != nil {
		return nil, fmt.Errorf("modbus unit %d: read %d at %s %d: %w", unit, n, t, addr, a.err)
	}
	return a.data, nil
}

// Answered tells whether the unit said anything, if only that it refuses: there is a device.
func Answered(err error) bool { return err == nil || !explain(err, "").silent() }
