package store

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"embergate/gateway/alarm"
)

const nobody = 65534 // an account

// belongings are how many files and directories there are in a directory of nobody's, which must all be theirs.
func belongings(t *testing.T, dir string) (seen int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if st, _ := info.Sys().(*syscall.Stat_t); st.Uid != nobody || st.Gid != nobody {
			t.Errorf("%s: %+v", path, st)
		}
		seen++
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return seen
}

// What root writes belongs to whoever the data directory belongs to, or the daemon could not open it: the log and what
// processes share too, which SQLite makes.
func TestWhatRootWritesBelongsToTheDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	if err := s.Claim(); err != nil {
		t.Fatal(err)
	}
	if seen := belongings(t, dir); seen != 8 {
		t.Errorf("%d files", seen)
	}
}

// What root restores as well.
func TestWhatRootRestoresBelongsToTheDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	if _, _, err := s.PutPhoto("a", []byte("a picture")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, configFolder.name, "home.yaml.1.20261121T080000Z")
	if err := errors.Join(os.Mkdir(filepath.Dir(config), 0o700), os.WriteFile(config, []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), dir, out); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(t.TempDir(), "data")
	if err := errors.Join(os.Mkdir(home, 0o700), os.Chown(home, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), home, out); err != nil {
		t.Fatal(err)
	}
	if seen := belongings(t, home); seen != 6 {
		t.Errorf("%d files", seen)
	}
}

// An archive whose state says that it is longer than all of it, as with holes, must not fill the disk.
func TestAnArchiveWithHolesIsRefused(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	state, hostile := filepath.Join(from, StateFile), filepath.Join(from, "hostile")
	if err := errors.Join(os.WriteFile(state, []byte(sqliteHead), 0o600), os.Truncate(state, 1<<40)); err != nil {
		t.Skip("needs a disk that can keep holes:", err)
	}
	if out, err := exec.Command("tar", "-C", from, "--sparse", "-cf", hostile, StateFile).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := Restore(t.Context(), dir, hostile); !errors.Is(err, ErrNotBackup) {
		t.Error(err)
	}
	wantFiles(t, dir)
}

// What a rescue had not yet put in its place must not take that of a restored state.
func TestARestoreKeepsWhatWasRescuedAside(t *testing.T) {
	dir, out := home(t), filepath.Join(t.TempDir(), "backup")
	if _, err := Backup(t.Context(), dir, out); err != nil {
		t.Fatal(err)
	}
	rescued := filepath.Join(dir, StateFile+rescuedSuffix)
	if err := os.WriteFile(rescued, []byte("rescued"), 0o600); err != nil {
		t.Fatal(err)
	}
	done, err := Restore(t.Context(), dir, out)
	if err != nil || !hasContent(done.Old+rescuedSuffix) || hasContent(rescued) {
		t.Error(done, err)
	}
	if s := openAt(t, dir); len(s.Damage()) > 0 {
		t.Error(s.Damage())
	}
}

// What passes as SQLite, and is no state: without a table, or with a trigger of its own.
func TestAStateOfForeignTablesIsRefused(t *testing.T) {
	for _, change := range []string{`DROP TABLE messages`, `CREATE TRIGGER mine AFTER INSERT ON records BEGIN DELETE FROM messages; END`, `CREATE VIEW mine AS SELECT 1`, `PRAGMA user_version = -1`} {
		dir := t.TempDir()
		s := openAt(t, dir)
		commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
		if _, err := s.state.conn.ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if _, err := Restore(t.Context(), t.TempDir(), filepath.Join(dir, StateFile)); !errors.Is(err, ErrNotBackup) {
			t.Errorf("%s: %v, want ErrNotBackup", change, err)
		}
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
	var empty bytes.Buffer
	w := tar.NewWriter(&empty)
	if err := errors.Join(archived(w, StateFile, nil), archived(w, archiveEnd, nil), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"an empty state":    empty.Bytes(),
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
	wantFiles(t, dir, StateFile, SeriesFile, photoFolder.name)
	wantFiles(t, filepath.Join(dir, photoFolder.name))
	s = openAt(t, dir)
	if n, err := s.VerifyJournal(t.Context()); n != 100 || err != nil {
		t.Errorf("a refused restore changed the state: %d events, %v", n, err)
	}
}

// FuzzRestore: whatever an archive has behind its state, nothing is written but pictures and configurations in their places,
// and where it is no backup no picture stays.
func FuzzRestore(f *testing.F) {
	var archive bytes.Buffer
	w, picture, text := tar.NewWriter(&archive), []byte("a picture"), []byte("site: {}")
	err := errors.Join(archived(w, "photos/a-"+digest(picture), picture), archived(w, "config/home.yaml.1.20261121T080000Z-"+digest(text), text),
		archived(w, archiveEnd, nil), w.Close())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(archive.Bytes())
	f.Add([]byte(strings.ReplaceAll(archive.String(), "photos/a-", "../../../a-")))
	f.Fuzz(func(t *testing.T, archive []byte) {
		var done Copied
		dir := t.TempDir()
		err := readRest(t.Context(), tar.NewReader(bytes.NewReader(archive)), map[*folder]string{photoFolder: filepath.Join(dir, "p"), configFolder: filepath.Join(dir, "c")}, &done)
		written := 0
		failed := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			name, parent := entry.Name(), filepath.Base(filepath.Dir(path))
			switch {
			case entry.IsDir():
			case parent == "p" && err == nil && photoFolder.file.MatchString(name), parent == "c" && configFolder.file.MatchString(name):
				written++
			default:
				t.Errorf("it wrote %s", path)
			}
			return err
		})
		if pictures, _ := filepath.Glob(filepath.Join(dir, "p", "*")); failed != nil || err != nil && len(pictures) > 0 || written > done.Photos+done.Configs {
			t.Errorf("%v, %v: %+v, but %d files, %d of them pictures", err, failed, done, written, len(pictures))
		}
	})
}
