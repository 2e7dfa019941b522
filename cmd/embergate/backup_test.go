package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/configfile"
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
	verb(exitDone, "and checked: 1 events, 0 pictures, 0 configurations", "backup", "-c", file, copied)
	verb(exitFailed, "overwrites nothing", "backup", "-c", file, copied)
	add()
	verb(exitFailed, "the daemon runs", "restore", "-c", file, copied)
	st.Close()
	verb(exitFailed, "not a whole backup", "restore", "-c", file, file)
	verb(exitInvalid, "", "restore", "-c", file)
	verb(exitDone, "the journal is whole: 2 events", "journal", "verify", "-c", file)
	verb(exitDone, "restored: 1 events, 0 pictures, 0 configurations", "restore", "-c", file, copied)
	verb(exitDone, "the journal is whole: 1 events", "journal", "verify", "-c", file)
	if old, _ := filepath.Glob(filepath.Join(dir, "data", "state.db.before-*")); len(old) != 1 {
		t.Errorf("the old state: %v", old)
	}
}

// TestABackupTakesPathsFromWhereOneStands: the configuration, the copy and data all without a leading /, as they are typed (SF02).
func TestABackupTakesPathsFromWhereOneStands(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("home.yaml", []byte("site: {id: home, language: en}\ndata: data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open("data", slog.New(slog.DiscardHandler))
	if err == nil {
		err = errors.Join(st.Note(t.Context(), alarm.Event{ID: "a", Time: time.Now(), Type: "gateway.started"}), st.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		words string
	}{
		{[]string{"backup", "-c", "home.yaml", "copy"}, "and checked: 1 events"},
		{[]string{"restore", "-c", "home.yaml", "copy"}, "restored: 1 events"},
		{[]string{"journal", "verify", "-c", "home.yaml"}, "the journal is whole: 1 events"},
	} {
		if status, out, errs := verb(t, c.args...); status != exitDone || !strings.Contains(out, c.words) {
			t.Errorf("%v: %d %s%s", c.args, status, out, errs)
		}
	}
	if left, err := filepath.Glob("data/*-wal"); err != nil || len(left) != 0 {
		t.Error("a log of before beside the restored state:", left, err)
	}
}

// TestANewBoxGetsItsConfigurationBackFromABackup: with a file that says only where data is, restored and rolled back (OP12).
func TestANewBoxGetsItsConfigurationBackFromABackup(t *testing.T) {
	old, fresh, copied := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "copy")
	text := "site: {id: home, language: en}\ndata: data\n# as it was\n"
	file := filepath.Join(old, "home.yaml")
	err := os.WriteFile(file, []byte(text), 0o600)
	if err == nil {
		err = configfile.Keep(file, []byte(text), time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(filepath.Join(old, "data"), slog.New(slog.DiscardHandler))
	if err == nil {
		err = errors.Join(st.Note(t.Context(), alarm.Event{ID: "a", Time: time.Now(), Type: "gateway.started"}), st.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(fresh, "home.yaml")
	if err := os.WriteFile(box, []byte("site: {id: new, language: en}\ndata: data\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		words string
	}{
		{[]string{"backup", "-c", file, copied}, "1 events, 0 pictures, 1 configurations"},
		{[]string{"restore", "-c", box, copied}, "embergate config rollback -c " + box},
		{[]string{"config", "rollback", "-c", box}, "is back"},
	} {
		if status, out, errs := verb(t, c.args...); status != exitDone || !strings.Contains(out, c.words) {
			t.Errorf("%v: %d %s%s", c.args, status, out, errs)
		}
	}
	if got, err := os.ReadFile(box); string(got) != text {
		t.Errorf("%q, %v", got, err)
	}
}
