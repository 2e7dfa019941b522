// Package rules is the language in which a home says what is wrong: conditions over signals in CEL, compiled and
// type-checked at load, evaluated in three values. It has no I/O and no clock: it is told the time.
package rules

import (
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// Value is the outcome of a condition. The zero value is Unknown: a condition that could not be decided neither raises
// nor clears.
type Value uint8

// The outcomes of a condition.
const (
	Unknown Value = iota
	False
	True
)

// String is unknown, false or true.
func (v Value) String() string { return [...]string{"unknown", "false", "true"}[min(v, True)] }

// Level is how much an alarm matters to the people on duty.
type Level string

// The levels of the contract, most urgent first.
const (
	LevelAlarm    Level = "alarm"
	LevelPrealarm Level = "prealarm"
	LevelFault    Level = "fault"
	LevelNotice   Level = "notice"
)

// Levels are all levels, most urgent first.
var Levels = []Level{LevelAlarm, LevelPrealarm, LevelFault, LevelNotice}

// Class is the class of an alarm; it orders alarms before anything else.
type Class string

// Classes are all classes of alarms in their order, fire before everything (GB 26875.1-2011, 4.1.2.3).
var Classes = []Class{"fire", "gas", "electrical", "water", "supervisory", "fault", "notice"}

// ClassWords name the classes for people.
var ClassWords = map[Class]i18n.Text{
	"fire":        i18n.T("Fire"),
	"gas":         i18n.T("Gas"),
	"electrical":  i18n.T("Electrical"),
	"water":       i18n.T("Water"),
	"supervisory": i18n.T("Supervisory"),
	"fault":       i18n.T("Fault"),
	"notice":      i18n.T("Notice"),
}

// Output is what a rule writes when its alarm is raised. It goes back, to what it was before, after MaxOn, and as Stop
// says; what nothing lets go back, a person puts back.
type Output struct {
	Write      string        `yaml:"write" json:"write"` // device.signal, which must be writable
	Value      float64       `yaml:"value" json:"value"`
	MaxOn      time.Duration `yaml:"max_on" json:"max_on"`             // the output goes back by itself after so long; 0 is never
	Stop       Stop          `yaml:"stop" json:"stop"`                 // what else lets it go back
	RestOnStop bool          `yaml:"rest_on_stop" json:"rest_on_stop"` // at rest while the gateway is stopped in order; on again afterwards, if its alarm still wants it
}

// Stop is what lets an output go back before its longest time. Where several open alarms want an output, it goes back
// when none of them does any more.
type Stop string

// What lets an output go back. A sounder stops on silence (EN 54-2 (m)) and sounds again at the next trigger; of anything
// else the default is never: a gas valve does not open because somebody wanted quiet.
const (
	StopOnSilence Stop = "silence" // when its alarm is silenced, shelved or closed
	StopOnReset   Stop = "reset"   // when its alarm is closed: reset, or over by itself where it does not latch
	StopNever     Stop = "never"
)

// Stops are all of them.
var Stops = []Stop{StopOnSilence, StopOnReset, StopNever}

// Grade is a more urgent level of a rule: while its own condition is True too, the alarm is as urgent as this.
type Grade struct {
	Level Level  `yaml:"level" json:"level"`
	When  string `yaml:"when" json:"when"`
	Until string `yaml:"until" json:"until,omitempty"` // where given, only True brings the alarm down again
}

// Rule is one rule as written, in a pack or in the configuration. Exactly one of Signal, Each and Zone is its scope.
type Rule struct {
	ID      string        `yaml:"id"`
	Name    drivers.Name  `yaml:"name"`
	Class   Class         `yaml:"class"`
	Level   Level         `yaml:"level"`
	Signal  string        `yaml:"signal"` // one signal
	Each    string        `yaml:"each"`   // CEL over kind, device, zone, class: one alarm a signal
	Zone    string        `yaml:"zone"`   // each, or a zone's id: one alarm a zone
	When    string        `yaml:"when"`   // CEL; True raises, False clears, Unknown does neither
	Until   string        `yaml:"until"`  // CEL; where given, only True clears
	For     time.Duration `yaml:"for"`    // on-delay
	Hold    time.Duration `yaml:"hold"`   // off-delay
	Latch   bool          `yaml:"latch"`  // stays until a person resets it
	Levels  []Grade       `yaml:"levels"` // more urgent ones, the least of them first
	Outputs []Output      `yaml:"outputs"`
	Message drivers.Name  `yaml:"message"` // with {zone} {device} {signal} {value} {unit} {name}
	From    string        `yaml:"-"`       // the pack or file it is from; inline
}
