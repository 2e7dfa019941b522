package gateway

import (
	"context"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
	"embergate/rules"
)

// Settings of the store, and how many drills are remembered.
const (
	modesKey   = "modes"
	drillsKey  = "drills"
	mostDrills = 100
)

// exercise is the hub's side of tests and drills: it marks what they raise, keeps tests inside the site, and lets both end.
type exercise struct {
	h *hub
	*modes
	tested map[string]bool    // zones under test, with those below them
	past   []drill            // newest first
	walks  []console.WalkTest // newest first
}

func newExercise(h *hub, now time.Time) *exercise {
	x := &exercise{h: h, modes: &modes{}}
	text, err := h.store.Get(context.Background(), modesKey)
	if err == nil {
		x.modes, err = restoreModes(now, text)
	}
	if err != nil {
		h.log.Error("tests and drill not restored", "err", err)
	}
	if err := h.readSetting(context.Background(), drillsKey, &x.past); err != nil {
		h.log.Error("drills not restored", "err", err)
	}
	if err := h.readSetting(context.Background(), walksKey, &x.walks); err != nil {
		h.log.Error("walk tests not restored", "err", err)
	}
	if x.Drill != nil && len(x.targets(x.Drill.Signal)) == 0 {
		x.Drill.Until = now // a reload took its signal or rules away
	}
	x.apply()
	return x
}

// apply tells the conditions what is under test, and that a drill is on.
func (x *exercise) apply() {
	x.tested = map[string]bool{}
	zones := x.zones()
	for id := range x.h.g.places {
		if slices.ContainsFunc(zones, func(tested string) bool { return x.h.g.within(id, tested) }) {
			x.tested[id] = true
		}
	}
	x.h.state.SetTested(zones)
	x.h.state.SetDrill(x.Drill != nil)
}

func (x *exercise) save(now time.Time) {
	if err := x.h.store.Set(context.Background(), modesKey, x.record(now)); err != nil {
		x.h.log.Error("tests and drill not saved", "err", err)
	}
}

// mark says of what was found at an instance whether it is a test's or a drill's. A drill takes its signal to be in alarm;
// where the signal really is, that is no drill.
func (x *exercise) mark(in *rules.Instance, c *alarm.Condition) {
	c.Test = x.tested[in.Zone]
	if x.Drill == nil || c.When == rules.True && !c.Retained || !slices.ContainsFunc(x.h.paths.all(in), x.drilled) {
		return
	}
	c.Drill, c.When, c.Until, c.Retained = true, rules.True, rules.False, false
}

// drilled tells whether a drill triggers an instance.
func (x *exercise) drilled(in *rules.Instance) bool {
	return in.Signal == x.Drill.Signal && slices.Contains(x.targets(in.Signal), in)
}

