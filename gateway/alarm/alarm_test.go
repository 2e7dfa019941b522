package alarm

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/rules"
)

// home is a board under random use, with the store that it is kept in.
type home struct {
	now    time.Time
	board  *Board
	rules  map[string]*rules.Rule
	found  map[string]Condition // the latest of each source
	store  map[string][]byte
	events []Event
}

func newHome(now time.Time, all map[string]*rules.Rule) *home {
	return &home{now: now, board: NewBoard(), rules: all, found: map[string]Condition{}, store: map[string][]byte{}}
}

func (h *home) step(t testing.TB, c Condition) {
	h.found[c.Key] = c
	h.happened(t, h.board.Step(h.now, c))
}

// advance lets time go by, and wakes the board whenever it asks for it.
func (h *home) advance(t testing.TB, d time.Duration) {
	end := h.now.Add(d)
	for {
		next := h.board.Next()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(h.now) {
			h.now = next
		}
		h.happened(t, h.board.Tick(h.now))
		if again := h.board.Next(); !again.IsZero() && !again.After(h.now) {
			t.Fatalf("after Tick at %v the board still wants %v", h.now, again)
		}
	}
	h.now = end
}

func (h *home) happened(t testing.TB, events []Event) {
	h.events = append(h.events, events...)
	keepRecords(t, h.store, h.board.Changed())
}

// restart gives the board back from what is stored. The first polls then find what was found before.
func (h *home) restart(t testing.TB) {
	h.board = Restore(h.now, storedRecords(t, h.store))
	h.board.Retain(h.rules)
	h.happened(t, nil)
}

func (h *home) poll(t testing.TB) {
	for _, key := range slices.Sorted(maps.Keys(h.found)) {
		h.step(t, h.found[key])
	}
}

// act does one act to an alarm; the error is for the caller to compare.
func (h *home) act(t testing.TB, verb, id string) string {
	a := Act{By: "zhang", Via: "console", Note: "because"}
	var events []Event
	var err error
	switch verb {
	case "ack":
		events, err = h.board.Acknowledge(h.now, id, a)
	case "silence":
		events, err = h.board.Silence(h.now, id, a)
	case "reset":
		events, err = h.board.Reset(h.now, id, a)
	case "shelve":
		events, err = h.board.Shelve(h.now, id, a, h.now.Add(7*time.Second), "li")
	case "verdict":
		events, err = h.board.Verdict(h.now, id, "false:steam", a)
	case "escalate":
		events, err = h.board.Escalate(h.now, id, a)
	}
	h.happened(t, events)
	return fmt.Sprint(err)
}

