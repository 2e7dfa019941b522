package influx

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Point is one measurement point of the gateway itself, such as health, gateway, site or duty. The tags site and region
// are added; empty tags, and fields that are not a number, are left out.
type Point struct {
	Measurement string
	Tags        [][2]string // name, value
	Fields      []Field
	Time        time.Time
}

// Field is a named value of a fixed type: made by Float, Integer or String, so that a type cannot change by accident.
type Field struct {
	name  string
	form  byte // f, i or s
	float float64
	whole int64
	text  string
}

// Float is a field that is a number, also where it happens to be whole. NaN and infinities are left out of the line.
func Float(name string, value float64) Field { return Field{name: name, form: 'f', float: value} }

// Integer is a field that counts, or a state or code.
func Integer(name string, value int64) Field { return Field{name: name, form: 'i', whole: value} }

// String is a field of words. At most 8 KiB of it are sent.
func String(name, value string) Field { return Field{name: name, form: 's', text: value} }

// maxText is the most bytes of a string field; InfluxDB refuses those over 64 KiB.
const maxText = 8 << 10

// appendPoint appends the line of a point: sorted tags, fields, nanoseconds, newline. A point without a usable field, or
// without a time that nanoseconds since 1970 can hold, appends nothing.
//
//	measurement,tag=value,… field=1.5,other=3i,words="…" 1790000000000000000
func appendPoint(b []byte, p Point) []byte {
	if !sendable(p.Time) {
		return b
	}
	start := len(b)
	b = appendName(b, p.Measurement)
	tags := slices.Clone(p.Tags)
	slices.SortStableFunc(tags, func(x, y [2]string) int { return strings.Compare(x[0], y[0]) })
	for _, tag := range tags {
		b = appendTag(b, tag[0], tag[1])
	}
	fields := len(b)
	for _, f := range p.Fields {
		b = f.append(b, separator(len(b) == fields))
	}
	if len(b) == fields {
		return b[:start]
	}
	return appendTime(b, p.Time)
}

func (f Field) append(b []byte, separator byte) []byte {
	if f.form == 'f' && !finite(f.float) || f.name == "" {
		return b
	}
	b = append(b, separator)
	b = appendName(b, f.name)
	b = append(b, '=')
	switch f.form {
	case 'f':
		return appendFloat(b, f.float)
	case 'i':
		return append(strconv.AppendInt(b, f.whole, 10), 'i')
	default:
		return appendText(b, f.text)
	}
}

// separator stands before a field: a space before the first, a comma before the others.
func separator(first bool) byte {
	if first {
		return ' '
	}
	return ','
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// sendable tells whether a time fits into the timestamp of a line.
func sendable(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2262 }

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, ' ')
	return append(strconv.AppendInt(b, t.UnixNano(), 10), '\n')
}

// appendTag appends ,name=value; an empty value is no tag at all, since the protocol has none.
func appendTag(b []byte, name, value string) []byte {
	if value == "" || name == "" {
		return b
	}
	b = append(b, ',')
	b = appendName(b, name)
	b = append(b, '=')
	return appendName(b, value)
}

// appendName appends a measurement, a tag or the name of a field. Comma, equals sign and space are escaped; servers
// differ on an escaped backslash, and none takes a line break here, so these become / and a space. A leading # would
// make the line a comment.
func appendName(b []byte, s string) []byte {
	if s == "" || s[0] == '#' {
		b = append(b, '_')
	}
	for _, r := range s {
		switch {
		case r == ',' || r == '=' || r == ' ':
			b = append(b, '\\', byte(r))
		case r == '\\':
			b = append(b, '/')
		case r < ' ' || r == 0x7f:
			b = append(b, '\\', ' ')
		default:
			b = utf8.AppendRune(b, r) // an invalid byte becomes U+FFFD: InfluxDB 3 takes only UTF-8
		}
	}
	return b
}

// appendText appends a string field in quotes. Control characters become spaces: a line of ours is one line of text.
func appendText(b []byte, s string) []byte {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			b = append(b, ' ')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// appendFloat appends a finite number in the fewest digits that give it back, always with a point or an exponent, so
// that no reader of the line can take it for an integer.
func appendFloat(b []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return append(strconv.AppendInt(b, int64(v), 10), '.', '0')
	}
	if abs := math.Abs(v); abs < 1e-6 || abs >= 1e15 {
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}
