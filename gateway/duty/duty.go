// Package duty knows who is on duty and whom to tell next: people, shifts, escalation.
package duty

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"embergate/drivers/conf"
	"embergate/rules"
)

// Person is somebody who can be told.
type Person struct {
	ID    string `yaml:"id"`
	Name  string `yaml:"name"`
	Phone string `yaml:"phone"` // E.164
	Email string `yaml:"email"`
	Role  string `yaml:"role"`
}

// Shift is the hours in which people are on duty, every day. From may lie after To: the shift then goes over midnight.
type Shift struct {
	Name   string   `yaml:"name"`
	From   string   `yaml:"from"` // 00:00 to 24:00
	To     string   `yaml:"to"`
	People []string `yaml:"people"`
}

// Step is one step of an escalation: whom to tell by what, so long after the alarm was raised.
type Step struct {
	After time.Duration `yaml:"after"`
	To    string        `yaml:"to"` // on-duty, a person's id, or a role
	Via   []string      `yaml:"via"`
}

// Config is the `duty:` section.
type Config struct {
	People     []Person          `yaml:"people"`
	Shifts     []Shift           `yaml:"shifts"`
	Escalation map[string][]Step `yaml:"escalation"` // by level
	Repeat     time.Duration     `yaml:"repeat"`
}

var (
	phonePattern = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`)                    // E.164
	clockPattern = regexp.MustCompile(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`) // 00:00 to 24:00
)

// Read decodes the section and reports every mistake in it. Channels are the ids that a step may name.
func Read(s conf.Section, channels []string) Config {
	var c Config
	s.Decode(&c)
	people, targets := c.people(s.At("people"))
	for i, shift := range c.Shifts {
		at := s.At("shifts").Items()[i]
		for key, clock := range map[string]string{"from": shift.From, "to": shift.To} {
			if !clockPattern.MatchString(clock) {
				at.At(key).Problem("%q is no time of day; write it as 08:00, up to 24:00", clock)
			}
		}
		for j, id := range shift.People {
			if !slices.Contains(people, id) {
				at.At("people").Items()[j].NotOneOf(id, people)
			}
		}
	}
	for _, level := range slices.Sorted(maps.Keys(c.Escalation)) {
		at := s.At("escalation").At(level)
		if !slices.Contains(rules.Levels, rules.Level(level)) {
			at.NotOneOf(level, levelNames())
		}
		for i, step := range c.Escalation[level] {
			checkStep(at.Items()[i], step, targets, channels)
		}
	}
	return c
}

// people reports mistakes of the list and answers the ids, and everything that a step may be addressed to.
func (c Config) people(s conf.Section) (ids, targets []string) {
	targets = []string{"on-duty"}
	for i, p := range c.People {
		at := s.Items()[i]
		if p.ID == "" || slices.Contains(ids, p.ID) {
			at.At("id").Problem("a person has an id of their own, not %q", p.ID)
			continue
		}
		if p.Phone != "" && !phonePattern.MatchString(p.Phone) {
			at.At("phone").Problem("%q is no phone number; write it with the country, +8613800000001", p.Phone)
		}
		ids = append(ids, p.ID)
		targets = append(targets, p.ID)
		if p.Role != "" {
			targets = append(targets, p.Role)
		}
	}
	return ids, targets
}

func checkStep(s conf.Section, step Step, targets, channels []string) {
	if !slices.Contains(targets, step.To) {
		s.At("to").NotOneOf(step.To, targets)
	}
	if len(step.Via) == 0 {
		s.At("via").Problem("a step names at least one channel")
	}
	for i, id := range step.Via {
		if !slices.Contains(channels, id) {
			s.At("via").Items()[i].NotOneOf(id, channels)
		}
	}
}

func levelNames() []string {
	var names []string
	for _, l := range rules.Levels {
		names = append(names, string(l))
	}
	return names
}
