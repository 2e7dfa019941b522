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

var noon = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func fileOf(t *testing.T, text string) File {
	path := filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	f, err := Of(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f File) wants(t *testing.T, want string) {
	t.Helper()
	all, err := f.History()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range all {
		text, err := k.Text()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s %s", k.Number, k.Time.Format("15:04"), strings.TrimPrefix(string(text), "data: state\n")))
	}
	if strings.Join(got, "; ") != want {
		t.Errorf("kept: %q, want %q", strings.Join(got, "; "), want)
	}
}

// Row OP12: what stood in the file before a change is kept, with its time; the file keeps its mode, and a link stays one.
func TestWhatStoodInTheFileIsKept(t *testing.T) {
	f := fileOf(t, "data: state\none")
	f.wants(t, "")
	for i, text := range []string{"two", "two", "three"} {
		if err := f.Save(nil, []byte("data: state\n"+text), noon.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	f.wants(t, "2 04:01 two; 1 04:00 one")
	for range 2 {
		if err := f.Keep([]byte("data: state\nthree"), noon.Add(time.Hour)); err != nil { // as a daemon that runs with it
			t.Fatal(err)
		}
	}
	f.wants(t, "3 05:00 three; 2 04:01 two; 1 04:00 one")
	if info, err := os.Stat(f.Path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	link := filepath.Join(filepath.Dir(f.Path), "link.yaml")
	if err := os.Symlink("home.yaml", link); err != nil {
		t.Fatal(err)
	}
	linked, err := Of(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := linked.Save(nil, []byte("data: state\nfour"), noon); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(f.Path); err != nil || string(text) != "data: state\nfour" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link has become %v, %v", info.Mode(), err)
	}
}

// Row OP12: of two who change the file at once, the second is told and changes nothing.
func TestAFileThatWasChangedMeanwhileIsNotOverwritten(t *testing.T) {
	f := fileOf(t, "data: state\none")
	read := []byte("data: state\none")
	if err := f.Save(read, []byte("data: state\ntwo"), noon); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(read, []byte("data: state\nthree"), noon); !errors.Is(err, ErrChanged) {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(f.Path); string(text) != "data: state\ntwo" {
		t.Errorf("%q", text)
	}
}

// Row OP12: where the old text cannot be kept, the file is not changed; and what is kept is bounded.
func TestNothingIsChangedThatCannotBeKept(t *testing.T) {
	f := fileOf(t, "data: state\n0")
	for i := range mostKept + 10 {
		if err := f.Save(nil, fmt.Appendf(nil, "data: state\n%d", i+1), noon); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := f.History(); err != nil || len(all) != mostKept || all[0].Number != mostKept+10 {
		t.Errorf("%d kept, the newest is %d, %v", len(all), all[0].Number, err)
	}
	blocked := fileOf(t, "data: state\none")
	if err := os.WriteFile(filepath.Join(filepath.Dir(blocked.Path), "state"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := blocked.Save(nil, []byte("two"), noon); err == nil {
		t.Error("a text that cannot be kept was overwritten")
	}
	if text, _ := os.ReadFile(blocked.Path); string(text) != "data: state\none" {
		t.Errorf("%q", text)
	}
}

// Row OP12: a file that is no YAML any more is the one that most needs its history.
func TestTheHistoryOfABrokenFileIsFound(t *testing.T) {
	for _, text := range []string{"data: state\none: [", "data: \"state\"  # here\n\tone", "data: ./state\n"} {
		f := fileOf(t, text)
		if want := filepath.Join(filepath.Dir(f.Path), "state", "config"); f.dir != want {
			t.Errorf("%q: %s", text, f.dir)
		}
	}
	if f := fileOf(t, "site: {id: home}\n"); f.dir != "/var/lib/embergate/config" {
		t.Errorf("%s", f.dir)
	}
}