func (h *home) ids() (ids []string) {
	for _, e := range h.events {
		ids = append(ids, e.Alarm.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// The sources of the properties: every kind of rule, with delays that random walks of seconds run through.
func sources() map[string]*rules.Rule {
	all := map[string]*rules.Rule{}
	for i, r := range []rules.Rule{
		{ID: "smoke", Class: "fire", Level: rules.LevelAlarm, Latch: true},
		{ID: "heat", Class: "fire", Level: rules.LevelAlarm, For: 5 * time.Second},
		{ID: "gas", Class: "gas", Level: rules.LevelAlarm, For: 2 * time.Second, Hold: 4 * time.Second, Until: "as told"},
		{ID: "leak", Class: "water", Level: rules.LevelPrealarm, Hold: 30 * time.Second, Latch: true},
		{ID: "comms", Class: "fault", Level: rules.LevelFault, For: 25 * time.Second},
	} {
		all[fmt.Sprintf("%d@%s", i, r.ID)] = &r
	}
	return all
}

func anyCondition(t *rapid.T, all map[string]*rules.Rule) Condition {
	key := rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(t, "key")
	values := rapid.SampledFrom([]rules.Value{rules.True, rules.False, rules.Unknown, rules.True, rules.False})
	c := Condition{Key: key, Rule: all[key], HasUntil: all[key].Until != "", When: values.Draw(t, "when"), Signal: key}
	c.Until = values.Draw(t, "until")
	levels := rapid.SampledFrom([]rules.Level{"", rules.LevelAlarm, rules.LevelPrealarm, ""})
	c.Least, c.Most = levels.Draw(t, "least"), levels.Draw(t, "most")
	c.Retained = rapid.IntRange(0, 9).Draw(t, "retained") == 0
	c.Drill = rapid.IntRange(0, 9).Draw(t, "drill") == 0
	c.Reading = drivers.Reading{Signal: key, Value: float64(rapid.IntRange(0, 3).Draw(t, "value")), Quality: drivers.Good}
	if c.When == rules.Unknown {
		c.Reading = drivers.Reading{Signal: key}
	}
	return c
}

var anyVerb = rapid.SampledFrom([]string{"ack", "silence", "reset", "shelve", "verdict", "escalate"})

var anySpan = rapid.SampledFrom([]time.Duration{
	0, time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 9 * time.Second, 11 * time.Second, 40 * time.Second, 10 * time.Minute,
})

// AL11, RU02, RU03, RE09: with an orderly restart nothing that ever happens is another than without.
func TestARestartAtAnyMomentChangesNoLaterEvent(t *testing.T) {
	start := time.Now()
	rapid.Check(t, func(r *rapid.T) {
		all := sources()
		steady, restarted := newHome(start, all), newHome(start, all)
		both := []*home{steady, restarted}
		r.Repeat(map[string]func(*rapid.T){
			"step": func(r *rapid.T) {
				c := anyCondition(r, all)
				for _, h := range both {
					h.step(t, c)
				}
			},
			"time": func(r *rapid.T) {
				d := anySpan.Draw(r, "span")
				for _, h := range both {
					h.advance(t, d)
				}
			},
			"act": func(r *rapid.T) {
				ids := steady.ids()
				if len(ids) == 0 {
					r.Skip("no alarm yet")
				}
				verb, id := anyVerb.Draw(r, "verb"), rapid.SampledFrom(ids).Draw(r, "id")
				if got, want := restarted.act(t, verb, id), steady.act(t, verb, id); got != want {
					r.Fatalf("%s %s: got %s, want %s", verb, id, got, want)
				}
			},
			"restart": func(r *rapid.T) {
				restarted.board.Checkpoint(restarted.now)
				restarted.happened(t, nil)
				restarted.restart(t)
				for _, h := range both {
					h.poll(t)
				}
			},
			"": func(r *rapid.T) {
				if got, want := text(r, restarted.events), text(r, steady.events); got != want {
					r.Fatalf("events\ngot  %s\nwant %s", got, want)
				}
				if got, want := text(r, restarted.board.Open()), text(r, steady.board.Open()); got != want {
					r.Fatalf("board\ngot  %s\nwant %s", got, want)
				}
				steady.events, restarted.events = steady.events[max(0, len(steady.events)-20):], restarted.events[max(0, len(restarted.events)-20):]
			},
		})
	})
}

func text(t *rapid.T, v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// truth knows of each source what the rules found, without any state of alarms.
type truth struct {
	trueSince  map[string]time.Time // the first True after the last False
	clearSince map[string]time.Time // the first clear one after the last that was not
}

func (k *truth) see(now time.Time, c Condition) {
	if c.Retained {
		return
	}
	clears := c.When == rules.False
	unclear := c.When == rules.True
	if c.HasUntil {
		clears = c.Until == rules.True && c.When != rules.True
		unclear = c.When == rules.True || c.Until == rules.False
	}
	switch since := k.trueSince[c.Key]; {
	case c.When == rules.False:
		delete(k.trueSince, c.Key)
	case c.When == rules.True && since.IsZero():
		k.trueSince[c.Key] = now
	}
	switch since := k.clearSince[c.Key]; {
	case unclear:
		delete(k.clearSince, c.Key)
	case clears && since.IsZero():
		k.clearSince[c.Key] = now
	}
}

// AL01, AL02, AL03, AL11, RU02–RU05: under any use, power cuts among it, an alarm is neither lost, doubled, early nor
// cleared without cause.
func TestNoAlarmIsLostDoubledOrInvented(t *testing.T) {
	start := time.Now()
	rapid.Check(t, func(r *rapid.T) {
		h := newHome(start, sources())
		known := truth{map[string]time.Time{}, map[string]time.Time{}}
		seen := map[string]bool{}    // event ids
		last := map[string]Alarm{}   // the latest of each source
		cleared := map[string]bool{} // the latest trigger has been said to be over
		cut := false
		check := func(r *rapid.T) {
			for _, e := range h.events {
				a := *e.Alarm
				key := a.Signal
				before, rule := last[key], h.rules[key]
				if seen[e.ID] {
					r.Fatalf("%s %s: told twice", e.ID, e.Type)
				}
				seen[e.ID] = true
				if e.Type != EventVerdict && before.ID == a.ID && a.Revision != before.Revision+1 {
					r.Fatalf("%s %s: revision %d after %d", e.ID, e.Type, a.Revision, before.Revision)
				}
				switch e.Type {
				case EventRaised, EventFaultRaised, EventCounted:
					if fresh := e.Type != EventCounted; fresh == (before.ID != "" && before.Open()) {
						r.Fatalf("%s %s: while the source stands %s", e.ID, e.Type, before.State)
					}
					since := known.trueSince[key]
					replaced := before.Drill && before.ClosedAt != nil && before.ClosedAt.Equal(e.Time) // a drill's, still active
					worse := e.Type == EventCounted && before.Active()                                  // it is there already, and is told of again
					if since.IsZero() || e.Time.Sub(since) < rule.For && !cut && !replaced && !worse {
						r.Fatalf("%s %s: true since %v only", e.ID, e.Type, since)
					}
					cleared[key] = false
				case EventCleared, EventFaultCleared:
					if cleared[key] {
						r.Fatalf("%s: cleared twice", e.ID)
					}
					cleared[key] = true
					since := known.clearSince[key]
					if !before.Drill && (since.IsZero() || e.Time.Sub(since) < rule.Hold && !cut) {
						r.Fatalf("%s: clear since %v only", e.ID, since)
					}
				case EventClosed:
					if !cleared[key] {
						r.Fatalf("%s: closed while active", e.ID)
					}
				}
				if e.Type != EventVerdict || a.ID == before.ID {
					last[key] = a
				}
			}
			h.events = nil
			open := map[string]State{}
			for _, a := range h.board.Open() {
				if open[a.Signal] != "" {
					r.Fatalf("two open alarms of %s", a.Signal)
				}
				open[a.Signal] = a.State
			}
			for key, a := range last {
				if a.Open() && open[key] != a.State || !a.Open() && open[key] != "" {
					r.Fatalf("%s was last told %s and stands %q", a.ID, a.State, open[key])
				}
			}
			for key, since := range known.trueSince {
				c := h.found[key]
				if !cut && c.When == rules.True && !c.Retained && h.now.Sub(since) >= h.rules[key].For &&
					open[key] != Unacknowledged && open[key] != Acknowledged {
					r.Fatalf("%s is true since %v and stands %q", key, since, open[key])
				}
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"step": func(r *rapid.T) {
				c := anyCondition(r, h.rules)
				known.see(h.now, c)
				h.step(t, c)
			},
			"time": func(r *rapid.T) { h.advance(t, anySpan.Draw(r, "span")) },
			"act": func(r *rapid.T) {
				ids := []string{"none"}
				for _, a := range last {
					ids = append(ids, a.ID)
				}
				slices.Sort(ids)
				h.act(t, anyVerb.Draw(r, "verb"), rapid.SampledFrom(ids).Draw(r, "id"))
			},
			"power cut": func(r *rapid.T) {
				h.restart(t)
				cut = true // from here on delays may be longer by what was not recorded, and by the time without power
			},
			"": check,
		})
		// Whatever happened: what is true now for long enough is on the board.
		for _, key := range slices.Sorted(maps.Keys(h.rules)) {
			c := Condition{Key: key, Rule: h.rules[key], HasUntil: h.rules[key].Until != "", When: rules.True, Signal: key}
			known.see(h.now, c)
			h.step(t, c)
		}
		cut = false
		h.advance(t, time.Minute)
		check(r)
		if got := len(h.board.Open()); got != len(h.rules) {
			r.Fatalf("%d alarms are open, want %d", got, len(h.rules))
		}
	})
}

// AL12, AL13: what comes later, and what people do, changes nothing in the order of the others.
func TestTheOrderOfTheBoardIsByClassThenLevelThenFirst(t *testing.T) {
	start := time.Now()
	rapid.Check(t, func(r *rapid.T) {
		h := newHome(start, nil)
		var before []string
		for n := range rapid.IntRange(1, 20).Draw(r, "alarms") {
			rule := &rules.Rule{ID: fmt.Sprint(n), Class: rapid.SampledFrom(append(rules.Classes, "unheard of")).Draw(r, "class"),
				Level: rapid.SampledFrom(rules.Levels).Draw(r, "level")}
			h.now = start.Add(time.Duration(rapid.IntRange(-3600, 3600).Draw(r, "seconds")) * time.Second)
			h.step(t, Condition{Key: rule.ID, Rule: rule, When: rules.True})
			open := h.board.Open()
			if !slices.IsSortedFunc(open, func(x, y Alarm) int {
				if c := place(rules.Classes, x.Class) - place(rules.Classes, y.Class); c != 0 {
					return c
				}
				return place(rules.Levels, x.Level) - place(rules.Levels, y.Level)
			}) {
				r.Fatalf("not by class and level: %+v", open)
			}
			var order []string
			for _, a := range open {
				order = append(order, a.Rule)
			}
			i := slices.Index(order, rule.ID)
			if i+1 < len(open) && open[i+1].Class == rule.Class && open[i+1].Level == rule.Level {
				r.Fatalf("the latest stands before an earlier one of its kind: %v", order)
			}
			if got := slices.Delete(slices.Clone(order), i, i+1); !slices.Equal(got, before) {
				r.Fatalf("the others changed places: %v, before %v", got, before)
			}
			before = order
			h.act(t, anyVerb.Draw(r, "verb"), rapid.SampledFrom(open).Draw(r, "alarm").ID)
		}
	})
}

func TestACopyOfAnAlarmStaysAsItWas(t *testing.T) {
	h := newHome(time.Now(), sources())
	c := Condition{Key: "0@smoke", Rule: h.rules["0@smoke"], When: rules.True, Signal: "0@smoke"}
	c.Reading = drivers.Reading{Signal: c.Key, Value: 1, Quality: drivers.Good}
	h.step(t, c)
	raised := h.events[0]
	before, _ := json.Marshal(raised)
	c.Reading.Value, c.When = 0, rules.False
	h.step(t, c)
	h.act(t, "ack", raised.Alarm.ID)
	if after, _ := json.Marshal(raised); string(after) != string(before) {
		t.Errorf("got  %s\nwant %s", after, before)
	}
}

func TestAConditionThatIsFalseLeavesNothingBehind(t *testing.T) {
	h := newHome(time.Now(), sources())
	c := Condition{Key: "1@heat", Rule: h.rules["1@heat"]}
	for _, when := range []rules.Value{rules.True, rules.False} {
		c.When = when
		h.step(t, c)
	}
	h.advance(t, time.Hour)
	if len(h.board.sources) != 0 || len(h.store) != 0 || !h.board.Next().IsZero() {
		t.Errorf("left: %v %v, next %v", h.board.sources, h.store, h.board.Next())
	}
}

func TestTheStoreForgetsAnAlarmWhoseVerdictIsGiven(t *testing.T) {
	h := newHome(time.Now(), sources())
	c := Condition{Key: "0@smoke", Rule: h.rules["0@smoke"], Signal: "0@smoke"}
	for _, when := range []rules.Value{rules.True, rules.False} {
		c.When = when
		h.step(t, c)
	}
	id := h.events[0].Alarm.ID
	for _, verb := range []string{"ack", "reset", "verdict"} {
		if err := h.act(t, verb, id); err != "<nil>" {
			t.Fatal(err)
		}
	}
	h.advance(t, time.Hour)
	for _, when := range []rules.Value{rules.True, rules.False} { // a delay that began and ended within 10 s
		h.board.Step(h.now, Condition{Key: c.Key, Rule: h.rules["1@heat"], When: when})
	}
	if records := h.board.Changed(); len(records) > 0 {
		t.Errorf("for the store once more: %+v", records)
	}
	if _, known := h.board.Alarm(id); known || len(h.store) != 1 || h.store[""] == nil {
		t.Errorf("left in the store: %s", slices.Sorted(maps.Keys(h.store)))
	}
}

func TestWhatNeedsNoVerdictIsForgottenAtOnceWhenItCloses(t *testing.T) {
	for verb, latch := range map[string]bool{"ack": false, "reset": true} {
		h := newHome(time.Now(), sources())
		c := Condition{Key: "panel", Rule: &rules.Rule{ID: "panel", Class: "fire", Level: rules.LevelFault, Latch: latch}}
		for _, when := range []rules.Value{rules.True, rules.False} {
			c.When = when
			h.step(t, c)
		}
		id := h.events[0].Alarm.ID
		h.act(t, "ack", id)
		h.act(t, verb, id)
		if last := h.events[len(h.events)-1].Type; last != EventClosed || len(h.board.sources) != 0 || h.store["panel"] != nil {
			t.Errorf("%s: ended with %s, left %v", verb, last, h.board.sources)
		}
	}
}

func TestEveryClosedAlarmOfASourceWaitsForItsVerdict(t *testing.T) {
	h := newHome(time.Now(), sources())
	c := Condition{Key: "1@heat", Rule: &rules.Rule{ID: "heat", Class: "fire", Level: rules.LevelAlarm}}
	const occurrences = 1 + maxPast + 3
	for range occurrences {
		for _, when := range []rules.Value{rules.True, rules.False} {
			c.When = when
			h.step(t, c)
		}
		if err := h.act(t, "ack", h.events[len(h.events)-1].Alarm.ID); err != "<nil>" {
			t.Fatal(err)
		}
		h.advance(t, time.Hour)
		h.restart(t)
	}
	for i, id := range h.ids() {
		want := "<nil>"
		if i < 3 { // the board keeps so many, and no more
			want = "alarm: there is no alarm " + id
		}
		if got := h.act(t, "verdict", id); got != want {
			t.Errorf("alarm %d: got %s, want %s", i, got, want)
		}
	}
	if len(h.board.sources) != 0 || len(h.store) != 1 {
		t.Errorf("left: %v, stored %v", h.board.sources, slices.Sorted(maps.Keys(h.store)))
	}
}

func TestAValueThatIsNoNumberIsNoValue(t *testing.T) {
	h := newHome(time.Now(), sources())
	c := Condition{Key: "0@smoke", Rule: h.rules["0@smoke"], When: rules.True, Signal: "0@smoke"}
	for _, value := range []float64{math.NaN(), math.Inf(1)} {
		c.Reading = drivers.Reading{Signal: c.Key, Value: value, Quality: drivers.Good}
		h.step(t, c)
	}
	if open := h.board.Open(); len(open) != 1 || open[0].Value != nil {
		t.Errorf("got %+v", open)
	}
}

func TestIdentitiesSortAsRaisedAndAreNotUsedAgainAfterARestart(t *testing.T) {
	h := newHome(time.Now(), sources())
	c := Condition{Key: "4@comms", Rule: &rules.Rule{ID: "comms", Class: "fault", Level: rules.LevelFault}}
	for range 12 {
		c.When = rules.True
		h.step(t, c)
		id := h.events[len(h.events)-1].Alarm.ID
		c.When = rules.False
		h.step(t, c)
		h.act(t, "ack", id)
		h.restart(t)
		h.now = h.now.Add(-time.Hour) // the clock lost an hour
	}
	var raised []string
	for _, e := range h.events {
		if e.Type == EventFaultRaised {
			raised = append(raised, e.Alarm.ID)
		}
	}
	if !slices.IsSorted(raised) || len(slices.Compact(slices.Clone(raised))) != len(raised) || len(raised) < 2 {
		t.Errorf("got %v", raised)
	}
}

// FuzzRecord restores whatever bytes the store may hold: no panic, and an open alarm stays one.
func FuzzRecord(f *testing.F) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	all := sources()
	h := newHome(now, all)
	for key, rule := range all {
		c := Condition{Key: key, Rule: rule, When: rules.True, HasUntil: rule.Until != "", Signal: key}
		h.step(f, c)
		h.advance(f, 3*time.Second)
		c.When, c.Until = rules.False, rules.True
		h.step(f, c)
		for _, data := range h.store {
			f.Add(data)
		}
	}
	f.Add([]byte(`{"key":"x@y","alarm":{"id":"1","state":"asleep","shelved_until":"2027-01-01T00:00:00Z"},"on":-1,"off":9223372036854775807,"shelf":9223372036854775807,"triggers":[-9223372036854775808]}`))
	f.Add([]byte(`{"key":"","raised":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var rec Record
		if json.Unmarshal(data, &rec) != nil {
			return
		}
		h := newHome(now, all)
		h.board = Restore(now, []Record{rec})
		want := !rec.Gone && rec.Key != "" && rec.Alarm != nil && rec.Alarm.ID != "" && rec.Alarm.Open()
		if got := len(h.board.Open()) == 1; got != want {
			t.Fatalf("open: got %v, want %v", got, want)
		}
		h.board.Retain(all)
		key := rec.Key
		if all[key] == nil {
			key = "2@gas"
		}
		for _, when := range []rules.Value{rules.Unknown, rules.True, rules.False} {
			h.step(t, Condition{Key: key, Rule: all[key], When: when, Until: not(when), HasUntil: all[key].Until != ""})
			for _, a := range h.board.Open() {
				h.act(t, "ack", a.ID)
				h.act(t, "shelve", a.ID)
			}
			h.advance(t, 30*time.Second)
		}
		h.restart(t)
	})
}

func TestEveryRefusalIsSaidInChinese(t *testing.T) {
	for _, file := range []string{"acts.go", "board.go", "life.go", "record.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(source), "refuse(Err")[1:] {
			_, part, _ = strings.Cut(part, `"`)
			if format, _, _ := strings.Cut(part, `"`); !i18n.Has(format) {
				t.Errorf("%s: no Chinese for %q", file, format)
			}
		}
	}
	data, err := os.ReadFile("../../drivers/i18n/zh/alarm.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var catalogue map[string]string
	if err := yaml.Load(data, &catalogue); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("acts.go")
	if err != nil {
		t.Fatal(err)
	}
	for format := range catalogue {
		if !strings.Contains(string(source), format) {
			t.Errorf("nobody says %q", format)
		}
	}
}

func BenchmarkStepOfAnUnchangedFalse(b *testing.B) {
	board, now := NewBoard(), time.Now()
	c := Condition{Key: "smoke@smoke-201.smoke", Rule: &rules.Rule{Class: "fire", Level: rules.LevelAlarm}, When: rules.False}
	b.ReportAllocs()
	for b.Loop() {
		board.Step(now, c)
	}
}

func BenchmarkStepOfAnAlarmThatStays(b *testing.B) {
	board, now := NewBoard(), time.Now()
	c := Condition{Key: "smoke@smoke-201.smoke", Rule: &rules.Rule{Class: "fire", Level: rules.LevelAlarm}, When: rules.True}
	board.Step(now, c)
	b.ReportAllocs()
	for b.Loop() {
		board.Step(now, c)
	}
}

func BenchmarkNextWithAThousandAlarms(b *testing.B) {
	board, now := NewBoard(), time.Now()
	for i := range 1000 {
		board.Step(now, Condition{Key: fmt.Sprint(i), Rule: &rules.Rule{Class: "fire", Level: rules.LevelAlarm}, When: rules.True})
	}
	b.ReportAllocs()
	for b.Loop() {
		board.Next()
	}
}
