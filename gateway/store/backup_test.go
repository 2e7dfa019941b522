package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"embergate/gateway/alarm"
)

func TestABackupIsOneMomentAndRestores(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "state.backup")
	s := openAt(t, dir)
	for i := range 50 {
		commit(t, s, &Transaction{Events: []alarm.Event{raised(fmt.Sprint("a", i), noon)}, Records: []alarm.Record{{Key: "k", Raised: int64(i)}}})
	}
	if err := Backup(t.Context(), dir, out); err != nil { // while it is open
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := Backup(t.Context(), dir, out); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an older one: %v", err)
	}
	commit(t, s, &Transaction{Events: []alarm.Event{raised("later", noon)}})
	if _, _, err := Restore(t.Context(), dir, out); !errors.Is(err, ErrRunning) {
		t.Errorf("while it is open: %v, want ErrRunning", err)
	}
	s.Close()
	n, old, err := Restore(t.Context(), dir, out)
	if err != nil || n != 50 || !strings.HasPrefix(filepath.Base(old), "state.db.before-") {
		t.Fatal(n, old, err)
	}
	s = openAt(t, dir)
	if n, err := s.VerifyJournal(t.Context()); n != 50 || err != nil || len(s.Damage()) > 0 {
		t.Errorf("%d events, %v, %q", n, err, s.Damage())
	}
	s.Close()
	if n, err := whole(t.Context(), old); n != 51 || err != nil {
		t.Errorf("the old state: %d events, %v", n, err)
	}
}

// A log that is left beside the old state must not be played into the restored one.
func TestARestoreAfterAKillKeepsTheLogWithTheOldState(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "state.backup")
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	if err := Backup(t.Context(), dir, out); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		commit(t, s, &Transaction{Events: []alarm.Event{raised(fmt.Sprint("b", i), noon)}})
	}
	killed := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil { // with its log
		t.Fatal(err)
	}
	n, old, err := Restore(t.Context(), killed, out)
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if _, err := os.Stat(filepath.Join(killed, StateFile+"-wal")); err == nil {
		t.Error("the log is still there")
	}
	if n, err := whole(t.Context(), old); n != 21 || err != nil {
		t.Errorf("the old state: %d events, %v", n, err)
	}
	restored := openAt(t, killed)
	if n, err := restored.VerifyJournal(t.Context()); n != 1 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestADamagedBackupIsRefused(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "state.backup")
	s := openAt(t, dir)
	for i := range 100 {
		commit(t, s, &Transaction{Events: []alarm.Event{raised(fmt.Sprint("a", i), noon)}})
	}
	if err := Backup(t.Context(), dir, out); err != nil {
		t.Fatal(err)
	}
	s.Close()
	good, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut":              good[:len(good)/2],
		"not SQLite":       []byte("a text"),
		"an event changed": []byte(strings.Replace(string(good), `"seq":7,`, `"seq":8,`, 1)),
		"a page gone":      append(append(append([]byte{}, good[:8*4096]...), make([]byte, 4096)...), good[9*4096:]...),
	} {
		file := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Restore(t.Context(), dir, file); !errors.Is(err, ErrNotBackup) {
			t.Errorf("%s: %v, want ErrNotBackup", name, err)
		}
	}
	if _, _, err := Restore(t.Context(), dir, filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, name := range left {
		if base := filepath.Base(name); base != StateFile && base != SeriesFile {
			t.Errorf("left behind: %s", base)
		}
	}
	s = openAt(t, dir)
	if n, err := s.VerifyJournal(t.Context()); n != 100 || err != nil {
		t.Errorf("a refused restore changed the state: %d events, %v", n, err)
	}
}
