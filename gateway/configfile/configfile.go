// Package configfile writes the configuration's file in the place of the old one, and keeps what was there before.
//
// A file is replaced whole or not at all. What was there is kept beside it, under its name and the time of the change; the
// latest Kept of them stay. It may hold secrets, so it is as secret as the file itself.
package configfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Kept is how many earlier versions stay.
const Kept = 20

// stamp is the time in the name of an earlier version: names sort by it.
const stamp = "20060102T150405.000Z"

// ErrChanged tells that the file is not what whoever changes it has read.
var ErrChanged = errors.New("the file was changed by somebody else meanwhile")

// Version is what the file was before a change.
type Version struct {
	Path    string
	Changed time.Time // when something else took its place
}

// Save puts text in the place of was, which is what the file holds, and answers where that is kept now. The error is
// ErrChanged where the file holds something else, and wraps fs.ErrPermission or syscall.EROFS where it cannot be written; then
// nothing is changed. A symbolic link stays one.
func Save(path string, was, text []byte, now time.Time) (kept string, err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	fresh, err := write(path, info, text)
	if err != nil {
		return "", fmt.Errorf("configuration: write %s: %w", path, err)
	}
	defer os.Remove(fresh) // gone where all went well
	old, err := write(path, info, was)
	if err != nil {
		return "", fmt.Errorf("configuration: keep %s: %w", path, err)
	}
	defer os.Remove(old)
	if there, err := os.ReadFile(path); err != nil || !bytes.Equal(there, was) {
		return "", errors.Join(ErrChanged, err)
	}
	kept = path + "." + now.UTC().Format(stamp)
	if err := errors.Join(os.Rename(old, kept), os.Rename(fresh, path), sync(filepath.Dir(path))); err != nil {
		return "", fmt.Errorf("configuration: replace %s: %w", path, err)
	}
	forget(path)
	return kept, nil
}

// Versions are the earlier versions of a file, the latest first.
func Versions(path string) ([]Version, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("configuration: earlier versions: %w", err)
	}
	var list []Version
	for _, e := range entries {
		name, is := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if changed, err := time.Parse(stamp, name); is && err == nil {
			list = append(list, Version{filepath.Join(filepath.Dir(path), e.Name()), changed})
		}
	}
	slices.SortFunc(list, func(a, b Version) int { return b.Changed.Compare(a.Changed) })
	return list, nil
}

// write writes a file beside path, for those who may read that.
func write(path string, like os.FileInfo, text []byte) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".embergate-")
	if err != nil {
		return "", err
	}
	if owner, ok := like.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(owner.Uid), int(owner.Gid)) // only root may give a file away; who can write here reads it all the same
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(like.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// sync has the names in a folder on disk.
func sync(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// forget removes the oldest versions; one that cannot be removed stays.
func forget(path string) {
	list, _ := Versions(path)
	for _, v := range list[min(len(list), Kept):] {
		_ = os.Remove(v.Path)
	}
}
