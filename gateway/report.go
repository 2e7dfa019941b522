package gateway

import (
	"slices"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink/influx"
)

// reporter writes the gateway's own series (contract, section 7): health of each device, of the gateway, and the site.
type reporter struct {
	g       *Gateway
	gate    *gate
	started time.Time
	minute  time.Time // when health and gateway were last written
	day     time.Time // when site was
	health  map[string]health
}

// health is what a device's series last said.
type health struct {
	online     bool
	bad, stale int
	reason     string
}

func newReporter(g *Gateway, now time.Time, gate *gate) *reporter {
	return &reporter{g: g, gate: gate, started: now, health: map[string]health{}}
}

// tick writes what is due: a device's health on change and every 60 s, the gateway's every 60 s, the site's daily.
func (r *reporter) tick(now time.Time, h *hub) {
	due := now.Sub(r.minute) >= time.Minute
	if due {
		r.minute = now
	}
	if len(r.g.uplinks) == 0 {
		return
	}
	for _, d := range h.live.devices {
		if s := healthOf(d); due || s != r.health[d.ID] {
			r.health[d.ID] = s
			r.send(influx.Point{Measurement: "health", Tags: r.tags("zone", d.Zone, "device", d.ID), Time: now, Fields: []influx.Field{
				influx.Integer("online", number(s.online)), influx.Integer("bad", int64(s.bad)),
				influx.Integer("stale", int64(s.stale)), influx.String("reason", s.reason),
			}})
		}
	}
	if due {
		r.gateway(now, h)
	}
	if now.Sub(r.day) >= 24*time.Hour {
		r.day = now
		r.site(now)
	}
}

func healthOf(d *device) health {
	s := health{online: d.online.Quality == drivers.Good && d.online.Value == 1}
	for _, sig := range d.signals {
		if sig.Quality != drivers.Bad || sig.Optional && !sig.seen() {
			continue
		}
		s.bad++
		if sig.Reason == drivers.Stale {
			s.stale++
		}
		if s.reason == "" {
			s.reason = string(sig.Reason)
		}
	}
	return s
}

func (r *reporter) gateway(now time.Time, h *hub) {
	var online, signals, bad int64
	for _, d := range h.live.devices {
		s := healthOf(d)
		online += number(s.online)
		signals += int64(len(d.signals))
		bad += int64(s.bad)
	}
	var records int64
	var age time.Duration
	for _, u := range r.g.uplinks {
		q := h.backlog(u)
		records += q.Records
		if !q.Oldest.IsZero() {
			age = max(age, now.Sub(q.Oldest))
		}
	}
	coverage := 0.0
	if n := len(h.live.devices); n > 0 {
		coverage = float64(online) / float64(n)
	}
	r.send(influx.Point{Measurement: "gateway", Tags: r.tags(), Time: now, Fields: []influx.Field{
		influx.String("version", r.g.Version), influx.Float("uptime_s", now.Sub(r.started).Seconds()),
		influx.Float("queue_age_s", age.Seconds()), influx.Float("coverage", coverage),
		influx.Integer("devices", int64(len(h.live.devices))), influx.Integer("devices_online", online),
		influx.Integer("signals", signals), influx.Integer("signals_bad", bad),
		influx.Integer("alarms_open", int64(len(slices.DeleteFunc(h.board.Open(), func(a alarm.Alarm) bool { return a.Test })))), influx.Integer("queue_records", records),
		influx.Integer("clock_ok", number(r.gate.clock.ok())), influx.Integer("roster_ok", number(h.duty.covered(now))),
	}})
}

// duty writes what somebody on duty did, or did not; took is what their answer took, 0 where there is none.
func (r *reporter) duty(now time.Time, e alarm.Event, took time.Duration) {
	fields := []influx.Field{influx.String("event", e.Type), influx.String("person", e.By), influx.String("channel", e.Via)}
	if took > 0 {
		fields = append(fields, influx.Float("answer_s", took.Seconds()))
	}
	r.send(influx.Point{Measurement: "duty", Tags: r.tags(), Time: now, Fields: fields})
}

func (r *reporter) site(now time.Time) {
	s := r.g.cfg.Site
	r.send(influx.Point{Measurement: "site", Tags: r.tags(), Time: now, Fields: []influx.Field{
		influx.String("name", s.Name), influx.String("contact", s.Contact.Name), influx.String("phone", s.Contact.Phone),
		influx.Integer("beds", int64(s.Beds)), influx.Float("lat", s.Position.Lat), influx.Float("lon", s.Position.Lon),
	}})
}

// tags are the pairs that are not empty; the uplink adds site and region.
func (r *reporter) tags(pairs ...string) [][2]string {
	var tags [][2]string
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			tags = append(tags, [2]string{pairs[i], pairs[i+1]})
		}
	}
	return tags
}

func (r *reporter) send(p influx.Point) {
	r.gate.takePoint(r.gate.clock.m, p)
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
