package gateway

import (
	"context"
	"maps"
	"slices"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/monthly"
	"embergate/gateway/store"
)

// MonthlyReport is the report of a month like 2026-10; "" is the one that is on. The error is *alarm.Refused for what is
// no month, or none that has begun.
func (h *hub) MonthlyReport(ctx context.Context, month string) (monthly.Report, error) {
	now := time.Now().In(h.g.location)
	if month == "" {
		month = now.Format("2006-01")
	}
	from, err := time.ParseInLocation("2006-01", month, h.g.location)
	if err != nil {
		return monthly.Report{}, refuse(alarm.ErrInput, "%q is no month; write it as 2026-10", month)
	}
	if from.After(now) {
		return monthly.Report{}, refuse(alarm.ErrInput, "the month %s has not begun", month)
	}
	in := monthly.Input{From: from, To: from.AddDate(0, 1, 0), Made: now, Whole: true, Names: h.g.nameOf}
	if in.To.After(now) {
		in.To, in.Whole = now, false
	}
	site := h.g.cfg.Site
	in.Site = monthly.Site{ID: site.ID, Name: site.Name, Region: site.Region, Beds: site.Beds}
	for _, d := range h.g.devices() {
		in.Devices = append(in.Devices, monthly.Device{ID: d.ID, Name: d.Name, Place: h.g.places[d.Zone].Path})
	}
	if in.Alarms, err = h.store.Alarms(ctx, store.AlarmQuery{From: in.From, To: in.To}); err != nil {
		return monthly.Report{}, err
	}
	slices.Reverse(in.Alarms)
	if in.Events, err = h.store.FindEvents(ctx, store.EventQuery{From: in.From, To: in.To, Types: monthly.Types}); err != nil {
		return monthly.Report{}, err
	}
	slices.Reverse(in.Events)
	if in.Uptime, err = h.uptimeOf(ctx, month); err != nil {
		return monthly.Report{}, err
	}
	if in.Hazards, err = h.Hazards(ctx); err != nil {
		return monthly.Report{}, err
	}
	in.Coverage.Total, in.Coverage.Protected = h.Snapshot().Rooms()
	return monthly.Make(in), nil
}

// Began is when the journal begins.
func (h *hub) Began(ctx context.Context) (time.Time, error) {
	first, err := h.store.Events(ctx, 0, 1)
	if err != nil || len(first) == 0 {
		return time.Now(), err
	}
	return first[0].Time, nil
}

// nameOf is a person's name by id; what is no id stays.
func (g *Gateway) nameOf(id string) string {
	if p, ok := g.Person(id); ok {
		return p.Name
	}
	return id
}

// uptimeOf is the availability in a month: of the one that is on as it is counted, of others as they were kept.
func (h *hub) uptimeOf(ctx context.Context, month string) (of map[string]monthly.Uptime, err error) {
	err = h.ask(ctx, func(time.Time) {
		if h.uptime.month == month {
			of = maps.Clone(h.uptime.devices)
		}
	})
	if of != nil || err != nil {
		return of, err
	}
	var r uptimeRecord
	err = h.readSetting(ctx, uptimeKey+month, &r)
	return r.Devices, err
}
