package gateway

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/notify"
	"embergate/gateway/store"
	uplinks "embergate/gateway/uplink"
	"embergate/gateway/uplink/gbt26875"
	"embergate/gateway/uplink/influx"
	"embergate/gateway/uplink/mqtt"
)

// platform is what the hub knows of a kind of uplink. All methods but Run return at once.
type platform interface {
	Readings(d drivers.Device, batch []drivers.Reading)
	Point(p influx.Point)
	Alarms(open []alarm.Alarm)
	Wake()
	Status() uplinks.Status
	run(ctx context.Context, h *hub) error
	backlog(inQueue store.QueueStats, last int64) store.QueueStats // last is the number of the newest event
}

// toInflux is an uplink to InfluxDB. It has the events as points of their own, so the list of alarms says nothing new.
type toInflux struct {
	*influx.Uplink
	id string
}

func (toInflux) Alarms([]alarm.Alarm) {}

func (p toInflux) run(ctx context.Context, h *hub) error {
	return p.Run(ctx, h.queues[p.id], stampedJournal{siteJournal{h.store}, h.g.built})
}

func (toInflux) backlog(inQueue store.QueueStats, _ int64) store.QueueStats { return inQueue }

// toBroker is an uplink to a broker. Its queue is the journal; of readings it has the latest only.
type toBroker struct{ *mqtt.Uplink }

func (toBroker) Point(influx.Point) {}

func (p toBroker) run(ctx context.Context, h *hub) error {
	return p.Run(ctx, stampedJournal{siteJournal{h.store}, h.g.built}, h)
}

func (p toBroker) backlog(_ store.QueueStats, last int64) store.QueueStats { return waiting(p, last) }

// toCentre is an uplink to a fire centre. Its queue is the journal, as with a broker, and it gets that as it is: an alarm
// does not wait for the clock.
type toCentre struct{ *gbt26875.Uplink }

func (toCentre) Point(influx.Point) {}

func (p toCentre) run(ctx context.Context, h *hub) error { return p.Run(ctx, siteJournal{h.store}, h) }

func (p toCentre) backlog(_ store.QueueStats, last int64) store.QueueStats { return waiting(p, last) }

// waiting is the backlog of an uplink whose queue is the journal.
func waiting(p interface{ Waiting() (int64, time.Time) }, last int64) store.QueueStats {
	sent, oldest := p.Waiting()
	if sent < 0 {
		return store.QueueStats{Oldest: oldest}
	}
	return store.QueueStats{Records: max(last-sent, 0), Oldest: oldest}
}

// backlog is what waits for a platform.
func (h *hub) backlog(u uplink) store.QueueStats { return u.backlog(h.queues[u.id].Stats(), h.seq) }

// tellAlarms gives platforms the list of open alarms, but for what is of a test.
func (h *hub) tellAlarms() {
	if !slices.ContainsFunc(h.g.uplinks, func(u uplink) bool { return u.kind != "influxdb" }) {
		return
	}
	open := slices.DeleteFunc(h.board.Open(), func(a alarm.Alarm) bool { return a.Test })
	for _, u := range h.g.uplinks {
		u.Alarms(open)
	}
}

func (g *Gateway) newBroker(at conf.Section, id string) *mqtt.Uplink {
	var devices []string
	for _, d := range g.devices() {
		devices = append(devices, d.ID)
	}
	return mqtt.New(at, mqtt.Options{
		ID: id, Site: g.cfg.Site.ID, Devices: devices, Unit: unit, Body: g.bodyOf, Log: g.Log.With("uplink", id),
		Observe: g.metrics.uplink(id),
	})
}

func (g *Gateway) newCentre(at conf.Section, id string) *gbt26875.Uplink {
	o := gbt26875.Options{
		ID: id, Version: g.Version, Location: g.location, Devices: g.devices(), Log: g.Log.With("uplink", id),
		Observe: g.metrics.uplink(id),
	}
	for _, z := range g.cfg.Zones {
		o.Zones = append(o.Zones, gbt26875.Zone{ID: z.ID, Path: g.places[z.ID].Path})
	}
	if g.plan != nil {
		for _, p := range g.plan.People {
			o.People = append(o.People, p.Name)
		}
	}
	return gbt26875.New(at, o)
}

// bodyOf is what platforms are told of an event, in the shape of a webhook's; nil of one that is not for them.
func (g *Gateway) bodyOf(e alarm.Event, late bool) []byte {
	a := e.Alarm
	if a == nil && !slices.Contains([]string{"drill.started", "drill.ended", "duty.check", "duty.missed"}, e.Type) {
		return nil
	}
	e.Time = e.Time.In(g.location)
	m := notify.Message{
		Event: contractType(e), ID: e.ID, Time: e.Time, Late: late, Alarm: a, Text: notify.Text(e, g.cfg.Site.Language),
		Site: notify.Site{ID: g.cfg.Site.ID, Name: g.cfg.Site.Name, Region: g.cfg.Site.Region},
	}
	if a != nil && a.Value != nil && (math.IsNaN(*a.Value) || math.IsInf(*a.Value, 0)) { // JSON has no word for it
		plain := *a
		plain.Value = nil
		m.Alarm = &plain
	}
	body, err := json.Marshal(m)
	if err != nil {
		m.Alarm, m.Time = nil, time.Time{} // the line of text says the most of it
		body, _ = json.Marshal(m)
	}
	return body
}

// contractType is the type of an event in the words of the contract, section 6, where that has one for it: an alarm that
// comes back, or becomes more urgent, is raised again for whoever heard that it had cleared.
func contractType(e alarm.Event) string {
	switch {
	case e.Type == alarm.EventUnshelved:
		return alarm.EventReminder
	case e.Type == alarm.EventCounted && e.Alarm.Level == "fault":
		return alarm.EventFaultRaised
	case e.Type == alarm.EventCounted:
		return alarm.EventRaised
	}
	return e.Type
}
