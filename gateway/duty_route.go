package gateway

import (
	"time"

	"embergate/gateway/duty"
	"embergate/rules"
)

// Route is who would be told of an alarm raised at a time that nobody answers, and the place of that time. Without a roster
// every channel is told at once.
func (g *Gateway) Route(at time.Time, level rules.Level, class rules.Class) duty.Route {
	if g.plan != nil {
		return g.plan.Route(at, level, class)
	}
	step := duty.Told{At: at.In(g.location), Tell: []duty.Address{}}
	for _, id := range g.channels.IDs() {
		step.Tell = append(step.Tell, duty.Address{Channel: id})
	}
	return duty.Route{Steps: []duty.Told{step}}
}
