package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	pageSize        = 4096 // what SQLite takes for a new file
	frameHeader     = 24   // bytes of a frame in the log before its page. Source: sqlite.org/fileformat2.html, 4.1
	checkpointPages = 1000 // pages in the log after which they are moved into the file
	readers         = 4
	// KiB of pages that a connection keeps: SQLite's own 2000 of each would be most of the memory of a small home, and saves
	// neither time nor writes.
	writerCache = "cache_size(-256)"
	readerCache = "cache_size(-128)"
)

var errClosed = errors.New("not open")

// file is one database: a connection that writes, and some that read.
type file struct {
	store  *Store
	name   string
	path   string
	schema schema
	opened func(context.Context) error // called with the turn once the tables are there, and again after a replacement

	turn    chan struct{} // holds one token while somebody writes
	written atomic.Int64  // bytes, see Store.Written
	tight   atomic.Int64  // pages that must be freed before it is asked again whether the file may shrink

	mu         sync.RWMutex // guards the rest against replace: readers hold it shared
	db         *sql.DB      // its only connection is conn
	conn       *sql.Conn
	readers    *sql.DB
	generation int // counts replacements
	closed     bool

	pages int   // written to the log since the last checkpoint; guarded by turn
	moved int64 // frames of the present log that were moved into the file; guarded by turn
}

func newFile(s *Store, name string, sc schema, opened func(context.Context) error) *file {
	if opened == nil {
		opened = func(context.Context) error { return nil }
	}
	return &file{store: s, name: name, path: s.path(name), schema: sc, opened: opened, turn: make(chan struct{}, 1)}
}

// openSQLite opens a database with the settings that its connections need.
func openSQLite(path string, settings url.Values) (*sql.DB, error) {
	settings.Add("_pragma", "busy_timeout(5000)")
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: settings.Encode()}).String())
}

// connections opens connections with the settings that all of the file need, and those of own.
func (f *file) connections(own ...string) (*sql.DB, error) {
	return openSQLite(f.path, url.Values{"_txlock": {"immediate"}, "_pragma": append(own, "journal_mode(wal)", "synchronous(full)",
		"wal_autocheckpoint(0)", "journal_size_limit(8388608)", "temp_store(memory)", "cell_size_check(1)")})
}

// open opens the file, checks it, and where it is damaged replaces it.
func (f *file) open() error {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	err := f.connect()
	if err == nil {
		err = f.check()
	}
	if isDamage(err) {
		return f.replace(err)
	}
	if err != nil {
		f.disconnect()
		return fmt.Errorf("%s: %w", f.path, classify(err))
	}
	return nil
}

// connect opens the connections and brings the tables up to date.
func (f *file) connect() (err error) {
	ctx := context.Background()
	if err := f.finishSwap(); err != nil {
		return err
	}
	// SQLite gives its log the mode of the file. One that exists is not opened here: closing it would end SQLite's locks.
	made, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		made.Close()
		if err := own(f.path); err != nil { // made by a verb of root's
			return err
		}
	case !errors.Is(err, os.ErrExist):
		return err
	}
	if err := os.Chmod(f.path, 0o600); err != nil {
		return err
	}
	settings := []string{writerCache}
	if !hasContent(f.path) {
		// The driver sorts them, so that this comes before journal_mode, which writes the first page; later it would write each time.
		settings = append(settings, "auto_vacuum(incremental)")
	}
	if f.db, err = f.connections(settings...); err != nil {
		return err
	}
	f.db.SetMaxOpenConns(1)
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	if err := f.schema.migrate(ctx, f.conn); err != nil {
		return err
	}
	if f.readers, err = f.connections("query_only(1)", readerCache); err != nil {
		return err
	}
	f.readers.SetMaxOpenConns(readers)
	f.readers.SetMaxIdleConns(readers)
	f.account()
	return f.opened(ctx)
}

