package sim

import "fmt"

// form is how a value stands in registers or bits.
type form uint8

const (
	u16    form = iota // one register, unsigned
	i16                // one register, two's complement
	f32                // two registers, IEEE 754, high word first (ABCD)
	f32low             // two registers, low word first (CDAB)
	bit                // a coil or discrete input
)

// bank is one of the four tables of a Modbus device.
type bank uint8

const (
	coils bank = iota
	discreteInputs
	holdingRegisters
	inputRegisters
)

// cell is where a signal stands in its unit: raw = value / scale.
type cell struct {
	signal      string // "" for a register that only stands there
	bank        bank
	address     uint16
	form        form
	scale       float64
	rest, swing float64 // value at rest, and how far it drifts
}

// span is a range of addresses that a unit has; outside it refuses.
type span struct {
	bank        bank
	first, last uint16
}

// unit is one instrument on a bus.
type unit struct {
	device string
	id     uint8
	spans  []span
	cells  []cell
}

// instruments are the units of the home's bus. Register maps as in the manuals that the profiles of the same devices name.
var instruments = []unit{
	{"main-meter", 1, []span{{holdingRegisters, 0x1000, 0x1030}, {holdingRegisters, 0x2000, 0x2060}}, dtsu666},
	{"residual", 2, []span{{holdingRegisters, 0, 0x61}}, aimR100()},
	{"pump-climate", 3, []span{{holdingRegisters, 0, 1}}, []cell{
		{"humidity", holdingRegisters, 0, u16, 0.1, 61, 0.5},
		{"temperature", holdingRegisters, 1, i16, 0.1, 12.5, 0.2},
	}},
	{"hydrant", 4, []span{{holdingRegisters, 0, 6}}, []cell{
		{"unit_code", holdingRegisters, 2, u16, 1, 0, 0}, // MPa
		{"decimals", holdingRegisters, 3, u16, 1, 3, 0},
		{"pressure", holdingRegisters, 4, i16, 0.001, 0.285, 0.003},
	}},
	{"tank", 5, []span{{holdingRegisters, 0, 6}}, []cell{
		{"unit_code", holdingRegisters, 2, u16, 1, 7, 0}, // mH2O
		{"decimals", holdingRegisters, 3, u16, 1, 2, 0},
		{"level", holdingRegisters, 4, i16, 0.01, 2.86, 0.01},
	}},
	{"relays", 6, []span{{coils, 0, 7}}, relays()},
	{"kitchen-gas", 7, []span{{holdingRegisters, 0, 2}, {inputRegisters, 4, 5}, {coils, 0, 0}}, []cell{
		{"lel", holdingRegisters, 0, u16, 0.1, 0.4, 0.2},
		{"status", holdingRegisters, 1, u16, 1, 0, 0},
		{"co", holdingRegisters, 2, u16, 0.1, 3, 0.4},
		{"temperature", inputRegisters, 4, f32low, 1, 24, 0.3},
		{"valve", coils, 0, bit, 1, 0, 0}, // 1 is closed
	}},
}

// dtsu666 are the floats of a CHINT DTSU666, which are still scaled.
var dtsu666 = []cell{
	{"voltage_l1", holdingRegisters, 0x2006, f32, 0.1, 224.1, 0.6},
	{"voltage_l2", holdingRegisters, 0x2008, f32, 0.1, 223.7, 0.6},
	{"voltage_l3", holdingRegisters, 0x200A, f32, 0.1, 224.8, 0.6},
	{"current_l1", holdingRegisters, 0x200C, f32, 0.001, 18.2, 0.4},
	{"current_l2", holdingRegisters, 0x200E, f32, 0.001, 17.9, 0.4},
	{"current_l3", holdingRegisters, 0x2010, f32, 0.001, 18.4, 0.4},
	{"power", holdingRegisters, 0x2012, f32, 0.0001, 0, 0},
	{"power_l1", holdingRegisters, 0x2014, f32, 0.0001, 0, 0},
	{"power_l2", holdingRegisters, 0x2016, f32, 0.0001, 0, 0},
	{"power_l3", holdingRegisters, 0x2018, f32, 0.0001, 0, 0},
	{"power_factor", holdingRegisters, 0x202A, f32, 0.001, 0.96, 0.005},
	{"frequency", holdingRegisters, 0x2044, f32, 0.01, 50, 0.02},
	{"energy", holdingRegisters, 0x101E, f32, 1, 48215.5, 0},
	{"energy_export", holdingRegisters, 0x1028, f32, 1, 0, 0},
}

