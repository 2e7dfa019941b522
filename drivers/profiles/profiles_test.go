package profiles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/drivers/profiles"
)

// What the reference configuration and the manual name.
var promised = []string{
	"acrel-adw300", "acrel-aim-r100", "acrel-dtsd1352", "calectro-uniguard", "cet-pmc53", "chint-dtsu666",
	"eastron-sdm120", "eastron-sdm630", "honeywell-midas", "jxbs3001-co", "kb6000iii", "kstar-ups", "qdy30a",
	"renke-ws-n01", "schneider-iem3155", "shelly-plus-smoke", "waveshare-relay-8", "zigbee2mqtt",
}

func TestEveryPromisedModelIsEmbedded(t *testing.T) {
	all, err := profiles.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range promised {
		if _, ok := all[id]; !ok {
			t.Errorf("model %s is missing", id)
		}
	}
}

// Row DM04: a rule pack watches every signal of a kind, so a kind must mean the same in every model.
func TestSignalsOfAModelMeanWhatTheirKindsMean(t *testing.T) {
	all, err := profiles.Load()
	if err != nil {
		t.Fatal(err)
	}
	for id, p := range all {
		for _, sig := range p.Signals {
			kind := sig.Of()
			if kind.Unit != "" && sig.Unit != kind.Unit {
				t.Errorf("%s.%s: the unit of %s is %s, the model says %q", id, sig.ID, sig.Kind, kind.Unit, sig.Unit)
			}
			if sig.Writable && kind.Form != drivers.State {
				t.Errorf("%s.%s: a built-in model writes states only", id, sig.ID)
			}
			if sig.Type == "bits" && sig.Kind != "status_word" {
				t.Errorf("%s.%s: a word of flags is a status_word, not %s", id, sig.ID, sig.Kind)
			}
		}
	}
}

// Each file of testdata/bad is one mistake; its first lines say what the user is told.
func TestABadModelIsReportedAtItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad models: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSpace(text))
				}
			}
			root := conf.Parse("model.yaml", data, conf.OS())
			profiles.Parse(root)
			got := root.Problems().Error()
			if got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
			for _, p := range root.Problems() {
				if p.In(i18n.Chinese) == p.In(i18n.English) {
					t.Errorf("not said in Chinese: %s", p.In(i18n.English))
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	models, err := filepath.Glob("*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range models {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Add("vectors: [{frames: [{request: \"01 03\", reply: zz}], holding: {65535: [1, 2]}, readings: {a: {bad: no}}}]")
	f.Fuzz(func(t *testing.T, data string) {
		root := conf.Parse("model.yaml", []byte(data), conf.OS())
		m := profiles.Parse(root)
		if root.Problems() == nil && (len(m.Signals) == 0 || len(m.Vectors) == 0) {
			t.Error("a model without signals or vectors is accepted")
		}
	})
}
