package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"embergate/gateway/alarm"
)

// modes are what is not meant for the time being: zones under test, and a drill. The type is pure: it is told the time.
// Both end by themselves. Within a process their ends are times of the clock that is never set; over a restart, in doubt,
// they end too soon rather than too late, for while they last an alarm is not taken for one.
type modes struct {
	Tests []zoneTest `json:"tests,omitempty"`
	Drill *drill     `json:"drill,omitempty"`
	At    time.Time  `json:"at"` // when this was stored
}

// spell is how long something lasts.
type spell struct {
	Since time.Time     `json:"since"`
	Until time.Time     `json:"until"`
	Left  time.Duration `json:"left"` // when it was stored
}

// zoneTest is a zone under test, with those below it: its alarms are marked, and nothing of them leaves the site.
type zoneTest struct {
	spell
	Zone  string               `json:"zone"`
	By    string               `json:"by"`
	Note  string               `json:"note"`
	Tried map[string]time.Time `json:"tried,omitempty"` // signals that were found in alarm, and when first
}

// drill is an exercise: one signal is taken to be in alarm, and the whole chain runs, marked.
type drill struct {
	spell
	ID     string      `json:"id"`
	Signal string      `json:"signal"`
	By     string      `json:"by"`
	Note   string      `json:"note"`
	Alarms []string    `json:"alarms,omitempty"` // ids of what it raised
	Steps  []drillStep `json:"steps,omitempty"`  // what happened, oldest first
	Ended  time.Time   `json:"ended,omitzero"`
	Why    string      `json:"why,omitempty"` // who or what ended it
}

// drillStep is one thing that happened in a drill, so long after its start.
type drillStep struct {
	After time.Duration `json:"after"`
	Event string        `json:"event"` // type of the event; "delivered" for a message that a channel took
	Name  string        `json:"name"`  // of the alarm; or the channel
	By    string        `json:"by,omitempty"`
}

// How long tests and drills last, where nothing else is said, and at most.
const (
	usualTest, longestTest   = 2 * time.Hour, 8 * time.Hour
	usualDrill, longestDrill = 30 * time.Minute, 2 * time.Hour
	mostSteps                = 100 // of one drill that are kept
)

// lasting is a spell from now until the time given, or for the usual time where that is zero.
func lasting(now, until time.Time, usual, longest time.Duration) (spell, error) {
	length := usual
	if !until.IsZero() {
		length = until.Sub(now)
	}
	if length <= 0 || length > longest {
		return spell{}, refuse(alarm.ErrInput, "this lasts %s at most, and ends by itself", longest)
	}
	return spell{Since: now, Until: now.Add(length)}, nil
}

// resumed is a spell after a restart; stored is when it was written down.
func (s spell) resumed(now, stored time.Time) spell {
	left := min(s.Left, s.Until.Sub(now))
	if now.Before(stored) {
		left = 0 // the clock is certainly wrong
	}
	s.Until = now.Add(max(left, 0))
	return s
}

// test puts a zone under test; one that is already gets the new end.
func (m *modes) test(now, until time.Time, zone string, act alarm.Act) (zoneTest, error) {
	s, err := lasting(now, until, usualTest, longestTest)
	if err != nil {
		return zoneTest{}, err
	}
	t := zoneTest{spell: s, Zone: zone, By: act.By, Note: act.Note}
	if i := m.tests(zone); i >= 0 {
		t.Since, t.Tried = m.Tests[i].Since, m.Tests[i].Tried
		m.Tests[i] = t
	} else {
		m.Tests = append(m.Tests, t)
	}
	return t, nil
}

func (m *modes) tests(zone string) int {
	return slices.IndexFunc(m.Tests, func(t zoneTest) bool { return t.Zone == zone })
}

// endTest ends the test of a zone.
func (m *modes) endTest(zone string) (zoneTest, bool) {
	i := m.tests(zone)
	if i < 0 {
		return zoneTest{}, false
	}
	t := m.Tests[i]
	m.Tests = slices.Delete(m.Tests, i, i+1)
	return t, true
}

// start begins a drill.
func (m *modes) start(now, until time.Time, signal string, act alarm.Act) error {
	if m.Drill != nil {
		return refuse(alarm.ErrState, "a drill is on already, at %s", m.Drill.Signal)
	}
	s, err := lasting(now, until, usualDrill, longestDrill)
	if err != nil {
		return err
	}
	m.Drill = &drill{spell: s, ID: fmt.Sprintf("drill-%x", now.UnixMilli()), Signal: signal, By: act.By, Note: act.Note}
	return nil
}

// note adds an event of an alarm to the drill that raised it, and tells whether it did.
func (d *drill) note(e alarm.Event) bool {
	if d == nil || e.Alarm == nil || !e.Alarm.Drill || len(d.Steps) >= mostSteps {
		return false
	}
	if !slices.Contains(d.Alarms, e.Alarm.ID) {
		d.Alarms = append(d.Alarms, e.Alarm.ID)
	}
	d.Steps = append(d.Steps, drillStep{After: max(e.Time.Sub(d.Since), 0), Event: e.Type, Name: e.Alarm.Name, By: e.By})
	return true
}

// over takes out what has ended by now.
func (m *modes) over(now time.Time) (tests []zoneTest, drillOver bool) {
	m.Tests = slices.DeleteFunc(m.Tests, func(t zoneTest) bool {
		if t.Until.After(now) {
			return false
		}
		tests = append(tests, t)
		return true
	})
	return tests, m.Drill != nil && !m.Drill.Until.After(now)
}

// next is when something ends; zero: nothing does.
func (m *modes) next() (next time.Time) {
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, t := range m.Tests {
		earlier(t.Until)
	}
	if m.Drill != nil {
		earlier(m.Drill.Until)
	}
	return next
}

// zones are the zones under test, without those below them.
func (m *modes) zones() []string {
	var list []string
	for _, t := range m.Tests {
		list = append(list, t.Zone)
	}
	return list
}

// record is the state for the disk.
func (m *modes) record(now time.Time) string {
	stored := modes{At: now}
	for _, t := range m.Tests {
		t.Left = t.Until.Sub(now)
		stored.Tests = append(stored.Tests, t)
	}
	if m.Drill != nil {
		d := *m.Drill
		d.Left = d.Until.Sub(now)
		stored.Drill = &d
	}
	data, _ := json.Marshal(stored) // texts, times and lists always marshal
	return string(data)
}

// restoreModes reads what record wrote. What was over meanwhile is there still, and is found over at once.
func restoreModes(now time.Time, text string) (*modes, error) {
	m := &modes{}
	if text == "" {
		return m, nil
	}
	if err := json.Unmarshal([]byte(text), m); err != nil {
		return &modes{}, fmt.Errorf("tests and drill as stored: %w", err)
	}
	for i := range m.Tests {
		m.Tests[i].spell = m.Tests[i].resumed(now, m.At)
	}
	if m.Drill != nil {
		m.Drill.spell = m.Drill.resumed(now, m.At)
	}
	return m, nil
}
