package store

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
)

// A state that is damaged where the disk is full is left as it is until there is room: its open alarms are not forgotten.
func TestADamagedStateOnAFullDiskWaitsForRoom(t *testing.T) {
	dir := smallDisk(t, 32<<20)
	if err := os.CopyFS(dir, os.DirFS(home(t))); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(dir, StateFile), scribble(5, 8))
	left, err := free(dir)
	ballast := filepath.Join(filepath.Dir(dir), "ballast")
	if err == nil {
		err = os.WriteFile(ballast, make([]byte, left-64<<10), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dir)
	if got := len(must[[]alarm.Record](t)(s.Records(t.Context()))); got != rows || len(s.Damage()) != 1 {
		t.Errorf("%d of %d records, said %q", got, rows, s.Damage())
	}
}

// A power cut between any two steps of a rescue costs nothing: it is begun again, or finished.
func TestARescueThatWasInterruptedIsFinished(t *testing.T) {
	for name, until := range map[string]func(f *file) error{
		"while the new file is made": func(f *file) error { return os.WriteFile(f.path+rescuedSuffix+".part", make([]byte, pageSize), 0o600) },
		"when it is whole":           func(f *file) error { return nil },
		"when the log is set aside":  func(f *file) error { return os.Rename(f.path+"-wal", f.path+".damaged-1Z-wal") },
		"when the file is set aside": func(f *file) error { return os.Rename(f.path, f.path+".damaged-1Z") },
	} {
		dir := home(t)
		damage(t, filepath.Join(dir, StateFile), scribble(5, 8))
		f := newFile(&Store{dir: dir, log: slog.New(slog.DiscardHandler)}, StateFile, stateSchema, nil)
		if _, _, err := f.makeRescued(); err != nil {
			t.Fatal(err)
		}
		var err error
		if strings.HasPrefix(name, "while") {
			err = os.Remove(f.path + rescuedSuffix)
		}
		if err = errors.Join(err, os.WriteFile(f.path+"-wal", nil, 0o600), until(f)); err != nil {
			t.Fatal(err)
		}
		s := openAt(t, dir)
		if got := len(must[[]alarm.Record](t)(s.Records(t.Context()))); got != rows || len(s.Damage()) != 1 {
			t.Errorf("%s: %d of %d records, said %q", name, got, rows, s.Damage())
		}
		works(t, s)
		for _, left := range must[[]string](t)(filepath.Glob(f.path + rescuedSuffix + "*")) {
			t.Errorf("%s: left behind: %s", name, left)
		}
	}
}

func TestOnlyTheNewestDamagedFilesAreKept(t *testing.T) {
	dir := home(t)
	for range keepAside + 2 {
		damage(t, filepath.Join(dir, SeriesFile), scribble(0, 1))
		openAt(t, dir).Close()
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, SeriesFile+".damaged-*Z")); len(aside) != keepAside {
		t.Errorf("%d files are kept, want %d", len(aside), keepAside)
	}
}

// The file that was just set aside is kept though the clock says that it is the oldest, as on a box that starts in 1970.
func TestTheLatestDamagedFileIsKeptWhateverTheClockSays(t *testing.T) {
	dir := home(t)
	for i := range keepAside {
		later := filepath.Join(dir, SeriesFile+".damaged-"+stamp(time.Now().AddDate(1+i, 0, 0)))
		if err := os.WriteFile(later, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage(t, filepath.Join(dir, SeriesFile), scribble(0, 1))
	openAt(t, dir)
	kept := 0
	for _, file := range must[[]string](t)(filepath.Glob(filepath.Join(dir, SeriesFile+".damaged-*Z"))) {
		if hasContent(file) {
			kept++
		}
	}
	if kept != 1 {
		t.Error("the file that was damaged is gone")
	}
}
