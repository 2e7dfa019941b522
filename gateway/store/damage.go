package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"

	"embergate/drivers/i18n"
)

const (
	checkTime  = 5 * time.Second  // for the check at start; alarms must be back 30 s after power
	rescueTime = 10 * time.Second // for taking over rows of a damaged file
	rescueRows = 1000             // taken over in one transaction
	rescueRoom = 8 << 20          // bytes that a new file needs beside its rows: for its tables, and for a log of them
	keepAside  = 3                // damaged files of one name that are kept

	rescuedSuffix = ".rescued" // of a file with what was rescued, until it is in the place of the damaged one
)

var errDamaged = errors.New("damaged")

// check runs SQLite's quick check. One that takes too long is stopped: what is damaged shows when it is met.
func (f *file) check() error {
	ctx, stop := context.WithTimeout(context.Background(), checkTime)
	defer stop()
	f.checkpoint() // a power cut may leave a page half moved; now it is whole
	if info, err := os.Stat(f.path); err == nil && info.Size()%pageSize != 0 {
		return fmt.Errorf("%w: it ends within a page", errDamaged)
	}
	var verdict string
	err := f.conn.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict)
	switch {
	case ctx.Err() != nil:
		f.store.log.Warn("check at start not finished", "file", f.path, "after", checkTime)
		return nil
	case err != nil:
		return err
	case verdict != "ok":
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

// replace makes a new file with what can be rescued of the damaged one, and puts it in its place. The damaged one stays as it
// is until the new one is whole, so that a power cut in between costs nothing. The caller has the turn.
func (f *file) replace(cause error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	// Alone: renaming a file under another process would part it from its log.
	if err := unix.Flock(int(f.store.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s is damaged (%w) and another process has it open; stop that first", f.path, cause)
	}
	defer unix.Flock(int(f.store.lock.Fd()), unix.LOCK_SH)
	if err := f.roomForAnother(); err != nil {
		return fmt.Errorf("%s is damaged (%w) and cannot be replaced: %w", f.path, cause, err)
	}
	f.disconnect() // closed before it is renamed: closing removes the log by its name
	rows, whole, err := f.makeRescued()
	if err != nil {
		if failed := f.connect(); failed != nil { // the damaged one: what it can, it does
			f.disconnect()
		}
		return fmt.Errorf("%s is damaged (%w) and cannot be replaced: %w", f.path, cause, classify(err))
	}
	aside, err := f.swapRescued()
	if err != nil {
		return err
	}
	f.generation++
	f.pages, f.moved = 0, 0
	f.store.damaged(f.tell(cause, aside, rows, whole))
	f.forgetOldest(aside)
	if err := f.connect(); err != nil {
		f.disconnect()
		return fmt.Errorf("begin %s anew: %w", f.path, classify(err))
	}
	return nil
}

// makeRescued makes a new file beside the damaged one, with what can be rescued; it has its name once it is whole.
func (f *file) makeRescued() (rows int64, whole bool, err error) {
	part := f.path + rescuedSuffix + ".part"
	away := func() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(part + suffix)
		}
	}
	away() // of one that was interrupted
	defer away()
	fresh := newFile(f.store, f.name, f.schema, nil)
	fresh.path = part
	if err = fresh.connect(); err == nil {
		rows, whole = fresh.rescue(f.path)
	}
	f.written.Add(fresh.written.Load())
	if err = errors.Join(err, fresh.disconnect()); err == nil && hasContent(part+"-wal") {
		err = errors.New("its log does not move into it")
	}
	if err == nil {
		err = os.Rename(part, f.path+rescuedSuffix)
	}
	return rows, whole, errors.Join(err, syncDir(f.store.dir))
}

// swapRescued sets the damaged file aside and puts the rescued one in its place; done twice it does no harm.
func (f *file) swapRescued() (aside string, err error) {
	aside = f.path + ".damaged-" + stamp(time.Now())
	for _, suffix := range []string{"-wal", ""} {
		if err := os.Rename(f.path+suffix, aside+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return aside, fmt.Errorf("set damaged %s aside: %w", f.path, err)
		}
	}
	os.Remove(f.path + "-shm")
	if err := os.Rename(f.path+rescuedSuffix, f.path); err != nil {
		return aside, fmt.Errorf("put what was rescued of %s in its place: %w", f.path, err)
	}
	return aside, syncDir(f.store.dir)
}

// finishSwap ends what a power cut interrupted: the rescued file is whole, and not in its place.
func (f *file) finishSwap() error {
	if !hasContent(f.path + rescuedSuffix) {
		return nil
	}
	aside, err := f.swapRescued()
	if err == nil {
		f.store.damaged(i18n.T("%s was damaged and is kept as %s; what can be read of it was taken over into a new file", f.path, aside))
	}
	return err
}

