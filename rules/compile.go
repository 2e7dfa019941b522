package rules

import (
	"fmt"

	"embergate/drivers/conf"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// Bounds of an expression. There are no loops in conditions (no macros), so the nodes of an expression bound what one
// evaluation costs; CEL's own limit at run time would count the same and take 540 ns of every evaluation.
const (
	maxLetters = 1000
	maxNodes   = 200
)

// condition is one compiled expression. Its operands are bound to signals for every instance.
type condition struct {
	text     string
	program  cel.Program
	operands []operand
	last     []reader // of the instance that was bound last; the next of the same device often reads the same
}

// compiler holds the three languages: conditions of signals, conditions of zones, and selectors.
type compiler struct {
	site                    *site
	signals, zones, selects *cel.Env
}

func newCompiler(s *site) (*compiler, error) {
	c := &compiler{site: s}
	var err error
	for _, l := range []struct {
		env  **cel.Env
		opts []cel.EnvOption
	}{
		{&c.signals, conditionWords(false)},
		{&c.zones, conditionWords(true)},
		{&c.selects, selectorWords()},
	} {
		if *l.env, err = cel.NewCustomEnv(l.opts...); err != nil {
			return nil, fmt.Errorf("rules: make the language: %w", err)
		}
	}
	return c, nil
}

// operatorsWith is the part of CEL's standard library that the languages share, and what one adds. Macros are off.
func operatorsWith(more ...*env.Function) []cel.EnvOption {
	subset := env.NewLibrarySubset().SetDisableMacros(true).AddIncludedFunctions(more...)
	for _, name := range []string{
		operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional,
		operators.Equals, operators.NotEquals, operators.In,
	} {
		subset.AddIncludedFunctions(env.NewFunction(name))
	}
	return []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.ParserExpressionSizeLimit(maxLetters),
		cel.ExpressionNodeLimit(maxNodes),
	}
}

// numeric are the operators of numbers, with the overload that is left of each: every number is a double, whole ones in
// an expression are made one (source.parse), so value > 57 needs no comparison across types.
var numeric = map[string]string{
	operators.Add: overloads.AddDouble, operators.Subtract: overloads.SubtractDouble, operators.Multiply: overloads.MultiplyDouble,
	operators.Divide: overloads.DivideDouble, operators.Negate: overloads.NegateDouble,
	operators.Less: overloads.LessDouble, operators.LessEquals: overloads.LessEqualsDouble,
	operators.Greater: overloads.GreaterDouble, operators.GreaterEquals: overloads.GreaterEqualsDouble,
}

func conditionWords(zone bool) []cel.EnvOption {
	var more []*env.Function
	for name, overload := range numeric {
		more = append(more, env.NewFunction(name, &env.Overload{ID: overload}))
	}
	opts := operatorsWith(more...)
	funcs, vars := words(zone)
	for _, f := range funcs {
		var list []cel.FunctionOpt
		for i, args := range f.overloads(zone) {
			// The planner wants an implementation; the operand's node takes its place.
			unbound := cel.FunctionBinding(func(...ref.Val) ref.Val { return unknown })
			list = append(list, cel.Overload(fmt.Sprintf("%s_%d", f.name, i), args, f.result, unbound))
		}
		opts = append(opts, cel.Function(f.name, list...))
	}
	for _, v := range vars {
		opts = append(opts, cel.Variable(v.name, v.result))
	}
	return opts
}

func selectorWords() []cel.EnvOption {
	opts := operatorsWith(
		env.NewFunction(overloads.StartsWith), env.NewFunction(overloads.EndsWith), env.NewFunction(overloads.Contains))
	for _, name := range selectorNames {
		opts = append(opts, cel.Variable(name, cel.StringType))
	}
	return opts
}

// condition compiles the expression of a when or until and reports its mistakes at their place; nil where there are any.
func (c *compiler) condition(s conf.Section, zone bool) *condition {
	lang := c.signals
	if zone {
		lang = c.zones
	}
	funcs, vars := words(zone)
	x := &source{section: s, text: s.Value()}
	if !x.parse(lang, allNames(funcs), allNames(vars)) {
		return nil
	}
	cond := &condition{text: x.text}
	nodes := map[int64]int{}
	x.visit(func(e ast.Expr) {
		var f *function
		switch e.Kind() {
		case ast.CallKind:
			f = byName(funcs, e.AsCall().FunctionName())
		case ast.IdentKind:
			f = byName(vars, e.AsIdent())
		}
		if f != nil {
			nodes[e.ID()] = len(cond.operands)
			cond.operands = append(cond.operands, c.operand(*f, e, x.at))
		}
	})
	if !x.check(lang) {
		return nil
	}
	plan := cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		return replace(i, nodes, cond.operands), nil
	})
	program, err := lang.Program(x.tree, plan)
	if err != nil {
		s.Problem("the expression cannot be read: %s", err.Error())
		return nil
	}
	cond.program = program
	return cond
}

func byName(list []function, name string) *function {
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	return nil
}

func allNames(list []function) []string {
	out := make([]string, len(list))
	for i, f := range list {
		out[i] = f.name
	}
	return out
}
