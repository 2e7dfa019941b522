package gateway

import (
	"slices"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/gateway/duty"
	"embergate/rules"
)

// readDuty reads the roster, and warns of what is no mistake: times in which nobody will be on duty.
func (g *Gateway) readDuty(s conf.Section) {
	o := duty.Options{Location: g.location, Workday: g.rules.Workday}
	for _, c := range g.channels.Status() {
		o.Channels = append(o.Channels, duty.Channel{ID: c.ID, OneByOne: g.channels.Personal(c.ID), Rings: strings.HasSuffix(c.Kind, "_voice")})
	}
	g.plan = duty.Read(s, o)
	g.readSounder(g.plan.Sounder)
	if s.At("escalation").Exists() && len(g.plan.Escalation[string(rules.LevelAlarm)]) == 0 {
		g.warn(s.At("escalation").Warning("alarms have no steps of their own; they are told by every channel at once"))
	}
	g.warnUnreachable(s.At("people"))
	now := time.Now()
	for _, gap := range g.plan.Gaps(now, now.Add(dutyAhead)) {
		g.warn(s.At("shifts").Warning("nobody is on duty from %s to %s", clocked(gap.From), clocked(gap.To)))
	}
}

// warnUnreachable warns of people whom a step would tell by a channel for which they have no number or address.
func (g *Gateway) warnUnreachable(s conf.Section) {
	kinds := map[string]string{}
	for _, c := range g.channels.Status() {
		kinds[c.ID] = c.Kind
	}
	warned := map[string]bool{}
	for _, level := range rules.Levels {
		for _, step := range g.plan.Escalation[string(level)] {
			for _, via := range step.Via {
				for _, id := range g.plan.Ever(step.To) {
					p, ok := g.plan.Person(id)
					lacks := g.channels.Personal(via) && (kinds[via] == "email" && p.Email == "" || kinds[via] != "email" && p.Phone == "")
					if !ok || !lacks || warned[via+" "+id] {
						continue
					}
					warned[via+" "+id] = true
					i := slices.IndexFunc(g.plan.People, func(x duty.Person) bool { return x.ID == id })
					g.warn(s.Items()[i].Warning("%s is told by %s, and has no number or address for it", p.Name, via))
				}
			}
		}
	}
}

// clocked is a time for people who know the zone.
func clocked(t time.Time) string { return t.Format("2006-01-02 15:04") }

// readSounder reads the outputs that are switched where nobody can be told.
func (g *Gateway) readSounder(s conf.Section) {
	if !s.Exists() {
		return
	}
	for _, at := range s.Items() {
		out := rules.Output{Value: 1}
		at.Decode(&out)
		out.Stop = rules.StopOnSilence
		i := slices.IndexFunc(g.model.Signals, func(m rules.Signal) bool { return m.Key == out.Write })
		switch {
		case i < 0:
			var keys []string
			for _, m := range g.model.Signals {
				if m.Signal.Writable {
					keys = append(keys, m.Key)
				}
			}
			at.At("write").NotOneOf(out.Write, keys)
		case !g.model.Signals[i].Signal.Writable:
			at.At("write").Problem("the signal %s is not writable", out.Write)
		}
		g.sounder = append(g.sounder, out)
	}
	if s.Items() == nil {
		s.Problem("must be a list")
	}
}

func (g *Gateway) warn(p conf.Problem) { g.warnings = append(g.warnings, p) }

// Warnings say what of the configuration is no mistake, but that its author should know, each at its place.
func (g *Gateway) Warnings() conf.Problems { return g.warnings }
