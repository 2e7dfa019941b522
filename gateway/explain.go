package gateway

import (
	"context"
	"io/fs"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/rules"
)

// RuleInForce is a rule of the configuration with the sources at which it can raise an alarm.
type RuleInForce struct {
	ID      string         `json:"id"`
	Name    string         `json:"name"`
	Class   rules.Class    `json:"class"`
	Level   rules.Level    `json:"level"`
	From    string         `json:"from"` // the pack or file; inline
	When    string         `json:"when"`
	Until   string         `json:"until,omitempty"`
	For     string         `json:"for,omitempty"`
	Hold    string         `json:"hold,omitempty"`
	Latch   bool           `json:"latch"`
	Levels  []rules.Grade  `json:"levels,omitempty"`
	Outputs []rules.Output `json:"outputs,omitempty"`
	Sources []RuleSource   `json:"sources"`
}

// RuleSource is where a rule applies, with what its conditions read there; Differs says how, where an override makes it
// differ from the rule.
type RuleSource struct {
	Source  string   `json:"source"`
	Inputs  []string `json:"inputs"`
	Differs string   `json:"differs,omitempty"`
}

// RulesInForce are the rules as the configuration has them.
func (g *Gateway) RulesInForce() []RuleInForce {
	list := []RuleInForce{}
	index := map[string]int{}
	for _, r := range g.rules.Rules() {
		index[r.ID] = len(list)
		list = append(list, RuleInForce{
			ID: r.ID, Name: r.Name.In(string(g.cfg.Site.Language)), Class: r.Class, Level: r.Level, From: r.From, When: r.When, Until: r.Until,
			For: delay(r.For), Hold: delay(r.Hold), Latch: r.Latch, Levels: r.Levels, Outputs: r.Outputs, Sources: []RuleSource{},
		})
	}
	for _, in := range g.rules.Instances() {
		i, ok := index[in.Rule.ID]
		if !ok {
			continue
		}
		s := RuleSource{Source: in.Signal, Inputs: g.rules.Inputs(in)}
		if s.Source == "" {
			s.Source = in.Zone
		}
		if in.Rule.When != list[i].When {
			s.Differs = in.Rule.When
		}
		list[i].Sources = append(list[i].Sources, s)
	}
	return list
}

func delay(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// Rule is what each instance of a rule makes of the present readings; id is a rule's, or rule@source.
func (h *hub) Rule(ctx context.Context, id string) (states []console.RuleState, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		open := map[string]alarm.Alarm{}
		for _, a := range h.board.Open() {
			open[a.Rule+"@"+source(a)] = a
		}
		for _, in := range h.g.rules.Instances() {
			if in.Key == id || in.Rule.ID == id {
				h.judge(now, []*rules.Instance{in}) // who looks must not keep the alarm from what is found
				states = append(states, h.explain(now, in, open))
			}
		}
		if states == nil {
			return nil, fs.ErrNotExist
		}
		return nil, nil
	})
	return states, err
}

func (h *hub) explain(now time.Time, in *rules.Instance, open map[string]alarm.Alarm) console.RuleState {
	c, r := h.g.condition(in, h.spots[in.Index()]), h.state.Eval(in, now)
	s := console.RuleState{
		Key: in.Key, Rule: in.Rule.ID, Name: c.Name, Signal: in.Signal, Zone: in.Zone, ZonePath: c.ZonePath,
		When: in.Rule.When, Until: in.Rule.Until, Raises: r.When.String(), Clears: r.Until.String(),
		For: in.Rule.For.Seconds(), Hold: in.Rule.Hold.Seconds(), Latch: in.Rule.Latch, Operands: []console.Operand{},
	}
	s.Test = h.exercise.tested[in.Zone]
	if r.Inner != nil {
		s.Inner = r.Inner.Zone
	}
	if r.Err != nil {
		s.Error = r.Err.Error()
	}
	if waited, ok := h.board.Waiting(now, h.paths.first(in).Key); ok {
		seconds := waited.Seconds()
		s.Waited = &seconds
	}
	if a, ok := open[h.paths.first(in).Key]; ok {
		s.Alarm = &a
	}
	seen := map[string]bool{}
	for _, o := range h.state.Explain(in, now) {
		if !seen[o.Text] {
			seen[o.Text] = true
			s.Operands = append(s.Operands, console.Operand{Text: o.Text, Value: o.Value})
		}
	}
	return s
}
