package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"embergate/drivers"
)

// Decode makes readings of registers, without a wire: what the driver does with a reply, for profile tests and verbs.
// The readings are named by the ids of the signals and come in their order.
//
// read gives n registers from addr as they are on the wire, 2×n bytes, or for coils and discrete inputs n bits packed as
// in a reply, least significant first; false where there is nothing at the address. A signal that Modbus cannot read, or
// that read does not give, is Bad.
func Decode(signals []drivers.Signal, read func(table Table, addr uint16, n int) ([]byte, bool), now time.Time) []drivers.Reading {
	readings, points := make([]drivers.Reading, len(signals)), make([]point, len(signals))
	wrong := make([][]mistake, len(signals))
	for i := range signals {
		points[i], wrong[i] = compile(&signals[i])
	}
	linkPoints(points)
	for i := range points {
		p := &points[i]
		if len(wrong[i]) > 0 {
			readings[i] = p.bad(now, drivers.Decode, wrong[i][0].text().String())
			continue
		}
		raw, ok := read(p.at.Table, p.at.Number, p.count)
		if p.at.Table.Bits() && ok && len(raw) > 0 {
			raw = []byte{raw[0] & 1}
		}
		if !ok {
			readings[i] = p.bad(now, drivers.Offline, "nothing was read at "+p.at.String())
			continue
		}
		readings[i] = p.reading(raw, now)
	}
	relate(points, readings)
	return readings
}

func (p *point) bad(now time.Time, reason drivers.Reason, detail string) drivers.Reading {
	return drivers.Reading{Signal: p.key, Time: now, Quality: drivers.Bad, Reason: reason, Detail: detail}
}

// reading makes the reading of a point from its registers as on the wire, or one byte 0 or 1 for a bit.
func (p *point) reading(raw []byte, now time.Time) drivers.Reading {
	r := drivers.Reading{Signal: p.key, Time: now, Raw: raw}
	if want := p.size(); len(raw) != want {
		r.Reason, r.Detail = drivers.Decode, fmt.Sprintf("%d bytes instead of %d", len(raw), want)
		return r
	}
	if p.form == words {
		return p.said(r)
	}
	pattern := p.pattern(raw)
	n, ok := p.number(pattern)
	if !ok {
		r.Reason, r.Detail = drivers.Decode, fmt.Sprintf("%#x is not binary coded decimal", pattern)
		return r
	}
	if p.absent(n, pattern) {
		r.Reason, r.Detail = drivers.Sentinel, fmt.Sprintf("%#x means no value", pattern)
		return r
	}
	value := p.scaled(n)
	if reason, detail := p.implausible(value); reason != "" && len(p.relations) == 0 { // else relate looks at it
		r.Reason, r.Detail = reason, detail
		return r
	}
	r.Value, r.Quality = value, drivers.Good
	return r
}

// said is the reading of characters: to the first NUL, without spaces around, and without what could speak to a terminal.
func (p *point) said(r drivers.Reading) drivers.Reading {
	chars := slices.Clone(r.Raw)
	if p.swapBytes {
		for i := 0; i+1 < len(chars); i += 2 {
			chars[i], chars[i+1] = chars[i+1], chars[i]
		}
	}
	chars, _, _ = bytes.Cut(chars[:p.bits/8], []byte{0})
	text := printable(chars)
	if p.value == drivers.Text {
		r.Detail, r.Quality = text, drivers.Good
		return r
	}
	code, known := p.Enum[text]
	if !known {
		r.Reason, r.Detail = drivers.Decode, fmt.Sprintf("%q is no word of the enum", text)
		return r
	}
	r.Value, r.Quality = float64(code), drivers.Good
	return r
}

// size is how many bytes a point's raw value has.
func (p *point) size() int {
	if p.at.Table.Bits() {
		return 1
	}
	return 2 * p.count
}

// pattern puts the bytes of the wire in order and takes the point's bits out of them.
func (p *point) pattern(raw []byte) uint64 {
	if len(raw) == 1 {
		return uint64(raw[0] & 1)
	}
	ordered := p.order(raw)
	u := binary.BigEndian.Uint64(ordered[:]) >> (64 - 8*len(raw))
	switch {
	case p.at.Field:
		return u >> p.at.Low & (1<<p.bits - 1)
	case p.form == highByte:
		return u >> 8
	case p.form == lowByte:
		return u & 0xFF
	}
	return u
}

// order turns bytes of the wire, at most 8, to most significant first, or back: done twice it changes nothing.
func (p *point) order(raw []byte) (ordered [8]byte) {
	for i := range raw {
		from := i
		if p.swapWords {
			from = len(raw) - 2 - i&^1 + i&1
		}
		if p.swapBytes {
			from ^= 1
		}
		ordered[i] = raw[from]
	}
	return ordered
}

// number is the value of a pattern before scale and offset; false where it is no number of the point's type.
func (p *point) number(u uint64) (float64, bool) {
	switch p.form {
	case truth:
		return float64(min(u, 1)), true
	case signed:
		return float64(int64(u<<(64-p.bits)) >> (64 - p.bits)), true
	case float:
		if p.bits == 32 {
			return float64(math.Float32frombits(uint32(u))), true
		}
		return math.Float64frombits(u), true
	case bcd:
		n := 0.0
		for shift := p.bits - 4; shift >= 0; shift -= 4 {
			digit := u >> shift & 0xF
			if digit > 9 {
				return 0, false
			}
			n = n*10 + float64(digit)
		}
		return n, true
	}
	return float64(u), true
}

// absent tells whether a raw value says that the device has no reading: NaN, or one of na, which for an integer may be
// written signed or unsigned.
func (p *point) absent(n float64, pattern uint64) bool {
	if math.IsNaN(n) {
		return true
	}
	for _, na := range p.NA {
		switch {
		case na == n:
			return true
		case p.form == float && p.bits == 32 && float32(na) == float32(n):
			return true
		case p.form != float && na == float64(pattern):
			return true
		}
	}
	return false
}

// scaled is raw × scale + offset, or where active says which raw values are 1, that.
func (p *point) scaled(n float64) float64 {
	if len(p.Active) > 0 {
		if slices.Contains(p.Active, n) {
			return 1
		}
		return 0
	}
	if p.inverse != 0 {
		return n/p.inverse + p.Offset
	}
	return n*p.Scale + p.Offset
}

// implausible tells why a scaled value cannot be that of the signal.
func (p *point) implausible(value float64) (drivers.Reason, string) {
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return drivers.Decode, fmt.Sprintf("%v is no number", value)
	case len(p.Range) == 2 && (value < p.Range[0] || value > p.Range[1]):
		return drivers.Range, fmt.Sprintf("%v is outside %v to %v", value, p.Range[0], p.Range[1])
	case p.value == drivers.State && value != 0 && value != 1:
		return drivers.Decode, fmt.Sprintf("%v is neither 0 nor 1", value)
	case p.value == drivers.Code && value != math.Trunc(value):
		return drivers.Decode, fmt.Sprintf("%v is not a whole number", value)
	}
	return "", ""
}
