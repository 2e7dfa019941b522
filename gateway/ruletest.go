package gateway

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// RuleTest is what became of a rule test file.
type RuleTest struct {
	Expectations int
	Missed       []i18n.Text // expectations that did not come true, each with its place and what was instead
	Happened     []string    // what the alarms did: 8s raised gas-high@kitchen-gas.lel
}

// TestRules plays a rule test file: its series go through the rules, with their delays and latches, into alarms. Mistakes
// of the file, and of the configuration that it names, are root.Problems() afterwards; a test with any did not run.
func TestRules(root conf.Section, o Options, lang i18n.Lang) (*RuleTest, error) {
	sc := rules.ReadScript(root)
	if root.Problems() != nil {
		return nil, nil
	}
	g, err := scripted(root, sc, o, lang)
	if err != nil || root.Problems() != nil {
		return nil, err
	}
	t := &RuleTest{Expectations: len(sc.Expect), Missed: sc.Conditions(g.rules)}
	p := &rehearsal{g: g, board: alarm.NewBoard(), paths: newPaths(g.rules, g.model), test: t, start: sc.Start}
	sc.Run(g.rules, p.active, p.seen, func(now time.Time, passed time.Duration) {
		p.advance(now)
		for _, e := range sc.Expect {
			if e.Becomes() && (e.Never || e.Time == passed) {
				p.check(e, passed)
			}
		}
		p.fresh = p.fresh[:0]
	})
	for _, e := range p.late {
		t.Missed = append(t.Missed, e.miss(p))
	}
	return t, nil
}

// scripted is a gateway for a script: that of the configuration it names, or one of nothing but its rules and signals.
func scripted(root conf.Section, sc *rules.Script, o Options, lang i18n.Lang) (*Gateway, error) {
	if sc.Config == "" {
		g := &Gateway{Options: o, places: map[string]place{}, model: sc.Model(lang)}
		g.cfg.Site.Language = lang
		for _, z := range sc.Zones {
			g.places[z.ID] = place{Zone{ID: z.ID, Name: z.Name, In: z.In}, z.Path}
		}
		g.rules = rules.New(sc.Rules, g.model)
		return g, nil
	}
	at := root.At("config")
	g, err := New(at.Include(), o)
	if err != nil || root.Problems() != nil {
		return g, err
	}
	for _, s := range sc.Series {
		if !slices.ContainsFunc(g.model.Signals, func(m rules.Signal) bool { return m.Key == s.Signal }) {
			s.At.Problem("the configuration has no signal %s", s.Signal)
		}
	}
	return g, nil
}

// rehearsal runs the alarms of a rule test.
type rehearsal struct {
	g     *Gateway
	board *alarm.Board
	paths *paths
	test  *RuleTest
	start time.Time
	fresh []alarm.Event // since the last moment
	all   []alarm.Event
	late  []unmet
}

// unmet is an expectation that did not come true at its time; what was instead is known at the end.
type unmet struct {
	rules.Expect
	passed time.Duration
}

func (p *rehearsal) active(class rules.Class) (n int) { return activeAlarms(p.board, class) }

func (p *rehearsal) seen(now time.Time, in *rules.Instance, r rules.Result) {
	first := p.paths.first(in)
	p.found(now, in, p.g.condition(first, p.g.spot(first)), r)
}

// found takes in what the rules found at an instance, with what never changes of it.
func (p *rehearsal) found(now time.Time, in *rules.Instance, c alarm.Condition, r rules.Result) {
	p.advance(now)
	c.When, c.Until, c.Reading, c.Retained = r.When, r.Until, r.Reading, r.Retained
	c.Least, c.Most = r.Least, r.Most
	p.paths.join(now, in, &c, r)
	p.note(p.board.Step(now, c))
}

// advance lets time pass on the board, delay by delay, up to now.
func (p *rehearsal) advance(now time.Time) {
	for next := p.board.Next(); !next.IsZero() && !next.After(now); {
		p.note(p.board.Tick(next))
		after := p.board.Next()
		if !after.After(next) {
			return
		}
		next = after
	}
}

func (p *rehearsal) note(events []alarm.Event) {
	for _, e := range events {
		p.fresh, p.all = append(p.fresh, e), append(p.all, e)
		p.test.Happened = append(p.test.Happened, fmt.Sprintf("%s %s", p.passed(e), told(e)))
	}
}

func (p *rehearsal) passed(e alarm.Event) time.Duration { return e.Time.Sub(p.start) }

// told is an event in the words of a script: raised gas-high@kitchen-gas.lel.
func told(e alarm.Event) string {
	_, what, _ := strings.Cut(e.Type, ".")
	if e.Type == alarm.EventCounted {
		what = "raised"
	}
	return what + " " + e.Alarm.Rule + "@" + source(*e.Alarm)
}

func (p *rehearsal) check(e rules.Expect, passed time.Duration) {
	hit := slices.ContainsFunc(p.fresh, func(ev alarm.Event) bool { return about(ev, e) && strings.HasPrefix(told(ev), e.What+" ") })
	if hit == e.Never {
		p.late = append(p.late, unmet{e, passed})
	}
}

// about tells whether an event is of the rule, or of the rule at the source, that an expectation names.
func about(ev alarm.Event, e rules.Expect) bool {
	return ev.Alarm.Rule == e.Rule || ev.Alarm.Rule+"@"+source(*ev.Alarm) == e.Rule
}

// miss says what the rule's alarms did instead.
func (u unmet) miss(p *rehearsal) i18n.Text {
	var did []string
	for _, e := range p.all {
		if about(e, u.Expect) {
			did = append(did, fmt.Sprintf("%s %s", p.passed(e), told(e)))
		}
	}
	if len(did) == 0 {
		return u.Miss(u.passed, "—")
	}
	return u.Miss(u.passed, strings.Join(did, ", "))
}
