package gateway

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// paths joins what one detector says over two ways, as a smoke detector that is on the fire panel's loop and on the radio
// (row AL14): the alarm and pre-alarm of a rule at both is one, which any of them raises, and which clears when each that
// found it says so. One that is lost clears nothing, and keeps the other from nothing. What each path says of itself
// (offline, battery, tamper) stays its own.
type paths struct {
	of []*joint // by the index of an instance; nil where there is one path
	at []*joint // all of them
}

// joint is one rule at one detector that is seen over several paths.
type joint struct {
	members []*rules.Instance // the first gives the alarm its identity
	said    []rules.Result    // the latest of each
	decided []rules.Value     // the latest of each that was not Unknown
	differ  time.Time         // since when some find it and others do not; zero: they agree, or it is not known
	finds   string            // the signal that found it then
	not     string            // and the one that did not
	agree   bool              // all can be heard, and say the same
}

// differTooLong is how long the paths of one detector may say different things: they are not read at the same moment, and
// one may hold a pulse for longer. A fault warning comes within 100 s: EN 54-2 (m).
const differTooLong = 60 * time.Second

// newPaths finds what is seen over several paths.
func newPaths(set *rules.Set, model rules.Model) *paths {
	p := &paths{of: make([]*joint, len(set.Instances()))}
	twins := model.Twins()
	if len(twins) == 0 {
		return p
	}
	byKey := map[string]*rules.Instance{}
	for _, in := range set.Instances() {
		byKey[in.Key] = in
	}
	for _, in := range set.Instances() {
		first := byKey[in.Rule.ID+"@"+twins[in.Signal]]
		if first == nil || in.Rule.Level != rules.LevelAlarm && in.Rule.Level != rules.LevelPrealarm {
			continue
		}
		j := p.of[first.Index()]
		if j == nil {
			j = &joint{members: []*rules.Instance{first}}
			p.of[first.Index()] = j
			p.at = append(p.at, j)
		}
		p.of[in.Index()] = j
		j.members = append(j.members, in)
	}
	for _, j := range p.at {
		j.said, j.decided = make([]rules.Result, len(j.members)), make([]rules.Value, len(j.members))
	}
	return p
}

// first is the instance whose alarm it is that an instance would raise.
func (p *paths) first(in *rules.Instance) *rules.Instance {
	if j := p.of[in.Index()]; j != nil {
		return j.members[0]
	}
	return in
}

// all are the instances that raise the same alarm as one does.
func (p *paths) all(in *rules.Instance) []*rules.Instance {
	if j := p.of[in.Index()]; j != nil {
		return j.members
	}
	return []*rules.Instance{in}
}

// recall takes over, after a start, which paths had found the alarms that are active: one that stays silent clears nothing.
func (p *paths) recall(open []alarm.Alarm) {
	for _, a := range open {
		for _, j := range p.at {
			if !a.Active() || j.members[0].Key != a.Rule+"@"+source(a) {
				continue
			}
			for i, in := range j.members {
				if slices.Contains(a.Sources, in.Signal) || a.Sources == nil && i == 0 { // it was raised when there was one path
					j.decided[i] = rules.True
				}
			}
		}
	}
}

// join makes of what an instance found what all paths found together.
func (p *paths) join(now time.Time, in *rules.Instance, c *alarm.Condition, r rules.Result) {
	j := p.of[in.Index()]
	if j == nil {
		return
	}
	i := slices.Index(j.members, in)
	j.said[i] = r
	if r.When != rules.Unknown && !r.Retained {
		j.decided[i] = r.When
	}
	j.when(c, i)
	j.until(c)
	j.compare(now)
}

