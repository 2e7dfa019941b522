package store

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What a restore may be refused for, besides ErrNewer.
var (
	ErrRunning   = errors.New("the data directory is in use")
	ErrNotBackup = errors.New("not a whole backup")
)

// Copied is what a backup has, or what was restored of it.
type Copied struct {
	Events  int64
	Photos  int
	Configs int    // configurations that the home had
	Left    int    // pictures and configurations that are not in the backup: damaged, or beyond their bound
	Old     string // what the state before a restore is called now, "" where there was none
}

// A backup is a tar archive: the state, the folders, and at last an empty entry, so that one that was cut is known. The state is
// copied first. A picture is on disk before the journal names it, so those it names are all there.
const (
	archiveEnd = "end"
	sqliteHead = "SQLite format 3\x00"
)

// Backup writes the state and the pictures in dir to the file out, also while a daemon uses them: one moment of journal,
// alarms, messages and settings, with the pictures that they name and the configurations that were kept. Telemetry is not in it. It is checked and on disk when
// Backup returns; out must not exist.
func Backup(ctx context.Context, dir, out string) (done Copied, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up %s to %s: %w", dir, out, err)
		}
	}()
	for _, path := range []*string{&dir, &out} { // SQLite takes the first word of a relative file: URI for a host
		if *path, err = filepath.Abs(*path); err != nil {
			return done, err
		}
	}
	state := filepath.Join(dir, StateFile)
	if !hasContent(state) {
		return done, fs.ErrNotExist
	}
	if err := roomForBackup(dir, filepath.Dir(out)); err != nil {
		return done, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), ".embergate-backup-*")
	if err != nil {
		return done, err
	}
	defer os.RemoveAll(tmp)
	moment := filepath.Join(tmp, StateFile)
	db, err := openReadOnly(state)
	if err != nil {
		return done, err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, moment)
	if err = errors.Join(err, db.Close()); err != nil {
		return done, err
	}
	if done.Events, err = whole(ctx, moment); err != nil {
		return done, err
	}
	part := filepath.Join(tmp, "archive")
	if err := writeArchive(ctx, part, moment, dir, &done); err != nil {
		return done, err
	}
	err = unix.Renameat2(unix.AT_FDCWD, part, unix.AT_FDCWD, out, unix.RENAME_NOREPLACE) // also where there are no hard links
	if errors.Is(err, unix.EINVAL) {                                                     // a file system of the network
		err = os.Link(part, out)
	}
	return done, errors.Join(err, syncDir(filepath.Dir(out)))
}

// roomForBackup is nil where a backup of dir fits into another directory; on the same disk it leaves to alarms what telemetry
// leaves to them.
func roomForBackup(dir, to string) error {
	need := int64(0)
	for _, pattern := range []string{StateFile + "*", StateFile + "*", photoFolder.name + "/*", configFolder.name + "/*"} { // the state twice: once by itself
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, file := range files {
			if info, err := os.Stat(file); err == nil && !strings.Contains(filepath.Base(file), StateFile+".") {
				need += info.Size()
			}
		}
	}
	var here, there unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &here), unix.Stat(to, &there)); err != nil {
		return err
	}
	if here.Dev == there.Dev {
		need += reserve
	}
	left, err := free(to)
	if err == nil && left < need {
		err = fmt.Errorf("%w: %d bytes left, it needs %d", ErrFull, left, need)
	}
	return err
}

// writeArchive writes a backup, on disk when it returns.
func writeArchive(ctx context.Context, path, state, dir string, done *Copied) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	err = archiveState(w, state)
	for _, f := range folders {
		if err == nil {
			err = f.archive(ctx, w, dir, done)
		}
	}
	if err == nil {
		err = archived(w, archiveEnd, nil)
	}
	if err == nil {
		err = w.Close()
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func archiveState(w *tar.Writer, state string) error {
	f, err := os.Open(state)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: StateFile, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

func archived(w *tar.Writer, name string, body []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(body))}); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// Restore puts a backup in the place of the state and the configurations in dir, which stay beside it; its pictures come to
// those that are there. It is refused while a daemon uses dir (ErrRunning), and for what is no whole backup (ErrNotBackup). A
// file of state alone is taken too, as the one that an earlier restore set aside.
func Restore(ctx context.Context, dir, in string) (done Copied, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore %s to %s: %w", in, dir, err)
		}
	}()
	if dir, err = filepath.Abs(dir); err != nil {
		return done, err
	}
	f, err := os.Open(in)
	if err != nil {
		return done, err
	}
	defer f.Close()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return done, err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return done, err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return done, ErrRunning
	}
	state := filepath.Join(dir, StateFile)
	photos, configs := filepath.Join(dir, photoFolder.name), filepath.Join(dir, configFolder.name)
	part, freshConfigs := state+".restoring", configs+".restoring"
	away := func() {
		for _, path := range []string{part, part + "-wal", part + "-shm", freshConfigs} { // what looking at it may leave, too
			_ = os.RemoveAll(path)
		}
	}
	away() // of one that was interrupted
	defer away()
	rest, err := readState(f, part)
	if err != nil {
		return done, err
	}
	if done.Events, err = whole(ctx, part); err != nil {
		return done, err
	}
	if rest != nil {
		if err := readRest(ctx, rest, map[*folder]string{photoFolder: photos, configFolder: freshConfigs}, &done); err != nil {
			return done, err
		}
	}
	moment := stamp(time.Now())
	if err := swapConfigs(freshConfigs, configs, configs+".before-"+moment); err != nil {
		return done, err
	}
	if done.Old, err = setAside(ctx, state, state+".before-"+moment); err != nil {
		return done, err
	}
	return done, errors.Join(os.Rename(part, state), syncDir(dir))
}

