package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// Pictures that people add to alarms are files, one each, in photos/ALARM-HASH of the data directory: two megabytes in
// state.db would make an alarm wait. The journal has the hash of each, so that one that was changed is noticed.

// ErrPhotosFull is returned where the pictures have all the space that is meant for them.
var ErrPhotosFull = errors.New("no more room for pictures")

var photoName = regexp.MustCompile(`^[0-9a-z-]{1,64}$`)

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
	if sum > int64(photoFolder.sum) {
		return ErrPhotosFull
	}
	return writeWhole(path, picture)
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
	} else if sum := sha256.Sum256(picture); err == nil && hex.EncodeToString(sum[:]) != hash {
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
	return filepath.Join(s.dir, photoFolder.name, alarm+"-"+hash[:digestDigits]), nil
}
