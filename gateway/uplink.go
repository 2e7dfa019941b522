package gateway

import (
	"maps"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/store"
	"embergate/gateway/uplink/influx"
)

// uplink is a way to a platform, with its own durable queue.
type uplink struct {
	id, kind string
	platform
	limit store.QueueLimit
}

// queueBytes is how much a queue may hold where its queue: key does not say: a month of a home of 200 signals at 1 Hz, and
// no more than a small disk can spare. There is no limit of age: a clock that was set wrong must not empty a queue.
const queueBytes = 1 << 30

// queueKeys are the keys under queue: of an uplink.
type queueKeys struct {
	Bytes int64         `yaml:"bytes"` // of batches as stored, about 8 for a reading
	Age   time.Duration `yaml:"age"`   // older ones go; 0 is no limit
}

func (k queueKeys) check(s conf.Section) store.QueueLimit {
	if k.Bytes < 1<<20 {
		s.At("bytes").Problem("a queue holds at least %d bytes", 1<<20)
	}
	if k.Age != 0 && k.Age < time.Hour {
		s.At("age").Problem("a queue keeps at least %s", time.Hour)
	}
	return store.QueueLimit{Bytes: k.Bytes, Age: k.Age}
}

// uplinkKinds are the kinds of uplinks that a configuration may name.
var uplinkKinds = []string{"gbt26875", "influxdb", "mqtt"}

func (g *Gateway) readUplinks(sections []conf.Section) {
	ids := map[string]bool{}
	for _, s := range sections {
		own := struct {
			ID    string    `yaml:"id"`
			Queue queueKeys `yaml:"queue"`
		}{Queue: queueKeys{Bytes: queueBytes}}
		kinds := map[string]conf.Section{}
		for _, kind := range uplinkKinds {
			kinds[kind] = conf.Section{}
		}
		s.Decode(&own, kinds)
		maps.DeleteFunc(kinds, func(_ string, at conf.Section) bool { return !at.Exists() })
		if !drivers.IDPattern.MatchString(own.ID) {
			s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", own.ID)
		}
		limit := own.Queue.check(s.At("queue"))
		if ids[own.ID] {
			s.At("id").Problem("the uplink %q is there twice", own.ID)
		}
		ids[own.ID] = true
		if len(kinds) != 1 {
			s.Problem("an uplink has exactly one kind: %s", strings.Join(uplinkKinds, ", "))
			continue
		}
		kind := slices.Collect(maps.Keys(kinds))[0]
		switch at := kinds[kind]; kind {
		case "influxdb":
			influx.CheckFields(g.devices())
			u := influx.New(at, influx.Options{
				ID: own.ID, Site: g.cfg.Site.ID, Region: g.cfg.Site.Region, Log: g.Log.With("uplink", own.ID),
				Observe: g.metrics.uplink(own.ID),
			})
			g.uplinks = append(g.uplinks, uplink{own.ID, kind, toInflux{u, own.ID}, limit})
		case "mqtt":
			g.uplinks = append(g.uplinks, uplink{own.ID, kind, toBroker{g.newBroker(at, own.ID)}, limit})
		case "gbt26875":
			g.uplinks = append(g.uplinks, uplink{own.ID, kind, toCentre{g.newCentre(at, own.ID)}, limit})
		}
	}
}
