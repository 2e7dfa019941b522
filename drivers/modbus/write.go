package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"embergate/drivers"

	"github.com/goburrow/modbus"
)

const (
	readBacks     = 3                      // how often an output is read back until it holds what was written
	readBackPause = 100 * time.Millisecond // a relay takes its time
)

// Write sets an output and reads it back; a value is brought to registers by the inverse of scale and offset, and rounded
// to what the registers can hold; what they hold then is answered. It goes ahead of everything that waits for the wire. The error names device and register.
func (d *driver) Write(ctx context.Context, signal string, value float64) (confirmed float64, err error) {
	dev, p := d.find(signal)
	if p == nil {
		return 0, fmt.Errorf("modbus %s: write %s: no such signal", d.ID, signal)
	}
	fail := func(err error) (float64, error) {
		return 0, fmt.Errorf("modbus %s unit %d: write %s (%s): %w", d.ID, dev.unit, signal, p.at, err)
	}
	switch {
	case !p.Writable:
		return fail(errors.New("the signal is not writable"))
	case dev.Disabled:
		return fail(errors.New("the device is taken out of service"))
	}
	raw, err := p.encode(value)
	if err != nil {
		return fail(err)
	}
	d.mu.Lock()
	s := d.session
	d.mu.Unlock()
	if s == nil {
		return fail(errors.New("not connected"))
	}
	w := &output{d, dev, p, s, ctx}
	got, err := w.ask(func(c modbus.Client) ([]byte, error) { // in one turn of the wire
		if err := p.write(c, raw); err != nil {
			return nil, err
		}
		return p.readBack(c)
	})
	for attempt := 1; err == nil && !p.same(got, raw); attempt++ {
		if attempt == readBacks {
			return fail(fmt.Errorf("read back %v instead of %v", p.reading(got, time.Time{}).Value, p.reading(raw, time.Time{}).Value))
		}
		if err := sleep(ctx, readBackPause); err != nil {
			return fail(err)
		}
		got, err = w.ask(p.readBack)
	}
	if err != nil {
		return fail(err)
	}
	return p.reading(got, time.Time{}).Value, nil
}

// output is one write under way.
type output struct {
	driver  *driver
	device  *device
	point   *point
	session *session
	ctx     context.Context
}

// ask does one step of a write; what was lost on the wire is tried again, and a busy unit after a pause.
func (w *output) ask(do func(modbus.Client) ([]byte, error)) ([]byte, error) {
	for attempt, busy := 0, 0; ; {
		r := w.driver.request(w.ctx, w.device, writing)
		r.do = do
		a := w.session.ask(r)
		if a.err == nil || w.ctx.Err() != nil {
			return a.data, a.err
		}
		f := explain(a.err, "")
		switch {
		case f.busy() && busy < mostBusy:
			if err := sleep(w.ctx, busyPause<<busy); err != nil {
				return nil, err
			}
			busy++
		case f.again() && attempt < w.driver.settings.Retries:
			attempt++
		default:
			return nil, errors.New(strings.TrimPrefix(f.detail, ": "))
		}
	}
}

// encode makes registers as on the wire of a value, or one byte 0 or 1 of a bit.
func (p *point) encode(value float64) ([]byte, error) {
	if reason, detail := p.implausible(value); reason != "" {
		return nil, errors.New(detail)
	}
	n := (value - p.Offset) / p.Scale
	if p.inverse != 0 {
		n = (value - p.Offset) * p.inverse
	}
	pattern, ok := p.fit(n)
	if !ok {
		return nil, fmt.Errorf("%v does not fit into %s of %d bits", value, p.typ, p.bits)
	}
	if p.at.Table.Bits() {
		return []byte{byte(pattern)}, nil
	}
	switch {
	case p.at.Field:
		pattern <<= p.at.Low
	case p.form == highByte:
		pattern <<= 8
	}
	var big [8]byte
	binary.BigEndian.PutUint64(big[:], pattern<<(64-16*p.count))
	ordered := p.order(big[:2*p.count])
	return slices.Clone(ordered[:2*p.count]), nil
}

// fit is the pattern of an unscaled number, rounded; false where the point cannot hold it.
func (p *point) fit(n float64) (uint64, bool) {
	if p.form == float {
		if p.bits == 32 {
			return uint64(math.Float32bits(float32(n))), !math.IsInf(float64(float32(n)), 0)
		}
		return math.Float64bits(n), true
	}
	n = math.Round(n)
	least, beyond := 0.0, math.Ldexp(1, p.bits)
	switch p.form {
	case signed:
		least, beyond = -math.Ldexp(1, p.bits-1), math.Ldexp(1, p.bits-1)
	case truth:
		beyond = 2
	case bcd:
		beyond = math.Pow10(p.bits / 4)
	}
	if n < least || n >= beyond {
		return 0, false
	}
	switch p.form {
	case signed:
		return uint64(int64(n)) & (1<<p.bits - 1), true
	case bcd:
		pattern, rest := uint64(0), uint64(n)
		for shift := 0; shift < p.bits; shift += 4 {
			pattern |= rest % 10 << shift
			rest /= 10
		}
		return pattern, true
	}
	return uint64(n), true
}

// mask is which bits of its register belong to the point, where it is not the whole register; 0 where it is.
func (p *point) mask() uint16 {
	switch {
	case p.at.Field:
		return uint16(1<<p.bits-1) << p.at.Low
	case p.form == highByte:
		return 0xFF00
	case p.form == lowByte:
		return 0x00FF
	}
	return 0
}

// write sends the registers: 05 for a coil, 06 for one register, 10 for several; 0F and 10 where the unit does not know
// 05 and 06. Bits of a register are read and written back in one turn of the wire, so no other write comes between.
func (p *point) write(c modbus.Client, raw []byte) error {
	at := p.at.Number
	if p.at.Table == Coil {
		_, err := c.WriteSingleCoil(at, uint16(raw[0])*0xFF00)
		if unknownFunction(err) {
			_, err = c.WriteMultipleCoils(at, 1, raw)
		}
		return err
	}
	if mask := p.mask(); mask != 0 {
		whole, err := c.ReadHoldingRegisters(at, 1)
		if err != nil {
			return err
		}
		kept := binary.BigEndian.Uint16(whole) &^ mask
		raw = binary.BigEndian.AppendUint16(nil, kept|binary.BigEndian.Uint16(raw)&mask)
	}
	if p.count > 1 {
		_, err := c.WriteMultipleRegisters(at, uint16(p.count), raw)
		return err
	}
	_, err := c.WriteSingleRegister(at, binary.BigEndian.Uint16(raw))
	if unknownFunction(err) {
		_, err = c.WriteMultipleRegisters(at, 1, raw)
	}
	return err
}

func unknownFunction(err error) bool {
	var exception *modbus.ModbusError
	return errors.As(err, &exception) && exception.ExceptionCode == modbus.ExceptionCodeIllegalFunction
}

// readBack reads what the output holds now, in the shape of encode.
func (p *point) readBack(c modbus.Client) ([]byte, error) {
	data, err := read(c, p.at.Table, p.at.Number, uint16(p.count))
	if err == nil && p.at.Table.Bits() {
		data = []byte{data[0] & 1}
	}
	return data, err
}

// same tells whether the output holds what was written, in the point's own bits.
func (p *point) same(got, want []byte) bool {
	if p.mask() != 0 {
		return p.pattern(got) == p.pattern(want)
	}
	return bytes.Equal(got, want)
}

var (
	_ drivers.Writer = (*driver)(nil)
	_ drivers.Tracer = (*driver)(nil)
)
