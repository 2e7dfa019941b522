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
	"syscall"
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

// A box that is set up anew has the configurations of the old one; those that it had itself stay beside them. Files of other
// names stay out of a backup.
func TestABackupHasTheConfigurationsThatWereKept(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	put := func(dir, name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, configFolder.name), 0o700), os.WriteFile(filepath.Join(dir, configFolder.name, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put(dir, "home.yaml.9.20261120T080000Z", "site: {id: old}\n")
	put(dir, "home.yaml.10.20261121T080000Z", "site: {id: home}\n")
	put(dir, "home.yaml.11.20261122T080000Z", strings.Repeat("#", configFolder.most+1))
	put(dir, ".embergate-123", "being written")
	if err := syscall.Mkfifo(filepath.Join(dir, configFolder.name, "home.yaml.12.20261122T080000Z"), 0o600); err != nil { // nobody writes to it
		t.Fatal(err)
	}
	if done, err := Backup(t.Context(), dir, out); err != nil || done != (Copied{Events: 1, Configs: 2, Left: 2}) {
		t.Fatal(done, err)
	}
	home := t.TempDir()
	put(home, "home.yaml.10.20261122T090000Z", "site: {id: fresh}\n")
	if done, err := Restore(t.Context(), home, out); err != nil || done != (Copied{Events: 1, Configs: 2}) {
		t.Fatal(done, err)
	}
	wantFiles(t, home, StateFile, configFolder.name, configFolder.name+".before-*")
	wantFiles(t, filepath.Join(home, configFolder.name), "home.yaml.9.20261120T080000Z", "home.yaml.10.20261121T080000Z")
	if text, err := os.ReadFile(filepath.Join(home, configFolder.name, "home.yaml.10.20261121T080000Z")); string(text) != "site: {id: home}\n" {
		t.Errorf("%q %v", text, err)
	}
	whole, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	for _, change := range [][2]string{
		{"site: {id: home}", "site: {id: hame}"},
		{"config/home.yaml.10.", "config/../me.yaml.1."},
		{"config/home.yaml.10.", "config/home.yaml.1/."},
		{"config/home.yaml.10.", "/onfig/home.yaml.10."},
	} {
		if err := os.WriteFile(bad, []byte(strings.Replace(string(whole), change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), home, bad); !errors.Is(err, ErrNotBackup) {
			t.Errorf("%s: %v, want ErrNotBackup", change[1], err)
		}
	}
	wantFiles(t, home, StateFile, configFolder.name, configFolder.name+".before-*")
	wantFiles(t, filepath.Join(home, configFolder.name), "home.yaml.9.20261120T080000Z", "home.yaml.10.20261121T080000Z")
}

// A backup on the disk of the data never takes the room that alarms need; on another disk it takes what there is.
func TestABackupLeavesRoomForAlarms(t *testing.T) {
	dir := smallDisk(t, reserve+8<<20)
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	if err := os.Mkdir(filepath.Join(dir, photoFolder.name), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		picture := bytes.Repeat([]byte{byte(n)}, 1<<20)
		if err := os.WriteFile(filepath.Join(dir, photoFolder.name, "a-"+digest(picture)), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	disk := filepath.Dir(dir)
	if _, err := Backup(t.Context(), dir, filepath.Join(disk, "backup")); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	wantFiles(t, disk, "data")
	if done, err := Backup(t.Context(), dir, filepath.Join(t.TempDir(), "backup")); err != nil || done.Photos != 4 {
		t.Error(done, err)
	}
}
