package rules

import (
	"embed"
	"regexp"
	"slices"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// Packs are the names of the rule packs inside the binary, in their order.
var Packs = []string{"fire", "gas", "electrical", "water", "comms"}

//go:embed packs/*.yaml
var packs embed.FS

// file is the rules section of a configuration.
type file struct {
	section  conf.Section
	Packs    []conf.Section `yaml:"packs"`
	Override []conf.Section `yaml:"override"`
	Inline   []conf.Section `yaml:"inline"`
	Files    []conf.Section `yaml:"files"`
	Calendar conf.Section   `yaml:"calendar"`
}

func readFile(s conf.Section) file {
	f := file{section: s}
	s.Decode(&f)
	return f
}

// draft is a rule as it is written, or as overrides leave it, with the places of its expressions.
type draft struct {
	rule        Rule
	at          conf.Section
	when, until conf.Section
	outputs     conf.Section
	levels      conf.Section
	disabled    bool
}

// rules are all rules of the section in their order: packs, inline, files.
func (f file) rules() []draft {
	var list []draft
	if !f.section.At("packs").Exists() {
		for _, name := range Packs {
			list = append(list, readPack(name)...)
		}
	}
	for _, p := range f.Packs {
		if !slices.Contains(Packs, p.Value()) {
			p.NotOneOf(p.Value(), Packs)
			continue
		}
		list = append(list, readPack(p.Value())...)
	}
	list = append(list, readRules(f.Inline, "inline")...)
	for _, s := range f.Files {
		root := s.Include()
		if root.Exists() && root.Items() == nil {
			root.Problem("must be a list")
		}
		list = append(list, readRules(root.Items(), s.Value())...)
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(d draft) bool {
		twice := seen[d.rule.ID]
		if twice {
			d.at.At("id").Problem("there is already a rule %q; adjust it under override, or choose another id", d.rule.ID)
		}
		seen[d.rule.ID] = true
		return twice
	})
}

// readPack reads a pack of the binary. Its own mistakes would be ours; the test of the packs finds them.
func readPack(name string) []draft {
	data, _ := packs.ReadFile("packs/" + name + ".yaml")
	return readRules(conf.Parse("packs/"+name+".yaml", data, conf.Environment{}).Items(), name)
}

func readRules(sections []conf.Section, from string) []draft {
	var list []draft
	for _, s := range sections {
		d := draft{at: s, rule: Rule{From: from}, when: s.At("when"), until: s.At("until"), outputs: s.At("outputs"), levels: s.At("levels")}
		s.Decode(&d.rule)
		if !drivers.IDPattern.MatchString(d.rule.ID) {
			s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", d.rule.ID)
			continue
		}
		if checkGrades(d.levels, &d.rule) && check(s, &d.rule) {
			list = append(list, d)
		}
	}
	return list
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// placeholders are what a message may hold.
var placeholders = []string{"{zone}", "{device}", "{signal}", "{value}", "{unit}", "{name}"}

// check reports what types cannot say of a rule, and fills in what it leaves out. It tells whether there is a condition
// and a scope to compile.
func check(s conf.Section, r *Rule) bool {
	if !slices.Contains(Classes, r.Class) {
		s.At("class").NotOneOf(string(r.Class), names(Classes))
	}
	if !slices.Contains(Levels, r.Level) {
		s.At("level").NotOneOf(string(r.Level), names(Levels))
	}
	for _, text := range []string{r.Message.ZH, r.Message.EN} {
		for _, p := range placeholder.FindAllString(text, -1) {
			if !slices.Contains(placeholders, p) {
				s.At("message").NotOneOf(p, placeholders)
			}
		}
	}
	if r.Name == (drivers.Name{}) {
		r.Name = drivers.Name{ZH: r.ID, EN: r.ID}
	}
	if r.Message == (drivers.Name{}) {
		r.Message = drivers.Name{ZH: "{zone} {device} {name}", EN: "{zone} {device} {name}"}
	}
	scopes := 0
	for _, scope := range []string{r.Signal, r.Each, r.Zone} {
		if scope != "" {
			scopes++
		}
	}
	if scopes != 1 {
		s.Problem("a rule has exactly one of signal, each and zone")
	}
	if r.When == "" {
		s.At("when").Problem("a rule needs a condition")
	}
	return scopes == 1 && r.When != ""
}
