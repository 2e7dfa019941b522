package drivers

import (
	"maps"
	"slices"
)

// Class groups kinds; it is also the measurement under which a signal is forwarded.
type Class string

// The classes of signals, as in the contract, section 2.
const (
	Fire        Class = "fire"
	Gas         Class = "gas"
	Electrical  Class = "electrical"
	Water       Class = "water"
	Environment Class = "environment"
	DeviceClass Class = "device"
)

// Form is the type of a kind's values.
type Form uint8

// The forms of values.
const (
	Number Form = iota // float64 in the kind's unit
	State              // 0 or 1
	Code               // a whole number with a meaning of its own
	Text               // words for people, in Reading.Detail; the value is 0. It is neither forwarded nor watched by rules
)

// Kind tells what a signal measures. It fixes class, unit and form, so that the type of a forwarded field never changes.
type Kind struct {
	Class Class
	Unit  string // canonical unit; "" where there is none
	Form  Form
	Name  string // for people, in English; the catalogue has the Chinese
}

// Kinds is the table of all kinds, as in the contract, section 2.
var Kinds = map[string]Kind{
	"smoke":            {Fire, "", State, "smoke"},
	"heat":             {Fire, "", State, "heat"},
	"flame":            {Fire, "", State, "flame"},
	"call_point":       {Fire, "", State, "manual call point"},
	"sounder":          {Fire, "", State, "sounder"},
	"fire_panel_alarm": {Fire, "", State, "fire panel alarm"},
	"obscuration":      {Fire, "%/m", Number, "obscuration"},
	"temperature":      {Fire, "°C", Number, "temperature"},

	"gas_alarm": {Gas, "", State, "gas alarm"},
	"co_alarm":  {Gas, "", State, "CO alarm"},
	"valve":     {Gas, "", State, "valve"},
	"gas_lel":   {Gas, "%LEL", Number, "combustible gas"},
	"co":        {Gas, "ppm", Number, "carbon monoxide"},

	"breaker":           {Electrical, "", State, "breaker"},
	"mains":             {Electrical, "", State, "mains supply"},
	"arc_fault":         {Electrical, "", State, "arc fault"},
	"voltage":           {Electrical, "V", Number, "voltage"},
	"current":           {Electrical, "A", Number, "current"},
	"residual_current":  {Electrical, "mA", Number, "residual current"},
	"cable_temperature": {Electrical, "°C", Number, "cable temperature"},
	"power":             {Electrical, "kW", Number, "power"},
	"power_factor":      {Electrical, "", Number, "power factor"},
	"frequency":         {Electrical, "Hz", Number, "frequency"},
	"energy":            {Electrical, "kWh", Number, "energy"},
	"thd":               {Electrical, "%", Number, "harmonic distortion"},

	"leak":           {Water, "", State, "water leak"},
	"pump":           {Water, "", State, "pump"},
	"flow_switch":    {Water, "", State, "flow switch"},
	"water_pressure": {Water, "MPa", Number, "water pressure"},
	"water_level":    {Water, "m", Number, "water level"},
	"flow":           {Water, "m³/h", Number, "flow"},

	"door":     {Environment, "", State, "door"},
	"presence": {Environment, "", State, "presence"},
	"sos":      {Environment, "", State, "emergency call"},
	"humidity": {Environment, "%", Number, "humidity"},
	"co2":      {Environment, "ppm", Number, "carbon dioxide"},

	"tamper":          {DeviceClass, "", State, "tamper"},
	"test":            {DeviceClass, "", State, "self-test"},
	"battery_low":     {DeviceClass, "", State, "battery low"},
	"end_of_life":     {DeviceClass, "", State, "end of life"},
	"fault":           {DeviceClass, "", State, "fault"},
	"relay":           {DeviceClass, "", State, "relay"},
	"contact":         {DeviceClass, "", State, "contact"},
	"state":           {DeviceClass, "", State, "state"},
	"battery":         {DeviceClass, "%", Number, "battery"},
	"signal_strength": {DeviceClass, "dBm", Number, "signal strength"},
	"status_word":     {DeviceClass, "", Code, "status word"},
	"number":          {DeviceClass, "", Number, "number"}, // any unit
	"text":            {DeviceClass, "", Text, "text"},     // a serial number, a firmware version

	// Kept by the gateway itself, one an endpoint and one a device.
	LinkSignal:   {DeviceClass, "", State, "connection"},
	OnlineSignal: {DeviceClass, "", State, "answers"},
}

// KindNames are the kinds that a configuration may use, sorted.
func KindNames() []string {
	names := slices.Sorted(maps.Keys(Kinds))
	return slices.DeleteFunc(names, func(n string) bool { return n == LinkSignal || n == OnlineSignal })
}
