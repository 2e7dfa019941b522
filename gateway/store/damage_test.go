package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

const rows, batchRows = 100, 40

// filled is a closed store of rows events, records and messages and batchRows batches, all of it in the files.
var filled = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "embergate-store"); err != nil {
		return "", err
	}
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return dir, err
	}
	tx := &Transaction{}
	for i := range rows {
		e := raised(fmt.Sprintf("a%d", i), noon.Add(time.Duration(i)*time.Second))
		tx.Events = append(tx.Events, e)
		tx.Records = append(tx.Records, alarm.Record{Key: fmt.Sprintf("k%d", i), Alarm: e.Alarm})
		tx.Messages = append(tx.Messages, Message{Channel: "sms", Event: e.ID, Type: e.Type, Alarm: e.Alarm.ID, Class: "fire", Created: noon})
	}
	err = s.Commit(context.Background(), tx)
	q := s.Queue("platform", QueueLimit{})
	for i := range batchRows {
		body := fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", 5000))
		err = errors.Join(err, q.Append(context.Background(), Batch{Lines: 10, Oldest: noon, Body: body}))
	}
	return dir, errors.Join(err, s.Close())
})

// home is a copy of the filled store.
func home(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	from, err := filled()
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(from))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// damage changes the bytes of a file in place, so that who has it open sees it.
func damage(t testing.TB, path string, change func(content []byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(content), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func scribble(from, to int) func([]byte) []byte {
	return func(b []byte) []byte {
		copy(b[from*pageSize:to*pageSize], bytes.Repeat([]byte{0xa5}, (to-from)*pageSize))
		return b
	}
}

var damages = []struct {
	name    string
	change  func([]byte) []byte
	rescues bool // some of it can still be read
}{
	{"garbage from the first byte", func(b []byte) []byte { return bytes.Repeat([]byte("garbage "), len(b)/8) }, false},
	{"a header overwritten", scribble(0, 1), false},
	{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }, false},
	{"cut in the middle of a page", func(b []byte) []byte { return b[:len(b)-1000] }, true},
	{"a page in the middle overwritten", func(b []byte) []byte { n := len(b) / pageSize / 2; return scribble(n, n+1)(b) }, true},
}

func TestADamagedFileIsSetAsideAndTheStoreOpens(t *testing.T) {
	for _, name := range []string{StateFile, SeriesFile} {
		for _, d := range damages {
			t.Run(name+": "+d.name, func(t *testing.T) {
				dir := home(t)
				damage(t, filepath.Join(dir, name), d.change)
				before, _ := os.ReadFile(filepath.Join(dir, name))
				s := openAt(t, dir)
				said := s.Damage()
				aside, _ := filepath.Glob(filepath.Join(dir, name+".damaged-*Z"))
				if len(said) != 1 || len(aside) != 1 || !strings.Contains(said[0], aside[0]) {
					t.Fatalf("said %q, set aside %q", said, aside)
				}
				if zh := s.DamageTexts()[0]; !i18n.Has(zh.Format) {
					t.Errorf("no Chinese for %q", zh.Format)
				}
				if kept, _ := os.ReadFile(aside[0]); !bytes.Equal(kept, before) {
					t.Error("what was set aside is not what was found")
				}
				works(t, s)
				wantRescued(t, s, name, d.rescues, said[0])
				if again := reopen(t, s).Damage(); again != nil {
					t.Errorf("the new file is damaged too: %q", again)
				}
			})
		}
	}
}

// works checks that both files take and give.
func works(t testing.TB, s *Store) {
	t.Helper()
	commit(t, s, &Transaction{Events: []alarm.Event{raised("new", noon)}, Messages: []Message{{Channel: "new", Event: "new"}}})
	if _, err := s.VerifyJournal(t.Context()); err != nil {
		t.Error(err)
	}
	wantDue(t, s, "new", noon, "new")
	q := s.Queue("new", QueueLimit{})
	put(t, q, "new")
	wantQueue(t, q, "new")
}

func wantRescued(t testing.TB, s *Store, name string, rescues bool, said string) {
	t.Helper()
	records := len(must[[]alarm.Record](t)(s.Records(t.Context())))
	messages := len(must[[]Message](t)(s.DueMessages(t.Context(), Due{Channel: "sms", Now: noon})))
	batches := int(s.Queue("platform", QueueLimit{}).Stats().Batches)
	t.Logf("records %d, messages %d, batches %d: %s", records, messages, batches, said)
	if name == StateFile && batches != batchRows || name == SeriesFile && (records != rows || messages != rows) {
		t.Errorf("the other file lost rows: records %d, messages %d, batches %d", records, messages, batches)
	}
	if name == StateFile && rescues && records+messages < rows || name == SeriesFile && rescues && batches < batchRows*3/4 {
		t.Errorf("rescued only records %d, messages %d, batches %d", records, messages, batches)
	}
	if name == SeriesFile {
		wantInOrder(t, s)
	}
}

func wantInOrder(t testing.TB, s *Store) {
	t.Helper()
	last := int64(0)
	for _, b := range must[[]Batch](t)(s.Queue("platform", QueueLimit{}).Oldest(t.Context(), 1000)) {
		if b.ID <= last {
			t.Fatalf("batch %d after %d", b.ID, last)
		}
		last = b.ID
	}
}

func TestDamageThatShowsLaterIsHealedInPlace(t *testing.T) {
	s := openAt(t, home(t))
	q := s.Queue("platform", QueueLimit{})
	damage(t, s.series.path, func(b []byte) []byte { n := len(b) / pageSize / 2; return scribble(n, len(b)/pageSize)(b) })
	batches, err := q.Oldest(t.Context(), 1000)
	if err != nil || len(batches) == 0 || len(batches) == batchRows {
		t.Errorf("read %d batches, %v; want those before the damage", len(batches), err)
	}
	if got := q.Stats().Batches; got != int64(len(batches)) {
		t.Errorf("stats say %d batches, the queue has %d", got, len(batches))
	}
	if said := s.Damage(); len(said) != 1 || !strings.Contains(said[0], SeriesFile) {
		t.Errorf("damage %q", said)
	}
	works(t, s)
}

func TestADamagedJournalKeepsItsWholeBeginning(t *testing.T) {
	dir := home(t)
	s := openAt(t, dir)
	var page int // the last leaf of the table of events
	if err := s.state.readers.QueryRowContext(t.Context(), `SELECT MAX(pageno) FROM dbstat WHERE name = 'events' AND pagetype = 'leaf'`).Scan(&page); err != nil {
		t.Skip("this SQLite has no dbstat: ", err)
	}
	s.Close()
	damage(t, filepath.Join(dir, StateFile), scribble(page-1, page))
	s = openAt(t, dir)
	last := must[int64](t)(s.LastSeq(t.Context()))
	n, err := s.VerifyJournal(t.Context())
	if err != nil || n != last || n == 0 || n == rows {
		t.Errorf("verify: %d of %d events, %v", n, last, err)
	}
	if got := len(must[[]alarm.Record](t)(s.Records(t.Context()))); got != rows {
		t.Errorf("%d of the records: the damage was not theirs", got)
	}
	works(t, s)
}

func TestAStateThatVanishedIsNoticed(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"removed": os.Remove, "emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		dir := home(t)
		if err := lose(filepath.Join(dir, StateFile)); err != nil {
			t.Fatal(err)
		}
		s := openAt(t, dir)
		if said := s.Damage(); len(said) != 1 || !strings.Contains(said[0], StateFile) || !strings.Contains(said[0], "restore a backup") {
			t.Errorf("%s: said %q", name, said)
		}
		works(t, s)
	}
}

