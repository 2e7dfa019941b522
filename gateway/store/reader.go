package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"

	"golang.org/x/sys/unix"

	"embergate/gateway/alarm"
)

// Reader reads the journal of a data directory beside the process that writes it. It changes nothing: it makes no file,
// brings none up to date and sets none aside.
type Reader struct {
	path string
	db   *sql.DB
}

// pageRows is how many events a Reader holds at a time. Between two pages nothing is held open, so that one who reads
// slowly keeps no log from being emptied.
const pageRows = 500

// OpenReader opens the state in dir, which must be there: the error wraps fs.ErrNotExist where it is not, and ErrNewer for
// a file of a later version.
func OpenReader(dir string) (*Reader, error) {
	dir, err := filepath.Abs(dir) // SQLite takes the first word of a relative file: URI for a host
	if err != nil {
		return nil, err
	}
	r := &Reader{path: filepath.Join(dir, StateFile)}
	if !hasContent(r.path) {
		return nil, &fs.PathError{Op: "open", Path: r.path, Err: fs.ErrNotExist}
	}
	if r.db, err = openReadOnly(r.path); err != nil {
		return nil, fmt.Errorf("open %s: %w", r.path, err)
	}
	if _, err := stateSchema.version(context.Background(), r.db); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", r.path, err), r.db.Close())
	}
	return r, nil
}

// Close ends the reading.
func (r *Reader) Close() error { return r.db.Close() }

// VerifyJournal is Store.VerifyJournal; damage of the file itself is an error like any other.
func (r *Reader) VerifyJournal(ctx context.Context) (n int64, err error) {
	if n, err = verify(ctx, r.db); err != nil {
		return n, fmt.Errorf("verify %s: %w", r.path, err)
	}
	return n, nil
}

// EachEvent hands over the events that q selects, in the order of the journal, until one returns an error. Events that
// are written meanwhile may be among them.
func (r *Reader) EachEvent(ctx context.Context, q EventQuery, each func(alarm.Event) error) error {
	where, args := `WHERE seq > ?`, []any{int64(0)}
	add := func(condition string, arg any) { where, args = where+` AND `+condition, append(args, arg) }
	if q.Device != "" { // + keeps to the order of the journal, where an index would have to be sorted for every page
		add(`+device = ?`, q.Device)
	}
	if q.Class != "" {
		add(`+class = ?`, string(q.Class))
	}
	if !q.From.IsZero() {
		add(`+time >= ?`, nanos(q.From))
	}
	if !q.To.IsZero() {
		add(`+time < ?`, nanos(q.To))
	}
	for left := orAll(q.Limit); left != 0; {
		limit := pageRows
		if left > 0 {
			limit = min(limit, left)
			left -= limit
		}
		page, err := collect(ctx, r.db, func(rows *sql.Rows) (e alarm.Event, err error) {
			return e, scanJSON(rows, &e)
		}, `SELECT body FROM events `+where+` ORDER BY seq LIMIT ?`, append(args, limit)...)
		if err != nil {
			return fmt.Errorf("read events of %s: %w", r.path, err)
		}
		for _, e := range page {
			if err := each(e); err != nil {
				return err
			}
		}
		if len(page) < limit {
			return nil
		}
		args[0] = page[len(page)-1].Seq
	}
	return nil
}

// openReadOnly opens a database without changing it. On a disk that can only be read, as one that is about to die, SQLite
// cannot make what it shares with other processes; there are none that write, so it needs not.
func openReadOnly(path string) (*sql.DB, error) {
	q := url.Values{"mode": {"ro"}, "_pragma": {"cell_size_check(1)", readerCache}}
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err == nil && disk.Flags&unix.ST_RDONLY != 0 && !hasContent(path+"-wal") {
		q.Set("immutable", "1")
	}
	db, err := openSQLite(path, q)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(2) // verify reads two things of one moment
	return db, nil
}
