package store

import (
	"archive/tar"
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
)

// Configurations that the home had are files in config/ of the data directory, FILE.NUMBER.TIME; package configfile keeps
// them. In a backup each has a digest of its bytes behind its name, as pictures have.
const (
	configDir       = "config"
	mostConfigBytes = 1 << 20  // of one
	mostConfigsSum  = 64 << 20 // of all together
)

var (
	configFile     = regexp.MustCompile(`^[^/\x00]+\.[0-9]+\.[0-9]{8}T[0-9]{6}Z$`)
	archivedConfig = regexp.MustCompile(`^([^/\x00]+\.[0-9]+\.[0-9]{8}T[0-9]{6}Z)-([0-9a-f]{32})$`)
)

// archiveConfigs adds the configurations in a directory to a backup. One that is gone meanwhile was one too many.
func archiveConfigs(ctx context.Context, w *tar.Writer, dir string, done *Copied) error {
	all, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sum := 0
	for _, entry := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !configFile.MatchString(entry.Name()) || !entry.Type().IsRegular() {
			continue
		}
		body, err := readConfig(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || sum+len(body) > mostConfigsSum {
			done.Left++
			continue
		}
		if err := archived(w, path.Join(configDir, entry.Name()+"-"+digest(body)), body); err != nil {
			return err
		}
		sum += len(body)
		done.Configs++
	}
	return nil
}

// digest is what stands behind the name of a picture, and in a backup behind that of a configuration.
func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])[:photoHash]
}

func readConfig(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return wholeConfig(f)
}

func wholeConfig(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, mostConfigBytes+1))
	if err == nil && len(body) > mostConfigBytes {
		err = fmt.Errorf("more than %d bytes", mostConfigBytes)
	}
	return body, err
}

// restoredConfig writes a configuration of a backup to a directory, and answers how long it is.
func restoredConfig(r io.Reader, name, dir string) (int, error) {
	parts := archivedConfig.FindStringSubmatch(name)
	body, err := wholeConfig(r)
	if err == nil && (parts == nil || digest(body) != parts[2]) {
		err = fmt.Errorf("%q is not the configuration that its name says", name)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotBackup, err)
	}
	if err := makeDir(dir); err != nil {
		return 0, err
	}
	return len(body), writeWhole(filepath.Join(dir, parts[1]), body)
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
