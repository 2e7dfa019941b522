package profiles_test

import (
	"slices"
	"testing"

	"embergate/drivers/profiles"
)

// What the reference configuration and the manual name.
var promised = []string{
	"acrel-adw300", "acrel-aim-r100", "acrel-dtsd1352", "calectro-uniguard", "cet-pmc53", "chint-dtsu666",
	"eastron-sdm120", "eastron-sdm630", "honeywell-midas", "jxbs3001-co", "kb6000iii", "kstar-ups", "qdy30a",
	"renke-ws-n01", "schneider-iem3155", "waveshare-relay-8", "zigbee2mqtt",
}

func TestEveryEmbeddedModelLoads(t *testing.T) {
	models, err := profiles.Models()
	if err != nil {
		t.Fatal(err)
	}
	all, err := profiles.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range promised {
		if _, ok := all[id]; !ok {
			t.Errorf("model %s is missing", id)
		}
	}
	for _, m := range models {
		if !m.Settings.Exists() && m.Settings.Keys() != nil {
			t.Errorf("%s: settings without a section", m.ID)
		}
		if !slices.Contains(profiles.Grades, m.Grade) || m.Vendor == "" || m.Source == "" || len(m.Vectors) == 0 {
			t.Errorf("%s: grade %q, vendor %q, source %q, %d vectors", m.ID, m.Grade, m.Vendor, m.Source, len(m.Vectors))
		}
	}
}
