package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func openAt(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openAt(t, s.dir)
}

func commit(t testing.TB, s *Store, tx *Transaction) {
	t.Helper()
	if err := s.Commit(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
}

// must returns v, and fails the test for an error.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func raised(id string, at time.Time) alarm.Event {
	return alarm.Event{ID: id + "-raised", Time: at, Type: "alarm.raised", Alarm: &alarm.Alarm{
		ID: id, Rule: "smoke", Class: "fire", Level: rules.LevelAlarm, State: alarm.Unacknowledged,
		Device: "smoke-201", DeviceName: "201室烟感", Signal: "smoke-201.smoke", RaisedAt: at, Count: 1,
	}}
}

func closed(id string, at time.Time) alarm.Event {
	e := raised(id, at)
	e.ID, e.Type = id+"-closed", "alarm.closed"
	e.Alarm.State, e.Alarm.ClosedAt, e.Alarm.Verdict = alarm.Closed, &at, "false:steam"
	return e
}

func TestOpenKeepsOthersOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a home, 100%?#", "data")
	s := openAt(t, dir)
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{StateFile, StateFile + "-wal", SeriesFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if d := s.Damage(); d != nil {
		t.Errorf("a new directory reports damage: %q", d)
	}
}

func TestEveryConnectionHasItsPragmas(t *testing.T) {
	s := openAt(t, t.TempDir())
	for _, f := range []*file{s.state, s.series} {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "5000", "auto_vacuum": "2", "page_size": fmt.Sprint(pageSize)} {
			var writer, reader string
			f.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&writer)
			f.readers.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&reader)
			if writer != want || reader != want {
				t.Errorf("%s %s: writer %s, reader %s, want %s", f.name, pragma, writer, reader, want)
			}
		}
		var kept int
		if f.readers.QueryRowContext(t.Context(), "PRAGMA cache_size").Scan(&kept); kept != -128 {
			t.Errorf("%s: a reader keeps %d", f.name, kept)
		}
		if f.conn.QueryRowContext(t.Context(), "PRAGMA cache_size").Scan(&kept); kept != -256 {
			t.Errorf("%s: the writer keeps %d", f.name, kept)
		}
		if _, err := f.readers.Exec(`CREATE TABLE x (y)`); err == nil {
			t.Errorf("%s: a reader can write", f.name)
		}
	}
}

func TestCommitSurvivesReopening(t *testing.T) {
	s := openAt(t, t.TempDir())
	value := 31.5
	e := raised("a", noon)
	e.Alarm.Value = &value
	tx := &Transaction{
		Events:   []alarm.Event{e, {ID: "start", Time: noon, Type: "gateway.started", Note: "版本"}},
		Records:  []alarm.Record{{Key: "smoke/201", Alarm: e.Alarm, Latch: true}, {Key: "gas/1"}},
		Messages: []Message{{Channel: "sms", Event: e.ID, Type: e.Type, Alarm: "a", Class: "fire", Urgent: true, Created: noon, Body: []byte("火警")}},
	}
	commit(t, s, tx)
	if tx.Events[0].Seq != 1 || tx.Events[1].Seq != 2 || tx.Messages[0].ID == 0 {
		t.Fatalf("not filled in: %+v %+v", tx.Events, tx.Messages)
	}
	commit(t, s, &Transaction{Records: []alarm.Record{{Key: "gas/1", Gone: true}, {Key: "never/there", Gone: true}}})
	s = reopen(t, s)

	if got := must[[]alarm.Event](t)(s.Events(t.Context(), 0, 0)); !reflect.DeepEqual(got, tx.Events) {
		t.Errorf("events\n%+v\nwant\n%+v", got, tx.Events)
	}
	if got := must[[]alarm.Event](t)(s.Events(t.Context(), 1, 1)); len(got) != 1 || got[0].ID != "start" {
		t.Errorf("events after 1: %+v", got)
	}
	if got := must[[]alarm.Record](t)(s.Records(t.Context())); !reflect.DeepEqual(got, tx.Records[:1]) {
		t.Errorf("records %+v, want %+v", got, tx.Records[:1])
	}
	if got := must[[]Message](t)(s.DueMessages(t.Context(), Due{Channel: "sms", Now: noon, Limit: 10})); !reflect.DeepEqual(got, tx.Messages) {
		t.Errorf("messages %+v, want %+v", got, tx.Messages)
	}
	if got := must[int64](t)(s.LastSeq(t.Context())); got != 2 {
		t.Errorf("last seq %d, want 2", got)
	}
}

