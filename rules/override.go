package rules

import (
	"fmt"
	"slices"

	"embergate/drivers/conf"
)

// override changes how a rule judges, everywhere or at some of its sources.
type override struct {
	at       conf.Section
	Rule     string `yaml:"rule"`
	Where    string `yaml:"where"` // CEL over kind, device, zone and class: at these sources only
	Disabled bool   `yaml:"disabled"`
	where    *selector
}

func (b *builder) readOverrides(sections []conf.Section, drafts []draft) []override {
	ids := make([]string, len(drafts))
	for i, d := range drafts {
		ids[i] = d.rule.ID
	}
	var list []override
	for _, s := range sections {
		o := override{at: s}
		s.Decode(&o, &Rule{})
		if !slices.Contains(ids, o.Rule) {
			s.At("rule").NotOneOf(o.Rule, ids)
		}
		for _, key := range []string{"id", "signal", "each", "zone"} {
			if s.At(key).Exists() {
				s.At(key).Problem("an override changes how a rule judges, not what it is about; write a rule of your own")
			}
		}
		if s.At("where").Exists() {
			if o.where = b.compiler.selector(s.At("where")); o.where == nil {
				continue
			}
		}
		list = append(list, o)
	}
	return list
}

// adjusted is the draft with the overrides that hold at a source, and a key that says which those are.
func (b *builder) adjusted(d draft, at point) (draft, string) {
	var which []int
	for i, o := range b.overrides {
		if o.Rule == d.rule.ID && (o.where == nil || o.where.selects(at)) {
			which = append(which, i)
			d = o.apply(d)
		}
	}
	return d, fmt.Sprint(which)
}

// apply is the draft with the override's keys in place of its own.
func (o override) apply(d draft) draft {
	id := d.rule.ID
	if o.at.At("levels").Exists() {
		d.rule.Levels, d.levels = nil, o.at.At("levels")
	}
	o.at.Decode(&override{}, &d.rule)
	d.rule.ID = id
	if o.at.At("disabled").Exists() {
		d.disabled = o.Disabled
	}
	if s := o.at.At("when"); s.Exists() {
		d.when = s
	}
	if s := o.at.At("until"); s.Exists() {
		d.until = s
	}
	if s := o.at.At("outputs"); s.Exists() {
		d.outputs = s
	}
	check(o.at, &d.rule)
	checkGrades(d.levels, &d.rule)
	return d
}
