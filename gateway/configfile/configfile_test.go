package configfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const head = "data: state\n"

func made(t *testing.T, text string) (path string) {
	path = filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(data), head)
}

func wantKept(t *testing.T, path, want string) {
	t.Helper()
	all, err := Versions(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range all {
		got = append(got, fmt.Sprintf("%d %s %s", v.Number, v.Kept.Format("15:04"), read(t, v.Path)))
	}
	if strings.Join(got, "; ") != want {
		t.Errorf("kept: %q, want %q", strings.Join(got, "; "), want)
	}
}

// Row OP12: what stood in the file before a change is kept, with its time; the file keeps its mode, and a link stays one.
func TestWhatStoodInTheFileIsKept(t *testing.T) {
	path := made(t, head+"one")
	wantKept(t, path, "")
	link := filepath.Join(t.TempDir(), "link.yaml")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for i, way := range []string{path, link} {
		was, err := os.ReadFile(way)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := Save(way, was, fmt.Appendf(nil, head+"two%d", i), noon.Add(time.Duration(i)*time.Minute))
		if err != nil || read(t, kept) != strings.TrimPrefix(string(was), head) {
			t.Fatal(kept, err)
		}
	}
	wantKept(t, link, "2 12:01 two0; 1 12:00 one")
	for range 2 {
		if err := Keep(path, []byte(head+"two1"), noon.Add(time.Hour)); err != nil { // as a daemon that runs with it
			t.Fatal(err)
		}
	}
	wantKept(t, path, "3 13:00 two1; 2 12:01 two0; 1 12:00 one")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 || read(t, path) != "two1" {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link has become %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 2 {
		t.Errorf("left over: %v", left)
	}
}

// Row OP12: of two who change the file at once, the second is told and changes nothing.
func TestAFileThatSomebodyElseChangedStays(t *testing.T) {
	path := made(t, head+"theirs")
	if _, err := Save(path, []byte(head+"one"), []byte(head+"two"), noon); !errors.Is(err, ErrChanged) {
		t.Error(err)
	}
	if read(t, path) != "theirs" {
		t.Error(read(t, path))
	}
	wantKept(t, path, "")
}

// Row OP12: what is kept is bounded, and the latest stay.
func TestTheLatestVersionsStay(t *testing.T) {
	path := made(t, head+"0")
	for i := range mostKept + 3 {
		if _, err := Save(path, fmt.Appendf(nil, "%s%d", head, i), fmt.Appendf(nil, "%s%d", head, i+1), noon); err != nil {
			t.Fatal(err)
		}
	}
	all, err := Versions(path)
	if err != nil || len(all) != mostKept {
		t.Fatal(len(all), err)
	}
	if latest, oldest := read(t, all[0].Path), read(t, all[mostKept-1].Path); latest != fmt.Sprint(mostKept+2) || oldest != "3" {
		t.Error(latest, oldest)
	}
}

// Row OP12: where the old text cannot be kept, the file is not changed.
func TestNothingIsChangedThatCannotBeKept(t *testing.T) {
	path := made(t, head+"one")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "state"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Save(path, []byte(head+"one"), []byte(head+"two"), noon); err == nil || read(t, path) != "one" {
		t.Error(err, read(t, path))
	}
}

// Row OP12: a file that is no YAML any more is the one that most needs its history.
func TestTheHistoryOfABrokenFileIsFound(t *testing.T) {
	for _, text := range []string{"data: state\none: [", "data: \"state\"  # here\n\tone: [", "data: ./state\n"} {
		path := made(t, text)
		f, err := of(path)
		if want := filepath.Join(filepath.Dir(path), "state", "config"); err != nil || f.dir != want {
			t.Errorf("%q: %s, %v", text, f.dir, err)
		}
	}
	if f, err := of(made(t, "site: {id: home}\n")); err != nil || f.dir != "/var/lib/embergate/config" {
		t.Errorf("%s, %v", f.dir, err)
	}
}
