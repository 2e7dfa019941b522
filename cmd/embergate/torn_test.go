package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// damages are what a dying disk does to a file.
var damages = map[string]func(t *testing.T, file *os.File, size int64){
	"truncated": func(t *testing.T, file *os.File, size int64) {
		if err := file.Truncate(rand.Int64N(size)); err != nil {
			t.Fatal(err)
		}
	},
	"flipped": func(t *testing.T, file *os.File, size int64) {
		for range 40 {
			at, b := rand.Int64N(size), []byte{0}
			if _, err := file.ReadAt(b, at); err != nil {
				t.Fatal(err)
			}
			b[0] ^= 1 << rand.IntN(8)
			if _, err := file.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
		}
	},
	"zeroed": func(t *testing.T, file *os.File, size int64) {
		at := rand.Int64N(max(size-8192, 1)) &^ 4095
		if _, err := file.WriteAt(make([]byte, min(8192, size-at)), at); err != nil {
			t.Fatal(err)
		}
	},
}

// TestTornFilesStopNothing damages copies of what a killed daemon left: each database, and the log beside it. The daemon
// starts on every copy, raises and tells alarms at once, and of the other database nothing is missing; what it set aside
// it says. Rows SF01, SF02, RE07.
func TestTornFilesStopNothing(t *testing.T) {
	t.Parallel()
	p := newReceiver(t)
	p.down.Store(unavailable)
	a := newAccount(t)
	config := talliedHome(t, a.dir, p.URL, p.URL)
	for number := 1; number <= 2; number++ {
		d := startLife(t, config, number)
		d.isReady()
		eventually(t, "readings are committed", func() error {
			if info, err := os.Stat(filepath.Join(a.dir, store.SeriesFile+"-wal")); err != nil || info.Size() < 40_000 {
				return fmt.Errorf("%v %v", info, err)
			}
			return nil
		})
		d.kill(number)
		left := copyDir(t, a.dir) // as it was left: reading it would move the logs into the files
		a.take(number, d)
		if number == 2 {
			a.dir = left
		}
	}
	var all sync.WaitGroup
	for _, file := range []string{store.StateFile, store.StateFile + "-wal", store.SeriesFile, store.SeriesFile + "-wal"} {
		all.Go(func() {
			for how, damage := range damages {
				t.Run(file+" "+how, func(t *testing.T) { tear(t, a, file, damage) })
			}
		})
	}
	all.Wait()
}

func tear(t *testing.T, before *account, name string, damage func(*testing.T, *os.File, int64)) {
	a := &account{t: t, dir: copyDir(t, before.dir), points: before.points, events: before.events}
	file, err := os.OpenFile(filepath.Join(a.dir, name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	damage(t, file, info.Size())
	p := newReceiver(t)
	config := talliedHome(t, a.dir, p.URL, p.URL)
	d := startLife(t, config, 3)
	eventually(t, "an alarm is raised and told", func() error {
		select {
		case <-d.ended:
			t.Fatalf("the daemon ended:\n%s", d.complaint())
		default:
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if d.raised.Load() == 0 || len(p.messages) == 0 {
			return fmt.Errorf("%d alarms raised, %d messages\n%s", d.raised.Load(), len(p.messages), d.complaint())
		}
		return nil
	})
	stateIsWhole := strings.HasPrefix(name, store.SeriesFile)
	if stateIsWhole {
		eventually(t, "the events have arrived", func() error { return lacking(p.copy(), a.events) })
	} else { // then the telemetry is
		a.arrived(p, d, func(map[string]string) error { return nil })
	}
	if err := d.stop(); err != nil {
		t.Errorf("the daemon ended with %v\n%s", err, d.complaint())
	}
	aside, err := filepath.Glob(filepath.Join(a.dir, "*.damaged-*"))
	if err != nil {
		t.Fatal(err)
	}
	if said := faultsSaid(t, a.dir); len(aside) > 0 && said == 0 {
		t.Errorf("set aside without a fault: %v", aside)
	}
}

// faultsSaid is how many faults of damaged state the journal has.
func faultsSaid(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, e := range journalIn(t, dir) {
		if e.Type == alarm.EventFaultRaised && e.Alarm.Rule == "gateway-store" {
			n++
		}
	}
	return n
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestAFullDiskStopsNothing fills the disk of a running daemon, first so that telemetry has to make room for alarms, then
// wholly, and empties it again. Alarms are told throughout, people are told that the disk is full, what was numbered
// arrives but for the oldest that had to go, and no event is missing. Rows SF03, SF04.
func TestAFullDiskStopsNothing(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=40m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root, to mount a small disk: ", err)
		}
		t.Skip("needs root, to mount a small disk: ", err)
	}
	t.Cleanup(func() { unix.Unmount(disk, unix.MNT_DETACH) })
	p := newReceiver(t)
	a := newAccount(t)
	a.dir = filepath.Join(disk, "data")
	config := talliedHome(t, a.dir, p.URL, p.URL)
	d := startLife(t, config, 1)
	d.isReady()
	alarmsGoOn := func(while string) {
		t.Helper()
		p.mu.Lock()
		told := len(p.messages)
		p.mu.Unlock()
		eventually(t, "alarms are raised and told while "+while, func() error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.messages) < told+5 {
				return fmt.Errorf("%d messages, %d before\n%s", len(p.messages), told, d.complaint())
			}
			return nil
		})
	}
	says := func(words string) {
		t.Helper()
		eventually(t, "the daemon says: "+words, func() error {
			if !strings.Contains(d.errors.String(), words) {
				return fmt.Errorf("%s", d.complaint())
			}
			return nil
		})
	}
	fill(t, disk, 8<<20)
	says("rule=gateway-space")
	alarmsGoOn("telemetry has no room")
	fill(t, disk, 0)
	says("journal not written")
	alarmsGoOn("nothing has room")
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	says("journal written again")
	alarmsGoOn("there is room again")
	time.Sleep(1500 * time.Millisecond) // one group is committed
	if err := d.stop(); err != nil {
		t.Errorf("the daemon ended with %v\n%s", err, d.complaint())
	}
	a.take(1, d)
	a.settle(p, config)
}

// fill writes a file until the disk has so many bytes left.
func fill(t *testing.T, disk string, left int64) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(disk, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var st unix.Statfs_t
	if err := unix.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyN(file, zeros{}, int64(st.Bavail)*int64(st.Bsize)-left)
	if err != nil && left > 0 {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
