package duty

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/rules"
)

// FuzzRead: whatever stands in the section, mistakes are problems, and nobody who asks the roster panics.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		yaml, _, _ := strings.Cut(string(data), "\n---\n")
		f.Add(yaml)
	}
	f.Add(people + `shifts: [{name: a, from: "25:00", to: "", people: [x], days: [mon-mon, fri-]}]` + "\nswaps: [{date: x, shift: a, from: \"1\"}]")
	f.Add("people: 1\nshifts: {a: 1}\nswaps: [1]\nescalation: [1]\nrepeat: {alarm: x}\nquiet: 1\nsounder: 1\n")
	at := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, yaml string) {
		p := Read(conf.Parse("duty.yaml", []byte(yaml), conf.OS()), Options{Channels: channels})
		p.Gaps(at, at.Add(3*24*time.Hour))
		p.Next(at)
		for _, level := range rules.Levels {
			p.Route(at, level, "gas")
		}
	})
}
