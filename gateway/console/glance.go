package console

import (
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// mood is what the page says in one glance, as a word that style sheets and programs know.
type mood string

const (
	moodAlarm    mood = "alarm"    // an alarm whose condition holds
	moodPrealarm mood = "prealarm" // a pre-alarm whose condition holds
	moodWaiting  mood = "waiting"  // an alarm or pre-alarm that is over and waits for a person
	moodFault    mood = "fault"    // something does not work
	moodUnknown  mood = "unknown"  // nothing says that something is wrong, but not everything is known
	moodDrill    mood = "drill"    // all is well but for a drill or a test
	moodNotice   mood = "notice"   // all is well but for a notice, or an alarm that is shelved
	moodWell     mood = "well"     // everything is known, and all is well
)

// frozenAfter is how old a snapshot may be before it is no longer the present. It should be a second old at most.
const frozenAfter = 5 * time.Second

// frozen tells whether the gateway has stopped renewing its state.
func (s *Snapshot) frozen(now time.Time) bool { return now.Sub(s.Time) > frozenAfter }

// signalCounts are how many signals have a good reading, a doubtful one, and none.
type signalCounts struct {
	Good      int `json:"good"`
	Uncertain int `json:"uncertain"`
	Bad       int `json:"bad"`
}

// deviceCounts are how many devices answer, do not, and have not been heard of yet.
type deviceCounts struct {
	Online  int `json:"online"`
	Offline int `json:"offline"`
	Unknown int `json:"unknown"`
}

// glance is the state of the home in one sentence, with what it rests on.
type glance struct {
	mood     mood
	kicker   i18n.Text // what kind of state it is, and whether somebody has taken it
	headline i18n.Text // what and where
	more     int       // open alarms besides the one in the headline
	top      *alarm.Alarm
	signals  signalCounts
	devices  deviceCounts
}

// glanceOf says how the home is. The most urgent thing comes first; and it is only well where every reading is good, every
// device answers and every component works.
func glanceOf(s *Snapshot, now time.Time) glance {
	if s == nil {
		return glance{mood: moodUnknown, kicker: i18n.T("Starting"), headline: i18n.T("Nothing is known yet")}
	}
	g := glance{}
	for _, d := range s.Devices {
		g.devices.count(d)
		for _, sig := range d.Signals {
			g.signals.count(sig)
		}
	}
	switch {
	case s.frozen(now):
		g.mood, g.kicker = moodUnknown, i18n.T("The gateway stands still")
		g.headline = i18n.T("Nothing new since %s", s.Time.Format(time.TimeOnly))
	case g.alarm(s.Alarms, false):
	case g.fault(s):
	case g.unknown():
	case g.alarm(s.Alarms, true):
	case s.Drill != nil:
		g.mood, g.headline = moodDrill, i18n.T("A drill is on")
	case len(s.Tests) > 0:
		g.mood, g.headline = moodDrill, i18n.T("Under test: %s", s.Tests[0].ZonePath)
	default:
		g.mood, g.headline = moodWell, i18n.T("All is well")
	}
	return g
}

func (c *signalCounts) count(s Signal) {
	switch s.Quality {
	case drivers.Good:
		c.Good++
	case drivers.Uncertain:
		c.Uncertain++
	default:
		c.Bad++
	}
}

func (c *deviceCounts) count(d Device) {
	switch {
	case d.Online == nil:
		c.Unknown++
	case *d.Online:
		c.Online++
	default:
		c.Offline++
	}
}

// alarm takes the most urgent open alarm, or tells that there is none: first those that matter now; then, where quiet is
// set, drills, shelved alarms and notices.
func (g *glance) alarm(open []alarm.Alarm, quiet bool) bool {
	var top *alarm.Alarm
	var best mood
	for i, a := range open {
		m := moodOf(a)
		if (m == moodDrill || m == moodNotice) != quiet {
			continue
		}
		if top == nil || urgency[m] < urgency[best] {
			top, best = &open[i], m
		}
	}
	if top == nil {
		return false
	}
	place := top.ZonePath
	if place == "" {
		place = top.DeviceName
	}
	g.mood, g.more, g.top = best, len(open)-1, top
	g.kicker = i18n.T("%s · %s", levelWords[top.Level], stateWord(*top))
	switch {
	case top.Drill:
		g.kicker = i18n.T("Drill · %s", stateWord(*top))
	case top.Test:
		g.kicker = i18n.T("Test · %s", stateWord(*top))
	}
	g.headline = i18n.T("%s: %s", place, top.Name)
	if place == "" {
		g.headline = i18n.Text{Format: "%s", Args: []any{top.Name}}
	}
	return true
}

// urgency orders moods.
var urgency = map[mood]int{moodAlarm: 0, moodPrealarm: 1, moodWaiting: 2, moodFault: 3, moodDrill: 4, moodNotice: 5}

// moodOf is what one alarm makes of the page.
func moodOf(a alarm.Alarm) mood {
	switch {
	case a.Drill || a.Test:
		return moodDrill
	case a.ShelvedUntil != nil || a.Level == rules.LevelNotice:
		return moodNotice
	case a.Level == rules.LevelFault:
		return moodFault
	case !a.Active():
		return moodWaiting
	case a.Level == rules.LevelPrealarm:
		return moodPrealarm
	default:
		return moodAlarm
	}
}

// waits tells whether nobody has taken the alarm yet.
func waits(a alarm.Alarm) bool {
	return (a.State == alarm.Unacknowledged || a.State == alarm.Returned) && a.ShelvedUntil == nil
}

// fault takes the first thing that does not work, if any.
func (g *glance) fault(s *Snapshot) bool {
	why, is := s.broken()
	if is {
		g.mood, g.kicker, g.headline = moodFault, i18n.T("Fault"), why
	}
	return is
}

// broken is the first thing that does not work: a way in or out, or another part of the gateway.
func (s *Snapshot) broken() (what i18n.Text, is bool) {
	for _, e := range s.Endpoints {
		if !e.Up {
			return i18n.T("The connection %s to the devices is down", e.ID), true
		}
	}
	for _, c := range s.Channels {
		if !c.Working {
			return i18n.T("Nobody is reached through %s", c.ID), true
		}
	}
	for _, u := range s.Uplinks {
		if !u.Working {
			return i18n.T("The platform %s takes no data", u.ID), true
		}
	}
	for _, c := range s.Components {
		if !c.Working {
			name, ok := componentWords[c.Name]
			if !ok {
				name = i18n.Text{Format: "%s", Args: []any{c.Name}}
			}
			return i18n.T("%s does not work", name), true
		}
	}
	return i18n.Text{}, false
}

// unknown takes what is missing among devices and readings.
func (g *glance) unknown() bool {
	switch {
	case g.signals == signalCounts{}:
		g.headline = i18n.T("There is nothing that could be read")
	case g.devices.Offline > 0:
		g.headline = i18n.T("%d of %d devices do not answer", g.devices.Offline, g.devices.all())
	case g.signals.Bad > 0:
		g.headline = i18n.T("%d of %d values are missing", g.signals.Bad, g.signals.all())
	case g.devices.Unknown > 0:
		g.headline = i18n.T("%d of %d devices have not been heard yet", g.devices.Unknown, g.devices.all())
	case g.signals.Uncertain > 0:
		g.headline = i18n.T("%d of %d values are in doubt", g.signals.Uncertain, g.signals.all())
	default:
		return false
	}
	g.mood, g.kicker = moodUnknown, i18n.T("Not everything is known")
	return true
}

func (c signalCounts) all() int { return c.Good + c.Uncertain + c.Bad }
func (c deviceCounts) all() int { return c.Online + c.Offline + c.Unknown }
