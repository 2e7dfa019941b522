package configfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"embergate/gateway/configfile"

	"go.yaml.in/yaml/v4"
)

var fresh = []configfile.Key{{Name: "id", Value: "new"}, {Name: "name", Value: "燃气: 1#"}, {Name: "unit", Value: 7}}

// Each text has a mark where the new device must stand, which is not in the file.
const (
	flowDevice = `{id: new, name: '燃气: 1#', unit: 7}`
)

// TestADeviceIsPutBehindTheOthersAndNothingElseChanges (UI09): whatever the hand that wrote the file.
func TestADeviceIsPutBehindTheOthersAndNothingElseChanges(t *testing.T) {
	block := func(indent string) string {
		return indent + "- id: new\n" + indent + "  name: '燃气: 1#'\n" + indent + "  unit: 7\n"
	}
	for name, text := range map[string]string{
		"a list": `# my home
endpoints:
  - id: bus   # the first
    modbus: {url: "tcp://h"}
    devices:
      - id: a
        unit: 1     # comments
        signals:
          - {id: s, kind: number, at: "holding:0"}
          # - {id: spare, kind: number, at: "holding:1"}
«      »
  # the next bus
  - id: other
    devices: [{id: b, unit: 2}]
rules: {packs: []}
`,
		"a list without indentation": `endpoints:
- id: other
  devices:
  - id: b
    unit: 2

- id: bus
  devices:
  - {id: a, unit: 1}
  - id: c
    unit: 3
    note: |
      several
      lines
«  »

rules: {}
`,
		"one line":          `endpoints: [{id: other, devices: []}, {id: bus, devices: [{id: a, signals: [{id: s, range: [0, 1]}]}«, flow»]}]`,
		"an empty list":     "endpoints:\n  - id: bus\n    devices: [«flow»]\n    modbus: {}\n",
		"a list of lines":   "endpoints:\n  - id: bus\n    devices: [\n      {id: a},   \n      {id: b}«, flow»\n    ] # end ]\n",
		"a comma behind":    "endpoints:\n  - id: bus\n    devices: [{id: a},« flow» ]\n",
		"a comment in it":   "endpoints:\n  - id: bus\n    devices: [\n      {id: a} # ]\n    «, flow»]\n",
		"no devices yet":    "endpoints:\n  - id: bus\n    modbus: {url: x}\n«own»  - id: other\n",
		"none, in one line": "endpoints: [{id: bus, modbus: {url: \"}\"}«, devices»}]\n",
		"a key alone":       "endpoints:\n  - id: bus\n    devices: # none yet\n«      »    modbus: {url: x}\n",
		"no last newline":   "endpoints:\n  - id: bus\n    devices:\n      - id: a\n        unit: 1«end»",
	} {
		before, mark, _ := strings.Cut(text, "«")
		mark, after, _ := strings.Cut(mark, "»")
		put := map[string]string{
			"own": "    devices:\n" + block("      "), ", flow": ", " + flowDevice, " flow": " " + flowDevice, "flow": flowDevice,
			", devices": ", devices: [" + flowDevice + "]", "end": "\n" + strings.TrimSuffix(block("      "), "\n"),
		}[mark]
		if strings.TrimSpace(mark) == "" {
			put = block(mark)
			after = strings.TrimPrefix(after, "\n")
		}
		for _, eol := range []string{"\n", "\r\n"} {
			lines := func(s string) string { return strings.ReplaceAll(s, "\n", eol) }
			added, err := configfile.AddDevice([]byte(lines(before+after)), "bus", fresh)
			if err != nil || string(added.Text) != lines(before+put+after) {
				t.Errorf("%s: %v\n%s\nwant\n%s", name, err, added.Text, lines(before+put+after))
				continue
			}
			if line := strings.Split(string(added.Text), "\n")[added.Line-1]; !strings.Contains(line, "new") && !strings.Contains(line, "devices:") {
				t.Errorf("%s: line %d is %q", name, added.Line, line)
			}
		}
	}
}

// TestWhatCannotBePutIsSaid: then there are the lines to be written by hand.
func TestWhatCannotBePutIsSaid(t *testing.T) {
	for name, text := range map[string]string{
		"no such endpoint":     "endpoints: [{id: other}]",
		"no endpoints":         "site: {}",
		"an empty file":        "",
		"no YAML":              "endpoints: [",
		"a list that is named": "endpoints:\n  - id: other\n    devices: *d\n  - id: bus\n    devices: &d [{id: a}]\n",
		"a list by its name":   "base: &d [{id: a}]\nendpoints:\n  - id: bus\n    devices: *d\n",
		"a mapping":            "endpoints:\n  - id: bus\n    devices: {id: a}\n",
	} {
		added, err := configfile.AddDevice([]byte(text), "bus", fresh)
		if !errors.Is(err, configfile.ErrNoPlace) || added.Text != nil || added.Lines != "- id: new\n  name: '燃气: 1#'\n  unit: 7\n" {
			t.Errorf("%s: %v %s %q", name, err, added.Text, added.Lines)
		}
	}
}

// FuzzAddDevice: one part is put in, and the rest is as it was; what comes out holds the device.
func FuzzAddDevice(f *testing.F) {
	f.Add("endpoints: [{id: bus, devices: [{id: a}]}]")
	f.Add("endpoints:\n- id: bus\n  devices:\n  - id: a\n")
	if home, err := os.ReadFile(filepath.Join("..", "..", "deploy", "embergate.yaml")); err == nil {
		f.Add(string(home))
	}
	f.Fuzz(func(t *testing.T, text string) {
		added, err := configfile.AddDevice([]byte(text), "bus", fresh)
		if err != nil {
			return
		}
		out, n := string(added.Text), 0
		for n < len(text) && text[n] == out[n] {
			n++
		}
		if !strings.HasSuffix(out, text[n:]) || !strings.HasPrefix(out, text[:n]) {
			t.Errorf("%q became %q", text, out)
		}
		var doc yaml.Node
		if err := yaml.Load(added.Text, &doc); err != nil {
			t.Errorf("%q: %v", out, err)
		}
	})
}
