package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"
)

// home is a small site: a kitchen's gas detector, a smoke detector and their zones.
func home() rules.Model {
	kitchen := drivers.Device{ID: "kitchen-gas", Name: "厨房燃气探测器", Zone: "f1-kitchen"}
	smoke := drivers.Device{ID: "smoke-201", Name: "201室烟感", Zone: "f2"}
	signal := func(d drivers.Device, s drivers.Signal) rules.Signal {
		return rules.Signal{Key: d.Key(s), Signal: s, Device: d}
	}
	return rules.Model{
		Zones: []rules.Zone{{ID: "f1"}, {ID: "f1-kitchen", In: "f1"}, {ID: "f2"}},
		Lang:  i18n.Chinese,
		Signals: []rules.Signal{
			signal(kitchen, drivers.Signal{ID: "lel", Kind: "gas_lel"}),
			signal(kitchen, drivers.Signal{ID: "status", Kind: "status_word", Flags: map[int]string{0: "fault", 1: "low_alarm", 2: "high_alarm"}}),
			signal(kitchen, drivers.Signal{ID: "valve", Kind: "relay", Writable: true}),
			signal(kitchen, drivers.Signal{ID: "online", Kind: "online"}),
			signal(smoke, drivers.Signal{ID: "smoke", Kind: "smoke"}),
			signal(smoke, drivers.Signal{ID: "test", Kind: "test"}),
			signal(smoke, drivers.Signal{ID: "online", Kind: "online"}),
		},
	}
}

// Each file ends with what is said of it, in lines of comment.
func TestMistakesAreReportedAtTheirPlace(t *testing.T) {
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# "); ok {
					want = append(want, strings.TrimRight(text, "\n"))
				}
			}
			root := conf.Parse(file, data, conf.OS())
			rules.New(root, home())
			got := root.Problems().In(i18n.English)
			got = strings.ReplaceAll(got, filepath.Dir(file)+"/", "")
			if got != strings.Join(want, "\n") {
				t.Errorf("got\n# %s", strings.ReplaceAll(got, "\n", "\n# "))
			}
		})
	}
}
