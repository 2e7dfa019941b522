// Package duty knows who is on duty and whom to tell next: people, shifts, escalation.
//
//	configuration ──Read──▶ Plan      who is on duty when; whom the steps of a level reach
//	events of alarms ──▶ Escalation   whom to tell of each, and when the next step or reminder is due
//
// The package is pure: it is told the time and what happened, and answers with addresses. It neither sleeps, sends,
// logs nor stores.
package duty

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/rules"
)

// Person is somebody who can be told.
type Person struct {
	ID    string `yaml:"id" json:"id"`
	Name  string `yaml:"name" json:"name"`
	Phone string `yaml:"phone" json:"phone,omitempty"` // E.164
	Email string `yaml:"email" json:"email,omitempty"`
	Role  string `yaml:"role" json:"role,omitempty"`
}

// OnDuty is what a step is addressed to that reaches whoever is on duty.
const OnDuty = "on-duty"

// Step is one step of an escalation: whom to tell by what, so long after the alarm was raised.
type Step struct {
	After time.Duration `yaml:"after" json:"after"`
	To    string        `yaml:"to" json:"to"` // on-duty, a person's id, or a role
	Via   []string      `yaml:"via" json:"via"`
}

// Config is the `duty:` section.
type Config struct {
	People     []Person          `yaml:"people"`
	Shifts     []Shift           `yaml:"shifts"`
	Swaps      []Swap            `yaml:"swaps"`
	Escalation map[string][]Step `yaml:"escalation"` // by level
	Repeat     Waits             `yaml:"repeat"`     // an alarm that nobody acknowledged is told again; 0 is never
	Remind     Waits             `yaml:"remind"`     // an acknowledged alarm that is still active is told again, once
	Reopen     Waits             `yaml:"reopen"`     // and then wants to be acknowledged anew, and goes to the next step
	Quiet      Quiet             `yaml:"quiet"`
	Sounder    conf.Section      `yaml:"sounder"` // outputs, for the gateway to read
	Checks     CheckConfig       `yaml:"checks"`
	Hazards    HazardConfig      `yaml:"hazards"`
}

// Waits are times by level.
type Waits map[rules.Level]time.Duration

// DecodeConf reads one time for alarm and prealarm, or a map of times by level.
func (w *Waits) DecodeConf(s conf.Section) {
	*w = maps.Clone(*w)
	if s.Keys() == nil {
		d := duration(s)
		(*w)[rules.LevelAlarm], (*w)[rules.LevelPrealarm] = d, d
		return
	}
	levels := map[string]conf.Section{}
	for _, l := range rules.Levels {
		levels[string(l)] = conf.Section{}
	}
	s.Decode(levels)
	for level, at := range levels {
		if at.Exists() {
			(*w)[rules.Level(level)] = duration(at)
		}
	}
}

// ConfSchema is what DecodeConf reads.
func (w *Waits) ConfSchema() map[string]any {
	times := conf.SchemaOf[map[string]time.Duration]()
	times["propertyNames"] = map[string]any{"enum": rules.Levels}
	return map[string]any{"anyOf": []any{conf.SchemaOf[time.Duration](), times}}
}

func duration(s conf.Section) time.Duration {
	d, err := time.ParseDuration(s.Value())
	if err != nil || d < 0 {
		s.Problem("%q is not a duration; write it as 500ms, 2s, 5m or 1h", s.Value())
	}
	return max(d, 0)
}

// Quiet are the hours of the day in which some levels wait until they are over. Class fire never waits.
type Quiet struct {
	Levels []string `yaml:"levels"` // prealarm, fault, notice
	From   string   `yaml:"from"`
	To     string   `yaml:"to"`
}

// Channel is a way to reach people, as far as duty must know it.
type Channel struct {
	ID       string
	OneByOne bool // it reaches one person at a time: SMS, voice, e-mail; any other reaches whoever reads it
	Rings    bool // it rings a telephone, which is for alarms and not for what became of them
}

// Options are what the plan is made of besides its configuration.
type Options struct {
	Channels []Channel
	Location *time.Location             // of the times of day
	Workday  func(local time.Time) bool // of the calendar that the rules have; nil is Monday to Friday
}

// Plan is a configuration that was read: who is on duty when, and whom the steps of a level reach.
type Plan struct {
	Config
	Options
	shifts []shift
	swaps  map[turnKey]swap
	quiet  hours
}

