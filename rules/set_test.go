package rules_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"
)

func set(t *testing.T, m rules.Model, yaml string) *rules.Set {
	t.Helper()
	root := conf.Parse("rules.yaml", []byte(yaml), conf.Environment{ReadFile: os.ReadFile})
	s := rules.New(root, m)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	return s
}

func keys(s *rules.Set) []string {
	var list []string
	for _, in := range s.Instances() {
		list = append(list, in.Key)
	}
	slices.Sort(list)
	return list
}

func TestEachMakesAnInstanceOfEverySignalThatItSelects(t *testing.T) {
	s := set(t, home(), `
packs: []
inline:
  - {id: a, class: gas, level: alarm, signal: kitchen-gas.lel, when: value > 1}
  - {id: b, class: gas, level: alarm, each: class == "gas" || device.startsWith("smoke") && kind != "test", when: value > 1}
  - {id: c, class: gas, level: alarm, each: kind == "status_word" || kind == "gas_lel", when: flag("low_alarm")}
  - {id: d, class: fire, level: alarm, zone: f1, when: active("smoke") > 0}
`)
	want := []string{"a@kitchen-gas.lel", "b@kitchen-gas.lel", "b@smoke-201.online", "b@smoke-201.smoke", "c@kitchen-gas.status", "d@f1"}
	if got := keys(s); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if in := s.Instance("a@kitchen-gas.lel"); in.Signal != "kitchen-gas.lel" || in.Zone != "f1-kitchen" || in.Rule.Name.ZH != "a" {
		t.Errorf("%+v", in)
	}
}

// The instances of a rule share what they read so far as it is the same: which bit a flag is may differ.
func TestAFlagMayBeAnotherBitAtEachDevice(t *testing.T) {
	var m rules.Model
	for device, bit := range map[string]int{"a": 0, "b": 2, "c": 0} {
		m.Signals = append(m.Signals, rules.Signal{
			Key: device + ".word", Device: drivers.Device{ID: device},
			Signal: drivers.Signal{ID: "word", Kind: "status_word", Flags: map[int]string{bit: "fault"}},
		})
	}
	s := set(t, m, "packs: []\ninline: [{id: f, class: gas, level: alarm, each: kind == \"status_word\", when: flag(\"fault\")}]\n")
	st := s.NewState()
	st.Update(start, []drivers.Reading{good("a.word", 4), good("b.word", 4), good("c.word", 1)})
	for key, want := range map[string]rules.Value{"f@a.word": rules.False, "f@b.word": rules.True, "f@c.word": rules.True} {
		if r := st.Eval(s.Instance(key), start); r.When != want {
			t.Errorf("%s is %s, want %s", key, r.When, want)
		}
		if in := s.Inputs(s.Instance(key)); len(in) != 1 || !strings.HasPrefix(key, "f@"+in[0]) {
			t.Errorf("%s reads %v", key, in)
		}
	}
}

