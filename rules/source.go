package rules

import (
	"cmp"
	"slices"
	"strings"

	"embergate/drivers/conf"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// source is an expression on its way through parser and type check, with the place where it stands.
type source struct {
	section  conf.Section
	text     string
	tree     *cel.Ast
	mistakes int
}

// parse reads an expression and reports the names in it that the language does not have.
func (x *source) parse(lang *cel.Env, funcs, vars []string) bool {
	if strings.TrimSpace(x.text) == "" {
		x.section.Problem("the expression is empty")
		return false
	}
	tree, issues := lang.Parse(x.text)
	if x.reported(issues) {
		return false
	}
	x.tree = tree
	x.visit(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			x.known(e, e.AsIdent(), vars, slices.Concat(vars, funcs))
		case ast.CallKind:
			if name := e.AsCall().FunctionName(); !lang.HasFunction(name) {
				x.known(e, name, funcs, slices.Concat(funcs, vars))
			}
		case ast.LiteralKind:
			double(e)
		}
	})
	return true
}

// check type-checks what was parsed without mistakes: the result is true or false.
func (x *source) check(lang *cel.Env) bool {
	if x.mistakes > 0 {
		return false
	}
	checked, issues := lang.Check(x.tree)
	if x.reported(issues) {
		return false
	}
	x.tree = checked
	if t := checked.OutputType(); t != cel.BoolType {
		x.section.Problem("a condition is true or false, this is a %s", cel.FormatCELType(t))
		return false
	}
	return true
}

// known reports a name that the language does not have, or an operator that it leaves out.
func (x *source) known(e ast.Expr, name string, allowed, listed []string) {
	if slices.Contains(allowed, name) {
		return
	}
	if symbol, ok := operators.FindReverse(name); ok {
		x.at(e).Problem("%s has no meaning here", cmp.Or(symbol, name))
		return
	}
	slices.Sort(listed)
	x.at(e).NotOneOf(name, listed)
}

// double makes a whole number a double, so that value == 1 and value + 1 check: every number of a condition is one.
func double(e ast.Expr) {
	var f float64
	switch n := e.AsLiteral().(type) {
	case types.Int:
		f = float64(n)
	case types.Uint:
		f = float64(n)
	default:
		return
	}
	e.SetKindCase(ast.NewExprFactory().NewLiteral(e.ID(), types.Double(f)))
}

func (x *source) visit(f func(ast.Expr)) {
	ast.PreOrderVisit(x.tree.NativeRep().Expr(), ast.NewExprVisitor(f))
}

// reported reports what CEL found, in its words, with a caret under the mistake.
func (x *source) reported(issues *cel.Issues) bool {
	if issues == nil || issues.Err() == nil {
		return false
	}
	for _, e := range issues.Errors() {
		_, caret, _ := strings.Cut(e.ToDisplayString(common.NewTextSource(x.text)), e.Message)
		x.mistakes++
		x.section.Within(e.Location.Line(), e.Location.Column()).Problem("the expression cannot be read: %s", e.Message+caret)
	}
	return true
}

// place is a part of an expression where a mistake may be reported.
type place struct {
	x  *source
	at conf.Section
}

// at is the place of a part of the expression; a call's is its name.
func (x *source) at(e ast.Expr) place {
	loc := x.tree.NativeRep().SourceInfo().GetStartLocation(e.ID())
	column := loc.Column()
	if e.Kind() == ast.CallKind && !e.AsCall().IsMemberFunction() {
		if name := e.AsCall().FunctionName(); column >= len(name) && operators.Arity(name) < 0 {
			column -= len(name)
		}
	}
	return place{x, x.section.Within(loc.Line(), column)}
}

// Problem reports a mistake here.
func (p place) Problem(format string, args ...any) {
	p.x.mistakes++
	p.at.Problem(format, args...)
}

// NotOneOf reports that what stands here is none of the allowed names.
func (p place) NotOneOf(got string, allowed []string) {
	p.x.mistakes++
	p.at.NotOneOf(got, allowed)
}