// when is True where any path is, and False where one says so and none that found it is silent. The alarm shows the reading
// of a path that finds it.
func (j *joint) when(c *alarm.Condition, i int) {
	c.When, c.Sources, c.Retained = rules.Unknown, nil, true
	shown, silent := i, false
	for k, r := range j.said {
		switch {
		case r.When == rules.True:
			if c.When = rules.True; c.Sources == nil || k == i {
				shown = k
			}
			c.Sources = append(c.Sources, j.members[k].Signal)
			c.Retained = c.Retained && r.Retained
		case r.When == rules.False && c.When == rules.Unknown:
			c.When = rules.False
		}
		silent = silent || (r.When == rules.Unknown || r.Retained) && j.decided[k] == rules.True
	}
	if c.When == rules.False && silent {
		c.When = rules.Unknown
	}
	if c.When != rules.True {
		c.Retained = j.said[i].Retained
	}
	if c.Reading = j.said[shown].Reading; c.Reading.Quality == drivers.Bad {
		for k, r := range j.said {
			if r.Reading.Quality == drivers.Good && j.decided[k] != rules.Unknown {
				c.Reading = r.Reading // a lost path is no loss of the detector
			}
		}
	}
}

// until is True where each path says so that found it, or can say anything; and how urgent it is, is what the worst says.
func (j *joint) until(c *alarm.Condition) {
	c.Until, c.Least, c.Most = rules.Unknown, "", ""
	some := false
	for k, r := range j.said {
		if r.When == rules.True {
			c.Least = worse(c.Least, r.Least)
		}
		if r.When == rules.Unknown && j.decided[k] != rules.True {
			continue // it cannot say, and did not find it
		}
		c.Most = worse(c.Most, r.Most)
		switch {
		case !some:
			c.Until = r.Until
		case c.Until == rules.False || r.Until == rules.False:
			c.Until = rules.False
		case c.Until == rules.True:
			c.Until = r.Until
		}
		some = true
	}
}

// worse is the more urgent of two levels, of which "" is none.
func worse(x, y rules.Level) rules.Level {
	if x == "" || y != "" && slices.Index(rules.Levels, y) < slices.Index(rules.Levels, x) {
		return y
	}
	return x
}

// compare notes since when the paths contradict each other. Where one cannot be heard there is nothing to compare: what has
// not lasted for too long is forgotten, and what has is not taken back.
func (j *joint) compare(now time.Time) {
	finds, not, known := "", "", true
	for i, r := range j.said {
		switch r.When {
		case rules.True:
			finds = j.members[i].Signal
		case rules.False:
			not = j.members[i].Signal
		default:
			known = false
		}
	}
	differ := finds != "" && not != ""
	j.agree = known && !differ
	switch {
	case differ:
		if j.finds, j.not = finds, not; j.differ.IsZero() {
			j.differ = now
		}
	case known || now.Sub(j.differ) <= differTooLong:
		j.differ = time.Time{}
	}
}

// contradictions raises a fault where two paths to one detector have said different things for too long: one of them is
// blind, or cries wolf (features C13).
func (h *hub) contradictions(now time.Time) {
	for _, j := range h.paths.at {
		switch {
		case !j.differ.IsZero() && now.Sub(j.differ) > differTooLong:
			h.fault(now, pathsDiffer, j.members[0].Key, true, errors.New(h.g.cfg.Site.Language.Say("%s finds it, %s does not, since %s", j.finds, j.not, j.differ.In(h.g.location).Format(time.DateTime))))
		case j.agree:
			h.fault(now, pathsDiffer, j.members[0].Key, false, nil)
		}
	}
}

// checkPaths reports paths to a detector that cannot be.
func (g *Gateway) checkPaths() {
	devices, known := g.devices(), map[string]drivers.Device{}
	for _, d := range devices {
		known[d.ID] = d
	}
	twins, of := map[string]bool{}, g.model.Twins()
	for _, s := range g.model.Signals {
		if of[s.Key] != "" {
			twins[s.Device.ID] = true
		}
	}
	for _, d := range devices {
		if d.SameAs == "" {
			continue
		}
		at, other := d.Section.At("same_as"), known[d.SameAs]
		switch {
		case other.ID == "":
			at.NotOneOf(d.SameAs, slices.Sorted(maps.Keys(known)))
		case other.ID == d.ID || other.SameAs != "":
			at.Problem("%s is itself the same as another; name the first of them", other.ID)
		case other.Zone != d.Zone:
			at.Problem("one detector is in one zone: %s is in %s, %s in %s", d.ID, fmt.Sprintf("%q", d.Zone), other.ID, fmt.Sprintf("%q", other.Zone))
		case !twins[d.ID]:
			at.Problem("%s and %s have no signal of one kind in common", d.ID, other.ID)
		}
	}
}
