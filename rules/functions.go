package rules

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// op is what an operand of a condition reads.
type op uint8

const (
	opLast op = iota // value and last()
	opUnit
	opAvg
	opMin
	opMax
	opDelta
	opRate
	opStddev
	opChanges
	opFlag
	opAge
	opQuality
	opReason
	opOnline
	opOwn
	opActive
	opDevices
	opAnyAlarm
	opSchedule
	opWorkday
	opDrill
	opImbalance
)

// windowed tells whether an operand needs the readings of a while.
func (o op) windowed() bool { return o >= opAvg && o <= opChanges }

// occasion is what an operand waits for of the signal that it reads.
func (o op) occasion() occasion {
	switch {
	case o.windowed() || o == opAge:
		return onReading
	case o == opQuality || o == opReason:
		return onStatus
	}
	return onValue
}

// wide tells whether an operand is about more than a signal, or a word of its own.
func (o op) wide() bool { return o == opUnit || o >= opOwn }

// counts tells whether an operand counts signals of a zone.
func (o op) counts() bool { return o == opActive || o == opDevices }

// arg is what an argument of a function says. All arguments are text in quotes, so they are checked at load.
type arg uint8

const (
	argWindow    arg = iota // "90s", "5m", "1h"
	argFlag                 // a flag's name
	argKind                 // a kind of states
	argKinds                // a kind of states or a list of them
	argSignal               // device.signal
	argHours                // "22:00-06:00"
	optionalMark            // from here on an argument may be left out
	argMaybeWindow
	argMaybeClass
)

// function is one word of conditions.
type function struct {
	name   string
	op     op
	own    bool // reads the rule's own signal, or the one named by a leading argument
	zone   bool // only in rules of a zone
	signal bool // only in rules of signals
	args   []arg
	result *cel.Type
}

// functions are the functions of conditions, as in the contract, section 3, with three more: own, active_devices and
// reason.
var functions = []function{
	{name: "last", op: opLast, own: true, result: cel.DoubleType},
	{name: "avg", op: opAvg, own: true, args: []arg{argWindow}, result: cel.DoubleType},
	{name: "min", op: opMin, own: true, args: []arg{argWindow}, result: cel.DoubleType},
	{name: "max", op: opMax, own: true, args: []arg{argWindow}, result: cel.DoubleType},
	{name: "delta", op: opDelta, own: true, args: []arg{argWindow}, result: cel.DoubleType},
	{name: "rate", op: opRate, own: true, args: []arg{argWindow}, result: cel.DoubleType},
	{name: "stddev", op: opStddev, own: true, args: []arg{argWindow}, result: cel.DoubleType},
	{name: "changes", op: opChanges, own: true, args: []arg{argWindow}, result: cel.DoubleType},
	{name: "flag", op: opFlag, own: true, args: []arg{argFlag}, result: cel.BoolType},
	{name: "age", op: opAge, own: true, result: cel.DoubleType},
	{name: "quality", op: opQuality, own: true, result: cel.StringType},
	{name: "reason", op: opReason, own: true, result: cel.StringType},
	{name: "online", op: opOnline, own: true, result: cel.BoolType},
	{name: "own", op: opOwn, signal: true, args: []arg{argKind}, result: cel.BoolType},
	{name: "active", op: opActive, zone: true, args: []arg{argKinds, argMaybeWindow}, result: cel.DoubleType},
	{name: "active_devices", op: opDevices, zone: true, args: []arg{argKinds, argMaybeWindow}, result: cel.DoubleType},
	{name: "any_alarm", op: opAnyAlarm, args: []arg{argMaybeClass}, result: cel.BoolType},
	{name: "schedule", op: opSchedule, args: []arg{argHours}, result: cel.BoolType},
	{name: "workday", op: opWorkday, result: cel.BoolType},
	{name: "drill", op: opDrill, result: cel.BoolType},
	{name: "imbalance", op: opImbalance, args: []arg{argSignal, argSignal, argSignal}, result: cel.DoubleType},
}

// variables are the words of a rule of signals that stand without brackets.
var variables = []function{
	{name: "value", op: opLast, own: true, signal: true, result: cel.DoubleType},
	{name: "unit", op: opUnit, own: true, signal: true, result: cel.StringType},
}

// words are the functions and variables of one scope.
func words(zone bool) (funcs, vars []function) {
	fits := func(f function) bool { return zone && !f.signal || !zone && !f.zone }
	for _, f := range functions {
		if fits(f) {
			funcs = append(funcs, f)
		}
	}
	for _, v := range variables {
		if fits(v) {
			vars = append(vars, v)
		}
	}
	return funcs, vars
}

// overloads are the argument lists that CEL's type check accepts for the function.
func (f function) overloads(zone bool) [][]*cel.Type {
	lists := [][]*cel.Type{nil}
	for _, a := range f.args {
		var more [][]*cel.Type
		for _, l := range lists {
			more = append(more, append(slices.Clone(l), cel.StringType))
			if a == argKinds {
				more = append(more, append(slices.Clone(l), cel.ListType(cel.StringType)))
			}
			if a > optionalMark {
				more = append(more, l)
			}
		}
		lists = more
	}
	if !f.own {
		return lists
	}
	for _, l := range slices.Clone(lists) {
		lists = append(lists, append([]*cel.Type{cel.StringType}, l...))
	}
	if zone {
		lists = slices.DeleteFunc(lists, func(l []*cel.Type) bool { return len(l) <= len(f.args) })
	}
	return lists
}