func TestCommitWritesAllOrNothing(t *testing.T) {
	s := openAt(t, t.TempDir())
	tx := &Transaction{
		Events:  []alarm.Event{raised("a", noon)},
		Records: []alarm.Record{{Key: "bad", At: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)}}, // JSON has no such year
	}
	if err := s.Commit(t.Context(), tx); err == nil || !strings.Contains(err.Error(), "alarm record bad") {
		t.Errorf("error %v does not name the record", err)
	}
	if tx.Events[0].Seq != 0 {
		t.Errorf("seq %d was filled in for an event that is not there", tx.Events[0].Seq)
	}
	if got := must[[]alarm.Event](t)(s.Events(t.Context(), 0, 0)); got != nil {
		t.Errorf("an event was written: %+v", got)
	}
	if _, _, err := s.Alarm(t.Context(), "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("alarm: %v, want ErrNotFound", err)
	}
}

func TestAnAlarmIsNotLostForANumberThatJSONCannotHold(t *testing.T) {
	s := openAt(t, t.TempDir())
	zero := 0.0
	nan := zero / zero
	e := raised("a", noon)
	e.Alarm.Value = &nan
	commit(t, s, &Transaction{Events: []alarm.Event{e}, Records: []alarm.Record{{Key: "k", Alarm: e.Alarm}}})
	a, _, err := s.Alarm(t.Context(), "a")
	if err != nil || a.Value != nil {
		t.Errorf("alarm %+v, %v", a, err)
	}
}

