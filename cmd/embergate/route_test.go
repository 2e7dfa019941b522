package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const routedHome = `
site: {id: home, name: home, language: en}
channels: [{id: group, webhook: {url: "http://127.0.0.1:1/"}}, {id: phone, webhook: {url: "http://127.0.0.1:2/"}}]
duty:
  people: [{id: li, name: Li}, {id: wang, name: Wang, role: supervisor}]
  shifts: [{name: night, from: "20:00", to: "08:00", people: [li]}]
  escalation:
    alarm: [{after: 0s, to: on-duty, via: [group]}, {after: 2m, to: supervisor, via: [phone]}]
`

// TestRouteSaysWhoWouldBeTold (NO07): who, when, by which channel; and that a roster with gaps is warned of.
func TestRouteSaysWhoWouldBeTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(file, []byte(routedHome), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(args ...string) (int, string) {
		var out bytes.Buffer
		status := run(t.Context(), args, &out, &out)
		return status, strings.Join(strings.Fields(out.String()), " ")
	}
	for _, tt := range []struct {
		at, want string
	}{
		{"2026-11-25 02:00", "after 0s, at 02:00:00: group Li after 2m0s, at 02:02:00: phone Wang"},
		{"2026-11-25 12:00", "after 0s, at 12:00:00: nobody is on duty then: everybody is told, and the sounder goes group Li, Wang phone Li, Wang after 2m0s"},
	} {
		if status, said := try("notify", "route", "-c", file, "--at", tt.at); status != 0 || !strings.Contains(said, tt.want) {
			t.Errorf("%s: %d %s", tt.at, status, said)
		}
	}
	for _, wrong := range [][]string{{"--level", "loud"}, {"--class", "noise"}, {"--at", "noon"}} {
		if status, said := try(append([]string{"notify", "route", "-c", file}, wrong...)...); status != 2 {
			t.Errorf("%v: %d %s", wrong, status, said)
		}
	}
	if status, said := try("check", "-c", file); status != 0 || !strings.Contains(said, "but note:") || strings.Count(said, "nobody is on duty from") < 7 {
		t.Errorf("check: %d %s", status, said)
	}
}
