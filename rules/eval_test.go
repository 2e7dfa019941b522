package rules_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"
)

var start = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

func good(signal string, v float64) drivers.Reading {
	return drivers.Reading{Signal: signal, Value: v, Quality: drivers.Good}
}

func bad(signal string) drivers.Reading {
	return drivers.Reading{Signal: signal, Reason: drivers.Timeout}
}

// abc is a site of three signals a.x, b.x and c.x of the kind number, and one of a status word.
func abc() rules.Model {
	m := rules.Model{Lang: i18n.English}
	for _, d := range []string{"a", "b", "c"} {
		device := drivers.Device{ID: d, Name: d}
		m.Signals = append(m.Signals,
			rules.Signal{Key: d + ".x", Signal: drivers.Signal{ID: "x", Kind: "number", Unit: "bar"}, Device: device},
			rules.Signal{Key: d + ".online", Signal: drivers.Signal{ID: "online", Kind: "online"}, Device: device})
	}
	m.Signals = append(m.Signals, rules.Signal{Key: "a.word", Signal: drivers.Signal{ID: "word", Kind: "status_word", Flags: map[int]string{0: "fault", 2: "high_alarm"}}, Device: drivers.Device{ID: "a"}})
	return m
}

// rule makes the set of one rule of a.x with a condition.
func rule(t testing.TB, m rules.Model, when string) (*rules.Set, *rules.Instance) {
	t.Helper()
	root := conf.Parse("rule.yaml", []byte("packs: []\ninline:\n  - {id: it, class: gas, level: alarm, signal: a.x, when: '"+strings.ReplaceAll(when, "'", "''")+"'}\n"), conf.OS())
	set := rules.New(root, m)
	if p := root.Problems(); p != nil {
		t.Fatalf("%s: %v", when, p)
	}
	return set, set.Instances()[0]
}

func TestTimelines(t *testing.T) {
	files, _ := filepath.Glob("testdata/play/*.txt")
	if len(files) == 0 {
		t.Fatal("no timelines")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { play(t, file) })
	}
}

// T, F and U stand for a condition that is true, false or unknown.
func TestLogicHasThreeValues(t *testing.T) {
	const (
		F, U, T = rules.False, rules.Unknown, rules.True
	)
	a, b := `last("a.x") == 1`, `last("b.x") == 1`
	type row struct {
		a, b rules.Value
		want [5]rules.Value
	}
	exprs := [5]string{a + " && " + b, a + " || " + b, "!(" + a + ")", a + " ? " + b + " : !(" + b + ")", a + " == (" + b + ")"}
	table := []row{
		{F, F, [5]rules.Value{F, F, T, T, T}},
		{F, U, [5]rules.Value{F, U, T, U, U}},
		{F, T, [5]rules.Value{F, T, T, F, F}},
		{U, F, [5]rules.Value{F, U, U, U, U}},
		{U, U, [5]rules.Value{U, U, U, U, U}},
		{U, T, [5]rules.Value{U, T, U, U, U}},
		{T, F, [5]rules.Value{F, T, F, F, F}},
		{T, U, [5]rules.Value{U, T, F, U, U}},
		{T, T, [5]rules.Value{T, T, F, T, T}},
	}
	reading := func(signal string, v rules.Value) drivers.Reading {
		switch v {
		case T:
			return good(signal, 1)
		case F:
			return good(signal, 0)
		}
		return bad(signal)
	}
	for i, expr := range exprs {
		set, in := rule(t, abc(), expr)
		for _, r := range table {
			st := set.NewState()
			st.Update(start, []drivers.Reading{reading("a.x", r.a), reading("b.x", r.b)})
			if got := st.Eval(in, start); got.When != r.want[i] || got.Err != nil {
				t.Errorf("%s with %s, %s: got %s (%v), want %s", expr, r.a, r.b, got.When, got.Err, r.want[i])
			}
		}
	}
}