func TestAFileThatAnotherProcessHasOpenIsNotSetAside(t *testing.T) {
	s := openAt(t, home(t))
	damage(t, s.state.path, scribble(5, 40))
	_, err := Open(s.dir, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), StateFile) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
	if aside, _ := filepath.Glob(s.state.path + ".damaged-*"); aside != nil {
		t.Errorf("set aside under the other process: %q", aside)
	}
}

// Two daemons on one directory would tell everybody twice; the verbs beside a daemon claim nothing.
func TestOneDaemonClaimsADirectory(t *testing.T) {
	dir := t.TempDir()
	first, second := openAt(t, dir), openAt(t, dir)
	if err := first.Claim(); err != nil {
		t.Fatal(err)
	}
	if err := second.Claim(); !errors.Is(err, ErrRunning) {
		t.Errorf("%v, want ErrRunning", err)
	}
	first.Close()
	if err := second.Claim(); err != nil {
		t.Errorf("once the first has ended: %v", err)
	}
	second.Close()
	if err := os.RemoveAll(filepath.Join(dir, claimFile)); err != nil {
		t.Fatal(err)
	}
	third := openAt(t, dir)
	if err := errors.Join(os.Mkdir(filepath.Join(dir, claimFile), 0o700), third.Claim()); err == nil || errors.Is(err, ErrRunning) {
		t.Errorf("a directory in its place: %v", err)
	}
}

func TestAlarmsGoOnWhereSeriesCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, SeriesFile)
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dir)
	if said := s.Damage(); len(said) != 1 || !strings.Contains(said[0], SeriesFile) || !i18n.Has(s.DamageTexts()[0].Format) {
		t.Errorf("said %q", said)
	}
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	q := s.Queue("platform", QueueLimit{})
	if err := q.Append(t.Context(), Batch{Lines: 1}); err == nil {
		t.Error("a batch was taken that is nowhere")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	works(t, s)
}

func TestRefusesADirectoryItCannotMake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), file) || errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
}

// A changed bit in a body is nothing that SQLite notices. What stands beside it is still read: one line of the journal,
// one alarm, one record must not hold up all others (SF02).
func TestARowThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	s := openAt(t, t.TempDir())
	for _, id := range []string{"a", "b", "c"} {
		commit(t, s, &Transaction{Events: []alarm.Event{raised(id, noon)}, Records: []alarm.Record{{Key: id}}})
	}
	for _, change := range []string{
		`DROP TRIGGER events_never_change`,
		`UPDATE events SET body = X'7B' WHERE seq = 2`,
		`UPDATE alarms SET body = X'7B' WHERE id = 'b'`,
		`UPDATE records SET body = X'7B' WHERE key = 'b'`,
	} {
		if _, err := s.state.conn.ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	events := must[[]alarm.Event](t)(s.Events(t.Context(), 0, 0))
	if len(events) != 3 || events[1].Type != unreadable || events[1].Seq != 2 || events[2].Alarm.ID != "c" {
		t.Errorf("events %+v", events)
	}
	if alarms := must[[]alarm.Alarm](t)(s.Alarms(t.Context(), AlarmQuery{})); len(alarms) != 2 {
		t.Errorf("alarms %+v", alarms)
	}
	if records := must[[]alarm.Record](t)(s.Records(t.Context())); len(records) != 2 {
		t.Errorf("records %+v", records)
	}
	s.Events(t.Context(), 0, 0)
	if damage := s.Damage(); len(damage) != 3 {
		t.Errorf("damage %q", damage)
	}
}
