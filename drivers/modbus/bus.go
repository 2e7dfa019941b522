package modbus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

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
// make it fail. The error wraps serial.ErrHeld where another program has the serial line.
func Open(ctx context.Context, s conf.Section) (*Bus, error) {
	set, at, ok := decodeSettings(s)
	if !ok || s.Problems() != nil {
		return nil, fmt.Errorf("modbus: open: the settings are wrong: %w", s.Problems())
	}
	w := &wire{at: at, line: set.line(), open: openWire, delay: set.ConnectDelay}
	w.enter(map[string]*door{}, s)
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
	r := b.request(ctx, unit)
	r.do = func(c modbus.Client) ([]byte, error) { return read(c, t, addr, uint16(n)) }
	a := b.ses.ask(r)
	if a.err != nil {
		return nil, fmt.Errorf("modbus unit %d: read %d at %s %d: %w", unit, n, t, addr, a.err)
	}
	return a.data, nil
}

func (b *Bus) request(ctx context.Context, unit uint8) *request {
	return &request{class: probing, unit: unit, timeout: b.driver.settings.Timeout, gap: *b.driver.settings.Gap, trace: &trace{}, ctx: ctx}
}

// Answered tells whether the unit said anything, if only that it refuses: there is a device.
func Answered(err error) bool { return err == nil || !explain(err, "").silent() }

// Look tells whether a unit answers, by asking for holding register 0, then for input register 0; said is what it answered,
// and err is that of a lost wire or of ctx.
func (b *Bus) Look(ctx context.Context, unit uint8) (there bool, said string, err error) {
	for _, t := range []Table{Holding, Input} {
		data, failed := b.Read(ctx, unit, t, 0, 1)
		switch {
		case ctx.Err() != nil:
			return false, "", ctx.Err()
		case b.ses.ended():
			return false, "", b.ses.err
		case failed == nil:
			return true, fmt.Sprintf("%s 0 = %x", t, data), nil
		case Answered(failed):
			return true, explain(failed, t.String()+" 0").detail, nil
		}
	}
	return false, "", nil
}

// Identity is what a unit says of itself: its device identification (43/14), else its server id (17); "" where it knows
// neither.
func (b *Bus) Identity(ctx context.Context, unit uint8) string {
	for _, level := range []byte{2, 1} { // regular, or at least basic
		if text := b.objects(ctx, unit, level); text != "" {
			return text
		}
	}
	r := b.request(ctx, unit)
	r.pdu = &modbus.ProtocolDataUnit{FunctionCode: reportServerID}
	a := b.ses.ask(r)
	if a.err != nil || len(a.data) < 2 {
		return ""
	}
	if text := printable(a.data[1:]); len(text) > 1 {
		return text
	}
	return fmt.Sprintf("server id % x", a.data[1:])
}

// objects are the objects of a unit's identification, in the order of their ids: vendor, product, revision, and more of the
// regular ones.
func (b *Bus) objects(ctx context.Context, unit uint8, level byte) string {
	const most = 8 // replies that belong together
	var texts []string
	next := byte(0)
	for range most {
		r := b.request(ctx, unit)
		r.pdu = &modbus.ProtocolDataUnit{FunctionCode: encapsulated, Data: []byte{deviceIdentification, level, next}}
		a := b.ses.ask(r)
		if a.err != nil || len(a.data) < 6 {
			break
		}
		for rest := a.data[6:]; len(rest) >= 2; {
			value := rest[2 : 2+int(rest[1])] // replySize has counted them
			if text := printable(value); text != "" && !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
			rest = rest[2+len(value):]
		}
		if a.data[3] != 0xFF || a.data[4] <= next { // no more follows
			break
		}
		next = a.data[4]
	}
	return strings.Join(texts, " ")
}

// printable leaves out what a terminal could take for more than text.
func printable(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(b), "")))
}
