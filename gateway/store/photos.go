package store

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"embergate/gateway/photo"
)

// Pictures that people add to alarms are files, one each, in photos/ALARM-HASH of the data directory: two megabytes in
// state.db would make an alarm wait. The journal has the hash of each, so that one that was changed is noticed.
const (
	photosDir      = "photos"
	mostPhotoBytes = 512 << 20 // of all pictures together
	photoHash      = 32        // digits of the hash in the name of a file
)

// ErrPhotosFull is returned where the pictures have all the space that is meant for them.
var ErrPhotosFull = errors.New("no more room for pictures")

var (
	photoName = regexp.MustCompile(`^[0-9a-z-]{1,64}$`)
	photoFile = regexp.MustCompile(`^[0-9a-z-]{1,64}-[0-9a-f]{32}$`)
)

// PutPhoto keeps a picture of an alarm or hazard, on disk when it returns, and answers the SHA-256 of its bytes in hex, and whether
// it was not there before: the same picture is kept once. The error wraps ErrFull or ErrPhotosFull where there is no room.
func (s *Store) PutPhoto(alarm string, picture []byte) (hash string, fresh bool, err error) {
	sum := sha256.Sum256(picture)
	hash = hex.EncodeToString(sum[:])
	s.photos.Lock()
	defer s.photos.Unlock()
	path, err := s.photo(alarm, hash)
	if err == nil && hasContent(path) {
		return hash, false, nil
	}
	if err == nil {
		err = s.putPhoto(path, picture)
	}
	if err != nil {
		return "", false, fmt.Errorf("store: keep a picture of alarm %s: %w", alarm, err)
	}
	return hash, true, nil
}

func (s *Store) putPhoto(path string, picture []byte) error {
	if err := s.Room(); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	sum := int64(len(picture))
	for _, entry := range all {
		if info, err := entry.Info(); err == nil {
			sum += info.Size()
		}
	}
	if sum > mostPhotoBytes {
		return ErrPhotosFull
	}
	return writeWhole(path, picture)
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

// DropPhoto forgets a picture that did not come into the journal.
func (s *Store) DropPhoto(alarm, hash string) {
	if path, err := s.photo(alarm, hash); err == nil {
		_ = os.Remove(path) // what stays harms nobody
	}
}

// Photo is a picture of an alarm by its hash. The error wraps ErrNotFound where it is not there any more, or is not the one
// that was kept.
func (s *Store) Photo(alarm, hash string) ([]byte, error) {
	path, err := s.photo(alarm, hash)
	if err != nil {
		return nil, err
	}
	picture, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNotFound
	} else if sum := sha256.Sum256(picture); err == nil && !bytes.Equal([]byte(hex.EncodeToString(sum[:])), []byte(hash)) {
		err = fmt.Errorf("it was changed: %w", ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("store: picture of alarm %s: %w", alarm, err)
	}
	return picture, nil
}

// photo is the file of a picture.
func (s *Store) photo(alarm, hash string) (string, error) {
	if !photoName.MatchString(alarm) || len(hash) != 64 || !photoName.MatchString(hash) {
		return "", fmt.Errorf("store: %q, %q name no picture: %w", alarm, hash, ErrNotFound)
	}
	return filepath.Join(s.dir, photosDir, alarm+"-"+hash[:photoHash]), nil
}

// archivePhotos adds the pictures in a directory to a backup. One that is gone meanwhile is named by nothing.
func archivePhotos(ctx context.Context, w *tar.Writer, dir string, done *Copied) error {
	all, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sum := 0
	for _, entry := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !photoFile.MatchString(entry.Name()) {
			continue // one that is being written
		}
		body, err := readPhoto(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || sum+len(body) > mostPhotoBytes {
			done.Left++
			continue
		}
		if err := archived(w, path.Join(photosDir, entry.Name()), body); err != nil {
			return err
		}
		sum += len(body)
		done.Photos++
	}
	return nil
}

// readPhoto reads a picture, and says so where it is not the one that its name says.
func readPhoto(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return wholePhoto(f, filepath.Base(file))
}

func wholePhoto(r io.Reader, name string) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, photo.MostBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > photo.MostBytes || !photoFile.MatchString(name) || !strings.HasSuffix(name, "-"+digest(body)) {
		return nil, fmt.Errorf("%q is not the picture that its name says", name)
	}
	return body, nil
}

// restoredPhoto writes a picture of a backup to a directory where it is not there, and answers how long it is and, where it is
// new, its file.
func restoredPhoto(r io.Reader, name, dir string) (long int, fresh string, err error) {
	body, err := wholePhoto(r, name)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	file := filepath.Join(dir, name)
	if _, err := readPhoto(file); err == nil {
		return len(body), "", nil
	}
	if err := makeDir(dir); err != nil {
		return 0, "", err
	}
	return len(body), file, writeWhole(file, body)
}