// reconnect opens a file that could not be opened before, as after a full disk.
func (f *file) reconnect() error {
	if f.conn != nil {
		return nil
	}
	if f.closed {
		return errClosed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.connect(); err != nil {
		f.disconnect()
		return err
	}
	return nil
}

// close closes the readers first: the last connection moves the log into the file, which a reader may not.
func (f *file) close() error {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.disconnect()
}

func (f *file) disconnect() error {
	var errs []error
	if f.readers != nil {
		errs = append(errs, f.readers.Close())
	}
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	f.readers, f.conn, f.db = nil, nil, nil
	return errors.Join(errs...)
}

// write runs op in one transaction that is on disk when write returns nil, and is undone otherwise; then, still alone,
// done. op may run twice. The context limits only the wait for the turn: what has begun is carried through, so that
// nobody is left in doubt.
func (f *file) write(ctx context.Context, op func(*sql.Tx) error, done func()) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := f.transact(op)
	if isDamage(err) {
		if failed := f.replace(err); failed != nil {
			return errors.Join(err, failed)
		}
		err = f.transact(op)
	}
	if errors.Is(classify(err), ErrFull) && f.conn != nil {
		f.checkpoint() // an emptied log may leave room enough
		err = f.transact(op)
	}
	if err != nil {
		return classify(err)
	}
	if done != nil {
		done()
	}
	f.account()
	return nil
}

func (f *file) transact(op func(*sql.Tx) error) error {
	if err := f.reconnect(); err != nil {
		return err
	}
	tx, err := f.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // also where op panics: else nothing could be written any more. The error of op says more
	if err := op(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		f.conn.ExecContext(context.Background(), `ROLLBACK`) // a COMMIT that fails may leave it open; fails where it does not
		return err
	}
	return nil
}

// read runs op on the readers. Where it meets damage the file is replaced and op runs again.
func (f *file) read(ctx context.Context, op func(*sql.DB) error) error {
	generation, err := f.tryRead(op)
	if !isDamage(err) {
		return err
	}
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	var failed error
	if f.generation == generation {
		failed = f.replace(err)
	}
	<-f.turn
	if failed != nil {
		return errors.Join(err, failed)
	}
	_, err = f.tryRead(op)
	return err
}

func (f *file) tryRead(op func(*sql.DB) error) (generation int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.readers == nil {
		return f.generation, errClosed
	}
	return f.generation, op(f.readers)
}

// account counts what the last transaction wrote, and moves the log into the file when it has grown enough.
func (f *file) account() {
	pages := 0
	f.conn.Raw(func(c any) (err error) {
		pages, _, err = c.(sqlite.DBStatus).Status(sqlite.DBStatusCacheWrite, true)
		return err
	})
	f.written.Add(int64(pages) * (pageSize + frameHeader))
	if f.pages += pages; f.pages >= checkpointPages {
		f.checkpoint()
	}
}

// checkpoint moves the log into the file. Where that fails nothing is lost: the log has it all and the next move tries
// again.
func (f *file) checkpoint() {
	f.pages = 0
	var busy, frames, moved int64
	err := f.conn.QueryRowContext(context.Background(), `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &moved)
	if err != nil {
		f.store.log.Warn("checkpoint failed", "file", f.path, "err", err)
		return
	}
	if moved < f.moved {
		f.moved = 0 // the log began anew
	}
	f.written.Add((moved - f.moved) * pageSize)
	f.moved = moved
	if moved == frames {
		f.moved = 0 // the next write begins the log anew
	}
}

// code is SQLite's result code in err, 0 where there is none.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// isDamage tells whether err says that the file itself is broken.
func isDamage(err error) bool {
	c := code(err) & 0xff
	return c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB || errors.Is(err, errDamaged)
}

// classify adds ErrFull where the disk is full: SQLite says so in two ways, the second when the shared memory of the
// log cannot grow.
func classify(err error) error {
	if code(err)&0xff == sqlite3.SQLITE_FULL || code(err) == sqlite3.SQLITE_IOERR_SHMSIZE {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// shrink is told that so many pages at the most were freed. It gives free pages back to the disk, some at a time, once most of
// the file is free. Where it fails the pages stay for the next batches.
func (f *file) shrink(ctx context.Context, freed int64) {
	if f.tight.Add(-freed) > 0 {
		return
	}
	var unused, pages int64
	err := f.read(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count`).Scan(&unused, &pages)
	})
	if err != nil {
		return
	}
	if tight := max(shrinkFrom, pages*3/4) - unused; tight > 0 {
		f.tight.Store(min(tight, shrinkBy)) // what limits and history free nobody tells
		return
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return
	}
	if f.conn == nil {
		return
	}
	if _, err := f.conn.ExecContext(context.Background(), fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, shrinkBy)); err != nil {
		f.store.log.Warn("file not shrunk", "file", f.path, "err", err)
	}
	f.account()
}
