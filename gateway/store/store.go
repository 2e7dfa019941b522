// Package store keeps what must survive a power cut, in two SQLite files of one directory.
//
//	state.db    journal, alarm records, alarms, messages, settings   every commit is on disk before it returns
//	series.db   queues of uplinks, dead letters                      the same; callers commit a batch a second
//
// They are two so that telemetry which is full, slow or damaged never holds up an alarm: nothing that touches state.db
// waits for series.db.
//
// # Concurrency
//
// All methods may be called at the same time. Each file has one writer, who is waited for in turn and only as long as
// the context allows; a write that has begun is carried through. Readers neither wait for the writer nor hold it up.
//
// # Damage
//
// A file that SQLite finds damaged, at Open or later, is set aside under its name with a time stamp; a new one takes its
// place and gets what can still be read of the old. The gateway goes on, and [Store.Damage] says what happened.
package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"embergate/drivers/i18n"
)

// What a caller may test for with errors.Is.
var (
	ErrNotFound = errors.New("not found")
	ErrFull     = errors.New("disk full") // nothing of the call was written
	ErrNewer    = errors.New("written by a newer version of embergate")
)

// The files in the data directory.
const (
	StateFile  = "state.db"
	SeriesFile = "series.db"
	claimFile  = "daemon.lock" // empty
)

// reserve is the space of the disk that telemetry leaves to alarms, in bytes.
const reserve = 16 << 20

// Store is the open data directory.
type Store struct {
	dir    string
	log    *slog.Logger
	lock   *os.File // the directory, locked: shared while open, alone while a file is replaced
	claim  *os.File // claimFile, locked by the one daemon; nil where nobody claimed
	state  *file
	series *file

	history    *History
	reserve    int64      // space of the disk that telemetry leaves to alarms; tests change it
	photos     sync.Mutex // one picture is written at a time
	mu         sync.Mutex
	damage     []i18n.Text       // guarded by mu
	queues     map[string]*Queue // guarded by mu
	unreadable map[string]bool   // kinds of rows of which one was met; guarded by mu
	nextBatch  int64             // guarded by the writer of series
}

// Open opens the store in dir and makes what is missing: the directory (mode 0700), the files (0600), their tables.
// Several processes may have it open. It returns an error that wraps ErrNewer for a file of a later version, and
// ErrFull where there is no room to begin; a damaged file is no error, see Damage.
func Open(dir string, log *slog.Logger) (*Store, error) {
	dir, err := filepath.Abs(dir) // SQLite takes the first word of a relative file: URI for a host
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, log: log, reserve: reserve, queues: map[string]*Queue{}, unreadable: map[string]bool{}}
	s.history = newHistory(s)
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.lockDir(); err != nil {
		return err
	}
	s.state = newFile(s, StateFile, stateSchema, nil)
	s.series = newFile(s, SeriesFile, seriesSchema, func(ctx context.Context) error {
		s.history.forget()
		return s.loadQueues(ctx)
	})
	lost := !hasContent(s.state.path) && !hasContent(s.state.path+rescuedSuffix) && hasContent(s.series.path) // state.db is made first, so it was there before
	if err := s.state.open(); err != nil {
		return err
	}
	if lost {
		s.damaged(i18n.T("%s was missing or empty; it begins anew. To get the old state back, stop the gateway and restore a backup",
			s.state.path))
	}
	if err := s.series.open(); errors.Is(err, ErrNewer) {
		return err
	} else if err != nil { // alarms go on; each write tries to open it again
		s.damaged(i18n.T("%s cannot be opened (%v); telemetry is not kept until it can", s.series.path, err))
	}
	return syncDir(s.dir)
}

// Close closes both files. The store must not be used any more.
func (s *Store) Close() error {
	var errs []error
	for _, f := range []*file{s.series, s.state} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	for _, lock := range []*os.File{s.claim, s.lock} {
		if lock != nil {
			errs = append(errs, lock.Close())
		}
	}
	return errors.Join(errs...)
}

// Damage says in English what was found damaged and set aside since Open, oldest first; empty is well.
func (s *Store) Damage() []string {
	var said []string
	for _, t := range s.DamageTexts() {
		said = append(said, t.String())
	}
	return said
}

