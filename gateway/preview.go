package gateway

import (
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/notify"
	"embergate/rules"
)

// Preview says how an alarm of a level and class reads in each channel, as it is raised or, where over is set, as it
// clears: one of the first rule of this level and class, else of this level, where it looks first. It sends nothing.
func (g *Gateway) Preview(level rules.Level, class rules.Class, over bool, now time.Time) []notify.Preview {
	now = now.In(g.location)
	a := alarm.Alarm{
		ID: "00000042-1a20060f265", Rule: "example", Name: string(class), Class: class, Level: level, State: alarm.Unacknowledged, RaisedAt: now, Count: 1,
	}
	if in := g.example(level, class); in != nil {
		c := g.condition(in, g.spot(in))
		a.Rule, a.Name, a.Zone, a.ZonePath, a.Device, a.DeviceName, a.Signal, a.Unit = in.Rule.ID, c.Name, c.Zone, c.ZonePath, c.Device, c.DeviceName, c.Signal, c.Unit
		a.Message = g.message(in, drivers.Reading{}, c)
	}
	e := alarm.Event{ID: a.ID + "/1", Time: now, Type: alarm.EventRaised, Alarm: &a}
	if over {
		a.State, a.ClearedAt = alarm.Returned, &now
		e.Type = alarm.EventCleared
	}
	if level == rules.LevelFault {
		e.Type = map[string]string{alarm.EventRaised: alarm.EventFaultRaised, alarm.EventCleared: alarm.EventFaultCleared}[e.Type]
	}
	return g.channels.Preview(e, now)
}

// example is where a rule of a level and class looks first; nil where there is none of the level.
func (g *Gateway) example(level rules.Level, class rules.Class) (found *rules.Instance) {
	for _, in := range g.rules.Instances() {
		if in.Rule.Level != level {
			continue
		}
		if in.Rule.Class == class {
			return in
		}
		if found == nil {
			found = in
		}
	}
	return found
}
