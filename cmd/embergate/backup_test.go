package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// TestBackupAndRestore: a copy is made while the daemon has the state open; it is put back only when the daemon has
// stopped, and only if it is whole; the old state stays (SF02).
func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	file, copied := filepath.Join(dir, "home.yaml"), filepath.Join(dir, "copy")
	if err := os.WriteFile(file, fmt.Appendf(nil, "site: {id: home, language: en}\ndata: %s/data\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	verb := func(want int, words string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if got := run(t.Context(), args, &out, &out); got != want || !strings.Contains(out.String(), words) {
			t.Errorf("%v: exit status %d, want %d and %q: %s", args, got, want, words, out.String())
		}
	}
	verb(exitFailed, "nothing to back up", "backup", "-c", file, copied)
	st, err := store.Open(filepath.Join(dir, "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	add := func() {
		if err := st.Commit(t.Context(), &store.Transaction{Events: []alarm.Event{{ID: "a", Time: time.Now(), Type: "gateway.started"}}}); err != nil {
			t.Fatal(err)
		}
	}
	add()
	verb(exitDone, "and checked: 1 events, 0 pictures", "backup", "-c", file, copied)
	verb(exitFailed, "overwrites nothing", "backup", "-c", file, copied)
	add()
	verb(exitFailed, "the daemon runs", "restore", "-c", file, copied)
	st.Close()
	verb(exitFailed, "not a whole backup", "restore", "-c", file, file)
	verb(exitInvalid, "", "restore", "-c", file)
	verb(exitDone, "the journal is whole: 2 events", "journal", "verify", "-c", file)
	verb(exitDone, "restored: 1 events, 0 pictures", "restore", "-c", file, copied)
	verb(exitDone, "the journal is whole: 1 events", "journal", "verify", "-c", file)
	if old, _ := filepath.Glob(filepath.Join(dir, "data", "state.db.before-*")); len(old) != 1 {
		t.Errorf("the old state: %v", old)
	}
}