func TestAFlagThatNoSelectedSignalHasIsAMistake(t *testing.T) {
	root := conf.Parse("r.yaml", []byte("packs: []\ninline:\n  - {id: c, class: gas, level: alarm, each: kind == \"status_word\", when: flag(\"low_alrm\")}\n"), conf.OS())
	rules.New(root, home())
	want := `r.yaml:3:79: inline[0].when: "low_alrm" is not known; allowed: fault, high_alarm, low_alarm; did you mean low_alarm?`
	if got := root.Problems().In(i18n.English); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestZoneEachLeavesOutZonesThatCountNothingOfTheirOwn(t *testing.T) {
	m := rules.Model{Zones: []rules.Zone{{ID: "site"}, {ID: "f1", In: "site"}, {ID: "f1-hall", In: "f1"}, {ID: "f2", In: "site"}, {ID: "yard"}}}
	for device, zone := range map[string]string{"a": "f1-hall", "b": "f2", "c": "", "d": "nowhere"} {
		m.Signals = append(m.Signals, rules.Signal{Key: device + ".smoke", Signal: drivers.Signal{ID: "smoke", Kind: "smoke"}, Device: drivers.Device{ID: device, Zone: zone}})
	}
	s := set(t, m, "packs: []\ninline: [{id: z, class: fire, level: alarm, zone: each, when: active(\"smoke\") > 1}]\n")
	// f1 has what its hall has, and the yard nothing.
	if got, want := keys(s), []string{"z@f1-hall", "z@f2", "z@site"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOverridesChangeRulesEverywhereOrWhereTheySay(t *testing.T) {
	m := home()
	spare := drivers.Device{ID: "boiler-gas", Name: "boiler", Zone: "f2"}
	m.Signals = append(m.Signals, rules.Signal{Key: "boiler-gas.lel", Signal: drivers.Signal{ID: "lel", Kind: "gas_lel"}, Device: spare})
	s := set(t, m, `
packs: [gas, fire]
override:
  - {rule: gas-high, when: value >= 40.0, for: 3s}
  - {rule: gas-high, when: value >= 25, level: prealarm, where: "zone == 'f1-kitchen'"}
  - {rule: gas-low, disabled: true}
  - {rule: gas-low, disabled: false, where: device == "boiler-gas", until: ""}
  - {rule: smoke, disabled: true, where: "zone == 'f2'"}
  - {rule: gas-alarm, name: {zh: 煤气, en: Town gas}, latch: false}
`)
	boiler, kitchen := s.Instance("gas-high@boiler-gas.lel").Rule, s.Instance("gas-high@kitchen-gas.lel").Rule
	if boiler.When != "value >= 40.0" || boiler.For != 3*time.Second || boiler.Level != rules.LevelAlarm || !boiler.Latch {
		t.Errorf("boiler: %+v", boiler)
	}
	if kitchen.When != "value >= 25" || kitchen.For != 3*time.Second || kitchen.Level != rules.LevelPrealarm || kitchen.ID != "gas-high" {
		t.Errorf("kitchen: %+v", kitchen)
	}
	st := s.NewState()
	st.Update(start, []drivers.Reading{good("boiler-gas.lel", 30), good("kitchen-gas.lel", 30)})
	if a, b := st.Eval(s.Instance("gas-high@boiler-gas.lel"), start).When, st.Eval(s.Instance("gas-high@kitchen-gas.lel"), start).When; a != rules.False || b != rules.True {
		t.Errorf("at 30 %%LEL the boiler's rule is %s and the kitchen's %s", a, b)
	}
	if s.Instance("gas-low@kitchen-gas.lel") != nil || s.Instance("smoke@smoke-201.smoke") != nil {
		t.Error("a disabled rule is in force")
	}
	if low := s.Instance("gas-low@boiler-gas.lel"); low == nil || low.Rule.Until != "" {
		t.Errorf("gas-low of the boiler: %+v", low)
	}
	seen := map[string]*rules.Rule{}
	for _, r := range s.Rules() {
		if seen[r.ID] != nil {
			t.Errorf("%s is listed twice", r.ID)
		}
		seen[r.ID] = r
	}
	if r := seen["gas-alarm"]; r.Name.EN != "Town gas" || r.Latch || r.Message.EN == "" {
		t.Errorf("gas-alarm: %+v", r)
	}
	if seen["gas-high"].When != "value >= 40.0" {
		t.Errorf("the rule in general: %+v", seen["gas-high"])
	}
}

func TestRulesComeFromFilesToo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/more.yaml", []byte("- {id: more, class: gas, level: notice, signal: kitchen-gas.lel, when: value > 5, for: 1m}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := conf.Parse(dir+"/home.yaml", []byte("rules: {packs: [], files: [more.yaml]}\n"), conf.OS())
	s := rules.New(root.At("rules"), home())
	if p := root.Problems(); p != nil || !slices.Equal(keys(s), []string{"more@kitchen-gas.lel"}) || s.Rules()[0].From != "more.yaml" {
		t.Errorf("%v %v %+v", p, keys(s), s.Rules()[0])
	}
}

// RU09: holidays and the working days that make up for them are the calendar's.
func TestWorkdaysFollowTheCalendar(t *testing.T) {
	s := set(t, abc(), `
packs: []
calendar: {off: [2026-10-01..2026-10-07], on: [2026-10-10]}
inline: [{id: w, class: notice, level: notice, signal: a.x, when: workday()}]
`)
	st := s.NewState()
	for day, want := range map[int]rules.Value{1: rules.False, 5: rules.False, 7: rules.False, 8: rules.True, 10: rules.True, 11: rules.False, 12: rules.True} {
		local := time.Date(2026, 10, day, 9, 0, 0, 0, time.FixedZone("", 8*60*60))
		if got := st.Eval(s.Instances()[0], local).When; got != want {
			t.Errorf("2026-10-%02d: %s, want %s", day, got, want)
		}
	}
}

func TestTheReferenceConfigurationsRulesCompile(t *testing.T) {
	s := set(t, home(), `
packs: [fire, gas, electrical, water, comms]
inline:
  - id: kitchen-gas-close-valve
    name: 厨房燃气高报，联动切断
    class: gas
    level: alarm
    signal: kitchen-gas.lel
    when: value >= 25.0
    until: value < 10.0
    for: 2s
    hold: 10s
    latch: true
    outputs: [{write: kitchen-gas.valve, value: 1, max_on: 10m}]
    message: "{zone} {device} 燃气 {value} {unit}，阀门已切断，开窗，勿动电器"
`)
	r := s.Instance("kitchen-gas-close-valve@kitchen-gas.lel").Rule
	if r.For != 2*time.Second || r.Hold != 10*time.Second || !r.Latch || len(r.Outputs) != 1 || r.Outputs[0].MaxOn != 10*time.Minute || r.From != "inline" {
		t.Errorf("%+v", r)
	}
}

func TestAnInstanceIsFoundByItsKey(t *testing.T) {
	s := set(t, abc(), `
packs: []
inline:
  - {id: b, class: gas, level: alarm, each: 'kind == "number"', when: "value > 1"}
  - {id: a, class: gas, level: alarm, each: 'kind == "number"', when: "value > 2"}`)
	if len(s.Instances()) != 6 {
		t.Fatal(keys(s))
	}
	for _, in := range s.Instances() {
		if s.Instance(in.Key) != in {
			t.Errorf("%s is %+v", in.Key, s.Instance(in.Key))
		}
	}
	for _, none := range []string{"", "a@a.y", "z@c.x", "a"} {
		if in := s.Instance(none); in != nil {
			t.Errorf("%q is %s", none, in.Key)
		}
	}
}

func TestExplainShowsWhatEachWordReads(t *testing.T) {
	set, in := rule(t, abc(), `value > 1 && avg("b.x", "5m") < 3 && online() && quality("c.x") == "good"`)
	st := set.NewState()
	st.Update(start, []drivers.Reading{good("a.x", 2.5), good("b.x", 4), good("a.online", 1)})
	var got []string
	for _, o := range st.Explain(in, start) {
		got = append(got, o.Text+" = "+o.Value)
	}
	want := `value = 2.5; avg("b.x", "5m") = 4; online() = true; quality("c.x") = bad`
	if strings.Join(got, "; ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "; "), want)
	}
}

func TestAnOptionalSignalIsSilentUntilItIsFirstSeen(t *testing.T) {
	m := abc()
	m.Signals[0].Signal.Optional = true
	set, in := rule(t, m, `quality() != "good" || age() > 100`)
	st := set.NewState()
	st.Update(start, nil)
	for _, c := range []struct {
		after time.Duration
		batch []drivers.Reading
		want  rules.Value
	}{
		{time.Hour, nil, rules.Unknown},
		{time.Hour, []drivers.Reading{good("a.x", 1)}, rules.False},
		{2 * time.Hour, nil, rules.True},
		{2 * time.Hour, []drivers.Reading{bad("a.x")}, rules.True},
	} {
		st.Update(start.Add(c.after), c.batch)
		if got := st.Eval(in, start.Add(c.after)).When; got != c.want {
			t.Errorf("after %s, %v: %s, want %s", c.after, c.batch, got, c.want)
		}
	}
}