// targets are the instances at a signal that a drill triggers: its alarms, or where it has none its pre-alarms.
func (x *exercise) targets(signal string) []*rules.Instance {
	for _, level := range []rules.Level{rules.LevelAlarm, rules.LevelPrealarm} {
		var list []*rules.Instance
		for _, in := range x.h.g.rules.At(signal) {
			if in.Rule.Level == level {
				list = append(list, in)
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

// isOf tells whether an alarm is of one of the instances.
func (x *exercise) isOf(a alarm.Alarm, instances []*rules.Instance) bool {
	return slices.ContainsFunc(instances, func(in *rules.Instance) bool { return x.h.paths.first(in).Key == a.Rule+"@"+source(a) })
}

// place is where a signal is, for people: its zone, device and key.
func (x *exercise) place(signal string) string {
	for _, in := range x.h.g.rules.At(signal) {
		at := x.h.spots[in.Index()]
		return strings.Join(strings.Fields(at.path+" "+at.name+" "+signal), " ")
	}
	return signal
}

// tick ends what is over.
func (x *exercise) tick(now time.Time) {
	tests, drillOver := x.over(now)
	if drillOver {
		x.stop(now, alarm.Act{}, i18n.T("its time was over"))
	}
	for _, t := range tests {
		x.testOver(now, t, alarm.Act{}, i18n.T("its time was over"))
	}
	if len(tests) > 0 {
		x.changed(now)
	}
}

// changed takes a new state into force and on disk, and judges everything anew: what a test found and still holds is
// raised as meant.
func (x *exercise) changed(now time.Time) {
	x.apply()
	x.save(now)
	x.h.judge(now, x.h.g.rules.Instances())
	x.h.events = append(x.h.events, x.h.board.EndTests(now, func(zone string) bool { return !x.tested[zone] })...)
}

func (x *exercise) testOver(now time.Time, t zoneTest, act alarm.Act, why i18n.Text) {
	x.event(now, "test.ended", act, i18n.T("%s: %s. %s", x.h.g.places[t.Zone].Path, why, x.walked(now, t)))
}

func (x *exercise) event(now time.Time, kind string, act alarm.Act, note i18n.Text) {
	x.h.events = append(x.h.events, alarm.Event{
		ID: eventID(kind, now), Time: now.UTC(), Type: kind, By: act.By, Via: act.Via, From: act.From,
		Note: x.h.g.cfg.Site.Language.Say(note.Format, note.Args...),
	})
}

// see looks at the events of a turn: those of a drill are timed, and a real alarm ends the drill.
func (x *exercise) see(now time.Time, events []alarm.Event) {
	if x.tried(events) {
		x.save(now)
	}
	if x.Drill == nil {
		return
	}
	noted := false
	for _, e := range events {
		noted = x.Drill.note(e) || noted
	}
	if noted {
		x.save(now)
	}
	for _, e := range events {
		if e.Alarm == nil || !raises(e.Type) || e.Alarm.Drill || e.Alarm.Test {
			continue
		}
		if e.Alarm.Level == rules.LevelAlarm || x.isOf(*e.Alarm, x.targets(x.Drill.Signal)) {
			x.stop(now, alarm.Act{}, i18n.T("a real alarm came: %s", strings.TrimSpace(e.Alarm.ZonePath+" "+e.Alarm.Name)))
			return
		}
	}
}

// stop ends the drill: what it raised is over, its record goes into the journal, and the signal is judged as it is.
func (x *exercise) stop(now time.Time, act alarm.Act, why i18n.Text) drill {
	d := x.Drill
	x.Drill = nil
	x.delivered(d)
	d.Ended, d.Why = now, x.h.g.cfg.Site.Language.Say(why.Format, why.Args...)
	x.h.events = append(x.h.events, x.h.board.EndDrill(now, act)...)
	x.event(now, "drill.ended", act, d.timing(x.place(d.Signal), x.h.g.cfg.Site.Language))
	x.past = slices.Insert(x.past, 0, *d)
	x.past = x.past[:min(len(x.past), mostDrills)]
	if err := x.h.setting(context.Background(), drillsKey, x.past); err != nil {
		x.h.log.Error("drill not saved", "err", err)
	}
	x.changed(now)
	return *d
}

// delivered adds to the record when each channel took the drill's first message.
func (x *exercise) delivered(d *drill) {
	ledger, err := x.h.store.Deliveries(context.Background(), store.Ledger{Limit: 500})
	if err != nil {
		x.h.log.Error("deliveries of the drill not read", "err", err)
		return
	}
	first := map[string]bool{}
	for _, line := range slices.Backward(ledger) {
		if line.Outcome != store.Accepted || first[line.Channel] || !slices.Contains(d.Alarms, line.Alarm) {
			continue
		}
		first[line.Channel] = true
		d.Steps = append(d.Steps, drillStep{After: max(line.Time.Sub(d.Since), 0), Event: "delivered", Name: line.Channel})
	}
	slices.SortStableFunc(d.Steps, func(a, b drillStep) int { return int(a.After - b.After) })
}

// stepWords say what happened in a drill: when, of what, by whom.
var stepWords = map[string]i18n.Text{
	alarm.EventRaised:       i18n.T("+%[1]s raised: %[2]s"),
	alarm.EventCounted:      i18n.T("+%[1]s raised again: %[2]s"),
	alarm.EventAcknowledged: i18n.T("+%[1]s acknowledged by %[3]s: %[2]s"),
	alarm.EventSilenced:     i18n.T("+%[1]s silenced by %[3]s: %[2]s"),
	alarm.EventEscalated:    i18n.T("+%[1]s escalated: %[2]s"),
	alarm.EventReset:        i18n.T("+%[1]s reset by %[3]s: %[2]s"),
	"delivered":             i18n.T("+%[1]s delivered through %[2]s"),
}

// timing is the record of a drill in one sentence.
func (d *drill) timing(place string, lang i18n.Lang) i18n.Text {
	var said []string
	for _, s := range d.Steps {
		if words, ok := stepWords[s.Event]; ok {
			said = append(said, lang.Say(words.Format, s.After.Round(100*time.Millisecond), s.Name, s.By))
		}
	}
	if said == nil {
		said = []string{lang.Say("nothing happened")}
	}
	return i18n.T("%s, begun by %s, lasted %s: %s. End: %s", place, orSomebody(d.By, lang), d.Ended.Sub(d.Since).Round(time.Second), strings.Join(said, "; "), d.Why)
}

func orSomebody(name string, lang i18n.Lang) string {
	if name == "" {
		return lang.Say("the gateway")
	}
	return name
}

// StartDrill takes a signal to be in alarm until a time; zero: for the usual one.
func (h *hub) StartDrill(ctx context.Context, signal string, until time.Time, a alarm.Act) (d console.Drill, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		x := h.exercise
		if err := x.allowed(signal); err != nil {
			return nil, err
		}
		if err := x.start(now, until, signal, a); err != nil {
			return nil, err
		}
		x.event(now, "drill.started", a, i18n.T("%s, until %s at the latest. %s", x.place(signal), x.Drill.Until.In(h.g.location).Format(time.TimeOnly), a.Note))
		x.changed(now)
		d = pageDrill(*x.Drill, h.g.location)
		return nil, nil
	})
	return d, err
}

// allowed tells why a drill at a signal cannot begin. It never begins over something real.
func (x *exercise) allowed(signal string) error {
	targets := x.targets(signal)
	if len(targets) == 0 {
		return refuse(alarm.ErrInput, "no rule raises an alarm at %q", signal)
	}
	for _, a := range x.h.board.Open() {
		if x.isOf(a, targets) || a.Active() && a.Level == rules.LevelAlarm && !a.Drill && !a.Test {
			return refuse(alarm.ErrState, "an alarm is open: %s; a drill must not hide it", strings.TrimSpace(a.ZonePath+" "+a.Name))
		}
	}
	if x.tested[targets[0].Zone] {
		return refuse(alarm.ErrState, "the zone is under test, so nothing would leave the site")
	}
	return nil
}

// StopDrill ends the drill.
func (h *hub) StopDrill(ctx context.Context, a alarm.Act) (d console.Drill, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		if h.exercise.Drill == nil {
			return nil, refuse(alarm.ErrState, "no drill is on")
		}
		d = pageDrill(h.exercise.stop(now, a, i18n.T("%s ended it", a.By)), h.g.location)
		return nil, nil
	})
	return d, err
}