// roomForAnother is nil where the disk has room for a new file: of the state all that the old one has must fit, so that no
// alarm is forgotten for the lack of it; of telemetry what fits is taken over.
func (f *file) roomForAnother() error {
	need := int64(rescueRoom)
	if info, err := os.Stat(f.path); err == nil && f.name == StateFile {
		need += info.Size()
	}
	left, err := free(f.store.dir)
	if err == nil && left < need {
		err = fmt.Errorf("%w: %d bytes left, it needs %d", ErrFull, left, need)
	}
	return err
}

func (f *file) tell(cause error, aside string, rescued int64, whole bool) i18n.Text {
	switch {
	case f.name == StateFile && whole:
		return i18n.T("%s was damaged (%v) and is kept as %s; all %d rows were taken over into a new file", f.path, cause, aside, rescued)
	case f.name == StateFile:
		return i18n.T("%s was damaged (%v) and is kept as %s; only %d rows were taken over into a new file. "+
			"To get the old state back, stop the gateway and restore a backup", f.path, cause, aside, rescued)
	case whole:
		return i18n.T("%s was damaged (%v) and is kept as %s; all %d rows of telemetry were taken over into a new file",
			f.path, cause, aside, rescued)
	}
	return i18n.T("%s was damaged (%v) and is kept as %s; only %d rows of telemetry were taken over into a new file, "+
		"the rest did not reach the platform", f.path, cause, aside, rescued)
}

// rescue copies what can be read of the damaged file at path. whole tells that every row of every table came over.
func (f *file) rescue(path string) (rows int64, whole bool) {
	ctx, stop := context.WithTimeout(context.Background(), rescueTime)
	defer stop()
	old, err := openSQLite(path, url.Values{})
	if err != nil {
		return 0, false
	}
	defer old.Close()
	old.SetMaxOpenConns(1)
	whole = true
	for _, r := range f.schema.tables {
		orders := []string{"ASC"}
		if r.order == both {
			orders = []string{"DESC", "ASC"}
		}
		complete := false
		for _, o := range orders {
			n, err := f.copyRows(ctx, old, r.table, o)
			rows += n
			if complete = err == nil; complete {
				break
			}
			f.store.log.Warn("rescue stopped", "file", path, "table", r.table, "order", o, "rows", n, "err", err)
		}
		whole = whole && complete
		if r.settle != "" {
			if _, err := f.conn.ExecContext(ctx, r.settle); err != nil {
				f.store.log.Warn("rescue not settled", "file", f.path, "table", r.table, "err", err)
				whole = false
			}
		}
	}
	return rows, whole
}

// copyRows copies rows until one cannot be read, and returns how many. It is done when it meets a row that came over
// from the other end.
func (f *file) copyRows(ctx context.Context, old *sql.DB, table, order string) (copied int64, err error) {
	rows, err := old.QueryContext(ctx, fmt.Sprintf(`SELECT * FROM %s NOT INDEXED ORDER BY rowid %s`, table, order))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	insert := fmt.Sprintf(`INSERT INTO %s (%s) VALUES (?%s)`, table, strings.Join(columns, ", "), strings.Repeat(", ?", len(columns)-1))
	for more := true; more && err == nil; {
		var group int64
		failed := f.transact(func(tx *sql.Tx) error {
			group, more = 0, false
			for group < rescueRows && rows.Next() {
				if err = copyRow(tx, insert, rows, len(columns)); err != nil {
					return nil // those before it are kept
				}
				group++
			}
			more = group == rescueRows
			return nil
		})
		if failed != nil {
			return copied, failed
		}
		copied += group
		f.account() // which keeps the log short
	}
	if c := code(err); c == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || c == sqlite3.SQLITE_CONSTRAINT_ROWID {
		return copied, nil
	}
	return copied, errors.Join(err, rows.Err())
}

func copyRow(tx *sql.Tx, insert string, rows *sql.Rows, columns int) error {
	values, into := make([]any, columns), make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	for i, v := range values {
		if b, ok := v.([]byte); ok || v == nil {
			values[i] = orEmpty(b) // no column holds NULL, so nil is an empty blob
		}
	}
	_, err := tx.Exec(insert, values...)
	return err
}

// forgetOldest removes all but the newest files set aside, so that a dying disk is not filled with them. The latest stays
// whatever its time: a box without a battery for its clock begins in 1970.
func (f *file) forgetOldest(latest string) {
	names, _ := filepath.Glob(f.path + ".damaged-*Z")
	names = slices.DeleteFunc(names, func(name string) bool { return name == latest })
	slices.Sort(names)
	for len(names) > keepAside-1 {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(names[0] + suffix)
		}
		names = names[1:]
	}
}