// operand is one word of a condition with its arguments: what has to be read to decide it.
type operand struct {
	op      op
	text    string        // as written: avg("5m")
	signal  string        // "" is the rule's own
	signals []string      // imbalance
	window  time.Duration // 0 is none
	flag    string
	kinds   []string
	class   Class
	hours   hours
	at      place // of the flag's name, for the mistakes that only an instance shows
}

// operand reads the arguments of a call and reports what they may not say.
func (c *compiler) operand(f function, call ast.Expr, at func(ast.Expr) place) operand {
	o := operand{op: f.op}
	var args []ast.Expr
	if call.Kind() == ast.CallKind {
		args = call.AsCall().Args()
	}
	o.text = textOf(f.name, args, call.Kind() == ast.CallKind)
	if f.own && len(args) > len(f.args) {
		o.signal = c.signal(args[0], at, f.op == opOnline)
		args = args[1:]
	}
	for i, e := range args[:min(len(args), len(f.args))] { // CEL's type check counts them
		switch f.args[i] {
		case argWindow, argMaybeWindow:
			o.window = lookback(e, at)
		case argFlag:
			o.flag, o.at = text(e, at), at(e)
		case argSignal:
			o.signals = append(o.signals, c.signal(e, at, false))
		case argKind, argKinds:
			o.kinds = stateKinds(e, at)
		case argHours:
			o.hours = readHours(text(e, at), at(e))
		case argMaybeClass:
			o.class = Class(text(e, at))
			if !slices.Contains(Classes, o.class) {
				at(e).NotOneOf(string(o.class), names(Classes))
			}
		}
	}
	if o.flag != "" && o.signal != "" {
		c.checkFlag(o, c.site.signals[c.site.index[o.signal]])
	}
	return o
}

// textOf is a call as a person would write it.
func textOf(name string, args []ast.Expr, brackets bool) string {
	if !brackets {
		return name
	}
	var parts []string
	for _, a := range args {
		switch a.Kind() {
		case ast.ListKind:
			var items []string
			for _, e := range a.AsList().Elements() {
				items = append(items, strconv.Quote(literal(e)))
			}
			parts = append(parts, "["+strings.Join(items, ", ")+"]")
		default:
			parts = append(parts, strconv.Quote(literal(a)))
		}
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}

// literal is the text of a quoted word, "" for anything else.
func literal(e ast.Expr) string {
	if e.Kind() == ast.LiteralKind {
		if s, ok := e.AsLiteral().(types.String); ok {
			return string(s)
		}
	}
	return ""
}

// text is literal for an argument that must be a quoted word.
func text(e ast.Expr, at func(ast.Expr) place) string {
	s := literal(e)
	if s == "" {
		at(e).Problem("must be a word in quotes")
	}
	return s
}

// lookback reads how far an operand looks back: 1 s to 7 days.
func lookback(e ast.Expr, at func(ast.Expr) place) time.Duration {
	s := text(e, at)
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		at(e).Problem("%q is not a duration; write it as 500ms, 2s, 5m or 1h", s)
		return 0
	}
	if d < time.Second || d > 7*24*time.Hour {
		at(e).Problem("a condition looks back between 1s and 168h")
		return 0
	}
	return d
}

// stateKinds reads one kind, or a list of kinds, of states.
func stateKinds(e ast.Expr, at func(ast.Expr) place) []string {
	elements := []ast.Expr{e}
	if e.Kind() == ast.ListKind {
		elements = e.AsList().Elements()
	}
	var known, kinds []string
	for _, name := range drivers.KindNames() {
		if drivers.Kinds[name].Form == drivers.State {
			known = append(known, name)
		}
	}
	for _, e := range elements {
		kind := text(e, at)
		if kind != "" && !slices.Contains(known, kind) {
			at(e).NotOneOf(kind, known)
		}
		kinds = append(kinds, kind)
	}
	if len(kinds) == 0 {
		at(e).Problem("must be a word in quotes")
	}
	return kinds
}

// signal reads the key of a signal; of a device or any of its signals for online().
func (c *compiler) signal(e ast.Expr, at func(ast.Expr) place, device bool) string {
	key := text(e, at)
	if device {
		id, _, _ := strings.Cut(key, ".")
		if _, ok := c.site.index[id+"."+drivers.OnlineSignal]; ok {
			return id + "." + drivers.OnlineSignal
		}
	}
	if _, ok := c.site.index[key]; !ok && key != "" {
		c.site.unknown(at(e), key)
		return ""
	}
	return key
}

// checkFlag reports a flag that a signal does not have.
func (c *compiler) checkFlag(o operand, s Signal) {
	if _, ok := bit(s, o.flag); !ok {
		o.at.NotOneOf(o.flag, flags(s))
	}
}

// flags are the names of a signal's flags.
func flags(s Signal) []string { return slices.Sorted(maps.Values(s.Signal.Flags)) }

// bit is the number of the bit that a signal's flag stands for.
func bit(s Signal, flag string) (int, bool) {
	for n, name := range s.Signal.Flags {
		if name == flag {
			return n, true
		}
	}
	return 0, false
}

func names[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}