// DamageTexts is Damage for the language of the reader.
func (s *Store) DamageTexts() []i18n.Text {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]i18n.Text(nil), s.damage...)
}

func (s *Store) damaged(what i18n.Text) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damage = append(s.damage, what)
	s.log.Error("store damaged", "what", what.String())
}

// cannotRead says, once for each kind of row, that one holds what no program wrote: a bit has changed, which SQLite does
// not notice.
func (s *Store) cannotRead(what string, which any) {
	s.mu.Lock()
	said := s.unreadable[what]
	s.unreadable[what] = true
	s.mu.Unlock()
	if !said {
		s.damaged(i18n.T("%s holds %s that cannot be read (%v); it is passed over. To get it back, stop the gateway and restore a backup",
			s.state.path, what, which))
	}
}

// Written returns the bytes written since Open, by file name: the frames of the write-ahead log exactly, and for the
// moves from there into the file an upper bound, since a page that changed n times between two moves is counted n times.
func (s *Store) Written() map[string]int64 {
	return map[string]int64{StateFile: s.state.written.Load(), SeriesFile: s.series.written.Load()}
}

// Get returns a setting, "" where it was never set.
func (s *Store) Get(ctx context.Context, key string) (string, error) {
	var value string
	err := s.state.read(ctx, func(db *sql.DB) error {
		err := db.QueryRowContext(ctx, `SELECT value FROM settings WHERE key = ?`, key).Scan(&value)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("store: get setting %s: %w", key, err)
	}
	return value, nil
}

// Set stores a setting, and forgets one without a value.
func (s *Store) Set(ctx context.Context, key, value string) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error { return putSetting(tx, Setting{key, value}) }, nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// Setting is a setting in a transaction.
type Setting struct{ Key, Value string }

// putSetting stores a setting, and forgets one without a value.
func putSetting(tx *sql.Tx, set Setting) (err error) {
	if set.Value == "" {
		_, err = tx.Exec(`DELETE FROM settings WHERE key = ?`, set.Key)
	} else {
		_, err = tx.Exec(`INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, set.Key, set.Value)
	}
	if err != nil {
		return fmt.Errorf("setting %s: %w", set.Key, err)
	}
	return nil
}

// Settings are those whose keys begin with a prefix, by what follows it.
func (s *Store) Settings(ctx context.Context, prefix string) (map[string]string, error) {
	values := map[string]string{}
	err := s.state.read(ctx, func(db *sql.DB) error {
		clear(values)
		_, err := collect(ctx, db, func(rows *sql.Rows) (key string, err error) {
			var value string
			err = rows.Scan(&key, &value)
			values[key[len(prefix):]] = value
			return key, err
		}, `SELECT key, value FROM settings WHERE substr(key, 1, ?) = ?`, len(prefix), prefix)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: settings %s: %w", prefix, err)
	}
	return values, nil
}

// nanos is how times are stored: nanoseconds since 1970 UTC, 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// orAll is the limit of a query: where none is given, all rows.
func orAll(limit int) int {
	if limit <= 0 {
		return -1
	}
	return limit
}

// collect runs a query and reads every row by scan, so that nothing stays open behind it.
func collect[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// readable is collect for rows of a key and a body of JSON. One whose body cannot be read is left out.
func readable[T any](ctx context.Context, db *sql.DB, s *Store, what, query string, args ...any) ([]T, error) {
	var all []T
	_, err := collect(ctx, db, func(rows *sql.Rows) (_ struct{}, err error) {
		var key string
		var body sql.RawBytes
		if err := rows.Scan(&key, &body); err != nil {
			return struct{}{}, err
		}
		var v T
		if err := json.Unmarshal(body, &v); err != nil {
			s.cannotRead(what, key)
			return struct{}{}, nil
		}
		all = append(all, v)
		return struct{}{}, nil
	}, query, args...)
	return all, err
}

// stamp is the time in the name of a file that is set aside.
func stamp(now time.Time) string { return now.UTC().Format("20060102T150405.000000000Z") }

// Dir is the directory that is open.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }
