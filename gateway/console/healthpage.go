package console

import (
	"fmt"
	"slices"
	"time"

	"embergate/drivers/i18n"
)

// Health is how the gateway itself fares, beside its components.
type Health struct {
	DiskFree, DiskSize int64 // bytes where the state is kept; 0 where they are not known
	Written            int64 // bytes written to the databases since the start
	ClockOK            bool  // synchronised, and believed
	Memory             int64 // bytes, resident
	Chain              *Chain
}

// Chain is the last test of the whole way from an alarm to a person.
type Chain struct {
	At       time.Time
	Took     time.Duration // until the last of them had it
	Told, Of int           // ways that took it
	Drill    bool          // it was a drill
}

// healthPage shows whether everything between a sensor and a person works.
func (w *web) healthPage() page {
	return page{path: "/health", role: Viewer, title: i18n.T("Health"), nav: "/health", body: "health.html", view: w.seeHealth, shared: true}
}

type healthView struct {
	linksView
	Facts        []factView
	Certificates []factView
	Buses        []busView
}

// factView is a name with what is known.
type factView struct{ Name, Text, Look string }

// busView is a wire with its load.
type busView struct {
	linkView
	Load     string // 37 %
	Percent  int
	Devices  int
	Trouble  int64 // frames that gave no reading since the start
	HasLoad  bool
	Overload bool
}

func (w *web) seeHealth(q *look) (any, error) {
	s, l := q.Snapshot, q.Lang
	v := healthView{linksView: seeLinks(s, l)}
	for i, e := range s.Endpoints {
		b := busView{linkView: v.Endpoints[i]}
		if e.Load != nil {
			b.HasLoad, b.Percent = true, int(100*min(*e.Load, 1))
			b.Load, b.Overload = fmt.Sprintf("%d %%", b.Percent), *e.Load > 0.9
		}
		for _, d := range s.Devices {
			if d.Endpoint == e.ID {
				b.Devices++
				for _, err := range d.Errors {
					b.Trouble += err.Count
				}
			}
		}
		v.Buses = append(v.Buses, b)
		for _, c := range e.Certificates {
			v.Certificates = append(v.Certificates, factView{e.ID + " · " + c.Name, l.Say("until %s", c.Until.In(s.Time.Location()).Format(time.DateOnly)), lookIf(c.Until.Sub(s.Time) < 30*24*time.Hour, "bad")})
		}
	}
	v.Facts = facts(s, l)
	v.Others = slices.DeleteFunc(v.Others, func(o linkView) bool { return o.Look == "good" && o.ID == component("clock", l) }) // the facts say more
	return v, nil
}

func facts(s *Snapshot, l i18n.Lang) []factView {
	h := s.Health
	list := []factView{{l.Say("Running"), l.Say("since %s", at(s.Started, s.Time, l).Clock), "good"}}
	if h.ClockOK {
		list = append(list, factView{l.Say("Clock"), l.Say("set by the network: %s", s.Time.Format("2006-01-02 15:04 -07:00")), "good"})
	} else {
		list = append(list, factView{l.Say("Clock"), l.Say("not set by a network: %s", s.Time.Format("2006-01-02 15:04 -07:00")), "uncertain"})
	}
	if h.DiskSize > 0 {
		list = append(list, factView{l.Say("Disk"), l.Say("%s of %s free", bytesOf(h.DiskFree), bytesOf(h.DiskSize)), lookIf(h.DiskFree < h.DiskSize/20, "bad")})
	}
	if day := s.Time.Sub(s.Started); h.Written > 0 && day > time.Minute {
		list = append(list, factView{l.Say("Written"), l.Say("%s a day at this pace", bytesOf(int64(float64(h.Written)*float64(24*time.Hour)/float64(day)))), "good"})
	}
	if h.Memory > 0 {
		list = append(list, factView{l.Say("Memory"), bytesOf(h.Memory), "good"})
	}
	return append(list, chainFact(s, l))
}

// chainFact says when the whole way from an alarm to a person was last proved.
func chainFact(s *Snapshot, l i18n.Lang) factView {
	c := s.Health.Chain
	if c == nil {
		return factView{l.Say("Last test of the whole chain"), l.Say("never"), "uncertain"}
	}
	text := l.Say("%s, told after %s, %d of %d ways", at(c.At, s.Time, l).Clock, took(c.Took, l), c.Told, c.Of)
	return factView{l.Say("Last test of the whole chain"), text, lookIf(c.Told < c.Of || s.Time.Sub(c.At) > 32*24*time.Hour, "uncertain")}
}

func lookIf(bad bool, look string) string {
	if bad {
		return look
	}
	return "good"
}

// bytesOf is a size for people.
func bytesOf(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d kB", n>>10)
}
