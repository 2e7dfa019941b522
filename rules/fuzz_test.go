package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"

	"go.yaml.in/yaml/v4"
)

// FuzzCondition compiles any text as a condition, a clear condition and a selector, and evaluates what compiles: nothing
// panics, and an expression with no good reading of its signal is never true and false at once with its opposite.
func FuzzCondition(f *testing.F) {
	for _, pack := range rules.Packs {
		data, err := os.ReadFile(filepath.Join("packs", pack+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		var list []struct{ When, Until, Each string }
		if err := yaml.Load(data, &list); err != nil {
			f.Fatal(err)
		}
		for _, r := range list {
			f.Add(r.When)
			f.Add(r.Until)
			f.Add(r.Each)
		}
	}
	for _, s := range []string{
		`value / 0 > 1`, `avg("kitchen-gas.lel", "5m") > 3 ? online() : drill()`, `imbalance("kitchen-gas.lel", "kitchen-gas.lel", "smoke-201.smoke") > 2`,
		`flag("kitchen-gas.status", "fault") in [true]`, `active(["smoke", "heat"], "60s") >= 2`, `schedule("22:00-06:00") && workday()`,
		`((((((((value > 1))))))))`, `"\u0000" == unit`, `value > 1e308 * 1e308`, `b'x' == value`, `value.x(1)`, `{1: 2}[1] == value`, `dyn(value)`, `[].map(x, x)`, "value >\n 1", `!!!!value`, `-9223372036854775808 < value`,
		`own("test") == own("test")`, `any_alarm("fire") || age() > 1`, `reason() == "crc" && quality() in ["bad", "uncertain"]`,
	} {
		f.Add(s)
	}
	batches := [][]drivers.Reading{
		nil,
		{good("kitchen-gas.lel", 12), good("smoke-201.smoke", 1), good("kitchen-gas.status", 5), good("kitchen-gas.online", 1)},
		{bad("kitchen-gas.lel"), bad("smoke-201.smoke"), bad("kitchen-gas.status")},
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := yaml.Dump(text)
		if err != nil {
			t.Skip()
		}
		text = strings.ReplaceAll(strings.TrimRight(string(quoted), "\n"), "\n", "\n        ")
		for _, rule := range []string{
			"signal: kitchen-gas.lel\n    when: " + text, "zone: f1\n    when: " + text,
			"signal: kitchen-gas.lel\n    when: value > 1\n    until: " + text, "when: value > 1\n    each: " + text,
		} {
			root := conf.Parse("f.yaml", []byte("packs: []\ninline:\n  - id: f\n    class: gas\n    level: alarm\n    "+rule+"\n"), conf.OS())
			set := rules.New(root, home())
			if p := root.Problems(); p != nil {
				_ = p.In(i18n.Chinese)
				continue
			}
			st, now := set.NewState(), start
			for _, batch := range batches {
				st.Update(now, batch)
				for _, in := range set.Instances() {
					if r := st.Eval(in, now); r.When == rules.True && in.Rule.Until == "" && r.Until != rules.False || r.Err != nil && r.When != rules.Unknown && r.Until != rules.Unknown {
						t.Fatalf("%s: %+v", in.Rule.When, r)
					}
					st.Explain(in, now)
				}
				now = now.Add(time.Minute)
			}
		}
	})
}

// FuzzScript reads any text as a rule test file, and plays a minute of what it can read.
func FuzzScript(f *testing.F) {
	for _, pattern := range []string{"packs/*.txt", "testdata/play/*.txt"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
	f.Add("series: {a.smoke: 0 1x3 bad:crc}\nexpect: {at 1s: true smoke, never: [raised heat]}\n")
	f.Add("step: 0s\nstart: x\nseries: {a: 1, b.c: 1x99999999999, d.e: 1e3}\nexpect: [{at -1s: x}, {at 1s: true}, {on 1s: true x}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		root := conf.Parse("f.txt", []byte(text), conf.Environment{ReadFile: func(string) ([]byte, error) { return nil, os.ErrNotExist }})
		script := rules.ReadScript(root)
		if root.Problems() != nil {
			return
		}
		set := rules.New(script.Rules, script.Model(i18n.English))
		if p := root.Problems(); p != nil {
			_ = p.In(i18n.Chinese)
			return
		}
		if script.End() <= time.Minute && script.Step >= time.Second/2 {
			script.Conditions(set)
		}
	})
}
