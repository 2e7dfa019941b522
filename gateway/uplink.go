package gateway

import (
	"maps"
	"slices"
	"strings"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/uplink/influx"
)

// uplink is a way to a platform, with its own durable queue.
type uplink struct {
	id, kind string
	*influx.Uplink
}

// uplinkKinds are the kinds of uplinks that a configuration may name; the value tells whether this version has it.
var uplinkKinds = map[string]bool{"influxdb": true, "mqtt": false, "gbt26875": false}

func (g *Gateway) readUplinks(sections []conf.Section) {
	ids := map[string]bool{}
	for _, s := range sections {
		var own struct {
			ID string `yaml:"id"`
		}
		kinds := map[string]conf.Section{}
		for kind := range uplinkKinds {
			kinds[kind] = conf.Section{}
		}
		s.Decode(&own, kinds)
		maps.DeleteFunc(kinds, func(_ string, at conf.Section) bool { return !at.Exists() })
		if !drivers.IDPattern.MatchString(own.ID) {
			s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", own.ID)
		}
		if ids[own.ID] {
			s.At("id").Problem("the uplink %q is there twice", own.ID)
		}
		ids[own.ID] = true
		if len(kinds) != 1 {
			s.Problem("an uplink has exactly one kind: %s", strings.Join(slices.Sorted(maps.Keys(uplinkKinds)), ", "))
			continue
		}
		kind := slices.Collect(maps.Keys(kinds))[0]
		switch at := kinds[kind]; kind {
		case "influxdb":
			u := influx.New(at, influx.Options{
				ID: own.ID, Site: g.cfg.Site.ID, Region: g.cfg.Site.Region, Log: g.Log.With("uplink", own.ID),
				Observe: func(outcome string) { g.metrics.batches.WithLabelValues(own.ID, outcome).Inc() },
			})
			g.uplinks = append(g.uplinks, uplink{id: own.ID, kind: kind, Uplink: u})
		case "mqtt":
			checkMQTTUplink(at)
		case "gbt26875":
			checkFireCentre(at)
		}
		if !uplinkKinds[kind] {
			g.unbuilt = append(g.unbuilt, i18n.T("uplink %s: %s is not built in this version", own.ID, kind))
		}
	}
}

// checkMQTTUplink reports mistakes in the keys of an uplink to a broker.
func checkMQTTUplink(s conf.Section) {
	var c struct {
		URL      string      `yaml:"url"`
		ClientID string      `yaml:"client_id"`
		Username string      `yaml:"username"`
		Password conf.Secret `yaml:"password"`
		Topic    string      `yaml:"topic"`
		Commands bool        `yaml:"commands"`
	}
	s.Decode(&c)
	checkURL(s.At("url"), c.URL, "mqtt", "mqtts", "ws", "wss")
	if c.Topic == "" {
		s.At("topic").Problem("the uplink needs a topic to publish under")
	}
}

// checkFireCentre reports mistakes in the keys of an uplink to a fire centre (GB/T 26875.3).
func checkFireCentre(s conf.Section) {
	var c struct {
		Address string `yaml:"address"`
		Source  string `yaml:"source"`
	}
	s.Decode(&c)
	checkAddress(s.At("address"), c.Address)
	if c.Source == "" {
		s.At("source").Problem("the uplink needs the source address that the centre gave this site")
	}
}
