package rules

import (
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// Model is the site of a script without a configuration.
func (sc *Script) Model(lang i18n.Lang) Model {
	return Model{Signals: sc.Signals, Zones: sc.Zones, Location: shanghai, Lang: lang}
}

// End is the time of the last reading or expectation.
func (sc *Script) End() time.Duration {
	var end time.Duration
	for _, s := range sc.Series {
		end = max(end, time.Duration(len(s.Values)-1)*sc.Step)
	}
	for _, e := range sc.Expect {
		end = max(end, e.Time)
	}
	return end
}

// Readings are the readings of one step, from 0. In the first, all devices answer of which no series says otherwise.
func (sc *Script) Readings(step int, now time.Time) []drivers.Reading {
	var batch []drivers.Reading
	for _, s := range sc.Signals {
		own := slices.ContainsFunc(sc.Series, func(x Series) bool { return x.Signal == s.Key })
		if step == 0 && s.Signal.Kind == drivers.OnlineSignal && !own {
			batch = append(batch, drivers.Reading{Signal: s.Key, Time: now, Value: 1, Quality: drivers.Good})
		}
	}
	for _, s := range sc.Series {
		if step < len(s.Values) && !s.Values[step].Absent {
			v := s.Values[step]
			batch = append(batch, drivers.Reading{Signal: s.Signal, Time: now, Value: v.Value, Quality: v.Quality, Reason: v.Reason, Retained: v.Retained})
		}
	}
	return batch
}

// Run plays the script: after every reading and every second it evaluates what has to be, hands each outcome to seen,
// and then tells moment how much time has passed. active counts the alarms of a class, for the conditions that ask.
func (sc *Script) Run(set *Set, active func(Class) int, seen func(now time.Time, in *Instance, r Result), moment func(now time.Time, passed time.Duration)) {
	st := set.NewState()
	st.SetActive(active)
	for passed := time.Duration(0); passed <= sc.End(); passed = sc.next(passed) {
		now := sc.Start.Add(passed)
		if passed%sc.Step == 0 {
			for _, in := range st.Update(now, sc.Readings(int(passed/sc.Step), now)) {
				seen(now, in, st.Eval(in, now))
			}
		}
		for _, in := range st.Due(now) {
			seen(now, in, st.Eval(in, now))
		}
		moment(now, passed)
	}
}

// next is the next moment: a step, a whole second or an expectation.
func (sc *Script) next(passed time.Duration) time.Duration {
	next := min(passed.Truncate(sc.Step)+sc.Step, passed.Truncate(time.Second)+time.Second)
	for _, e := range sc.Expect {
		if e.Time > passed {
			next = min(next, e.Time)
		}
	}
	return next
}

// Becomes tells whether the expectation is of an alarm, raised or cleared, and not of a condition.
func (e Expect) Becomes() bool { return slices.Contains(becomes, e.What) }

// Miss says that the expectation did not come true, and what was instead.
func (e Expect) Miss(passed time.Duration, instead string) i18n.Text {
	if e.Never {
		return i18n.T("%s: at %s: never expected %s %s; %s", e.At.Position(), passed, e.What, e.Rule, instead)
	}
	return i18n.T("%s: at %s: expected %s %s; %s", e.At.Position(), passed, e.What, e.Rule, instead)
}

// Conditions plays the script on the conditions alone, without delays and latches, and says which of the expectations
// true, false and unknown did not come true: an expectation of a rule speaks of all its instances, true of any.
func (sc *Script) Conditions(set *Set) []i18n.Text {
	var missed []i18n.Text
	now := map[*Instance]Value{}
	check := func(e Expect, passed time.Duration) {
		any, all := false, true
		said := []string{}
		for _, in := range set.Instances() {
			if in.Key == e.Rule || in.Rule.ID == e.Rule {
				v := now[in].String()
				any, all = any || v == e.What, all && v == e.What
				said = append(said, in.Key+" is "+v)
			}
		}
		ok := any && (all || e.What == True.String())
		if ok == e.Never {
			missed = append(missed, e.Miss(passed, strings.Join(said, ", ")))
		}
	}
	none := func(Class) int { return 0 }
	sc.Run(set, none, func(_ time.Time, in *Instance, r Result) { now[in] = r.When }, func(_ time.Time, passed time.Duration) {
		for _, e := range sc.Expect {
			if !e.Becomes() && (e.Never || e.Time == passed) {
				check(e, passed)
			}
		}
	})
	return missed
}
