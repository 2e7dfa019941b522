package gateway

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// tell fills in what would have happened from the start of the replay on.
func (p *playback) tell(r *Replay) {
	open := map[string]bool{}
	for i, e := range p.runs.all {
		what := did(e)
		if what == "" {
			continue
		}
		key := e.Alarm.Rule + "@" + source(*e.Alarm)
		if e.Time.Before(r.From) {
			open[key] = what != "cleared"
			continue
		}
		told := replayEvent(e, what, r.From.Location())
		told.Rough = p.roughs[i]
		r.Events = append(r.Events, told)
	}
	for _, is := range open {
		if is {
			r.AtStart++
		}
	}
}

// did is what an event is in the words of a replay; "" for one that is none.
func did(e alarm.Event) string {
	switch {
	case e.Alarm == nil:
		return ""
	case raises(e.Type):
		return "raised"
	case e.Type == alarm.EventCleared || e.Type == alarm.EventFaultCleared:
		return "cleared"
	case e.Type == alarm.EventLowered:
		return "lowered"
	}
	return ""
}

func replayEvent(e alarm.Event, what string, at *time.Location) ReplayEvent {
	a := e.Alarm
	return ReplayEvent{
		Time: e.Time.In(at), What: what, Rule: a.Rule, Source: source(*a), Name: a.Name, Level: a.Level, Value: a.Value, Unit: a.Unit,
		Place: strings.TrimSpace(a.ZonePath + " " + a.DeviceName), Test: a.Test,
	}
}

// compareReplay sets beside what would have happened what the journal says: the same at the same place, at about the same
// time, each once.
func (g *Gateway) compareReplay(ctx context.Context, r *Replay) error {
	journal, err := g.happened(ctx, r.From.Add(-sameRough), r.To.Add(sameRough))
	if err != nil {
		return err
	}
	for i := range r.Events {
		e := &r.Events[i]
		within := sameWithin
		if e.Rough {
			within = sameRough
		}
		best := -1
		for j, o := range journal {
			apart := o.Time.Sub(e.Time).Abs()
			if o.Journal == nil && o.What == e.What && o.Rule == e.Rule && o.Source == e.Source && apart <= within &&
				(best < 0 || apart < journal[best].Time.Sub(e.Time).Abs()) {
				best = j
			}
		}
		if best >= 0 {
			e.Journal, e.Test = &journal[best].Time, journal[best].Test
			journal[best].Journal = &e.Time
		}
	}
	count := map[string]*ReplayCount{}
	of := func(rule string) *ReplayCount {
		if count[rule] == nil {
			count[rule] = &ReplayCount{Rule: rule}
		}
		return count[rule]
	}
	for _, e := range r.Events {
		if e.What == "raised" {
			of(e.Rule).Would++
		}
	}
	for _, o := range journal {
		if o.Time.Before(r.From) || !o.Time.Before(r.To) {
			continue
		}
		if o.What == "raised" {
			of(o.Rule).Did++
		}
		if o.Journal == nil {
			r.Unlike = append(r.Unlike, o)
		}
	}
	for _, c := range count {
		r.Rules = append(r.Rules, *c)
	}
	slices.SortFunc(r.Rules, func(a, b ReplayCount) int { return strings.Compare(a.Rule, b.Rule) })
	return nil
}

// happened is what the journal has of the rules of configurations: drills and the gateway's own faults come from no reading.
func (g *Gateway) happened(ctx context.Context, from, to time.Time) (list []ReplayEvent, err error) {
	j, err := store.OpenReader(string(g.cfg.Data))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing has ever happened
	}
	if err != nil {
		return nil, err
	}
	defer j.Close()
	err = j.EachEvent(ctx, store.EventQuery{From: from, To: to}, func(e alarm.Event) error {
		if what := did(e); what != "" && !e.Alarm.Drill && !strings.HasPrefix(e.Alarm.Rule, "gateway-") {
			list = append(list, replayEvent(e, what, g.location))
		}
		return nil
	})
	return list, err
}
