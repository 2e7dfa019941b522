package gbt26875

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// kind is the first byte of an application data unit: what its objects are. Source: GB/T 26875.3-2011, table 3.
type kind uint8

const (
	systemState   kind = 1 // of a building's fire facilities
	partState     kind = 2
	partValue     kind = 3
	systemAct     kind = 4
	partConfig    kind = 7
	deviceState   kind = 21 // of the user information transmission device: of this gateway
	deviceAct     kind = 24
	deviceVersion kind = 25
	deviceTime    kind = 28

	readSystemState   kind = 61
	readPartState     kind = 62
	readPartValue     kind = 63
	readPartConfig    kind = 67
	readDeviceState   kind = 81
	readDeviceVersion kind = 85
	readDeviceTime    kind = 88
	setClock          kind = 90
	callDuty          kind = 91
)

// most is how many objects of a kind one unit holds. Source: GB/T 26875.3-2011, 8.3.1.
var most = map[kind]int{systemState: 102, partState: 22, partValue: 63, systemAct: 102, partConfig: 26, deviceState: 1, deviceAct: 127}

// unit is an application data unit of objects of one kind. Source: GB/T 26875.3-2011, clause 7.
func unit(k kind, objects ...[]byte) []byte {
	b := []byte{byte(k), byte(len(objects))}
	for _, o := range objects {
		b = append(b, o...)
	}
	return b
}

// state are the bits of a system or a part. Source: GB/T 26875.3-2011, 8.2.1.1 and 8.2.1.2.
type state uint16

const (
	normal     state = 1 << 0 // in use; 0: under test
	fire       state = 1 << 1
	fault      state = 1 << 2
	shielded   state = 1 << 3
	supervised state = 1 << 4
	powerFault state = 1 << 8
	busFault   state = 1 << 10 // of a system only
)

// The bits of the gateway itself. Source: GB/T 26875.3-2011, 8.2.1.8.
const (
	ownNormal byte = 1 << 0
	ownFire   byte = 1 << 1
	ownFault  byte = 1 << 2
	ownMains  byte = 1 << 3
	ownWires  byte = 1 << 6 // to what is watched
)

// act are the bits of what a person did. Source: GB/T 26875.3-2011, 8.2.1.4 and 8.2.1.9, which differ in bit 5.
type act uint8

const (
	reset    act = 1 << 0
	silence  act = 1 << 1
	confirms act = 1 << 5 // of a system
	present  act = 1 << 5 // of the device: somebody answered a duty check
	tests    act = 1 << 6
)

// system is a fire facility of a building: its type (8.2.1.1) and its address, which is given on site.
type system struct{ kind, address uint8 }

// part is where something is: its system, its type (8.2.1.2) and its address, a zone and a number in it.
type part struct {
	system
	kind         uint8
	zone, number uint16
}

// append appends the seven bytes by which a part is known: system type, system address, part type, zone and number.
func (p part) append(b []byte) []byte {
	b = append(b, p.system.kind, p.system.address, p.kind)
	b = binary.LittleEndian.AppendUint16(b, p.zone)
	return binary.LittleEndian.AppendUint16(b, p.number)
}

// askedBytes is the length of a part in a request: system type, system address, zone and number, and no type (8.3.2.2).
const askedBytes = 6

func (p part) asked() (b [askedBytes]byte) {
	b[0], b[1] = p.system.kind, p.address
	binary.LittleEndian.PutUint16(b[2:], p.zone)
	binary.LittleEndian.PutUint16(b[4:], p.number)
	return b
}

// The objects, as GB/T 26875.3-2011, 8.3.1, has them.

func (s system) object(st state, at time.Time) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{s.kind, s.address}, uint16(st))
	return stamp(b, at)
}

func (s system) acted(a act, operator uint8, at time.Time) []byte {
	return stamp([]byte{s.kind, s.address, byte(a), operator}, at)
}

func (p part) object(st state, text string, at time.Time) []byte {
	b := binary.LittleEndian.AppendUint16(p.append(nil), uint16(st))
	return stamp(append(b, describe(text)...), at)
}

func (p part) value(v value, at time.Time) []byte {
	b := append(p.append(nil), v.kind)
	return stamp(binary.LittleEndian.AppendUint16(b, uint16(v.steps)), at)
}

func (p part) config(text string) []byte { return append(p.append(nil), describe(text)...) }

func stamp(b []byte, at time.Time) []byte {
	l := label(at)
	return append(b, l[:]...)
}

// describeBytes is the length of a part's description.
const describeBytes = 31

// describe is a text of 31 bytes of GB 18030, cut between two characters and filled with zeros. Source: GB/T
// 26875.3-2011, 8.2.1.2.
func describe(text string) []byte {
	b := make([]byte, 0, describeBytes)
	encoder := simplifiedchinese.GB18030.NewEncoder()
	for _, r := range text {
		if r < ' ' {
			r = ' '
		}
		c, err := encoder.String(string(r))
		if err != nil {
			c = "?"
		}
		if len(b)+len(c) > describeBytes {
			break
		}
		b = append(b, c...)
	}
	return append(b, make([]byte, describeBytes-len(b))...)
}

// value is an analog value: its type and how many of the least steps of that type it is. Source: GB/T 26875.3-2011, 8.2.1.3.
type value struct {
	kind  uint8
	steps int16
}

// scale is how a kind of ours becomes an analog value.
type scale struct {
	kind        uint8
	factor      float64 // steps in one unit of ours
	least, most int16   // valid ones
}

// scales are the kinds that the table has a type and a fitting step for. Water pressure goes as kPa: a step of 0.1 MPa would
// tell nothing. Residual current has none, as the step of a current is 100 mA.
var scales = map[string]scale{
	"water_level":       {2, 100, 0, 32000},    // 0.01 m
	"temperature":       {3, 10, -2730, 32000}, // 0.1 °C
	"cable_temperature": {3, 10, -2730, 32000},
	"water_pressure":    {5, 10000, 0, 32000},     // MPa to 0.1 kPa
	"gas_lel":           {6, 10, 0, 1000},         // 0.1 %LEL
	"voltage":           {8, 10, 0, 32000},        // 0.1 V
	"current":           {9, 10, 0, 32000},        // 0.1 A
	"flow":              {10, 10 / 3.6, 0, 32000}, // m³/h to 0.1 L/s
}

// steps is a value in the steps of its type; ok is false of one that is out of its range.
func (s scale) steps(v float64) (value, bool) {
	n := math.Round(v * s.factor)
	if !(n >= float64(s.least) && n <= float64(s.most)) { // also of NaN
		return value{}, false
	}
	return value{s.kind, int16(n)}, true
}
