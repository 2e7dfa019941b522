package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// spot is what never changes of where an instance looks, for people.
type spot struct{ path, device, name, unit string }

// spot finds the words for where an instance looks.
func (g *Gateway) spot(in *rules.Instance) *spot {
	if g.signals == nil { // built once, by whoever asks first: the hub's goroutine, before it runs
		g.signals = make(map[string]int, len(g.model.Signals))
		for i := range g.model.Signals {
			g.signals[g.model.Signals[i].Key] = i
		}
	}
	s := &spot{path: g.places[in.Zone].Path}
	if i, ok := g.signals[in.Signal]; ok {
		m := &g.model.Signals[i]
		s.device, s.name, s.unit = m.Device.ID, m.Device.Name, unit(m.Signal)
	}
	return s
}

// forgetModel lets go of what only the start needs: some hundred bytes a signal.
func (g *Gateway) forgetModel() { g.model, g.signals = rules.Model{}, nil }

// condition is what never changes of an instance's conditions: the rule and the words for where it is.
func (g *Gateway) condition(in *rules.Instance, s *spot) alarm.Condition {
	c := alarm.Condition{
		Key: in.Key, Rule: in.Rule, HasUntil: in.Rule.Until != "", Name: in.Rule.Name.In(string(g.cfg.Site.Language)),
		Zone: in.Zone, ZonePath: s.path, Device: s.device, DeviceName: s.name, Signal: in.Signal, Unit: s.unit,
	}
	if c.Name == "" {
		c.Name = in.Rule.ID
	}
	return c
}

// unit is a signal's own where its kind takes any, else the kind's.
func unit(s drivers.Signal) string {
	if u := s.Of().Unit; u != "" {
		return u
	}
	return s.Unit
}

// message says what an alarm means, with {zone} {device} {signal} {value} {unit} {name} filled in.
func (g *Gateway) message(in *rules.Instance, r drivers.Reading, c alarm.Condition) string {
	text := in.Rule.Message.In(string(g.cfg.Site.Language))
	if !strings.Contains(text, "{") {
		return text
	}
	value := "?"
	if r.Quality != drivers.Bad {
		value = strconv.FormatFloat(r.Value, 'f', -1, 64)
	}
	zone := c.ZonePath
	return strings.NewReplacer(
		"{zone}", zone, "{device}", c.DeviceName, "{signal}", in.Signal, "{value}", value, "{unit}", c.Unit, "{name}", c.Name,
	).Replace(text)
}

// eventID identifies an event that belongs to no alarm.
func eventID(kind string, now time.Time) string {
	return fmt.Sprintf("%s/%d", kind, now.UnixNano())
}
