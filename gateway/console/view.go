package console

import (
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// glanceView is the state of the home in one glance, on every page.
type glanceView struct {
	Time     moment
	Frozen   bool // the gateway has stopped renewing its state
	Mood     mood
	Kicker   string
	Headline string
	More     int
	Top      *alarm.Alarm // the one of the headline, where nobody has answered it; else nil
	Counts   []count
	Classes  []classCount // how many alarms are open of each class, 0 too
	Sound    string       // alarm or fault: what the page sounds like; "" for silence
	Open     string       // the ids of open alarms, apart by spaces: what is new among them is told to whoever cannot see it
}

// count is one of the numbers below the headline.
type count struct {
	Look string
	Text string
}

type alarmView struct {
	alarm.Alarm
	Mood                        mood
	LevelWord, ClassWord, State string
	Reading                     string // with its unit; "" where there is none
	Doubt                       bool   // the reading is not good
	Raised, Acked, Over, Back   moment
	First                       bool // raised before all other alarms that are shown
	CanAck, CanSilence, CanEnd  bool
	CanShelve, CanJudge         bool
	Closed                      moment
	Judged                      string // the verdict; "" where there is none
	Lasted                      string // from raised to cleared
	Wants                       bool   // it waits for its verdict
}

type zoneView struct {
	ID, Path string
	Devices  []deviceView
	Missing  int // values that are not good
	Fine     int // devices of a great home that are fine
}

type deviceView struct {
	ID, Name, Endpoint, Link, LinkWord string // Link: online, offline or unknown
	Since                              moment
	Signals                            []signalView // what matters, in the device's order
	Folded                             []signalView // the others: good, and of less interest
}

// fine tells whether the device answers and nothing of it asks to be looked at.
func (d Device) fine() bool {
	return d.Online != nil && *d.Online && !slices.ContainsFunc(d.Signals, func(s Signal) bool { return s.Quality != drivers.Good || s.alerts(s.Value) })
}

// signalView is one value. Look is one of good, uncertain, stale, gap, bad and off, each with its own colour, icon and
// word: a missing value never looks like a zero, an old one never like a fresh one.
type signalView struct {
	Name, Value, Unit, Look, Word, Detail string
	Good, Alert                           bool
	Since                                 moment
	Last                                  string
	LastAt                                moment
}

// linkView is an endpoint, uplink or channel.
type linkView struct {
	ID, Kind, Where string
	Look, Word      string // good or bad
	Since, Success  moment
	Error, Queue    string
	Oldest          moment
	Dropped         string
}

type phoneView struct {
	PhoneMessage
	At   moment
	Said string // the outcome
	Look string
}

// seeGlance is the state of the home in the words of one language.
func seeGlance(s *Snapshot, now time.Time, l i18n.Lang) glanceView {
	g := glanceOf(s, now)
	if s == nil {
		s = &Snapshot{Time: now}
	}
	v := glanceView{
		Time: at(s.Time, s.Time, l), Frozen: s.frozen(now), Mood: g.mood,
		Kicker: l.Say(g.kicker.Format, g.kicker.Args...), Headline: l.Say(g.headline.Format, g.headline.Args...), More: g.more,
		Counts: counts(g, l), Sound: sound(s.Alarms),
	}
	if g.top != nil && waits(*g.top) {
		v.Top = g.top
	}
	open := map[rules.Class]int{}
	for _, a := range s.Alarms {
		v.Open += a.ID + " "
		open[a.Class]++
	}
	for _, c := range rules.Classes {
		if c != "notice" || open[c] > 0 {
			v.Classes = append(v.Classes, classCount{l.Say(rules.ClassWords[c].Format), open[c]})
		}
	}
	return v
}

// classCount is how many alarms of a class are open.
type classCount struct {
	Word string
	N    int
}

func counts(g glance, l i18n.Lang) []count {
	list := []count{}
	add := func(n int, look, format string) {
		if n > 0 {
			list = append(list, count{look, l.Say(format, n)})
		}
	}
	add(g.signals.Good, "good", i18n.T("%d values good").Format)
	add(g.signals.Uncertain, "uncertain", i18n.T("%d in doubt").Format)
	add(g.signals.Bad, "bad", i18n.T("%d missing").Format)
	add(g.devices.Online, "good", i18n.T("%d devices answer").Format)
	add(g.devices.Offline, "bad", i18n.T("%d do not answer").Format)
	add(g.devices.Unknown, "gap", i18n.T("%d not heard yet").Format)
	return list
}

// sound is what the page sounds like until somebody silences or acknowledges what it is for.
func sound(open []alarm.Alarm) string {
	heard := ""
	for _, a := range open {
		if !waits(a) || a.Silenced || a.Level == rules.LevelNotice {
			continue
		}
		if a.Level != rules.LevelFault {
			return "alarm"
		}
		heard = "fault"
	}
	return heard
}

func seeAlarm(a alarm.Alarm, s *Snapshot, l i18n.Lang) alarmView {
	level, class, state := levelWords[a.Level], rules.ClassWords[a.Class], stateWord(a)
	v := alarmView{
		Alarm: a, Mood: moodOf(a), LevelWord: l.Say(level.Format), ClassWord: l.Say(class.Format),
		State: l.Say(state.Format, state.Args...), Raised: at(a.RaisedAt, s.Time, l), First: first(a, s.Alarms),
		Doubt: a.Quality != "" && a.Quality != drivers.Good.String(),
	}
	v.Acked, v.Over, v.Back = when(a.AcknowledgedAt, s.Time, l), when(a.ClearedAt, s.Time, l), when(a.ShelvedUntil, s.Time, l)
	if sig, ok := s.signal(a.Signal); ok && a.Value != nil {
		sig.Label = ""
		v.Reading = sig.say(*a.Value, l)
	} else if a.Value != nil && a.Signal != "" {
		v.Reading = number(*a.Value)
	}
	v.CanAck = a.State == alarm.Unacknowledged || a.State == alarm.Returned
	v.CanSilence = waits(a) && !a.Silenced
	v.Closed = when(a.ClosedAt, s.Time, l)
	v.Judged, v.Wants = verdictWord(a.Verdict, l), a.WantsVerdict()
	if a.ClearedAt != nil {
		v.Lasted = took(a.ClearedAt.Sub(a.RaisedAt), l)
	}
	v.CanShelve = a.Open() && a.ShelvedUntil == nil
	v.CanJudge = !a.Active() && !a.Drill && !a.Test
	v.CanEnd = a.State == alarm.Latched || a.State == alarm.Acknowledged && a.RuleGone
	return v
}

func when(t *time.Time, now time.Time, l i18n.Lang) moment {
	if t == nil {
		return moment{}
	}
	return at(*t, now, l)
}

// first tells whether the alarm was raised before all others that are as urgent: where a fire began says more than where
// it is noticed next. One alarm alone is not called first.
func first(a alarm.Alarm, open []alarm.Alarm) bool {
	peers := 0
	for _, other := range open {
		if other.Level != a.Level || other.Class != a.Class {
			continue
		}
		peers++
		if other.RaisedAt.Before(a.RaisedAt) {
			return false
		}
	}
	return peers > 1
}

// signal is the signal with a name like device.signal.
func (s *Snapshot) signal(key string) (Signal, bool) {
	for _, d := range s.Devices {
		for _, sig := range d.Signals {
			if d.ID+"."+sig.ID == key {
				return sig, true
			}
		}
	}
	return Signal{}, false
}

// seeZones puts devices under their zones, in the order of the zones. Devices of no known zone come last. In a great home
// a device that is fine comes without its values: thousands of them would say nothing, and cost much.
func seeZones(s *Snapshot, l i18n.Lang) []zoneView {
	great := len(s.Devices) > greatHome
	zones := make([]zoneView, 0, len(s.Zones)+1)
	index := map[string]int{}
	for i, z := range s.Zones {
		zones = append(zones, zoneView{ID: z.ID, Path: z.Path})
		index[z.ID] = i
	}
	zones = append(zones, zoneView{Path: l.Say("Elsewhere")})
	for _, d := range s.Devices {
		i, ok := index[d.Zone]
		if !ok {
			i = len(s.Zones)
		}
		if great && d.fine() {
			d.Signals = nil
			zones[i].Fine++
		}
		zones[i].Devices = append(zones[i].Devices, seeDevice(d, s.Time, l))
		for _, sig := range d.Signals {
			if sig.Quality != drivers.Good {
				zones[i].Missing++
			}
		}
	}
	return slices.DeleteFunc(zones, func(z zoneView) bool { return len(z.Devices) == 0 })
}

func seeDevice(d Device, now time.Time, l i18n.Lang) deviceView {
	v := deviceView{ID: d.ID, Name: d.Name, Endpoint: d.Endpoint, Since: at(d.Since, now, l)}
	switch {
	case d.Online == nil:
		v.Link, v.LinkWord = "unknown", l.Say("not heard yet")
	case *d.Online:
		v.Link, v.LinkWord = "online", l.Say("answers")
	default:
		v.Link, v.LinkWord = "offline", l.Say("does not answer")
	}
	main := 0
	for _, sig := range d.Signals {
		seen := seeSignal(sig, now, l)
		fine := seen.Good && !seen.Alert
		if fine && (sig.Class == string(drivers.DeviceClass) || main == mainValues) {
			v.Folded = append(v.Folded, seen)
			continue
		}
		if fine {
			main++
		}
		v.Signals = append(v.Signals, seen)
	}
	if n := mainValues; len(v.Signals) == 0 || len(v.Folded) == 1 { // nothing better, or not worth a fold
		n = min(n, len(v.Folded))
		v.Signals, v.Folded = append(v.Signals, v.Folded[:n]...), v.Folded[n:]
	}
	return v
}

// mainValues is how many good values of a device are shown before the others are folded away; a value that is not good,
// or asks to be looked at, is always shown.
const mainValues = 4

func seeSignal(s Signal, now time.Time, l i18n.Lang) signalView {
	v := signalView{Name: s.Name, Unit: s.Unit, Detail: s.Detail}
	if v.Name == "" {
		v.Name = l.Say(drivers.Kinds[s.Kind].Name)
	}
	if s.Quality != drivers.Good {
		v.Word, v.Since = l.Say(reasonWords[s.Reason].Format), at(s.Since, now, l)
	}
	switch {
	case s.Quality == drivers.Good:
		v.Look, v.Good = "good", true
	case s.Quality == drivers.Uncertain:
		v.Look = "uncertain"
	case s.Reason == drivers.Disabled:
		v.Look = "off"
	case s.Last == nil && s.Time.IsZero():
		v.Look = "gap"
	case s.Reason == drivers.Stale:
		v.Look = "stale"
	default:
		v.Look = "bad"
	}
	if s.Quality != drivers.Bad {
		v.Value, v.Alert = s.say(s.Value, l), s.alerts(s.Value)
		return v
	}
	if v.Value = l.Say("no reading"); v.Look == "gap" {
		v.Value = l.Say("no reading yet")
	}
	if s.Last != nil {
		last := s
		last.Label = ""
		v.Last, v.LastAt = last.say(*s.Last, l), at(s.Time, now, l)
	}
	return v
}

func seeMessage(m PhoneMessage, now time.Time, l i18n.Lang) phoneView {
	return phoneView{PhoneMessage: m, At: at(m.Time, now, l), Said: outcomeWord(m.Outcome, l), Look: m.Outcome}
}
