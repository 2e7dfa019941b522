package console

import (
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// nowPage is the first page: how the home is, the open alarms, then every place.
func (w *web) nowPage() page {
	return page{path: "/", role: Viewer, title: i18n.T("Now"), nav: "/", body: "now.html", view: w.seeNow, shared: true}
}

// nowView is what the first page shows.
type nowView struct {
	Alarms  []alarmView
	Zones   []zoneView
	Compact bool // a great home: devices that are fine are only counted
	Phone   []phoneView
	Demo    bool
	linksView
	nowFacts
}

// greatHome is how many devices the first page shows one by one at the most.
const greatHome = 60

func (w *web) seeNow(q *look) (any, error) {
	s, l := q.Snapshot, q.Lang
	v := nowView{Zones: seeZones(s, l), Compact: len(s.Devices) > greatHome, Demo: w.Demo, linksView: seeLinks(s, l), nowFacts: factsOf(s, l)}
	for _, a := range s.Alarms {
		v.Alarms = append(v.Alarms, q.alarm(a))
	}
	for _, m := range s.Phone {
		v.Phone = append(v.Phone, seeMessage(m, s.Time, l))
	}
	if v.Compact {
		for i := range v.Zones {
			z := &v.Zones[i]
			z.Devices = slices.DeleteFunc(z.Devices, func(d deviceView) bool { return d.Link == "online" && len(d.Signals) == 0 })
		}
	}
	return v, nil
}

// nowFacts are the three numbers by which a home sees that it is watched.
type nowFacts struct {
	Rooms, Protected int    // places with a detector of fire or gas; those where one answers with a good value
	Chain            string // when the whole way to a person was last proved
	ChainOK          bool
	Unsent           moment // the oldest thing that waits to be sent; zero where nothing does
	Waiting          bool
}

func factsOf(s *Snapshot, l i18n.Lang) (f nowFacts) {
	f.Rooms, f.Protected = s.Rooms()
	chain := chainFact(s, l)
	f.Chain, f.ChainOK = chain.Text, chain.Look == "good"
	var oldest time.Time
	for _, u := range s.Uplinks {
		if u.QueueRecords > 0 && !u.QueueOldest.IsZero() && (oldest.IsZero() || u.QueueOldest.Before(oldest)) {
			oldest = u.QueueOldest
		}
	}
	f.Unsent, f.Waiting = at(oldest, s.Time, l), !oldest.IsZero() && s.Time.Sub(oldest) > unsentAfter
	return f
}

// unsentAfter is how long something may wait before the page says so; a batch leaves every few seconds.
const unsentAfter = 30 * time.Second

// Rooms counts the places that have a detector of fire or gas or in which people live, and those of them where one
// gives a good value now.
func (s *Snapshot) Rooms() (rooms, protected int) {
	watched := map[string]bool{}
	for _, z := range s.Zones {
		if z.Residents > 0 {
			watched[z.ID] = false
		}
	}
	for _, d := range s.Devices {
		for _, sig := range d.Signals {
			if !detectors[sig.Kind] {
				continue
			}
			online := d.Online != nil && *d.Online
			watched[d.Zone] = watched[d.Zone] || online && sig.Quality == drivers.Good
		}
	}
	for _, is := range watched {
		if is {
			protected++
		}
	}
	return len(watched), protected
}

// detectors are the kinds of signals that notice fire or gas by themselves.
var detectors = map[string]bool{"smoke": true, "heat": true, "flame": true, "obscuration": true, "gas_alarm": true, "gas_lel": true, "co_alarm": true, "co": true}