// readRest writes what a backup has beside the state: pictures that are not there, and configurations, each into its directory.
// Where that fails, what it wrote is taken away again.
func readRest(ctx context.Context, r *tar.Reader, into map[*folder]string, done *Copied) (err error) {
	var fresh []string
	defer func() {
		if err != nil {
			for _, file := range fresh {
				_ = os.Remove(file) // what stays harms nobody
			}
		}
	}()
	for sums := map[*folder]int{}; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		entry, err := r.Next()
		if err != nil {
			return fmt.Errorf("%w: after %d pictures, %d configurations: %w", ErrNotBackup, done.Photos, done.Configs, err)
		}
		if entry.Name == archiveEnd {
			return nil
		}
		dir, name := path.Split(entry.Name)
		i := slices.IndexFunc(folders, func(f *folder) bool { return dir == f.name+"/" })
		if i < 0 {
			return fmt.Errorf("%w: it has %q", ErrNotBackup, entry.Name)
		}
		f := folders[i]
		long, file, err := f.restore(r, name, into[f])
		if file != "" {
			fresh = append(fresh, file)
		}
		if sums[f] += long; err == nil && sums[f] > f.sum {
			err = fmt.Errorf("%w: it has more than there is room for", ErrNotBackup)
		}
		if err != nil {
			return err
		}
		*f.count(done)++
	}
}

// swapConfigs puts the configurations of a backup in the place of those in a directory, which stay beside it.
func swapConfigs(fresh, dir, before string) error {
	if _, err := os.Lstat(fresh); errors.Is(err, fs.ErrNotExist) {
		return nil // a backup without: those that are there stay
	}
	if err := os.Rename(dir, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, dir)
}

// readState writes the state of a backup to a file, on disk when it returns, and answers what follows it; nil where the
// file is a state alone.
func readState(f *os.File, to string) (rest *tar.Reader, err error) {
	head := make([]byte, len(sqliteHead))
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	state := io.Reader(f)
	if string(head) != sqliteHead {
		rest = tar.NewReader(f)
		first, err := rest.Next()
		if err != nil || first.Name != StateFile || first.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%w: it does not begin with %s (%v)", ErrNotBackup, StateFile, err)
		}
		if info, err := f.Stat(); err != nil || first.Size > info.Size() { // with holes, which would be written out
			return nil, errors.Join(err, fmt.Errorf("%w: a state of %d bytes in a smaller file", ErrNotBackup, first.Size))
		}
		state = rest
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(out, state)
	err = errors.Join(err, own(to))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	return rest, errors.Join(err, out.Sync(), out.Close())
}

// setAside gives the state a second name, old, under which it stays, and answers it; "" where there is none. Its log is moved into it first: a
// log that stays beside another file would be played into that.
func setAside(ctx context.Context, state, old string) (string, error) {
	if hasContent(state + rescuedSuffix) {
		if err := os.Rename(state+rescuedSuffix, old+rescuedSuffix); err != nil { // it would be put in the place of what is restored
			return "", err
		}
	}
	if !hasContent(state) {
		os.Remove(state + "-wal")
		os.Remove(state + "-shm")
		return "", nil
	}
	if db, err := openSQLite(state, url.Values{}); err == nil {
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
		return 0, fmt.Errorf("%w: %s is empty", ErrNotBackup, path)
	}
	db, err := openReadOnly(path)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	defer db.Close()
	version, err := stateSchema.version(ctx, db)
	if errors.Is(err, ErrNewer) {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil || verdict != "ok" {
		return 0, errors.Join(fmt.Errorf("%w: %s", ErrNotBackup, verdict), err)
	}
	if err = stateSchema.holds(ctx, db, version); err == nil {
		events, err = verify(ctx, db)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	return events, nil
}