// Each line is a condition over a.x at 0, 10, 20, … s, and what it must be after the last reading; figures by hand.
func TestFunctionsReadWhatTheySay(t *testing.T) {
	for _, c := range []struct {
		values string // of a.x, every 10 s; _ is none, ! is bad
		when   string
		want   rules.Value
	}{
		{"3", `value == 3 && unit == "bar"`, rules.True},
		{"3", `value + 1 == 4 && value * 2 - 1 == 5 && value / 2 == 1.5 && -value == -3`, rules.True},
		{"1 2 6", `avg("1m") == 3`, rules.True},
		{"1 2 6", `min("1m") == 1 && max("1m") == 6`, rules.True},
		{"1 2 6", `min("10s") == 2 && avg("10s") == 4`, rules.True},
		{"1 2 6", `min("9s") == 6`, rules.True},
		{"1 2 6", `delta("1m") == 5 && delta("10s") == 4`, rules.True},
		{"1", `delta("1m") == 0`, rules.Unknown},
		// 10 in 30 s is 20 a minute.
		{"0 1 5 10", `rate("1m") == 20`, rules.True},
		// Only 20 s of a minute: too few to say.
		{"0 1 5", `rate("1m") > 0`, rules.Unknown},
		// 2 4 4 4 5 5 7 9: mean 5, deviation 2.
		{"2 4 4 4 5 5 7 9", `stddev("5m") == 2`, rules.True},
		{"2", `stddev("5m") == 0`, rules.Unknown},
		{"1 1 2 2 1 1", `changes("5m") == 2`, rules.True},
		{"1 1 2 2 1 1", `changes("20s") == 1`, rules.True},
		{"1 _ _ _", `age() == 30`, rules.True},
		{"1 ! !", `age() == 20 && quality() == "bad" && reason() == "timeout"`, rules.True},
		{"1", `quality() == "good" && reason() == ""`, rules.True},
		{"1 !", `avg("5m") == 1`, rules.Unknown},
		{"1 _ _ _ _ _ _", `avg("59s") == 1`, rules.Unknown},
		{"_ _", `age() == 10 && quality() == "bad"`, rules.True},
		{"4", `value in [1, 2, 4]`, rules.True},
		{"4", `!(value > 3) || value >= 4.0 && value <= 4 && value < 5 && value != 3`, rules.True},
		{"0", `1 / value > 0`, rules.Unknown},
	} {
		set, in := rule(t, abc(), c.when)
		st, now := set.NewState(), start
		st.Update(now, nil)
		for i, v := range strings.Fields(c.values) {
			now = start.Add(time.Duration(i) * 10 * time.Second)
			var batch []drivers.Reading
			switch v {
			case "_":
			case "!":
				batch = append(batch, bad("a.x"))
			default:
				var f float64
				fmt.Sscan(v, &f)
				batch = append(batch, good("a.x", f))
			}
			st.Update(now, batch)
		}
		r := st.Eval(in, now)
		if r.When != c.want {
			t.Errorf("%s after %s: got %s (%v), want %s; %v", c.when, c.values, r.When, r.Err, c.want, st.Explain(in, now))
		}
		if divides := strings.HasPrefix(c.when, "1 /"); divides != (r.Err != nil) {
			t.Errorf("%s: error %v", c.when, r.Err)
		}
	}
}

func TestOtherSignalsAndSurroundings(t *testing.T) {
	night := time.Date(2026, 11, 20, 23, 30, 0, 0, time.FixedZone("Asia/Shanghai", 8*60*60)) // a Friday
	for _, c := range []struct {
		when string
		now  time.Time
		want rules.Value
	}{
		{`last("b.x") == 20 && avg("b.x", "1m") == 20 && value == 10`, night, rules.True},
		{`imbalance("a.x", "b.x", "c.x") == 50`, night, rules.True}, // 10 20 30: mean 20, farthest 10
		{`flag("a.word", "high_alarm") && !flag("a.word", "fault")`, night, rules.True},
		{`online() && online("b")`, night, rules.Unknown}, // b has not said
		{`online() && !online("c.x")`, night, rules.True},
		{`schedule("22:00-06:00") && !schedule("06:00-22:00")`, night, rules.True},
		{`schedule("22:00-23:30")`, night, rules.False},
		{`schedule("23:30-24:00")`, night, rules.True},
		{`schedule("22:00-06:00")`, night.Add(6*time.Hour + 30*time.Minute), rules.False},
		{`workday()`, night, rules.True},
		{`workday()`, night.Add(24 * time.Hour), rules.False},
		{`drill()`, night, rules.False},
		{`any_alarm("fire") && any_alarm() && !any_alarm("gas")`, night, rules.True},
	} {
		set, in := rule(t, abc(), c.when)
		st := set.NewState()
		st.SetActive(func(class rules.Class) int { return map[rules.Class]int{"fire": 2}[class] })
		st.Update(c.now, []drivers.Reading{good("a.x", 10), good("b.x", 20), good("c.x", 30), good("a.word", 4), good("a.online", 1), good("c.online", 0)})
		if r := st.Eval(in, c.now); r.When != c.want || r.Err != nil {
			t.Errorf("%s: got %s (%v), want %s; %v", c.when, r.When, r.Err, c.want, st.Explain(in, c.now))
		}
	}
}

func TestUntilIsTheOppositeOfWhenWhereNoneIsGiven(t *testing.T) {
	set, in := rule(t, abc(), "value > 1")
	st := set.NewState()
	for _, c := range []struct {
		r           drivers.Reading
		when, until rules.Value
	}{
		{bad("a.x"), rules.Unknown, rules.Unknown},
		{good("a.x", 2), rules.True, rules.False},
		{good("a.x", 1), rules.False, rules.True},
	} {
		st.Update(start, []drivers.Reading{c.r})
		if r := st.Eval(in, start); r.When != c.when || r.Until != c.until {
			t.Errorf("%v: got %s, %s, want %s, %s", c.r, r.When, r.Until, c.when, c.until)
		}
	}
}

