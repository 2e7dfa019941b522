package rules

import (
	"slices"

	"embergate/drivers"
	"embergate/drivers/conf"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// selector is an each or a where: CEL over the texts kind, device, zone and class of a source.
type selector struct{ program cel.Program }

// selectorNames are the variables of a selector.
var selectorNames = []string{"kind", "device", "zone", "class"}

// point is a source of a rule as selectors see it; a zone's has its zone only.
type point struct{ kind, device, zone, class string }

// ResolveName gives CEL a variable of a selector.
func (p point) ResolveName(name string) (any, bool) {
	switch name {
	case "kind":
		return types.String(p.kind), true
	case "device":
		return types.String(p.device), true
	case "zone":
		return types.String(p.zone), true
	case "class":
		return types.String(p.class), true
	}
	return nil, false
}

// Parent is none.
func (p point) Parent() cel.Activation { return nil }

func (s Signal) point() point {
	return point{s.Signal.Kind, s.Device.ID, s.Device.Zone, string(s.Signal.Of().Class)}
}

// selector compiles an each or where and reports its mistakes; nil where there are any.
func (c *compiler) selector(s conf.Section) *selector {
	x := &source{section: s, text: s.Value()}
	if !x.parse(c.selects, nil, selectorNames) {
		return nil
	}
	x.visit(func(e ast.Expr) { c.names(x, e) })
	if !x.check(c.selects) {
		return nil
	}
	program, err := c.selects.Program(x.tree)
	if err != nil {
		s.Problem("the expression cannot be read: %s", err.Error())
		return nil
	}
	return &selector{program}
}

// names reports the names that a selector compares its variables with and that there are not: a word written wrong
// would select nothing, and say nothing.
func (c *compiler) names(x *source, e ast.Expr) {
	if e.Kind() != ast.CallKind {
		return
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.Equals, operators.NotEquals, operators.In:
	default:
		return
	}
	args := call.Args()
	if args[0].Kind() == ast.LiteralKind {
		slices.Reverse(args)
	}
	if args[0].Kind() != ast.IdentKind || !slices.Contains(selectorNames, args[0].AsIdent()) {
		return
	}
	words := args[1:]
	if args[1].Kind() == ast.ListKind {
		words = args[1].AsList().Elements()
	}
	allowed := c.site.named(args[0].AsIdent())
	for _, w := range words {
		if name := literal(w); name != "" && !slices.Contains(allowed, name) {
			x.at(w).NotOneOf(name, allowed)
		}
	}
}

// named are the names that a variable of a selector may have.
func (s *site) named(variable string) []string {
	var list []string
	switch variable {
	case "kind":
		return kindNames()
	case "class":
		return names([]drivers.Class{drivers.Fire, drivers.Gas, drivers.Electrical, drivers.Water, drivers.Environment, drivers.DeviceClass})
	case "zone":
		for _, z := range s.zones {
			list = append(list, z.ID)
		}
	case "device":
		for _, sig := range s.signals {
			list = append(list, sig.Device.ID)
		}
		slices.Sort(list)
		list = slices.Compact(list)
	}
	return list
}

func (s *selector) selects(p point) bool {
	out, _, err := s.program.Eval(p)
	return err == nil && out == types.True
}

// kindNames are the kinds that a model may hold: those of a configuration, and the two that the gateway keeps.
func kindNames() []string {
	return append(drivers.KindNames(), drivers.LinkSignal, drivers.OnlineSignal)
}
