// Package configfile writes the configuration file, and keeps what stood in it before.
//
// Each text that the file had, or that a daemon ran with, is kept once in DATA/config as FILE.NUMBER.TIME, the newest mostKept
// of them. The newest is as a rule what stands in the file now. Files that the configuration names, such as secrets, device
// models and rules, are not part of it and are not kept.
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

// ErrChanged says that the file is not what the caller has read: somebody else wrote it meanwhile.
var ErrChanged = errors.New("the file was changed meanwhile")

// File is a configuration file with its history.
type File struct {
	Path string
	dir  string // of what is kept
}

// Kept is a text that the file had.
type Kept struct {
	Number int // counts up from 1
	Time   time.Time
	path   string
}

// Text is what stood in the file.
func (k Kept) Text() ([]byte, error) { return os.ReadFile(k.path) }

var dataLine = regexp.MustCompile(`(?m)^data:[ \t]*["']?([^"'#\n]+)`)

// Of is the file at a path. Its history is in the folder that its key data names, also where the file is no YAML any more.
func Of(path string) (File, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return File{}, err
	}
	root := conf.Parse(path, text, conf.OS())
	data := root.At("data").Value()
	if m := dataLine.FindSubmatch(text); data == "" && m != nil && !root.Exists() {
		data = strings.TrimSpace(string(m[1]))
	}
	data = cmp.Or(data, usualData)
	if !filepath.IsAbs(data) {
		data = filepath.Join(filepath.Dir(path), data)
	}
	return File{Path: path, dir: filepath.Join(data, "config")}, nil
}

// Save puts a text into the file, whole or not at all, with the mode and owner that the file has; what stood there is kept
// first. Was is what the caller has read of it: the error is ErrChanged where something else stands there now. Nil is whatever
// stands there.
func (f File) Save(was, text []byte, now time.Time) error {
	unlock, err := f.lock()
	if err != nil {
		return fmt.Errorf("keep the configuration before it is changed: %w", err)
	}
	defer unlock()
	old, err := os.ReadFile(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && was == nil:
		return write(f.Path, f.Path, text, 0o640)
	case err != nil:
		return err
	case was != nil && !bytes.Equal(was, old):
		return ErrChanged
	}
	if err := f.keep(old, now); err != nil {
		return fmt.Errorf("keep the configuration before it is changed: %w", err)
	}
	return write(f.Path, f.Path, text, 0o640)
}

// Keep keeps a text that a daemon runs with, unless it is the newest already.
func (f File) Keep(text []byte, now time.Time) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return f.keep(text, now)
}

// lock makes the folder where it is missing, and keeps other processes out of it.
func (f File) lock() (unlock func(), err error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	likeParent(f.dir)
	d, err := os.Open(f.dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(d.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.dir, err), d.Close())
	}
	return func() { _ = d.Close() }, nil
}

func (f File) keep(text []byte, now time.Time) error {
	all, err := f.History()
	if err != nil {
		return err
	}
	number := 1
	if len(all) > 0 {
		number = all[0].Number + 1
		if newest, err := all[0].Text(); err == nil && bytes.Equal(newest, text) {
			return nil
		}
	}
	name := fmt.Sprintf("%s.%d.%s", filepath.Base(f.Path), number, now.UTC().Format(timeForm))
	if err := write(filepath.Join(f.dir, name), f.dir, text, 0o600); err != nil {
		return err
	}
	for _, k := range all[min(mostKept-1, len(all)):] {
		if err := os.Remove(k.path); err != nil {
			return err
		}
	}
	return nil
}

// History is what is kept of the file, the newest first.
func (f File) History() ([]Kept, error) {
	entries, err := os.ReadDir(f.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Kept
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), filepath.Base(f.Path)+".")
		number, at, _ := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		t, bad := time.Parse(timeForm, at)
		if ours && err == nil && bad == nil && n > 0 {
			all = append(all, Kept{n, t, filepath.Join(f.dir, e.Name())})
		}
	}
	slices.SortFunc(all, func(a, b Kept) int { return cmp.Compare(b.Number, a.Number) })
	return all, nil
}

// write puts a text in the place of a file. Its owner, and where the file is there its mode, are those of like: the file
// itself, or the folder for which it is made.
func write(path, like string, text []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays one
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".embergate-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if info, err := os.Stat(like); err == nil {
		if !info.IsDir() {
			mode = info.Mode().Perm()
		}
		own(tmp.Name(), info)
	}
	_, err = tmp.Write(text)
	if err := errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
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

// likeParent gives a folder that root has made to the owner of the one that it is in: the daemon must be able to write there.
func likeParent(dir string) {
	if info, err := os.Stat(filepath.Dir(dir)); err == nil {
		own(dir, info)
	}
}

// own gives a file the owner of another. Only root can; anybody else keeps what is theirs.
func own(path string, info fs.FileInfo) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		_ = os.Lchown(path, int(s.Uid), int(s.Gid)) // where it cannot be, the next who needs it says so
	}
}
