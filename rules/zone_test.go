package rules_test

import (
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"
)

// One live pulse among retained messages is new evidence, also after it fell back; a doubtful reading is none.
func TestAZoneRestsOnRetainedMessagesOnlyWhereAllThatCountAre(t *testing.T) {
	root := conf.Parse("r.yaml", []byte("packs: []\ninline: [{id: two, class: fire, level: alarm, zone: z, when: 'active(\"smoke\", \"1m\") >= 2'}]\n"), conf.OS())
	m := rules.Model{Zones: []rules.Zone{{ID: "z"}}}
	for _, d := range []string{"a", "b", "c"} {
		m.Signals = append(m.Signals, rules.Signal{Key: d + ".smoke", Signal: drivers.Signal{ID: "smoke", Kind: "smoke"}, Device: drivers.Device{ID: d, Zone: "z"}})
	}
	set := rules.New(root, m)
	in := set.Instances()[0]
	st := set.NewState()
	kept := func(signal string) drivers.Reading {
		r := good(signal, 1)
		r.Retained = true
		return r
	}
	doubtful := drivers.Reading{Signal: "c.smoke", Value: 1, Quality: drivers.Uncertain, Reason: drivers.Stale}
	for i, c := range []struct {
		batch    []drivers.Reading
		when     rules.Value
		retained bool
		reading  string
	}{
		{[]drivers.Reading{doubtful}, rules.Unknown, false, ""},
		{[]drivers.Reading{kept("a.smoke")}, rules.Unknown, true, "a.smoke"},
		{[]drivers.Reading{kept("b.smoke")}, rules.True, true, "b.smoke"},
		{[]drivers.Reading{good("c.smoke", 1)}, rules.True, false, "c.smoke"},
		{[]drivers.Reading{good("c.smoke", 0)}, rules.True, false, "c.smoke"},
	} {
		now := start.Add(time.Duration(i) * time.Second)
		st.Update(now, c.batch)
		if r := st.Eval(in, now); r.When != c.when || r.Retained != c.retained || r.Reading.Signal != c.reading {
			t.Errorf("step %d: %s, retained %t, %q; want %s, %t, %q", i, r.When, r.Retained, r.Reading.Signal, c.when, c.retained, c.reading)
		}
	}
}

// TestWhatIsFoundInAZoneUnderTestCountsThereOnly (AL09): a technician's smoke confirms the fire of the zone under test, and
// of no zone around it.
func TestWhatIsFoundInAZoneUnderTestCountsThereOnly(t *testing.T) {
	root := conf.Parse("s.txt", []byte(`
rules: {packs: [fire]}
zones: [{id: f1}, {id: hall, in: f1}, {id: kitchen, in: f1}]
signals: {a.smoke: smoke in hall, b.smoke: smoke in hall, c.smoke: smoke in kitchen, d.smoke: smoke in kitchen}
series: {a.smoke: 0, b.smoke: 0, c.smoke: 0, d.smoke: 0}
`), conf.OS())
	sc := rules.ReadScript(root)
	set := rules.New(sc.Rules, sc.Model(i18n.English))
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	st := set.NewState()
	st.Due(start)
	st.Update(start, []drivers.Reading{good("a.smoke", 1), good("b.smoke", 0), good("c.smoke", 1), good("d.smoke", 0)})
	confirmed := func(zone string) rules.Value { return st.Eval(set.Instance("fire-confirmed@"+zone), start).When }
	if got := confirmed("f1"); got != rules.True {
		t.Errorf("two zones: %s", got)
	}
	st.SetTested([]string{"hall"})
	if len(st.Due(start)) == 0 {
		t.Error("nothing is due although a test began")
	}
	if got := confirmed("f1"); got != rules.False {
		t.Errorf("one of two is under test: %s", got)
	}
	st.Update(start, []drivers.Reading{good("b.smoke", 1)})
	if hall, f1 := confirmed("hall"), confirmed("f1"); hall != rules.True || f1 != rules.False {
		t.Errorf("both of the hall are at 1 under test: hall %s, f1 %s", hall, f1)
	}
	st.SetTested([]string{"f1"})
	if got := confirmed("f1"); got != rules.True {
		t.Errorf("all of it is under test: %s", got)
	}
	st.Update(start, []drivers.Reading{good("b.smoke", 0), good("c.smoke", 0)})
	if got := confirmed("f1"); got != rules.True {
		t.Errorf("what fell back is remembered: %s", got)
	}
	st.SetTested(nil)
	if got := confirmed("f1"); got != rules.False {
		t.Errorf("no test any more, and one still at 1: %s", got)
	}
	st.Update(start, []drivers.Reading{good("c.smoke", 1)})
	if got := confirmed("f1"); got != rules.True {
		t.Errorf("no test any more, and two at 1: %s", got)
	}
}