func TestAlarmsShowTheirLatestState(t *testing.T) {
	s := openAt(t, t.TempDir())
	gas := raised("g", noon.Add(time.Minute))
	gas.Alarm.Class, gas.Alarm.Device = "gas", "kitchen-gas"
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon), gas, raised("b", noon.Add(time.Hour))}})
	commit(t, s, &Transaction{Events: []alarm.Event{closed("a", noon)}})
	for _, test := range []struct {
		name string
		q    AlarmQuery
		want string
	}{
		{"all, the newest first", AlarmQuery{State: "all"}, "b g a"},
		{"open", AlarmQuery{State: "open"}, "b g"},
		{"of a device", AlarmQuery{Device: "smoke-201"}, "b a"},
		{"of a class", AlarmQuery{Class: "gas"}, "g"},
		{"of a device and class that do not meet", AlarmQuery{Device: "smoke-201", Class: "gas"}, ""},
		{"from inclusive, to exclusive", AlarmQuery{From: noon, To: noon.Add(time.Minute)}, "a"},
		{"limited", AlarmQuery{Limit: 1}, "b"},
	} {
		var ids []string
		for _, a := range must[[]alarm.Alarm](t)(s.Alarms(t.Context(), test.q)) {
			ids = append(ids, a.ID)
		}
		if got := strings.Join(ids, " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	a, events, err := s.Alarm(t.Context(), "a")
	if err != nil || a.Verdict != "false:steam" || len(events) != 2 || events[1].Type != "alarm.closed" {
		t.Errorf("alarm a: %+v %+v %v", a, events, err)
	}
}

func TestSettings(t *testing.T) {
	s := openAt(t, t.TempDir())
	if got := must[string](t)(s.Get(t.Context(), "uplink/platform")); got != "" {
		t.Errorf("a setting that was never set is %q", got)
	}
	for _, v := range []string{"17", "18"} {
		if err := s.Set(t.Context(), "uplink/platform", v); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s)
	if got := must[string](t)(s.Get(t.Context(), "uplink/platform")); got != "18" {
		t.Errorf("got %q, want 18", got)
	}
}

func TestAWriteWaitsOnlyAsLongAsItsContext(t *testing.T) {
	s := openAt(t, t.TempDir())
	s.state.turn <- struct{}{} // somebody writes
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Commit(ctx, &Transaction{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	<-s.state.turn
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	s.Close()
	if err := s.Commit(t.Context(), &Transaction{}); !errors.Is(err, errClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Records(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("records: %v", err)
	}
	if err := q.Append(t.Context(), Batch{Lines: 1}); !errors.Is(err, errClosed) {
		t.Errorf("append: %v", err)
	}
}

func TestAFileOfALaterVersionIsRefused(t *testing.T) {
	for _, name := range []string{StateFile, SeriesFile} {
		s := openAt(t, t.TempDir())
		f := map[string]*file{StateFile: s.state, SeriesFile: s.series}[name]
		if _, err := f.conn.ExecContext(t.Context(), `PRAGMA user_version = 99`); err != nil {
			t.Fatal(err)
		}
		s.Close()
		_, err := Open(s.dir, slog.New(slog.DiscardHandler))
		if !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want ErrNewer and the name", name, err)
		}
	}
}

func TestMigrationsRunOnceAndInOrder(t *testing.T) {
	s := openAt(t, t.TempDir())
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	s.Close()
	next := stateSchema
	next.migrations = append(append([]string(nil), next.migrations...),
		`CREATE TABLE later (x INTEGER) STRICT`, `INSERT INTO later VALUES (1)`)
	for range 2 {
		f := newFile(s, StateFile, next, nil)
		if err := f.open(); err != nil {
			t.Fatal(err)
		}
		var rows, events, version int
		if err := f.readers.QueryRow(`SELECT (SELECT COUNT(*) FROM later), (SELECT COUNT(*) FROM events), user_version
			FROM pragma_user_version`).Scan(&rows, &events, &version); err != nil || rows != 1 || events != 1 || version != len(next.migrations) {
			t.Errorf("rows %d, events %d, version %d, %v; want 1, 1, %d", rows, events, version, err, len(next.migrations))
		}
		f.close()
	}
}

const logHeader = 32 // bytes. Source: sqlite.org/fileformat2.html, 4.1

// Row SF15.
func TestWrittenBytesAreThoseOfTheFiles(t *testing.T) {
	s := openAt(t, t.TempDir())
	before := s.Written()[SeriesFile]
	if err := s.Queue("platform", QueueLimit{}).Append(t.Context(), Batch{Lines: 1, Body: make([]byte, 100_000)}); err != nil {
		t.Fatal(err)
	}
	log, err := os.Stat(s.series.path + "-wal") // it begins anew after Open
	if got, want := s.Written()[SeriesFile]-before, log.Size()-logHeader; err != nil || got != want {
		t.Errorf("counted %d bytes, the log holds %d, %v", got, want, err)
	}
	s.series.checkpoint()
	file, err := os.Stat(s.series.path)
	if got := s.Written()[SeriesFile]; err != nil || got < log.Size()-logHeader+file.Size() {
		t.Errorf("counted %d bytes, the log holds %d and the file %d, %v", got, log.Size()-logHeader, file.Size(), err)
	}
}

func TestEverySentenceHasItsChinese(t *testing.T) {
	dir := t.TempDir()
	f := &file{name: StateFile, path: dir}
	g := &file{name: SeriesFile, path: dir}
	for _, text := range []i18n.Text{
		f.tell(errDamaged, "x", 1, true), f.tell(errDamaged, "x", 1, false),
		g.tell(errDamaged, "x", 1, true), g.tell(errDamaged, "x", 1, false),
	} {
		if !i18n.Has(text.Format) {
			t.Errorf("no Chinese for %q", text.Format)
		}
	}
}
