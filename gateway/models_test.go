package gateway

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"embergate/drivers/conf"
)

// DM02: a configuration brings device models of its own, in place of built-in ones too.
func TestModelsOfTheConfiguration(t *testing.T) {
	const own = `id: renke-ws-n01
name: {zh: 自有, en: Own}
vendor: us
source: here
grade: C
protocol: modbus
signals: [{id: only, name: {zh: 甲, en: A}, kind: number, at: "holding:9", type: uint16}]
vectors: [{name: v, holding: {9: [1]}, readings: {only: 1}}]
`
	dir := t.TempDir()
	for name, text := range map[string]string{"own.yaml": own, "new.yaml": strings.Replace(own, "renke-ws-n01", "brand-new", 1), "bad.yaml": strings.Replace(own, "grade: C", "grade: Z", 1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ files, problem string }{
		"a new one and one in place of ours": {"[own.yaml, new.yaml]", ""},
		"the same twice":                     {"[own.yaml, own.yaml]", `own.yaml:1:5: id: the device model "renke-ws-n01" is there twice`},
		"a mistake in the file":              {"[bad.yaml]", `bad.yaml:5:8: grade: "Z" is not known; allowed: A, B, C`},
		"a file that is not there":           {"[none.yaml]", "home.yaml:1:12: profiles[0]: the file cannot be read: "},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			g := &Gateway{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
			root := conf.Parse(filepath.Join(dir, "home.yaml"), []byte("profiles: "+c.files+"\n"), conf.OS())
			all, err := g.models(root.At("profiles").Items())
			if err != nil {
				t.Fatal(err)
			}
			if got := root.Problems().Error(); c.problem == "" && got != "" || !strings.Contains(got, c.problem) {
				t.Errorf("%q, want %q", got, c.problem)
			}
			if c.problem != "" {
				return
			}
			if p := all["renke-ws-n01"]; len(p.Signals) != 1 || p.Signals[0].ID != "only" || all["brand-new"].ID == "" || all["zigbee2mqtt"].ID == "" {
				t.Errorf("%+v", p)
			}
			if !strings.Contains(log.String(), "built-in device model replaced") {
				t.Error("no note of it: ", log.String())
			}
		})
	}
}
