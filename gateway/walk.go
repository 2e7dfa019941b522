package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/rules"
)

// A walk test: somebody goes through a zone under test and tries every detector; what was found at which of them is the
// commissioning sheet. A detector is a signal at which a rule raises an alarm or an early warning.

const (
	walksKey  = "walks" // of the sheets in the store's settings
	mostWalks = 50
)

// trials are the signals to be tried in a zone, with those below it.
func (x *exercise) trials(zone string) (keys []string) {
	for _, in := range x.h.g.rules.Instances() {
		urgent := in.Rule.Level == rules.LevelAlarm || in.Rule.Level == rules.LevelPrealarm
		if in.Signal != "" && urgent && x.h.g.within(in.Zone, zone) {
			keys = append(keys, in.Signal)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// tried notes what was found in zones under test, and tells whether there was something new.
func (x *exercise) tried(events []alarm.Event) (fresh bool) {
	for _, e := range events {
		if e.Alarm == nil || !e.Alarm.Test || e.Alarm.Signal == "" || !raises(e.Type) && e.Type != alarm.EventJoined {
			continue
		}
		found := e.Alarm.Sources // each path of a detector is tried
		if found == nil {
			found = []string{e.Alarm.Signal}
		}
		for i := range x.Tests {
			t := &x.Tests[i]
			if !x.h.g.within(e.Alarm.Zone, t.Zone) {
				continue
			}
			for _, signal := range found {
				if _, known := t.Tried[signal]; known {
					continue
				}
				if t.Tried == nil {
					t.Tried = map[string]time.Time{}
				}
				t.Tried[signal] = e.Time
				fresh = true
			}
		}
	}
	return fresh
}

// sheet is the walk test as it stands; a zero end is one that is on.
func (x *exercise) sheet(t zoneTest, ended time.Time) console.WalkTest {
	g := x.h.g
	w := console.WalkTest{
		ID: fmt.Sprintf("walk-%x", t.Since.UnixMilli()), Zone: t.Zone, ZonePath: g.places[t.Zone].Path, By: t.By, Note: t.Note, Started: t.Since.In(g.location),
		Lines: []console.WalkLine{},
	}
	if !ended.IsZero() {
		w.Ended = ptr(ended.In(g.location))
	}
	for _, key := range x.trials(t.Zone) {
		line := console.WalkLine{Signal: key}
		if s := x.h.live.signals[key]; s != nil && s.device != nil {
			line.Device, line.Place = s.device.Name, g.places[s.device.Zone].Path
		}
		if at, ok := t.Tried[key]; ok {
			line.Tried = ptr(at.In(g.location))
			w.Tried++
		}
		w.Lines = append(w.Lines, line)
	}
	return w
}

// walked keeps the sheet of a test that is over, and says in one sentence what was tried.
func (x *exercise) walked(now time.Time, t zoneTest) string {
	w := x.sheet(t, now)
	x.walks = slices.Insert(x.walks, 0, w)
	x.walks = x.walks[:min(len(x.walks), mostWalks)]
	if err := x.h.setting(context.Background(), walksKey, x.walks); err != nil {
		x.h.log.Error("walk test not saved", "err", err)
	}
	lang := x.h.g.cfg.Site.Language
	said := lang.Say("%d of %d detectors were tried", w.Tried, len(w.Lines))
	var missed []string
	for _, l := range w.Lines {
		if l.Tried == nil {
			missed = append(missed, strings.TrimSpace(l.Place+" "+l.Device+" "+l.Signal))
		}
	}
	if missed != nil {
		said = lang.Say("%s; not tried: %s", said, strings.Join(missed, ", "))
	}
	return said
}

// WalkTests are the sheets of the tests that are on, and of the last that are over, the newest first.
func (h *hub) WalkTests(ctx context.Context) (list []console.WalkTest, err error) {
	err = h.ask(ctx, func(time.Time) {
		for _, t := range slices.Backward(h.exercise.Tests) {
			list = append(list, h.exercise.sheet(t, time.Time{}))
		}
		list = append(list, h.exercise.walks...)
	})
	return list, err
}
