package modbus

import (
	"fmt"
	"strconv"
	"strings"

	"embergate/drivers/i18n"
)

// Table is one of the four tables of a Modbus server. Source: MODBUS Application Protocol V1.1b3, 4.3.
type Table uint8

// The four tables. Coils and holding registers can be written.
const (
	Coil     Table = iota // single bits, read with 01, written with 05 or 0F
	Discrete              // single bits, read with 02
	Input                 // 16-bit registers, read with 04
	Holding               // 16-bit registers, read with 03, written with 06 or 10
)

// tableNames are the names of the four tables, as in the key `at`.
var tableNames = [...]string{"coil", "discrete", "input", "holding"}

// String is the name of the table in the key `at`: coil, discrete, input or holding.
func (t Table) String() string { return tableNames[min(t, Holding)] }

// Bits tells whether the table holds single bits instead of registers.
func (t Table) Bits() bool { return t <= Discrete }

// Address is a place in a table, as the key `at` names it: coil|discrete|input|holding:ADDRESS[.BIT | .LOW-HIGH].
// ADDRESS is zero-based as on the wire, decimal or with 0x; BIT 0 is the least significant of a register.
type Address struct {
	Table  Table
	Number uint16
	Field  bool  // only the bits Low to High of the register
	Low    uint8 // 0 to 15
	High   uint8 // Low to 15
}

// String is the address as in the key `at`.
func (a Address) String() string {
	switch {
	case !a.Field:
		return fmt.Sprintf("%s:%d", a.Table, a.Number)
	case a.Low == a.High:
		return fmt.Sprintf("%s:%d.%d", a.Table, a.Number, a.Low)
	default:
		return fmt.Sprintf("%s:%d.%d-%d", a.Table, a.Number, a.Low, a.High)
	}
}

// ParseAddress reads the key `at`. Where it cannot, ok is false and the text says why.
func ParseAddress(at string) (a Address, why i18n.Text, ok bool) {
	name, rest, found := strings.Cut(at, ":")
	table := -1
	for i, known := range tableNames {
		if name == known {
			table = i
		}
	}
	if on, ok := printed(at); ok {
		return a, i18n.T("%s is an address as manuals print it; give the one on the wire, which is %s", at, on.String()), false
	}
	if table < 0 || !found {
		return a, i18n.T("an address is coil, discrete, input or holding, a colon and a number: holding:11 or holding:11.3 or holding:11.12-15, not %q", at), false
	}
	a.Table = Table(table)
	number, bits, field := strings.Cut(rest, ".")
	n, err := parseNumber(number)
	if err != nil || n > 65535 {
		return a, i18n.T("the address %q is not a number from 0 to 65535, zero-based as on the wire", number), false
	}
	a.Number, a.Field = uint16(n), field
	if !field {
		return a, why, true
	}
	if a.Table.Bits() {
		return a, i18n.T("a %s is a single bit and has no bits of its own", a.Table.String()), false
	}
	low, high, isRange := strings.Cut(bits, "-")
	if !isRange {
		high = low
	}
	l, errLow := parseNumber(low)
	h, errHigh := parseNumber(high)
	if errLow != nil || errHigh != nil || l > 15 || h > 15 || l > h {
		return a, i18n.T("the bits %q of a register are one number or LOW-HIGH, from 0 (least significant) to 15", bits), false
	}
	a.Low, a.High = uint8(l), uint8(h)
	return a, why, true
}

// printed reads an address in the way of manuals: a digit for the table, then four or five for the number from 1. 40001 is
// holding:0.
func printed(at string) (a Address, ok bool) {
	if len(at) != 5 && len(at) != 6 {
		return a, false
	}
	tables := map[byte]Table{'0': Coil, '1': Discrete, '3': Input, '4': Holding}
	table, known := tables[at[0]]
	n, err := strconv.ParseUint(at[1:], 10, 17)
	if !known || err != nil || n < 1 || n > 65536 {
		return a, false
	}
	return Address{Table: table, Number: uint16(n - 1)}, true
}

// parseNumber reads decimal digits, or hexadecimal ones after 0x; no sign, no octal.
func parseNumber(s string) (uint64, error) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		return strconv.ParseUint(hex, 16, 32)
	}
	return strconv.ParseUint(s, 10, 32)
}
