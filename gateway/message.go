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

// condition is what never changes of an instance's conditions: the rule and the words for where it is.
func (g *Gateway) condition(in *rules.Instance) alarm.Condition {
	lang := string(g.cfg.Site.Language)
	c := alarm.Condition{
		Key: in.Key, Rule: in.Rule, HasUntil: in.Rule.Until != "", Name: in.Rule.Name.In(lang),
		Zone: in.Zone, ZonePath: g.places[in.Zone].Path, Signal: in.Signal,
	}
	if c.Name == "" {
		c.Name = in.Rule.ID
	}
	if g.signals == nil { // built once, by whoever asks first: the hub's goroutine, before it runs
		g.signals = map[string]rules.Signal{}
		for _, s := range g.model.Signals {
			g.signals[s.Key] = s
		}
	}
	if s, ok := g.signals[in.Signal]; ok {
		c.Device, c.DeviceName, c.Unit = s.Device.ID, s.Device.Name, unit(s.Signal)
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
