// Package configfile writes the configuration file, and keeps what stood in it before.
//
// Each text that the file had, or that a daemon ran with, is kept once in DATA/config as FILE.NUMBER.TIME, the latest mostKept
// of them: DATA is where a daemon may write that may not write its configuration. The latest is as a rule what stands in the
// file now. Files that the configuration names, such as secrets, device models and rules, are not part of it and are not kept.
package configfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"embergate/drivers/conf"
)

// mostKept is how many texts of a file are kept.
const mostKept = 50

// timeForm is the time in a name, in UTC.
const timeForm = "20060102T150405Z"

// usualData is where state is, if the configuration does not say.
const usualData = "/var/lib/embergate"

// ErrChanged says that the file is not what whoever changes it has read.
var ErrChanged = errors.New("the file was changed by somebody else meanwhile")

// Version is a text that the file had.
type Version struct {
	Path   string // where it is kept
	Number int    // counts up from 1
	Kept   time.Time
}

// file is a configuration file with the folder of what is kept of it.
type file struct{ path, dir string }

var dataLine = regexp.MustCompile(`(?m)^data:[ \t]*["']?([^"'#\n]+)`)

// of is the file at a path. Its history is in the folder that its key data names, also where the file is no YAML any more. A
// symbolic link stays one.
func of(path string) (file, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return file{}, err
	}
	root := conf.Parse(path, text, conf.OS())
	data := root.At("data").Value()
	if m := dataLine.FindSubmatch(text); m != nil && !root.Exists() {
		data = strings.TrimSpace(string(m[1]))
	}
	data = cmp.Or(data, usualData)
	if !filepath.IsAbs(data) {
		data = filepath.Join(filepath.Dir(path), data)
	}
	return file{path, filepath.Join(data, "config")}, nil
}

// Save puts text in the place of was, which is what the file holds, and answers where that is kept now. The file is replaced
// whole or not at all, and keeps its mode and owner. The error is ErrChanged where it holds something else, and wraps
// fs.ErrPermission or syscall.EROFS where it cannot be written; then nothing is changed.
func Save(path string, was, text []byte, now time.Time) (kept string, err error) {
	f, err := of(path)
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	unlock, err := f.lock()
	if err != nil {
		return "", fmt.Errorf("configuration: keep %s: %w", f.path, err)
	}
	defer unlock()
	if there, err := os.ReadFile(f.path); err != nil || !bytes.Equal(there, was) {
		return "", errors.Join(ErrChanged, err)
	}
	if kept, err = f.keep(was, now); err != nil {
		return "", fmt.Errorf("configuration: keep %s: %w", f.path, err)
	}
	if err := write(f.path, f.path, text); err != nil {
		return "", fmt.Errorf("configuration: write %s: %w", f.path, err)
	}
	return kept, nil
}

// Keep keeps the text that a daemon runs with, unless it is the latest already.
func Keep(path string, text []byte, now time.Time) error {
	f, err := of(path)
	if err != nil {
		return err
	}
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	_, err = f.keep(text, now)
	return err
}

// Versions are the texts that are kept of a file, the latest first.
func Versions(path string) ([]Version, error) {
	f, err := of(path)
	if err != nil {
		return nil, err
	}
	return f.versions()
}

// lock makes the folder where it is missing, and keeps other processes out of it.
func (f file) lock() (unlock func(), err error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Stat(filepath.Dir(f.dir)); err == nil {
		own(f.dir, info)
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.dir, err), d.Close())
	}
	return func() { _ = d.Close() }, nil
}

// keep answers where the text is kept.
func (f file) keep(text []byte, now time.Time) (string, error) {
	all, err := f.versions()
	if err != nil {
		return "", err
	}
	number := 1
	if len(all) > 0 {
		number = all[0].Number + 1
		if latest, err := os.ReadFile(all[0].Path); err == nil && bytes.Equal(latest, text) {
			return all[0].Path, nil
		}
	}
	path := filepath.Join(f.dir, fmt.Sprintf("%s.%d.%s", filepath.Base(f.path), number, now.UTC().Format(timeForm)))
	if err := write(path, f.dir, text); err != nil {
		return "", err
	}
	for _, v := range all[min(mostKept-1, len(all)):] {
		_ = os.Remove(v.Path) // one that cannot be removed stays
	}
	return path, nil
}

func (f file) versions() ([]Version, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Version
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), filepath.Base(f.path)+".")
		number, at, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		t, bad := time.Parse(timeForm, at)
		if ours && err == nil && bad == nil && n > 0 {
			all = append(all, Version{filepath.Join(f.dir, e.Name()), n, t})
		}
	}
	slices.SortFunc(all, func(a, b Version) int { return cmp.Compare(b.Number, a.Number) })
	return all, nil
}

// write puts a text in the place of a file, with the owner of like and, where that is a file, its mode.
func write(path, like string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".embergate-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	info, err := os.Stat(like)
	if err == nil {
		own(tmp.Name(), info)
		_, err = tmp.Write(text)
	}
	if err == nil && !info.IsDir() {
		err = tmp.Chmod(info.Mode().Perm())
	}
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// own gives a file the owner of another, as the daemon must read and write what root makes for it. Only root can.
func own(path string, info fs.FileInfo) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		_ = os.Lchown(path, int(s.Uid), int(s.Gid)) // where it cannot be, the next who needs it says so
	}
}
