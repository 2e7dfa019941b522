package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
)

// TestAnAlarmIsReportedFromTheShell (AL15, AL16): with what people said of it, as one page that needs nothing beside itself.
func TestAnAlarmIsReportedFromTheShell(t *testing.T) {
	d := startDaemon(t, kitchen)
	d.reads("gas.lel", 12)
	d.until("gas-low", alarm.Unacknowledged)
	d.verb(exitFailed, "alarms", "note", "1", "--by", "zhang", "--url", d.url) // it says nothing
	d.verb(exitDone, "alarms", "note", "1", "--by", "zhang", "--note", "the hob is off", "--url", d.url)
	file := filepath.Join(t.TempDir(), "alarm.html")
	if err := os.WriteFile(file, []byte("an older one, open to all"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := d.verb(exitDone, "alarms", "report", "1", "-o", file, "--url", d.url); !strings.Contains(got, file) {
		t.Error(got)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("it holds names, and is %v, %v", info.Mode(), err)
	}
	for _, want := range []string{"the hob is off", "Report of an alarm", "@page { size: A4", "Kitchen gas"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	for _, not := range []string{"/assets/", "src=\"/"} {
		if strings.Contains(string(page), not) {
			t.Errorf("it needs something beside itself: %s", not)
		}
	}
	d.verb(exitFailed, "alarms", "report", "7", "--url", d.url)
}

// TestTheShellReplaysHistory (RU13): status 0 with what was found, 2 for what cannot be replayed.
func TestTheShellReplaysHistory(t *testing.T) {
	const flush = 5 * time.Minute // of what the daemon keeps in memory; the test is not to stand astride one
	if left := time.Until(time.Now().Truncate(flush).Add(flush)); left < 20*time.Second {
		time.Sleep(left + time.Second)
	}
	d := startDaemon(t, kitchen)
	d.reads("gas.lel", 12)
	d.until("gas-low", alarm.Unacknowledged)
	if got := d.verb(exitDone, "rules", "test", "-c", d.file, "--since", "1h"); !strings.Contains(got, "the daemon was not touched") || !strings.Contains(got, "There is no history of this time") || !strings.Contains(got, "raised") || !strings.Contains(got, "in the journal alone") {
		t.Error(got) // the daemon writes its history every five minutes, and the journal at once
	}
	if got := d.verb(exitDone, "rules", "test", "-c", d.file, "--since", "1h", "--json"); !strings.Contains(got, `"exact_from": null`) || !strings.Contains(got, `"did": 1`) {
		t.Error(got)
	}
	for _, wrong := range [][]string{{"--since", "soon", "-c", d.file}, {"--since", "1h"}, {"-c", d.file}, {"--since", "1h", "-c", d.file, "x.txt"}, {"--json", "x.txt"}} {
		d.verb(exitInvalid, append([]string{"rules", "test"}, wrong...)...)
	}
}
