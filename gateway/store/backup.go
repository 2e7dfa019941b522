package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// What a restore may be refused for, besides ErrNewer.
var (
	ErrRunning   = errors.New("the data directory is in use")
	ErrNotBackup = errors.New("not a whole backup")
)

// Backup writes a copy of the state in dir to the file out, also while a daemon uses it: one moment of journal, alarms,
// messages and settings. Telemetry is not in it. The copy is checked and on disk when Backup returns; out must not exist.
func Backup(ctx context.Context, dir, out string) (err error) {
	state := filepath.Join(dir, StateFile)
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up %s to %s: %w", state, out, err)
		}
	}()
	if !hasContent(state) {
		return fs.ErrNotExist
	}
	part := out + ".part"
	made, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // SQLite fills it and leaves its mode
	if err != nil {
		return err
	}
	defer os.Remove(part)
	made.Close()
	db, err := openReadOnly(state)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, part)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if _, err := whole(ctx, part); err != nil {
		return err
	}
	if err := syncFile(part); err != nil {
		return err
	}
	if err := os.Link(part, out); err != nil { // which overwrites nothing
		return err
	}
	return syncDir(filepath.Dir(out))
}

// Restore puts a backup in the place of the state in dir, and answers how many events it has and what the old state is
// called now. It is refused while a daemon uses dir (ErrRunning), and for what is no whole backup (ErrNotBackup).
func Restore(ctx context.Context, dir, in string) (events int64, old string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore %s to %s: %w", in, dir, err)
		}
	}()
	if events, err = whole(ctx, in); err != nil {
		return 0, "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, "", err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return 0, "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return 0, "", ErrRunning
	}
	state := filepath.Join(dir, StateFile)
	part := state + ".restoring"
	if err := copyFile(in, part); err != nil {
		return 0, "", errors.Join(err, os.Remove(part))
	}
	if old, err = setAside(ctx, state); err != nil {
		return 0, "", err
	}
	if err := os.Rename(part, state); err != nil {
		return 0, "", err
	}
	return events, old, syncDir(dir)
}

// setAside gives the state a second name, under which it stays; "" where there is none. Its log is moved into it first: a
// log that stays beside another file would be played into that.
func setAside(ctx context.Context, state string) (old string, err error) {
	if !hasContent(state) {
		os.Remove(state + "-wal")
		os.Remove(state + "-shm")
		return "", nil
	}
	old = state + ".before-" + stamp(time.Now())
	if db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: state, RawQuery: "_pragma=busy_timeout(5000)"}).String()); err == nil {
		var busy, frames, moved int64
		_ = db.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &moved) // a damaged one keeps its log
		_ = db.Close()
	}
	if err := os.Link(state, old); err != nil {
		return "", err
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if info, err := os.Stat(state + suffix); err == nil && info.Size() > 0 && suffix == "-wal" {
			err = os.Rename(state+suffix, old+suffix)
			if err != nil {
				return "", err
			}
			continue
		}
		if err := os.Remove(state + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return old, syncDir(filepath.Dir(state))
}

// whole checks that a file is a state that this program can open, every page of it, and its journal. It answers the number
// of events.
func whole(ctx context.Context, path string) (events int64, err error) {
	if !hasContent(path) {
		return 0, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	db, err := openReadOnly(path)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	defer db.Close()
	var version int
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	if version > len(stateSchema.migrations) {
		return 0, fmt.Errorf("schema version %d, this program knows %d: %w", version, len(stateSchema.migrations), ErrNewer)
	}
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil || verdict != "ok" {
		return 0, errors.Join(fmt.Errorf("%w: %s", ErrNotBackup, verdict), err)
	}
	if events, err = verify(ctx, db); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	return events, nil
}

// openReadOnly opens a database without changing it.
func openReadOnly(path string) (*sql.DB, error) {
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(5000)", "cell_size_check(1)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(2) // verify reads two things of one moment
	return db, nil
}

// copyFile copies a file, on disk when it returns.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
