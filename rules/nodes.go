package rules

import (
	"errors"
	"math"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// unknown is what an operand without a good reading gives. CEL's && and || absorb it where it cannot matter, and hand it
// on where it does. Its id is set, so CEL, which numbers errors as they pass, leaves the shared value alone.
var unknown = types.NewErrWithNodeID(1, "no good reading")

var (
	errUnknown   = unknown.(*types.Err)
	errNotFinite = errors.New("the result is not a number: divided by zero, or too large")
)

// replace puts our nodes into CEL's plan: an operand reads the state directly, arithmetic refuses what is not finite, and
// a comparison with a count knows that a count may lie between two bounds.
func replace(i interpreter.InterpretableV2, nodes map[int64]int, operands []operand) interpreter.InterpretableV2 {
	if n, ok := nodes[i.ID()]; ok {
		return &operandNode{id: i.ID(), n: n, counts: operands[n].op.counts()}
	}
	call, ok := i.(interpreter.InterpretableCall)
	if !ok {
		return i
	}
	op, args := call.Function(), call.Args()
	if mirrored, ok := mirror[op]; ok {
		if c, ok := args[0].(*operandNode); ok && c.counts {
			return &countNode{i.ID(), c, args[1], op}
		}
		if c, ok := args[1].(*operandNode); ok && c.counts {
			return &countNode{i.ID(), c, args[0], mirrored}
		}
	}
	if _, ok := numeric[op]; ok {
		node := &numericNode{id: i.ID(), op: op, a: args[0]}
		if len(args) == 2 {
			node.b = args[1]
		}
		return node
	}
	return i
}

// operandNode reads one operand of the instance that is being evaluated.
type operandNode struct {
	id     int64
	n      int // index of the operand
	counts bool
}

func (n *operandNode) ID() int64 { return n.id }

func (n *operandNode) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, n.Exec)
}

func (n *operandNode) Exec(f *interpreter.ExecutionFrame) ref.Val {
	e := f.Scope().(*evaluation)
	return e.read(&e.operands[n.n])
}

// numericNode is + - * /, the sign, and < <= > >=, on doubles.
type numericNode struct {
	id   int64
	op   string
	a, b interpreter.InterpretableV2 // b is nil for the sign
}

func (n *numericNode) ID() int64 { return n.id }

func (n *numericNode) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, n.Exec)
}

func (n *numericNode) Exec(f *interpreter.ExecutionFrame) ref.Val {
	a := n.a.Exec(f)
	x, ok := a.(types.Double)
	if !ok {
		return types.MaybeNoSuchOverloadErr(a)
	}
	if n.b == nil {
		return -x
	}
	b := n.b.Exec(f)
	y, ok := b.(types.Double)
	if !ok {
		return types.MaybeNoSuchOverloadErr(b)
	}
	switch n.op {
	case operators.Add:
		x += y
	case operators.Subtract:
		x -= y
	case operators.Multiply:
		x *= y
	case operators.Divide:
		x /= y
	default:
		return types.Bool(holds(n.op, float64(x), float64(y)))
	}
	if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
		return types.WrapErr(errNotFinite)
	}
	return x
}

// mirror is each comparison as seen from its right side.
var mirror = map[string]string{
	operators.Less: operators.Greater, operators.LessEquals: operators.GreaterEquals,
	operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals,
}

// countNode compares a count with a number. A signal without a good reading may count or not, so the count lies between
// two bounds; where both give the same answer, it is the answer: two detectors in alarm are two, whatever a third says.
type countNode struct {
	id    int64
	count *operandNode
	other interpreter.InterpretableV2
	op    string
}

func (n *countNode) ID() int64 { return n.id }

func (n *countNode) Eval(a interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(a, n.Exec)
}

func (n *countNode) Exec(f *interpreter.ExecutionFrame) ref.Val {
	other := n.other.Exec(f)
	x, ok := other.(types.Double)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	e := f.Scope().(*evaluation)
	low, high := e.count(&e.operands[n.count.n])
	if n.op == operators.Equals || n.op == operators.NotEquals {
		switch {
		case low == high:
			return types.Bool((low == float64(x)) == (n.op == operators.Equals))
		case float64(x) < low || float64(x) > high:
			return types.Bool(n.op == operators.NotEquals)
		}
		return unknown
	}
	atLow, atHigh := holds(n.op, low, float64(x)), holds(n.op, high, float64(x))
	if atLow != atHigh {
		return unknown
	}
	return types.Bool(atLow)
}

func holds(op string, a, b float64) bool {
	switch op {
	case operators.Less:
		return a < b
	case operators.LessEquals:
		return a <= b
	case operators.Greater:
		return a > b
	default:
		return a >= b
	}
}