// aimR100 is an Acrel AIM-R100 with twelve residual current loops.
func aimR100() []cell {
	cells := []cell{{"", holdingRegisters, 0x0B, u16, 1, 0x1000, 0}} // type 1, residual current monitor; all loops normal
	for i := range 12 {
		cells = append(cells, cell{fmt.Sprintf("residual_%d", i+1), holdingRegisters, 0x4A + uint16(i), u16, 1, float64(9 + 3*i), 1.5})
	}
	return cells
}

func relays() []cell {
	var cells []cell
	for i := range 8 {
		cells = append(cells, cell{fmt.Sprintf("relay_%d", i+1), coils, uint16(i), bit, 1, 0, 0})
	}
	return cells
}

// metersOnABus is how many of the further meters share a port.
const metersOnABus = 10

// meters are n further meters, in blocks of what shares a bus.
func meters(n int) [][]unit {
	var blocks [][]unit
	for i := range n {
		if i%metersOnABus == 0 {
			blocks = append(blocks, nil)
		}
		last := len(blocks) - 1
		blocks[last] = append(blocks[last], unit{
			meterID(i), uint8(i%metersOnABus + 1), []span{{holdingRegisters, 0, 9}}, meter,
		})
	}
	return blocks
}

func meterID(i int) string { return fmt.Sprintf("meter-%03d", i+1) }

// meter has ten registers of one word.
var meter = []cell{
	{"voltage_l1", holdingRegisters, 0, u16, 0.1, 224.1, 0.6},
	{"voltage_l2", holdingRegisters, 1, u16, 0.1, 223.7, 0.6},
	{"voltage_l3", holdingRegisters, 2, u16, 0.1, 224.8, 0.6},
	{"current_l1", holdingRegisters, 3, u16, 0.01, 6.2, 0.2},
	{"current_l2", holdingRegisters, 4, u16, 0.01, 6.1, 0.2},
	{"current_l3", holdingRegisters, 5, u16, 0.01, 6.3, 0.2},
	{"power", holdingRegisters, 6, i16, 0.001, 4.1, 0.05},
	{"residual", holdingRegisters, 7, u16, 1, 14, 2},
	{"cable_temperature", holdingRegisters, 8, i16, 0.1, 31, 0.3},
	{"frequency", holdingRegisters, 9, u16, 0.01, 50, 0.02},
}

// detector is one radio detector: what it says under which topic.
type detector struct {
	device string
	topic  string // friendly names may be Chinese and may hold a slash
	fields []field
}

// field is one key of a detector's payload; a flag is true or false there.
type field struct {
	name        string
	flag        bool
	rest, swing float64
}

// reportEvery is the number of seconds between two reports of a detector.
const reportEvery = 20

var detectors = []detector{
	{"smoke-hall", "zigbee2mqtt/smoke-hall", smoke(98)},
	{"smoke-power", "zigbee2mqtt/配电间烟感", smoke(91)},
	{"smoke-201", "zigbee2mqtt/201室烟感", smoke(87)},
	{"smoke-202", "zigbee2mqtt/202室烟感", smoke(84)},
	{"smoke-corridor-east", "zigbee2mqtt/二层走廊/东烟感", smoke(93)},
	{"smoke-corridor-west", "zigbee2mqtt/二层走廊/西烟感", smoke(95)},
	{"leak-pump", "zigbee2mqtt/leak-pump", alarming("water_leak", 76)},
	{"sos-201", "zigbee2mqtt/sos-201", alarming("sos", 81)},
}

func smoke(battery float64) []field {
	return append(alarming("smoke", battery), field{name: "test", flag: true}, field{name: "trouble", flag: true})
}

func alarming(name string, battery float64) []field {
	return []field{
		{name: name, flag: true},
		{name: "tamper", flag: true},
		{name: "battery_low", flag: true},
		{name: "battery", rest: battery, swing: 0.0001},
		{name: "linkquality", rest: 140, swing: 8},
	}
}

func detectorOf(device string) (detector, bool) {
	for _, d := range detectors {
		if d.device == device {
			return d, true
		}
	}
	return detector{}, false
}
