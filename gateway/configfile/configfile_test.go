package configfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"embergate/gateway/configfile"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWhatWasThereIsKeptAndTheLinkStays(t *testing.T) {
	folder := t.TempDir()
	file, link := filepath.Join(folder, "home.yaml"), filepath.Join(t.TempDir(), "link.yaml")
	if err := errors.Join(os.WriteFile(file, []byte("one"), 0o640), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	kept, err := configfile.Save(link, []byte("one"), []byte("two"), noon)
	if err != nil || read(t, file) != "two" || read(t, kept) != "one" {
		t.Fatal(kept, err)
	}
	if info, _ := os.Lstat(link); info.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	for _, path := range []string{file, kept} {
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
}

func TestAFileThatSomebodyElseChangedStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(file, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := configfile.Save(file, []byte("one"), []byte("two"), noon); !errors.Is(err, configfile.ErrChanged) {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); read(t, file) != "theirs" || len(left) != 1 {
		t.Error(left)
	}
}

func TestTheLatestVersionsStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(file, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	const changes = configfile.Kept + 3
	for i := range changes {
		if _, err := configfile.Save(file, fmt.Append(nil, i), fmt.Append(nil, i+1), noon.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	versions, err := configfile.Versions(file)
	if err != nil || len(versions) != configfile.Kept {
		t.Fatal(versions, err)
	}
	if newest, oldest := read(t, versions[0].Path), read(t, versions[configfile.Kept-1].Path); newest != fmt.Sprint(changes-1) || oldest != "3" {
		t.Error(newest, oldest)
	}
}
