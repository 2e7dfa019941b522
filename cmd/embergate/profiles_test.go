package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Row DM02: list, show and test of device models.
func TestProfilesVerbs(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const own = `id: own
name: {zh: 自有, en: Own}
vendor: us
source: the label
grade: C
protocol: modbus
signals: [{id: t, name: {zh: 温度, en: Temperature}, kind: temperature, at: "holding:0", type: int16, scale: 0.1, unit: °C}]
vectors:
  - {name: warm, holding: {0: [0x00C8]}, readings: {t: 20}}
  - {name: cold, holding: {0: [0xFFF6]}, readings: {t: %s}}
`
	good, wrong := file("good.yaml", strings.Replace(own, "%s", "-1", 1)), file("wrong.yaml", strings.Replace(own, "%s", "1", 1))
	mistaken := file("mistaken.yaml", strings.Replace(strings.Replace(own, "%s", "-1", 1), "holding:0", "nowhere:0", 1))
	for name, c := range map[string]struct {
		args   []string
		status int
		want   []string
	}{
		"the models with vendor, source and grade": {[]string{"profiles", "list"}, exitDone, []string{"acrel-aim-r100", "Acrel AIM-R100 manual 7.3", "  A  "}},
		"the blanks":                    {[]string{"profiles", "list", "--blank", "--json"}, exitDone, []string{`"id": "acrel-arcm300"`, `"signals": []`}},
		"a model as it is written":      {[]string{"profiles", "show", "renke-ws-n01"}, exitDone, []string{"id: renke-ws-n01\n", "vectors:\n"}},
		"a blank as it is written":      {[]string{"profiles", "show", "acrel-arcm300"}, exitDone, []string{"# A BLANK"}},
		"a model that nobody has":       {[]string{"profiles", "show", "nobody"}, exitFailed, []string{`there is no device model "nobody"`}},
		"a user's file that holds":      {[]string{"profiles", "test", good}, exitDone, []string{"all 2 vectors of own hold\n"}},
		"a user's file that does not":   {[]string{"profiles", "test", wrong}, exitFailed, []string{"vector \"cold\" does not hold:\n  t: -1, want 1\n", "1 of 2 vectors of own do not hold"}},
		"a user's file with a mistake":  {[]string{"profiles", "test", mistaken}, exitInvalid, []string{"mistaken.yaml:7:1"}},
		"a user's file that is nowhere": {[]string{"profiles", "test", filepath.Join(dir, "none.yaml")}, exitFailed, []string{"none.yaml"}},
		"a user's file is wanted":       {[]string{"profiles", "test"}, exitInvalid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			status := run(t.Context(), append(c.args, "--language", "en"), &out, &out)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is not in\n%s", want, &out)
				}
			}
		})
	}
}