var phonePattern = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`) // E.164

// Read decodes the section and reports every mistake in it.
func Read(s conf.Section, o Options) *Plan {
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Workday == nil {
		o.Workday = func(t time.Time) bool { return t.Weekday() != time.Saturday && t.Weekday() != time.Sunday }
	}
	p := &Plan{Options: o, Config: Config{
		Repeat: Waits{rules.LevelAlarm: 5 * time.Minute, rules.LevelPrealarm: 5 * time.Minute},
		Remind: Waits{rules.LevelAlarm: 15 * time.Minute},
		Reopen: Waits{rules.LevelAlarm: 30 * time.Minute},
	}}
	p.Config.Checks = CheckConfig{Answer: usualAnswer}
	p.Config.Hazards = UsualHazards
	s.Decode(&p.Config)
	people, targets := p.people(s.At("people"))
	p.readShifts(s.At("shifts"), people)
	p.readSwaps(s.At("swaps"), people)
	p.readQuiet(s.At("quiet"))
	readChecks(s.At("checks"), p.Config.Checks, targets)
	readHazards(s.At("hazards"), p.Config.Hazards, targets)
	for _, level := range slices.Sorted(maps.Keys(p.Escalation)) {
		at := s.At("escalation").At(level)
		if !slices.Contains(rules.Levels, rules.Level(level)) {
			at.NotOneOf(level, levelNames())
		}
		p.checkSteps(at, p.Escalation[level], targets)
	}
	for level, reopen := range p.Reopen {
		if remind := p.Remind[level]; reopen > 0 && remind >= reopen && s.At("reopen").Exists() {
			s.At("reopen").Problem("an alarm is told again after %s and opened again after %s; the reminder comes first", remind, reopen)
		}
	}
	return p
}

// people reports mistakes of the list and answers the ids, and everything that a step may be addressed to.
func (p *Plan) people(s conf.Section) (ids, targets []string) {
	targets = []string{OnDuty}
	for i, person := range p.People {
		at := s.Items()[i]
		if person.ID == "" || strings.Contains(person.ID, ",") || person.ID == OnDuty || slices.Contains(ids, person.ID) {
			at.At("id").Problem("a person has an id of their own, not %q", person.ID)
			continue
		}
		if person.Name == "" {
			p.People[i].Name = person.ID
		}
		if person.Phone != "" && !phonePattern.MatchString(person.Phone) {
			at.At("phone").Problem("%q is no phone number; write it with the country, +8613800000001", person.Phone)
		}
		ids = append(ids, person.ID)
		targets = append(targets, person.ID)
		if person.Role != "" {
			targets = append(targets, person.Role)
		}
	}
	return ids, targets
}

func (p *Plan) checkSteps(s conf.Section, steps []Step, targets []string) {
	var channels []string
	for _, c := range p.Channels {
		channels = append(channels, c.ID)
	}
	before := time.Duration(0)
	for i, step := range steps {
		at := s.Items()[i]
		switch {
		case i == 0 && step.After > 0:
			at.At("after").Problem("the first step leaves at once; write 0s")
		case step.After < before:
			at.At("after").Problem("the steps stand in the order of their times")
		}
		before = step.After
		if !slices.Contains(targets, step.To) {
			at.At("to").NotOneOf(step.To, targets)
		}
		if len(step.Via) == 0 {
			at.At("via").Problem("a step names at least one channel")
		}
		for j, id := range step.Via {
			if !slices.Contains(channels, id) {
				at.At("via").Items()[j].NotOneOf(id, channels)
			}
		}
	}
}

func (p *Plan) readQuiet(s conf.Section) {
	if !s.Exists() {
		return
	}
	allowed := []string{string(rules.LevelPrealarm), string(rules.LevelFault), string(rules.LevelNotice)}
	for i, level := range p.Quiet.Levels {
		if !slices.Contains(allowed, level) {
			s.At("levels").Items()[i].NotOneOf(level, allowed)
		}
	}
	p.quiet = readHours(s, p.Quiet.From, p.Quiet.To)
	if clockPattern.MatchString(p.Quiet.To) && p.quiet.from == p.quiet.to%(24*60) {
		s.Problem("quiet hours from %s to %s have no end: nobody would ever be told", p.Quiet.From, p.Quiet.To)
	}
}

// Waits tells whether what is found at a time is told when the quiet hours are over.
func (p *Plan) Waits(at time.Time, level rules.Level, class rules.Class) bool {
	return class != rules.Classes[0] && slices.Contains(p.Quiet.Levels, string(level)) && p.quiet.holds(at.In(p.Location))
}

// Person is somebody of the list.
func (p *Plan) Person(id string) (Person, bool) {
	i := slices.IndexFunc(p.People, func(x Person) bool { return x.ID == id })
	if i < 0 {
		return Person{}, false
	}
	return p.People[i], true
}

// Reaches are the people whom a step is addressed to at a time; nil where nobody is on duty. Without shifts it is always
// everybody.
func (p *Plan) Reaches(to string, at time.Time) []string {
	if to == OnDuty && len(p.shifts) > 0 {
		return p.OnDuty(at)
	}
	ids := []string{}
	for _, x := range p.People {
		if to == OnDuty || x.ID == to || x.Role == to {
			ids = append(ids, x.ID)
		}
	}
	return ids
}

// Ever are the people whom a step may be addressed to at some time.
func (p *Plan) Ever(to string) []string {
	if to != OnDuty || len(p.shifts) == 0 {
		return p.Reaches(to, time.Time{})
	}
	var ids []string
	for _, sh := range p.shifts {
		ids = append(ids, sh.People...)
	}
	for _, sw := range p.swaps {
		ids = append(ids, sw.People...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Steps are those of a level. A level without any is told by the first step of the next more urgent one that has some;
// where there is none, by every channel to whoever is on duty: what was seen is told.
func (p *Plan) Steps(level rules.Level) []Step {
	if steps := p.Escalation[string(level)]; len(steps) > 0 {
		return steps
	}
	for i := slices.Index(rules.Levels, level) - 1; i >= 0; i-- {
		if steps := p.Escalation[string(rules.Levels[i])]; len(steps) > 0 {
			return steps[:1]
		}
	}
	all := Step{To: OnDuty}
	for _, c := range p.Channels {
		all.Via = append(all.Via, c.ID)
	}
	return []Step{all}
}

// Missed is whom to tell that nobody answered a duty check: those of `checks: missed`, or everybody, by every channel of an
// alarm.
func (p *Plan) Missed(at time.Time) (to []Address) {
	people := p.Reaches(p.Checks.Missed, at)
	if p.Checks.Missed == "" || len(people) == 0 {
		return p.Everybody(rules.LevelAlarm)
	}
	for _, step := range p.Steps(rules.LevelAlarm) {
		to = merge(to, step.addresses(people))
	}
	return to
}

// Everybody is the whole list of people, by every channel of a level.
func (p *Plan) Everybody(level rules.Level) (to []Address) {
	var ids []string
	for _, x := range p.People {
		ids = append(ids, x.ID)
	}
	for _, step := range p.Steps(level) {
		to = merge(to, step.addresses(ids))
	}
	return to
}

func (p *Plan) channel(id string) Channel {
	i := slices.IndexFunc(p.Channels, func(c Channel) bool { return c.ID == id })
	if i < 0 {
		return Channel{ID: id}
	}
	return p.Channels[i]
}

func levelNames() []string {
	var names []string
	for _, l := range rules.Levels {
		names = append(names, string(l))
	}
	return names
}

// Address is whom a channel tells.
type Address struct {
	Channel string   `json:"channel"`
	People  []string `json:"people,omitempty"` // ids; empty: whoever reads the channel
}

func (s Step) addresses(people []string) (to []Address) {
	for _, via := range s.Via {
		to = merge(to, []Address{{via, people}})
	}
	return to
}

// merge is both lists, each channel and each of its people once.
func merge(to, more []Address) []Address {
	to = slices.Clone(to)
	for _, a := range more {
		i := slices.IndexFunc(to, func(b Address) bool { return b.Channel == a.Channel })
		if i < 0 {
			to = append(to, Address{a.Channel, slices.Clone(a.People)})
			continue
		}
		people := slices.Clone(to[i].People)
		for _, id := range a.People {
			if !slices.Contains(people, id) {
				people = append(people, id)
			}
		}
		to[i].People = people
	}
	return to
}

// sortByStart puts turns in the order in which they begin.
func sortByStart(turns []Turn) {
	slices.SortStableFunc(turns, func(a, b Turn) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
}
