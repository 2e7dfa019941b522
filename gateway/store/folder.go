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
	"path/filepath"
	"regexp"
	"strings"

	"embergate/gateway/photo"
)

// folder is a directory in the data directory whose files a backup has beside the state. In a backup each file has a digest of
// its bytes behind its name, so that one that was changed is noticed.
type folder struct {
	name      string         // of the directory, also in a backup
	file      *regexp.Regexp // names of its files; any other is being written
	digested  bool           // they have their digests in the directory, too
	most, sum int            // bytes of one file, and of all together
	count     func(*Copied) *int
}

// folders are the pictures, see PutPhoto, and the configurations that the home had, FILE.NUMBER.TIME; package configfile keeps
// those.
var (
	photoFolder = &folder{
		name: "photos", file: regexp.MustCompile(`^[0-9a-z-]{1,64}-[0-9a-f]{32}$`), digested: true,
		most: photo.MostBytes, sum: 512 << 20, count: func(c *Copied) *int { return &c.Photos },
	}
	configFolder = &folder{
		name: "config", file: regexp.MustCompile(`^[^/\x00]+\.[0-9]+\.[0-9]{8}T[0-9]{6}Z$`),
		most: 1 << 20, sum: 64 << 20, count: func(c *Copied) *int { return &c.Configs },
	}
	folders = []*folder{photoFolder, configFolder}
)

const digestDigits = 32

// digest is what stands behind the name of a file: the first digits of the SHA-256 of its bytes.
func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])[:digestDigits]
}

// archive adds the files of a data directory to a backup.
func (f *folder) archive(ctx context.Context, w *tar.Writer, data string, done *Copied) error {
	dir := filepath.Join(data, f.name)
	all, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	sum := 0
	for _, entry := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := entry.Name()
		if !f.file.MatchString(name) {
			continue
		}
		if !entry.Type().IsRegular() { // a pipe would be waited for
			done.Left++
			continue
		}
		body, err := f.read(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile: nothing names it, or it was one too many
		}
		if err != nil || sum+len(body) > f.sum {
			done.Left++
			continue
		}
		if !f.digested {
			name += "-" + digest(body)
		}
		if err := archived(w, f.name+"/"+name, body); err != nil {
			return err
		}
		sum += len(body)
		*f.count(done)++
	}
	return nil
}

// restore writes a file of a backup to a directory where it is not there, and answers how long it is and, where it is new,
// its path.
func (f *folder) restore(r io.Reader, name, dir string) (long int, fresh string, err error) {
	body, err := f.body(r)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %q: %w", ErrNotBackup, name, err)
	}
	bare, right := strings.CutSuffix(name, "-"+digest(body))
	if !f.digested {
		name = bare
	}
	if !right || !f.file.MatchString(name) {
		return 0, "", fmt.Errorf("%w: %q is not the file that its name says", ErrNotBackup, name)
	}
	path := filepath.Join(dir, name)
	if there, err := f.read(path); err == nil && bytes.Equal(there, body) {
		return len(body), "", nil
	}
	if err := makeDir(dir); err != nil {
		return 0, "", err
	}
	return len(body), path, writeWhole(path, body)
}

// read reads a file, and says so where it is not the one that its name says.
func (f *folder) read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	body, err := f.body(file)
	if err == nil && f.digested && !strings.HasSuffix(path, "-"+digest(body)) {
		err = fmt.Errorf("%s is not the file that its name says", path)
	}
	return body, err
}

func (f *folder) body(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, int64(f.most)+1))
	if err == nil && len(body) > f.most {
		err = fmt.Errorf("more than %d bytes", f.most)
	}
	return body, err
}
