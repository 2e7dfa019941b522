package rules

import (
	"slices"

	"embergate/drivers/conf"
)

// builder makes the instances of a set.
type builder struct {
	set       *Set
	site      *site
	compiler  *compiler
	overrides []override
	windows   map[[2]int64]int // by signal and span
	narrow    *wide            // of all operands that need none
}

// compiled is a rule with its conditions, as the overrides of some of its sources leave it.
type compiled struct {
	rule        *Rule
	when, until *condition
	grades      []gradeConditions
}

func newBuilder(m Model) *builder {
	b := &builder{set: &Set{index: make(map[string]int, len(m.Signals)), signals: make([]watched, 0, len(m.Signals))}, site: newSite(m), windows: map[[2]int64]int{}, narrow: &wide{}}
	c, err := newCompiler(b.site)
	if err != nil {
		panic(err) // the tables of this package contradict each other; no test would pass
	}
	b.compiler = c
	for i, s := range m.Signals {
		b.set.index[s.Key] = i
		w := watched{key: s.Key, optional: s.Signal.Optional, place: b.site.placeOf(s.Device.Zone)}
		if s.Signal.Kind == "test" {
			w.tests = b.site.device[s.Device.ID]
		}
		b.set.signals = append(b.set.signals, w)
	}
	b.set.zones = m.Zones
	return b
}

// add compiles a rule and makes its instances.
func (b *builder) add(d draft) {
	general, key := b.adjusted(d, point{})
	variants := map[string]*compiled{key: b.compile(general)}
	made, lacking := 0, []lack(nil)
	first := len(b.set.instances)
	for _, at := range b.sources(d) {
		adjusted, key := b.adjusted(d, at.point)
		v, ok := variants[key]
		if !ok {
			v = b.compile(adjusted)
			variants[key] = v
		}
		if v == nil || adjusted.disabled {
			continue
		}
		lacks, ok := b.instance(v, at)
		lacking = append(lacking, lacks...)
		if ok {
			made++
		}
	}
	if d.rule.Zone == "each" {
		b.nest(b.set.instances[first:])
	}
	if made == 0 {
		for _, l := range lacking {
			l.at.NotOneOf(l.flag, l.flags)
		}
	}
	if v := variants[key]; v != nil && (!general.disabled || made > 0) {
		b.set.rules = append(b.set.rules, v.rule)
	}
}

// compile reads the conditions of a rule; nil where there are mistakes.
func (b *builder) compile(d draft) *compiled {
	v := &compiled{rule: &d.rule}
	b.outputs(d)
	zone := d.rule.Zone != ""
	v.when = b.compiler.condition(d.when, zone)
	if d.rule.Until != "" {
		v.until = b.compiler.condition(d.until, zone)
		if v.until == nil {
			return nil
		}
	}
	if v.when == nil || !b.grades(d, v) {
		return nil
	}
	counts := slices.ContainsFunc(v.when.operands, func(o operand) bool { return o.op.counts() })
	if d.rule.Zone == "each" && !counts {
		d.when.Problem("a rule for each zone counts signals of it; use active or active_devices")
		return nil
	}
	return v
}

// outputs reports outputs that are not there or cannot be written.
func (b *builder) outputs(d draft) {
	for _, s := range d.outputs.Items() {
		at := s.At("write")
		i, ok := b.site.index[at.Value()]
		if !ok {
			b.site.unknown(at, at.Value())
			continue
		}
		if !b.site.signals[i].Signal.Writable {
			at.Problem("the signal %s is not writable", at.Value())
		}
	}
	for i := range d.rule.Outputs {
		b.stop(d.outputs.Items()[i], &d.rule.Outputs[i])
	}
}

// stop fills in what lets an output go back, or reports what is none.
func (b *builder) stop(s conf.Section, o *Output) {
	switch i, ok := b.site.index[o.Write]; {
	case o.Stop != "":
		if !slices.Contains(Stops, o.Stop) {
			s.At("stop").NotOneOf(string(o.Stop), names(Stops))
		}
	case ok && b.site.signals[i].Signal.Kind == "sounder":
		o.Stop = StopOnSilence
	default:
		o.Stop = StopNever
	}
}

