package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockDir holds the directory shared with other processes that have it open.
func (s *Store) lockDir() (err error) {
	if s.lock, err = os.Open(s.dir); err != nil {
		return err
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_SH); err != nil {
		return fmt.Errorf("lock %s: %w", s.dir, err)
	}
	return nil
}

// Claim keeps other daemons off the directory until Close: two would tell everybody everything twice, and undo each other's
// alarms. The error is ErrRunning where another has it; readers and the verbs beside a daemon claim nothing.
func (s *Store) Claim() error {
	path := s.path(claimFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err == nil {
		_ = own(path) // who cannot give it away is who it belongs to
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err == nil {
		s.claim = f
		return nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrRunning
	}
	return fmt.Errorf("claim %s: %w", s.dir, err)
}

// own gives what root has written to whoever owns the directory that it is in: the daemon must read and write it.
func own(path string) error {
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	return os.Lchown(path, int(st.Uid), int(st.Gid))
}

// makeDir makes a directory where it is missing. It belongs to whoever owns the one that it is in.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return errors.Join(err, own(path))
}

// writeWhole writes a file as a whole or not at all, on disk when it returns. It belongs to whoever owns the directory.
func writeWhole(path string, body []byte) error {
	part := path + ".part"
	err := os.WriteFile(part, body, 0o600)
	if err == nil {
		err = errors.Join(own(part), syncFile(part))
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return syncDir(filepath.Dir(path))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncDir makes new names in a directory survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func hasContent(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() > 0
}

// free is the space of the disk under dir that is left to us, in bytes.
func free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
