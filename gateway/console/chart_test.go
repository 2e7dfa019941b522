package console

import (
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// stepsOf makes steps of a minute: a number is a value, s stale, b bad, . nothing known, and 0 a zero.
func stepsOf(from time.Time, script string) []Step {
	var steps []Step
	for i, r := range strings.Fields(script) {
		st := Step{Time: from.Add(time.Duration(i) * time.Minute)}
		switch r {
		case ".":
		case "s":
			st.Bad, st.Why = 60, drivers.Stale
		case "b":
			st.Bad, st.Why = 60, drivers.CRC
		default:
			v := float64(r[0] - '0')
			st.Min, st.Mean, st.Max, st.Last, st.Good = &v, &v, &v, &v, 60
		}
		steps = append(steps, st)
	}
	return steps
}

func looks(v *chartView) string {
	var list []string
	for _, a := range v.Areas {
		list = append(list, a.Look+"@"+a.X+"+"+a.Width)
	}
	return strings.Join(list, " ")
}

func TestAChartDrawsAGapAZeroAndWhatIsStaleEachInItsOwnWay(t *testing.T) {
	h := home{i18n.English, noon}
	lel := h.signal("lel", "gas", "gas_lel")
	ten := labelled(noon, noon.Add(10*time.Minute), 10, 2, "15:04")
	for _, test := range []struct {
		name, script string
		now          time.Duration
		areas        string
		lines        int
		summary      string
	}{
		{"values", "1 2 3 4 5 6 7 8 9 9", 10 * time.Minute, "", 1, "A value for 100 % of the time"},
		{"zeros are a line", "0 0 0 0 0 0 0 0 0 0", 10 * time.Minute, "", 1, "A value for 100 % of the time"},
		{"a gap breaks it", "1 2 3 . . . 7 8 9 9", 10 * time.Minute, "gap@300+300", 2, "A value for 70 % of the time"},
		{"so does what is stale", "1 2 3 s s 6 7 8 9 9", 10 * time.Minute, "stale@300+200", 2, "A value for 80 % of the time"},
		{"and what is bad", "1 2 3 b 5 6 7 8 9 9", 10 * time.Minute, "bad@300+100", 2, "A value for 90 % of the time"},
		{"one after the other", "1 s b . 5 6 7 8 9 9", 10 * time.Minute, "stale@100+100 bad@200+100 gap@300+100", 2, "A value for 70 % of the time"},
		{"what has not come yet is neither", "1 2 3 4 5 . . . . .", 5 * time.Minute, "", 1, "A value for 100 % of the time"},
		{"nothing at all", ". . . . . . . . . .", 10 * time.Minute, "gap@0+1000", 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := draw(lel, ten, stepsOf(noon, test.script), noon.Add(test.now), h.lang)
			if looks(v) != test.areas || len(v.Lines) != test.lines || v.Summary != test.summary {
				t.Errorf("%q, %d lines, %q", looks(v), len(v.Lines), v.Summary)
			}
			if v.Empty != (test.lines == 0) || v.HasGap != strings.Contains(test.areas, "gap") || v.HasStale != strings.Contains(test.areas, "stale") || v.HasBad != strings.Contains(test.areas, "bad") {
				t.Errorf("the legend says otherwise: %+v", v)
			}
		})
	}
}

func TestAnAxisHasRoundNumbersAndShowsZeroWhereItIsNear(t *testing.T) {
	sig := home{i18n.English, noon}.signal("lel", "gas", "gas_lel")
	for _, test := range []struct {
		low, high float64
		want      string
	}{
		{0.4, 38, "40 30 20 10 0"},
		{219, 231, "235 230 225 220 215"},
		{0, 0, "0.6 0.4 0.2 0"},
		{24.1, 24.1, "28 26 24 22 20"},
		{-5, 20, "20 10 0 -10"},
		{0.30, 0.31, "0.31 0.305 0.3"},
	} {
		got := strings.Join(scaleOf(false, test.low, test.high).labels(sig, i18n.English), " ")
		if got != test.want {
			t.Errorf("%v to %v: %s, want %s", test.low, test.high, got, test.want)
		}
	}
	smoke := home{i18n.English, noon}.signal("smoke", "smoke", "smoke")
	if got := scaleOf(true, 0, 1).labels(smoke, i18n.English); !slices.Equal(got, []string{"triggered", "normal"}) {
		t.Errorf("a state: %v", got)
	}
}

func TestAChartEndsAtAFullHourOrDay(t *testing.T) {
	for span, want := range map[string][2]string{
		"24h": {"11-20 17:00", "11-21 17:00"}, "7d": {"11-15 00:00", "11-22 00:00"}, "30d": {"10-23 00:00", "11-22 00:00"},
	} {
		s, ok := lately(span, noon)
		if got := [2]string{s.from.Format("01-02 15:04"), s.to.Format("01-02 15:04")}; !ok || got != want {
			t.Errorf("%s: %v", span, got)
		}
	}
	if _, ok := lately("1y", noon); ok {
		t.Error("a span that there is not")
	}
	old := noon.Add(-72 * time.Hour)
	cleared := old.Add(30 * time.Minute)
	if s := around(alarm.Alarm{RaisedAt: old, ClearedAt: &cleared}, noon); s.points != 51 || !s.from.Equal(old.Add(-10*time.Minute).Truncate(time.Minute)) {
		t.Errorf("what is older than a day has minutes: %+v", s)
	}
}

func TestFiftyPagesAskTheDiskOnceForAChart(t *testing.T) {
	c := newCanned(home{i18n.English, noon}.well())
	asked := 0
	c.past = func(_ string, from, _ time.Time, _ int) []Step { asked++; return stepsOf(from, "1") }
	var p past
	s, _ := lately("24h", noon)
	for i := range 50 {
		if _, err := p.steps(t.Context(), c, "d.s", s, noon.Add(time.Duration(i)*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	if p.steps(t.Context(), c, "d.s", s, noon.Add(chartAge)); asked != 2 {
		t.Error("what is kept grows old")
	}
}
