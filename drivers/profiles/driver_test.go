package profiles_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/profiles"
	"embergate/drivers/profiles/proof"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// Rows DM01, DM02, DM03: a driver takes a device of every model that says nothing but where it is, and every vector holds.
func TestEveryModelIsTakenByItsDriverAndEveryVectorHolds(t *testing.T) {
	models, err := profiles.Models()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models {
		t.Run(m.ID, func(t *testing.T) {
			data, err := profiles.File(m.ID)
			if err != nil {
				t.Fatal(err)
			}
			root := conf.Parse(m.ID+".yaml", data, conf.OS())
			proof.Check(root, profiles.Parse(root))
			if p := root.Problems(); p != nil {
				t.Error(p)
			}
			for _, failure := range proof.Vectors(m, noon) {
				for _, wrong := range failure.Wrong {
					t.Errorf("%s: %s", failure.Vector, wrong)
				}
			}
		})
	}
}

// A device whose map is not public ships as a blank: all but signals and vectors is there, and its examples are commented.
func TestBlanksWantNothingButSignalsAndVectors(t *testing.T) {
	blanks, err := profiles.Blanks()
	if err != nil || len(blanks) < 3 {
		t.Fatal(blanks, err)
	}
	for _, m := range blanks {
		data, err := profiles.File(m.ID)
		if err != nil {
			t.Fatal(err)
		}
		root := conf.Parse(m.ID+".yaml", data, conf.OS())
		profiles.Parse(root)
		problems := root.Problems()
		if len(problems) != 2 || problems[0].Key != "signals" || problems[1].Key != "vectors" {
			t.Errorf("%s: %v", m.ID, problems)
		}
	}
	all, err := profiles.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range blanks {
		if _, ok := all[m.ID]; ok {
			t.Errorf("%s is a blank, and a device may name it", m.ID)
		}
	}
	if _, err := profiles.File("nobody"); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