// After a start an alarm that was open keeps the value and quality that it had until something is heard of its signal.
func TestWhatWasNeverReadDecidesWithNoReading(t *testing.T) {
	set, in := rule(t, abc(), "value > 1")
	st := set.NewState()
	if r := st.Eval(in, start); r.Reading.Signal != "" {
		t.Errorf("before any reading it is %+v", r.Reading)
	}
	st.Update(start, []drivers.Reading{bad("a.x")})
	if r := st.Eval(in, start); r.Reading.Signal != "a.x" || r.Reading.Reason != drivers.Timeout {
		t.Errorf("after one it is %+v", r.Reading)
	}
}

func TestADrillIsNoticedAtOnce(t *testing.T) {
	set, in := rule(t, abc(), "drill() && value > 0")
	st := set.NewState()
	st.Update(start, []drivers.Reading{good("a.x", 1)})
	if due := st.Due(start); len(due) != 1 {
		t.Fatalf("every instance is looked at once after the start, got %d", len(due))
	}
	if due := st.Due(start.Add(time.Hour)); len(due) != 0 || !st.Next().IsZero() {
		t.Fatalf("a condition without time is due again: %d, next %s", len(due), st.Next())
	}
	st.SetDrill(true)
	if due := st.Due(start.Add(time.Hour)); len(due) != 1 || due[0] != in || st.Eval(in, start).When != rules.True {
		t.Fatalf("due %v, %v", due, st.Eval(in, start))
	}
}

func TestOnlyInputsThatChangedAreEvaluated(t *testing.T) {
	m := abc()
	plain, _ := rule(t, m, "value > 1")
	windowed, _ := rule(t, m, `avg("1m") > 1`)
	health, _ := rule(t, m, `quality() != "good" && reason() != "disabled"`)
	both, _ := rule(t, m, `quality() != "good" || value > 1`)
	for _, c := range []struct {
		name string
		set  *rules.Set
		r    drivers.Reading
		want int
	}{
		{"the same again", plain, good("a.x", 5), 0},
		{"another value", plain, good("a.x", 6), 1},
		{"another quality", plain, bad("a.x"), 1},
		{"another signal", plain, good("b.x", 5), 0},
		{"the same again, in a window", windowed, good("a.x", 5), 1},
		{"another value, where only the quality counts", health, good("a.x", 6), 0},
		{"another quality, where only that counts", health, bad("a.x"), 1},
		{"another value, where both count", both, good("a.x", 6), 1},
	} {
		st := c.set.NewState()
		st.Update(start, []drivers.Reading{good("a.x", 5)})
		if got := len(st.Update(start.Add(time.Second), []drivers.Reading{c.r})); got != c.want {
			t.Errorf("%s: %d instances, want %d", c.name, got, c.want)
		}
		if r, ok := st.Latest(c.r.Signal); !ok || r.Value != c.r.Value || r.Quality != c.r.Quality {
			t.Errorf("%s: latest is %v", c.name, r)
		}
	}
}

func TestARetainedReadingIsToldAsSuch(t *testing.T) {
	root := conf.Parse("r.yaml", []byte(`
packs: []
inline:
  - {id: one, class: fire, level: alarm, each: kind == "smoke", when: value == 1}
  - {id: two, class: fire, level: alarm, zone: each, when: 'active("smoke") >= 1'}
`), conf.OS())
	m := rules.Model{Zones: []rules.Zone{{ID: "z"}}}
	for _, d := range []string{"a", "b"} {
		m.Signals = append(m.Signals, rules.Signal{Key: d + ".smoke", Signal: drivers.Signal{ID: "smoke", Kind: "smoke"}, Device: drivers.Device{ID: d, Zone: "z"}})
	}
	set := rules.New(root, m)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	st := set.NewState()
	kept := good("a.smoke", 1)
	kept.Retained = true
	st.Update(start, []drivers.Reading{kept})
	for _, in := range set.Instances() {
		r := st.Eval(in, start)
		if want := in.Signal != "b.smoke"; r.Retained != want || want && r.When != rules.True {
			t.Errorf("%s: %+v", in.Key, r)
		}
	}
	if n := len(st.Update(start, []drivers.Reading{good("a.smoke", 1)})); n != 2 {
		t.Errorf("the live message that repeats the retained one reaches %d instances, want 2", n)
	}
	for _, in := range set.Instances() {
		if r := st.Eval(in, start); r.Retained {
			t.Errorf("%s: %+v", in.Key, r)
		}
	}
}

func TestAdoptKeepsReadingsAndWindowsOverAReload(t *testing.T) {
	set, in := rule(t, abc(), `avg("1m") > 1`)
	old := set.NewState()
	old.Update(start, []drivers.Reading{good("a.x", 4)})
	again, in2 := rule(t, abc(), `avg("1m") == 3`)
	st := again.NewState()
	st.Adopt(old)
	now := start.Add(10 * time.Second)
	st.Update(now, []drivers.Reading{good("a.x", 2)})
	if r := st.Eval(in2, now); r.When != rules.True {
		t.Errorf("got %s; %v", r.When, st.Explain(in2, now))
	}
	if r := old.Eval(in, now); r.When != rules.True {
		t.Errorf("the old state changed: %v", old.Explain(in, now))
	}
}
