package modbus

import (
	"math"
	"strconv"
	"strings"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// point is a signal made ready: where its registers stand and how they become a number.
type point struct {
	*drivers.Signal
	key       string // what its readings are called
	typ       string // its type, or what its address means without one
	at        Address
	count     int // addresses it takes: registers, or 1 bit
	form      form
	bits      int // how many bits a value has: 1, a field's width, 8, 16, 32 or 64
	swapBytes bool
	swapWords bool
	value     drivers.Form // of the kind
	inverse   float64      // 1/scale where that is whole, so that 2301 × 0.1 is 230.1; else 0
	relations []relation   // to other points of the device
}

// form is how the bits of a point become a number.
type form uint8

const (
	truth    form = iota // 0 or 1: a coil, a bit, or a register that is not 0
	unsigned             // an unsigned integer, also the field of a register
	signed               // two's complement
	highByte
	lowByte
	float // IEEE 754
	bcd   // four bits a decimal digit
	words // characters, two a register
)

// valueType is what a type says of its values.
type valueType struct {
	form form
	bits int
}

// types are the types of the contract, section 2, but for string:N, which textSize reads.
func types(name string) (t valueType, ok bool) {
	switch name {
	case "bool":
		t = valueType{truth, 1}
	case "uint8h":
		t = valueType{highByte, 8}
	case "uint8l":
		t = valueType{lowByte, 8}
	case "int16":
		t = valueType{signed, 16}
	case "uint16", "bits":
		t = valueType{unsigned, 16}
	case "bcd16":
		t = valueType{bcd, 16}
	case "int32":
		t = valueType{signed, 32}
	case "uint32":
		t = valueType{unsigned, 32}
	case "bcd32":
		t = valueType{bcd, 32}
	case "float32":
		t = valueType{float, 32}
	case "int64":
		t = valueType{signed, 64}
	case "uint64":
		t = valueType{unsigned, 64}
	case "float64":
		t = valueType{float, 64}
	}
	return t, t.bits > 0
}

// textSize is N of string:N, in characters; 0 where the type is none.
func textSize(name string) int {
	digits, isText := strings.CutPrefix(name, "string:")
	n, err := strconv.Atoi(digits)
	if !isText || err != nil || n < 1 || n > mostText {
		return 0
	}
	return n
}

const mostText = 64 // characters

// Types are the names of the types that a signal may have, besides string:N.
func Types() []string {
	return []string{"bool", "uint8h", "uint8l", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd16", "bcd32", "bits"}
}

// Orders are the byte orders of a type, the default first; nil where a type has none. A is the most significant byte of
// the value, and the letters stand as the bytes do on the wire. A 64-bit type takes the four-letter forms too: CDAB
// turns its registers round as GHEFCDAB does.
func Orders(typ string) []string {
	t, _ := types(typ)
	switch t.bits {
	case 16:
		return []string{"AB", "BA"}
	case 32:
		return []string{"ABCD", "DCBA", "BADC", "CDAB"}
	case 64:
		return []string{"ABCDEFGH", "HGFEDCBA", "BADCFEHG", "GHEFCDAB", "ABCD", "DCBA", "BADC", "CDAB"}
	}
	return nil
}

// mistake is what is wrong with one key of a signal: a sentence, or a name that is none of those allowed.
type mistake struct {
	key     string
	what    i18n.Text
	got     string
	allowed []string
}

// report tells the mistake at the section of its key.
func (m mistake) report(s conf.Section) {
	if m.allowed != nil {
		s.NotOneOf(m.got, m.allowed)
		return
	}
	s.Problem(m.what.Format, m.what.Args...)
}

// text is the mistake as a sentence, for a place that is not its own.
func (m mistake) text() i18n.Text {
	if m.allowed != nil {
		return i18n.T("%s: %q is none of %s", m.key, m.got, strings.Join(m.allowed, ", "))
	}
	return i18n.T("%s: %s", m.key, m.what)
}

// compile makes a signal ready and finds every mistake in it. A point with mistakes must not be read.
func compile(sig *drivers.Signal) (point, []mistake) {
	p := point{Signal: sig, key: sig.ID, count: 1, value: sig.Of().Form}
	if inv := math.Round(1 / sig.Scale); inv > 1 && 1/inv == sig.Scale {
		p.inverse = inv
	}
	var all []mistake
	wrong := func(key string, what i18n.Text) { all = append(all, mistake{key: key, what: what}) }
	elsewhere := i18n.T("a Modbus signal is found by its register: give at, not json or path")
	if sig.JSON != "" {
		wrong("json", elsewhere)
	}
	if sig.Path != "" {
		wrong("path", elsewhere)
	}
	at, why, ok := ParseAddress(sig.At)
	if !ok && len(all) == 0 {
		wrong("at", why)
	}
	p.at = at
	if m := p.typed(ok); m != nil {
		return p, append(all, *m)
	}
	if !ok {
		return p, all
	}
	if end := int(at.Number) + p.count; end > 65536 {
		wrong("at", i18n.T("%s takes %d registers from %d and ends beyond 65535", p.typ, p.count, int(at.Number)))
	}
	if m := p.ordered(); m != nil {
		all = append(all, *m)
	}
	if sig.Writable && (at.Table == Discrete || at.Table == Input) {
		wrong("writable", i18n.T("only a coil or a holding register can be written, not %s", at.Table.String()))
	}
	return p, append(all, p.meaning()...)
}

// typed sets form, bits and count from the type, and where the address is known, from both.
func (p *point) typed(located bool) *mistake {
	name := p.Type
	switch {
	case name != "":
	case p.at.Table.Bits() || p.at.Field && p.at.Low == p.at.High:
		name = "bool"
	default:
		name = "uint16"
	}
	if strings.HasPrefix(name, "string") || p.value == drivers.Text {
		return p.worded(name)
	}
	t, ok := types(name)
	if !ok {
		return &mistake{key: "type", got: name, allowed: Types()}
	}
	single := p.at.Field && p.at.Low == p.at.High
	switch {
	case !located:
	case p.at.Table.Bits() && name != "bool":
		return &mistake{key: "type", what: i18n.T("a %s is a bool, not %s", p.at.Table.String(), name)}
	case p.at.Field && name != "uint16" && name != "bits" && !(single && name == "bool"):
		return &mistake{key: "type", what: i18n.T("bits of a register are uint16 or bits, one bit also bool, not %s", name)}
	}
	p.typ = name
	p.form, p.bits, p.count = t.form, t.bits, max(1, t.bits/16)
	if p.at.Field {
		p.bits = int(p.at.High-p.at.Low) + 1
	}
	return nil
}

// worded makes the point one of characters: what it says is shown as it is (kind text), or is one of the words of its enum.
func (p *point) worded(name string) *mistake {
	n := textSize(name)
	switch {
	case n == 0:
		return &mistake{key: "type", what: i18n.T("a text is string:N, N from 1 to %d characters, two a register", mostText)}
	case p.value == drivers.Number, p.value != drivers.Text && len(p.Enum) == 0:
		return &mistake{key: "type", what: i18n.T("words are of kind text; of a state or code, give the enum of all of them")}
	case p.value == drivers.Text && len(p.Enum) > 0:
		return &mistake{key: "enum", what: i18n.T("a text is shown as it is: it has no enum")}
	case p.at.Table.Bits() || p.at.Field:
		return &mistake{key: "type", what: i18n.T("a text stands in whole registers")}
	case p.Scale != 1 || p.Offset != 0 || p.Writable || len(p.NA) > 0 || len(p.Active) > 0 || len(p.Related()) > 0:
		return &mistake{key: "type", what: i18n.T("a text has no scale, offset, na, active, scale_by, decimals_by, valid_if or writable")}
	}
	p.typ, p.form, p.bits, p.count = name, words, 8*n, (n+1)/2
	return nil
}

// ordered sets the byte order.
func (p *point) ordered() *mistake {
	if p.Order == "" {
		return nil
	}
	orders := Orders(p.typ)
	if p.form == words {
		orders = []string{"AB", "BA"}
	}
	if orders == nil || p.at.Field {
		return &mistake{key: "order", what: i18n.T("an order is for values of a whole register or more, not for this one")}
	}
	for _, o := range orders {
		if o == p.Order {
			a, b := strings.IndexByte(o, 'A'), strings.IndexByte(o, 'B')
			p.swapBytes = a > b  // in a register the less significant byte comes first
			p.swapWords = a >= 2 // the least significant register comes first
			return nil
		}
	}
	if p.bits == 16 {
		return &mistake{key: "order", what: i18n.T("a value of one register has the order AB or BA; %s is for two registers or more", p.Order)}
	}
	return &mistake{key: "order", got: p.Order, allowed: orders}
}

// meaning checks the keys that depend on the type.
func (p *point) meaning() (all []mistake) {
	wrong := func(key string, what i18n.Text) { all = append(all, mistake{key: key, what: what}) }
	status := p.typ == "bits"
	if status && (p.Scale != 1 || p.Offset != 0) {
		wrong("scale", i18n.T("a status word has neither scale nor offset"))
	}
	if len(p.Active) > 0 && (p.Scale != 1 || p.Offset != 0) {
		wrong("active", i18n.T("active is compared with the raw value: leave out scale and offset"))
	}
	if len(p.Active) > 0 && p.Writable {
		wrong("writable", i18n.T("which of its active values should be written? give a signal of its own for that"))
	}
	if len(p.Flags) > 0 && !status {
		wrong("flags", i18n.T("flags name the bits of a value of type bits"))
	}
	for bit := range p.Flags {
		if status && (bit < 0 || bit >= p.bits) {
			wrong("flags", i18n.T("bit %d is not in a value of %d bits, 0 to %d", bit, p.bits, p.bits-1))
		}
	}
	for _, na := range p.NA {
		if p.form == float {
			continue
		}
		least, greatest := 0.0, math.Ldexp(1, p.bits)-1 // an int16 of 0x8000 may be written as -32768 too
		if p.form == signed {
			least = -math.Ldexp(1, p.bits-1)
		}
		if na != math.Trunc(na) || na < least || na > greatest {
			wrong("na", i18n.T("%v can never stand in a value of %d bits", na, p.bits))
		}
	}
	return all
}