// Drills are those remembered, the newest first, and before them the one that is on.
func (h *hub) Drills(ctx context.Context) (list []console.Drill, err error) {
	err = h.ask(ctx, func(time.Time) {
		if d := h.exercise.Drill; d != nil {
			list = append(list, pageDrill(*d, h.g.location))
		}
		for _, d := range h.exercise.past {
			list = append(list, pageDrill(d, h.g.location))
		}
	})
	return list, err
}

// TestZone puts a zone under test until a time; zero: for the usual one.
func (h *hub) TestZone(ctx context.Context, zone string, until time.Time, a alarm.Act) (t console.ZoneTest, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		x := h.exercise
		if _, ok := h.g.places[zone]; !ok {
			return nil, refuse(alarm.ErrNotFound, "there is no zone %q", zone)
		}
		for _, open := range h.board.Open() {
			if open.Active() && open.Level == rules.LevelAlarm && !open.Test && h.g.within(open.Zone, zone) {
				return nil, refuse(alarm.ErrState, "an alarm is open: %s; a test must not hide it", strings.TrimSpace(open.ZonePath+" "+open.Name))
			}
		}
		made, err := x.test(now, until, zone, a)
		if err != nil {
			return nil, err
		}
		x.event(now, "test.started", a, i18n.T("%s, until %s at the latest. %s", h.g.places[zone].Path, made.Until.In(h.g.location).Format(time.TimeOnly), a.Note))
		x.changed(now)
		t = h.g.pageTest(made)
		return nil, nil
	})
	return t, err
}

// EndTest ends the test of a zone.
func (h *hub) EndTest(ctx context.Context, zone string, a alarm.Act) (t console.ZoneTest, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		over, ok := h.exercise.endTest(zone)
		if !ok {
			return nil, refuse(alarm.ErrState, "the zone %q is not under test", zone)
		}
		h.exercise.testOver(now, over, a, i18n.T("%s ended it", a.By))
		h.exercise.changed(now)
		over.Until = now
		t = h.g.pageTest(over)
		return nil, nil
	})
	return t, err
}

// within tells whether a zone is another, or lies in it.
func (g *Gateway) within(zone, outer string) bool {
	for range len(g.places) + 1 {
		if zone == outer || zone == "" {
			return zone != ""
		}
		zone = g.places[zone].In
	}
	return false
}

func (g *Gateway) pageTest(t zoneTest) console.ZoneTest {
	return console.ZoneTest{Zone: t.Zone, ZonePath: g.places[t.Zone].Path, By: t.By, Note: t.Note, Since: t.Since.In(g.location), Until: t.Until.In(g.location)}
}

func pageDrill(d drill, at *time.Location) console.Drill {
	p := console.Drill{ID: d.ID, Signal: d.Signal, By: d.By, Note: d.Note, Started: d.Since.In(at), Until: d.Until.In(at), Why: d.Why, Steps: []console.DrillStep{}}
	if !d.Ended.IsZero() {
		ended := d.Ended.In(at)
		p.Ended = &ended
	}
	for _, s := range d.Steps {
		p.Steps = append(p.Steps, console.DrillStep{After: s.After.Seconds(), Event: s.Event, Name: s.Name, By: s.By})
	}
	return p
}
