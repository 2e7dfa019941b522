package gateway

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// playFile runs a rule test file.
func playFile(t *testing.T, path string) *RuleTest {
	t.Helper()
	root, err := conf.Load(path, conf.OS())
	if err != nil {
		t.Fatal(err)
	}
	test, err := TestRules(root, Options{Log: slog.New(slog.DiscardHandler)}, i18n.English)
	if err != nil {
		t.Fatal(err)
	}
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	return test
}

// TestThePacksRaiseAsTheirScriptsSay (RU14): the scripts beside the packs, conditions and alarms.
func TestThePacksRaiseAsTheirScriptsSay(t *testing.T) {
	files, _ := filepath.Glob("../rules/packs/*.txt")
	if len(files) < 6 {
		t.Fatalf("only %d scripts", len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			test := playFile(t, file)
			for _, missed := range test.Missed {
				t.Error(missed)
			}
			if t.Failed() {
				t.Log("\n" + strings.Join(test.Happened, "\n"))
			}
		})
	}
}

// TestARuleTestSaysWhatHappenedInstead (RU14): a failure reads as a story, and names its line.
func TestARuleTestSaysWhatHappenedInstead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gas.txt")
	script := `rules: {packs: [gas]}
series: {kitchen-gas.lel: 0 0 12x3 0 55 0}
expect:
  - at 2s: raised gas-low
  - at 3s: raised gas-low
  - at 6s: cleared gas-high@kitchen-gas.lel
  - at 7s: raised gas-alarm
  - never: raised gas-high
  - at 6s: false gas-high
`
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	test := playFile(t, file)
	var got []string
	for _, missed := range test.Missed {
		got = append(got, strings.TrimPrefix(missed.String(), file+":"))
	}
	want := `9:12: at 6s: expected false gas-high; gas-high@kitchen-gas.lel is true
5:12: at 3s: expected raised gas-low; 2s raised gas-low@kitchen-gas.lel, 5s cleared gas-low@kitchen-gas.lel, 6s raised gas-low@kitchen-gas.lel, 7s cleared gas-low@kitchen-gas.lel
6:12: at 6s: expected cleared gas-high@kitchen-gas.lel; 6s raised gas-high@kitchen-gas.lel, 7s cleared gas-high@kitchen-gas.lel
8:12: at 6s: never expected raised gas-high; 6s raised gas-high@kitchen-gas.lel, 7s cleared gas-high@kitchen-gas.lel
7:12: at 7s: expected raised gas-alarm; —`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if len(test.Happened) != 6 || test.Expectations != 6 {
		t.Errorf("%d events of %d expectations: %v", len(test.Happened), test.Expectations, test.Happened)
	}
}

// TestARuleTestMayNameAConfiguration (RU14): its rules and devices, and mistakes in either file at their place.
func TestARuleTestMayNameAConfiguration(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("home.yaml", "site: {id: home, language: en}\n")
	root, err := conf.Load(write("wrong.txt", "config: home.yaml\nseries: {nobody.smoke: 1}\n"), conf.OS())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TestRules(root, Options{Log: slog.New(slog.DiscardHandler)}, i18n.English); err != nil {
		t.Fatal(err)
	}
	if got := root.Problems().In(i18n.English); !strings.HasSuffix(got, "wrong.txt:2:24: series.nobody.smoke: the configuration has no signal nobody.smoke") {
		t.Error(got)
	}
}