// origin is one source of a rule: a signal, or a zone.
type origin struct {
	point
	signal int // -1 for a zone
	each   bool
}

// sources are the sources of a rule; mistakes in its scope are reported.
func (b *builder) sources(d draft) []origin {
	var list []origin
	add := func(i int) { list = append(list, origin{b.site.signals[i].point(), i, d.rule.Each != ""}) }
	switch {
	case d.rule.Signal != "":
		i, ok := b.site.index[d.rule.Signal]
		if !ok {
			b.site.unknown(d.at.At("signal"), d.rule.Signal)
			return nil
		}
		add(i)
	case d.rule.Each != "":
		each := b.compiler.selector(d.at.At("each"))
		for i, s := range b.site.signals {
			if each != nil && each.selects(s.point()) {
				add(i)
			}
		}
	case d.rule.Zone == "each":
		for _, z := range b.site.zones {
			list = append(list, origin{point{zone: z.ID}, -1, true})
		}
	default:
		zones := b.site.named("zone")
		if !slices.Contains(zones, d.rule.Zone) {
			d.at.At("zone").NotOneOf(d.rule.Zone, append(zones, "each"))
			return nil
		}
		list = append(list, origin{point{zone: d.rule.Zone}, -1, false})
	}
	return list
}

// lack is a flag that a signal does not have.
type lack struct {
	at    place
	flag  string
	flags []string
}

// instance makes one rule at one source. A signal without a flag that the rule reads is no source of it, and neither is
// a zone without a signal that the rule counts, or with no others than one zone below it has.
func (b *builder) instance(v *compiled, at origin) (lacks []lack, ok bool) {
	in := &Instance{Rule: v.rule, Zone: at.zone, index: len(b.set.instances), own: at.signal, place: b.site.placeOf(at.zone)}
	if at.signal >= 0 {
		in.Signal = b.site.signals[at.signal].Key
		in.Key = v.rule.ID + "@" + in.Signal
	} else {
		in.Key = v.rule.ID + "@" + at.zone
	}
	for _, c := range v.conditions() {
		if c != nil && at.signal >= 0 {
			lacks = append(lacks, b.lacks(c, b.site.signals[at.signal])...)
		}
		if c == v.when && at.signal < 0 && at.each && b.redundant(c, at.zone) {
			return nil, false
		}
	}
	if len(lacks) > 0 {
		return lacks, false
	}
	in.when, in.until = b.bind(v.when, in), b.bind(v.until, in)
	for _, g := range v.grades {
		in.grades = append(in.grades, boundGrade{g.level, b.bind(g.when, in), b.bind(g.until, in)})
	}
	b.set.instances = append(b.set.instances, in)
	return nil, true
}

// nest tells the instances of a rule for each zone which of them lie within them.
func (b *builder) nest(instances []*Instance) {
	for _, inner := range instances {
		outer := around(b.site.zones, b.site.place, inner.Zone)
		for _, in := range instances {
			if in != inner && slices.Contains(outer, in.Zone) {
				in.inner = append(in.inner, inner)
				inner.members = map[int]bool{}
			}
		}
		if inner.members == nil {
			continue
		}
		for i := range inner.when.operands {
			for _, g := range inner.when.operands[i].groups {
				for _, m := range g.members {
					inner.members[m] = true
				}
			}
		}
	}
}

func (b *builder) lacks(c *condition, s Signal) []lack {
	var list []lack
	for _, o := range c.operands {
		if o.op == opFlag && o.signal == "" {
			if _, ok := bit(s, o.flag); !ok {
				list = append(list, lack{o.at, o.flag, flags(s)})
			}
		}
	}
	return list
}

// redundant tells whether a zone has no signal that the condition counts, or only those of one zone directly below it.
func (b *builder) redundant(c *condition, zone string) bool {
	count := func(zone string) int {
		n := 0
		for _, o := range c.operands {
			for _, g := range b.site.members(zone, o.kinds, ofSignals) {
				n += len(g.members)
			}
		}
		return n
	}
	own := count(zone)
	return own == 0 || slices.ContainsFunc(b.site.zones, func(z Zone) bool { return z.In == zone && count(z.ID) == own })
}
