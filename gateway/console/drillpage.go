package console

import (
	"fmt"
	"slices"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// drillPage begins and ends drills and tests, and shows how long the last drills took.
func (w *web) drillPage() page {
	return page{path: "/drills", role: Viewer, title: i18n.T("Drills"), nav: "/drills", body: "drills.html", view: w.seeDrills}
}

type drillsView struct {
	On      *drillView // the one that is on
	Past    []drillView
	Tests   []testView
	Signals []drillable
	Zones   []Zone // that are not under test
}

// drillable is a device whose signals may be taken to be in alarm.
type drillable struct {
	Name    string
	Signals []pick // To is the key
}

type drillView struct {
	What, By, Note, Why string
	Started, Until      moment
	Ended               moment
	Steps               []stepView
	Told, Answered      string // after how long somebody was told, and answered; "" where it did not happen
}

type stepView struct{ After, What, Name, By string }

type testView struct {
	Zone, What, By, Note string
	Since, Until         moment
}

// pastDrills is how many drills that are over the page shows.
const pastDrills = 20

func (w *web) seeDrills(q *look) (any, error) {
	s, l := q.Snapshot, q.Lang
	drills, err := w.Source.Drills(q.Context())
	if err != nil {
		return nil, err
	}
	v := drillsView{Signals: drillables(s, l)}
	for _, d := range drills {
		seen := seeDrill(d, s, l)
		if d.Ended == nil {
			v.On = &seen
		} else if len(v.Past) < pastDrills {
			v.Past = append(v.Past, seen)
		}
	}
	for _, t := range s.Tests {
		v.Tests = append(v.Tests, testView{t.Zone, t.ZonePath, t.By, t.Note, at(t.Since, s.Time, l), at(t.Until, s.Time, l)})
	}
	for _, z := range s.Zones {
		if !slices.ContainsFunc(s.Tests, func(t ZoneTest) bool { return t.Zone == z.ID }) {
			v.Zones = append(v.Zones, z)
		}
	}
	return v, nil
}

func seeDrill(d Drill, s *Snapshot, l i18n.Lang) drillView {
	v := drillView{
		What: s.nameOf(d.Signal), By: d.By, Note: d.Note, Why: d.Why,
		Started: at(d.Started, s.Time, l), Until: at(d.Until, s.Time, l), Ended: when(d.Ended, s.Time, l),
	}
	for _, st := range d.Steps {
		after := l.Say("%s s", fmt.Sprintf("%.1f", st.After))
		v.Steps = append(v.Steps, stepView{after, eventWord(st.Event, l), st.Name, st.By})
		if st.Event == "delivered" && v.Told == "" {
			v.Told = after
		}
		if st.Event == "alarm.acknowledged" && v.Answered == "" {
			v.Answered = after
		}
	}
	return v
}

// nameOf is a signal with its device, for people.
func (s *Snapshot) nameOf(key string) string {
	for _, d := range s.Devices {
		for _, sig := range d.Signals {
			if d.ID+"."+sig.ID == key {
				return d.Name + " · " + sig.Name
			}
		}
	}
	return key
}

// drillables are the devices with signals that a rule may watch: what a device says of itself is not worth a drill.
func drillables(s *Snapshot, l i18n.Lang) (list []drillable) {
	for _, d := range s.Devices {
		g := drillable{Name: d.Name}
		for _, sig := range d.Signals {
			if sig.Class != string(drivers.DeviceClass) && sig.Class != "environment" {
				g.Signals = append(g.Signals, pick{Word: d.Name + " · " + sig.Name, To: d.ID + "." + sig.ID})
			}
		}
		if len(g.Signals) > 0 {
			list = append(list, g)
		}
	}
	return list
}
