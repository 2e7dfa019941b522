package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"embergate/gateway/alarm"

	"golang.org/x/sys/unix"
)

// TestTheJournalIsReadBesideTheDaemon (AL15): a reader sees what is committed, also in the log that is not yet moved into
// the file, in pages and by what is asked for, and leaves the directory as it was.
func TestTheJournalIsReadBesideTheDaemon(t *testing.T) {
	s := openAt(t, t.TempDir())
	fill(t, s, 1200)
	r := must[*Reader](t)(OpenReader(s.dir))
	defer r.Close()
	if n, err := r.VerifyJournal(t.Context()); n != 1200 || err != nil {
		t.Errorf("verify: %d, %v", n, err)
	}
	at := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Second) }
	for _, test := range []struct {
		name string
		q    EventQuery
		want int
		last string
	}{
		{"all", EventQuery{}, 1200, "alarm-1199"},
		{"a span, to exclusive", EventQuery{From: at(10), To: at(20)}, 10, "alarm-19"},
		{"a device", EventQuery{Device: "device-7"}, 6, "alarm-1007"},
		{"a class", EventQuery{Class: "gas"}, 300, "alarm-1197"},
		{"limited", EventQuery{Limit: 700}, 700, "alarm-699"},
	} {
		var got []string
		err := r.EachEvent(t.Context(), test.q, func(e alarm.Event) error { got = append(got, e.Alarm.ID); return nil })
		if err != nil || len(got) != test.want || got[len(got)-1] != test.last {
			t.Errorf("%s: %d events, %v", test.name, len(got), err)
		}
	}
	stop := errors.New("enough")
	if err := r.EachEvent(t.Context(), EventQuery{}, func(alarm.Event) error { return stop }); err != stop {
		t.Error(err)
	}
	commit(t, s, &Transaction{Events: []alarm.Event{raised("new", noon)}})
	if n, err := r.VerifyJournal(t.Context()); n != 1201 || err != nil {
		t.Errorf("after one more: %d, %v", n, err)
	}
}

func TestAReaderChangesNothing(t *testing.T) {
	empty := t.TempDir()
	if _, err := OpenReader(empty); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if files, _ := os.ReadDir(empty); len(files) != 0 {
		t.Errorf("it made %v", files)
	}

	s := unguard(t, journalOf(t, 3))
	tamper(t, s, `UPDATE events SET type = 'alarm.cleared' WHERE seq = 2`)
	dir := s.dir
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := must[[]byte](t)(os.ReadFile(filepath.Join(dir, StateFile)))
	r := must[*Reader](t)(OpenReader(dir))
	var broken *ChainError
	if _, err := r.VerifyJournal(context.Background()); !errors.As(err, &broken) || broken.Seq != 2 {
		t.Errorf("verify: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if after := must[[]byte](t)(os.ReadFile(filepath.Join(dir, StateFile))); !slices.Equal(before, after) {
		t.Error("the file was changed")
	}
}

func TestAReaderRefusesWhatALaterVersionWrote(t *testing.T) {
	s := journalOf(t, 1)
	tamper(t, s, `PRAGMA user_version = 99`)
	if _, err := OpenReader(s.dir); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

// A disk that has become read-only, as one that is about to die, can still be read and backed up; the daemon has stopped.
func TestADiskThatCanOnlyBeReadIsReadAndBackedUp(t *testing.T) {
	dir := smallDisk(t, 8<<20)
	if err := os.CopyFS(dir, os.DirFS(home(t))); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", filepath.Dir(dir), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.VerifyJournal(t.Context()); n != rows || err != nil {
		t.Errorf("%d of %d events, %v", n, rows, err)
	}
	p, err := OpenPast(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if done, err := Backup(t.Context(), dir, filepath.Join(t.TempDir(), "backup")); err != nil || done.Events != rows {
		t.Error(done, err)
	}
}
