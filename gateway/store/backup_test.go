package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	done, err := Backup(t.Context(), dir, out) // while it is open
	if err != nil || done != (Copied{Events: 50}) {
		t.Fatal(done, err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := Backup(t.Context(), dir, out); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an older one: %v", err)
	}
	commit(t, s, &Transaction{Events: []alarm.Event{raised("later", noon)}})
	if _, err := Restore(t.Context(), dir, out); !errors.Is(err, ErrRunning) {
		t.Errorf("while it is open: %v, want ErrRunning", err)
	}
	s.Close()
	done, err = Restore(t.Context(), dir, out)
	if err != nil || done.Events != 50 || !strings.HasPrefix(filepath.Base(done.Old), "state.db.before-") {
		t.Fatal(done, err)
	}
	s = openAt(t, dir)
	if n, err := s.VerifyJournal(t.Context()); n != 50 || err != nil || len(s.Damage()) > 0 {
		t.Errorf("%d events, %v, %q", n, err, s.Damage())
	}
	s.Close()
	if done, err = Restore(t.Context(), dir, done.Old); err != nil || done.Events != 51 { // which undoes it
		t.Errorf("the old state: %+v, %v", done, err)
	}
	wantFiles(t, dir, StateFile, SeriesFile, StateFile+".before-*", StateFile+".before-*")
	wantFiles(t, filepath.Dir(out), "state.backup")
}

// wantFiles holds a directory against patterns, each of which is one file; the logs beside a state do not count.
func wantFiles(t *testing.T, dir string, patterns ...string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all {
		i := slices.IndexFunc(patterns, func(p string) bool { ok, _ := filepath.Match(p, entry.Name()); return ok })
		switch {
		case i >= 0:
			patterns = slices.Delete(patterns, i, i+1)
		case !strings.HasSuffix(entry.Name(), "-wal") && !strings.HasSuffix(entry.Name(), "-shm"):
			t.Errorf("left behind: %s", entry.Name())
		}
	}
	if len(patterns) > 0 {
		t.Errorf("missing: %q", patterns)
	}
}

// AL16: pictures that come while the backup is made are in it, if its journal names them.
func TestABackupHasThePicturesThatItsJournalNames(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := openAt(t, dir)
	hashes := make([]string, 0, 200)
	add := func() {
		n := len(hashes)
		hash, _, err := s.PutPhoto(fmt.Sprint("a", n), []byte(fmt.Sprint("picture ", n)))
		if err != nil {
			t.Error(err)
		}
		hashes = append(hashes, hash)
		commit(t, s, &Transaction{Events: []alarm.Event{raised(fmt.Sprint("a", n), noon)}})
	}
	for range 20 {
		add()
	}
	made := make(chan error, 1)
	go func() {
		_, err := Backup(t.Context(), dir, out)
		made <- err
	}()
	for err := error(nil); len(made) == 0 && len(hashes) < cap(hashes); {
		if add(); t.Failed() {
			t.Fatal(err)
		}
	}
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	s.Close()

	home := filepath.Join(t.TempDir(), "data")
	done, err := Restore(t.Context(), home, out)
	if err != nil || done.Events < 20 || done.Photos < int(done.Events) || done.Old != "" {
		t.Fatal(done, err)
	}
	s = openAt(t, home)
	for n := range done.Events {
		if body, err := s.Photo(fmt.Sprint("a", n), hashes[n]); string(body) != fmt.Sprint("picture ", n) {
			t.Errorf("%q, %v", body, err)
		}
	}
}

func TestABackupLeavesOutDamagedPicturesAndSaysSo(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	good, _, err := s.PutPhoto("a", []byte("good"))
	if err != nil {
		t.Fatal(err)
	}
	bad, _, err := s.PutPhoto("a", []byte("bad"))
	if err != nil {
		t.Fatal(err)
	}
	file, _ := s.photo("a", bad)
	if err := os.WriteFile(file, []byte("sad"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".part", nil, 0o600); err != nil { // of a power cut
		t.Fatal(err)
	}
	if done, err := Backup(t.Context(), dir, out); err != nil || done != (Copied{Events: 1, Photos: 1, Left: 1}) {
		t.Fatal(done, err)
	}
	s.Close()

	// What is there already stays, what was damaged since comes back, what the backup does not have is not touched.
	file, _ = s.photo("a", good)
	if err := os.WriteFile(file, []byte("mood"), 0o600); err != nil {
		t.Fatal(err)
	}
	if done, err := Restore(t.Context(), dir, out); err != nil || done.Photos != 1 {
		t.Fatal(done, err)
	}
	if body, err := openAt(t, dir).Photo("a", good); string(body) != "good" {
		t.Errorf("%q, %v", body, err)
	}
}

// A log that is left beside the old state must not be played into the restored one.
func TestARestoreAfterAKillKeepsTheLogWithTheOldState(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "state.backup")
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	if _, err := Backup(t.Context(), dir, out); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		commit(t, s, &Transaction{Events: []alarm.Event{raised(fmt.Sprint("b", i), noon)}})
	}
	killed := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil { // with its log
		t.Fatal(err)
	}
	done, err := Restore(t.Context(), killed, out)
	if err != nil || done.Events != 1 {
		t.Fatal(done, err)
	}
	if _, err := os.Stat(filepath.Join(killed, StateFile+"-wal")); err == nil {
		t.Error("the log is still there")
	}
	if n, err := whole(t.Context(), done.Old); n != 21 || err != nil {
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
	if _, err := Backup(t.Context(), dir, out); err != nil {
		t.Fatal(err)
	}
	hash, _, err := s.PutPhoto("a1", []byte("a picture of a1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), dir, out+"2"); err != nil {
		t.Fatal(err)
	}
	s.DropPhoto("a1", hash)
	s.Close()
	pictured, err := os.ReadFile(out + "2")
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"cut":               good[:len(good)/2],
		"not SQLite":        []byte("a text"),
		"an event changed":  []byte(strings.Replace(string(good), `"seq":7,`, `"seq":8,`, 1)),
		"a page gone":       append(append(append([]byte{}, good[:8*4096+512]...), make([]byte, 4096)...), good[9*4096+512:]...),
		"a picture changed": []byte(strings.Replace(string(pictured), "a picture of", "a pixture of", 1)),
		"a foreign name":    []byte(strings.ReplaceAll(string(pictured), "photos/a1-", "photos/A1-")),
		"its end cut":       bytes.TrimRight(pictured, "\x00")[:len(bytes.TrimRight(pictured, "\x00"))/512*512],
		"pictures cut":      pictured[:bytes.Index(pictured, []byte("a picture of"))+3],
	} {
		file := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), dir, file); !errors.Is(err, ErrNotBackup) {
			t.Errorf("%s: %v, want ErrNotBackup", name, err)
		}
	}
	if _, err := Restore(t.Context(), dir, filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	wantFiles(t, dir, StateFile, SeriesFile, photosDir)
	wantFiles(t, filepath.Join(dir, photosDir))
	s = openAt(t, dir)
	if n, err := s.VerifyJournal(t.Context()); n != 100 || err != nil {
		t.Errorf("a refused restore changed the state: %d events, %v", n, err)
	}
}
