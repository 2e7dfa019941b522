package rules_test

import (
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"
)

func TestAScriptIsReadAsWritten(t *testing.T) {
	root := conf.Parse("s.txt", []byte(`
step: 2s
start: 2026-01-05 22:00:00
zones: [{id: k, name: 厨房}]
signals: {kitchen-gas.lel: gas_lel in k}
series:
  kitchen-gas.lel: 0 30x2 20-5x3 bad:crc retained:1 _ uncertain:7
  bus.link: 1
expect:
  at 8s: raised gas-high
  at 10s: [cleared gas-high, true gas-low@kitchen-gas.lel]
  never: raised smoke
`), conf.OS())
	sc := rules.ReadScript(root)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	var got []string
	for _, v := range sc.Series[0].Values {
		word := strings.TrimRight(strings.TrimRight(v.Quality.String()+":"+string(v.Reason), ":"), ":")
		if v.Retained {
			word += ":retained"
		}
		if v.Absent {
			word = "_"
		}
		got = append(got, word+"="+time.Duration(v.Value).String())
	}
	want := "good=0s good=30ns good=30ns good=20ns good=15ns good=10ns bad:crc=0s good:retained=1ns _=0s uncertain:stale=7ns"
	if strings.Join(got, " ") != want {
		t.Errorf("values\n%s, want\n%s", strings.Join(got, " "), want)
	}
	if len(sc.Expect) != 4 || sc.Expect[0].Time != 8*time.Second || sc.Expect[0].What != "raised" || sc.Expect[0].Rule != "gas-high" || !sc.Expect[3].Never {
		t.Errorf("expectations: %+v", sc.Expect)
	}
	var keys []string
	for _, s := range sc.Signals {
		keys = append(keys, s.Key+":"+s.Signal.Kind+":"+s.Device.Zone)
	}
	if got := strings.Join(keys, " "); got != "kitchen-gas.lel:gas_lel:k kitchen-gas.online:online:k bus.link:link:" {
		t.Errorf("signals: %s", got)
	}
	if sc.End() != 18*time.Second || sc.Start.Hour() != 22 || sc.Step != 2*time.Second {
		t.Errorf("end %s, start %s, step %s", sc.End(), sc.Start, sc.Step)
	}
	first := sc.Readings(0, start)
	if len(first) != 3 || first[0].Signal != "kitchen-gas.online" || first[0].Value != 1 || sc.Readings(8, start) != nil || sc.Readings(6, start)[0].Reason != drivers.CRC {
		t.Errorf("readings: %v, %v, %v", first, sc.Readings(8, start), sc.Readings(6, start))
	}
}

func TestAScriptThatDoesNotComeTrueSaysWhatWasInstead(t *testing.T) {
	root := conf.Parse("s.txt", []byte("series: {k.lel: 0 12}\nexpect:\n  - at 1s: [false gas-low, true gas-high, unknown nothing]\n  - never: true gas-low\n"), conf.OS())
	sc := rules.ReadScript(root)
	set := rules.New(sc.Rules, sc.Model(i18n.English))
	var said []string
	for _, missed := range sc.Conditions(set) {
		said = append(said, missed.String())
	}
	got := strings.Join(said, "\n")
	want := `s.txt:3:13: at 1s: expected false gas-low; gas-low@k.lel is true
s.txt:3:28: at 1s: expected true gas-high; gas-high@k.lel is false
s.txt:3:43: at 1s: expected unknown nothing; 
s.txt:4:12: at 1s: never expected true gas-low; gas-low@k.lel is true`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestMistakesOfAScript(t *testing.T) {
	root := conf.Parse("s.txt", []byte(`
step: 48h
start: tomorrow
zones: [{id: k}]
signals: {a.x: smok, b.x: heat in kk}
series: {a.x: 1 30xx5, b.x: bad:crk, smoke: 1, c.x: 1x999999999}
expect: [{at noon: true smoke}, {at 1s: rised smoke}, {at 1s: raised}, {on 1s: true smoke}]
`), conf.OS())
	rules.ReadScript(root)
	want := `s.txt:2:7: step: a step is longer than nothing and at most a day
s.txt:3:8: start: "tomorrow" is not a time; write it as 2026-01-05 22:00:00
s.txt:5:16: signals.a.x: "smok" is not known; did you mean smoke?
s.txt:5:27: signals.b.x: "kk" is not known; allowed: k; did you mean k?
s.txt:6:15: series.a.x: "30xx5" is no value of a series: 30, 30x5, 20+2x5, bad, bad:crc, uncertain:30, retained:1 or _
s.txt:6:29: series.b.x: "crk" is not known; allowed: timeout, crc, exception, offline, stale, sentinel, range, decode, device_fault, disabled; did you mean crc?
s.txt:6:45: series.smoke: "smoke" is no signal; write it as device.signal
s.txt:6:53: series.c.x: "1x999999999" is no value of a series: 30, 30x5, 20+2x5, bad, bad:crc, uncertain:30, retained:1 or _
s.txt:7:20: expect[0].at noon: "at noon" is no time of a rule test; write it as at 8s, or never
s.txt:7:41: expect[1].at 1s: "rised" is not known; allowed: raised, lowered, cleared, true, false, unknown; did you mean raised?
s.txt:7:63: expect[2].at 1s: an expectation names a rule: raised gas-high, or true gas-high@kitchen-gas.lel
s.txt:7:80: expect[3].on 1s: "on 1s" is no time of a rule test; write it as at 8s, or never`
	got := root.Problems().In(i18n.English)
	if i := strings.Index(got, "; allowed: arc_fault"); i > 0 { // the kinds, in full
		got = got[:i] + got[strings.Index(got, "; did you mean smoke"):]
	}
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
