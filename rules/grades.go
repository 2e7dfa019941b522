package rules

import (
	"slices"

	"embergate/drivers/conf"
)

// gradeConditions is a more urgent level of a rule, compiled.
type gradeConditions struct {
	level       Level
	when, until *condition
}

// boundGrade is a more urgent level of one instance.
type boundGrade struct {
	level       Level
	when, until bound
}

// grades compiles the more urgent levels of a rule; false where there are mistakes.
func (b *builder) grades(d draft, v *compiled) bool {
	zone, ok := d.rule.Zone != "", true
	for i, s := range d.levels.Items() {
		g := d.rule.Levels[i]
		made := gradeConditions{level: g.Level, when: b.compiler.condition(s.At("when"), zone)}
		ok = ok && made.when != nil
		if g.Until != "" {
			made.until = b.compiler.condition(s.At("until"), zone)
			ok = ok && made.until != nil
		}
		v.grades = append(v.grades, made)
	}
	return ok
}

// checkGrades reports levels that are not each more urgent than the one before, and tells whether there is something to
// compile in each.
func checkGrades(s conf.Section, r *Rule) bool {
	before, ok := r.Level, true
	for i, g := range r.Levels {
		at := s.Items()[i]
		switch {
		case !slices.Contains(Levels, g.Level):
			at.At("level").NotOneOf(string(g.Level), names(Levels))
			ok = false
		case slices.Contains(Levels, before) && slices.Index(Levels, g.Level) >= slices.Index(Levels, before):
			at.At("level").Problem("each level is more urgent than the one before it; %s is not more urgent than %s", g.Level, before)
		}
		if g.When == "" {
			at.At("when").Problem("a level needs a condition")
			ok = false
		}
		before = g.Level
	}
	return ok
}

// conditions are all conditions of a rule; nil where there is none.
func (v *compiled) conditions() []*condition {
	list := []*condition{v.when, v.until}
	for _, g := range v.grades {
		list = append(list, g.when, g.until)
	}
	return list
}

// bounds are all conditions of an instance.
func (in *Instance) bounds() []bound {
	list := []bound{in.when, in.until}
	for _, g := range in.grades {
		list = append(list, g.when, g.until)
	}
	return list
}

// grade says how urgent an alarm of the instance is.
func (e *evaluation) grade(in *Instance, r *Result) (failed error) {
	r.Least, r.Most = in.Rule.Level, in.Rule.Level
	for _, g := range in.grades {
		when, err := e.decide(in, g.when)
		if failed == nil {
			failed = err
		}
		left := when == False
		if left && g.until.condition != nil {
			over, err := e.decide(in, g.until)
			if failed == nil {
				failed = err
			}
			left = over == True
		}
		if when == True {
			r.Least = g.level
		}
		if !left {
			r.Most = g.level
		}
	}
	return failed
}
