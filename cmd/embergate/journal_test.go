package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// TestTheJournalIsCheckedAndExportedWhileTheDaemonRuns (AL15): the store is open as a daemon has it, and any one changed
// byte makes verify fail and name the event.
func TestTheJournalIsCheckedAndExportedWhileTheDaemonRuns(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "home.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "site: {id: home, language: en}\ndata: %s/data\n", dir), 0o600); err != nil {
		t.Fatal(err)
	}
	verb := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), args, &out, &errs); got != want {
			t.Errorf("%v: exit status %d, want %d: %s%s", args, got, want, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	if said := verb(exitFailed, "journal", "verify", "-c", file); !strings.Contains(said, "cannot be read") {
		t.Error(said)
	}
	st, err := store.Open(filepath.Join(dir, "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	tx := &store.Transaction{}
	for i := range 3 {
		tx.Events = append(tx.Events, alarm.Event{ID: fmt.Sprint(i), Time: time.Now(), Type: "gateway.started", Note: "a"})
	}
	if err := st.Commit(t.Context(), tx); err != nil {
		t.Fatal(err)
	}

	if got, want := verb(exitDone, "journal", "verify", "-c", file), "the journal is whole: 3 events, each fits the one before it\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := verb(exitDone, "journal", "export", "-c", file, "--format", "jsonl"); strings.Count(got, "\n") != 3 {
		t.Errorf("exported %s", got)
	}
	target := filepath.Join(dir, "journal.csv")
	verb(exitDone, "journal", "export", "-c", file, "-o", target)
	if data, err := os.ReadFile(target); err != nil || !bytes.HasPrefix(data, []byte("\xef\xbb\xbfNo.,Time,")) {
		t.Errorf("the file holds %.40q, %v", data, err)
	}
	verb(exitInvalid, "journal", "export", "-c", file, "--format", "xls")
	verb(exitInvalid, "journal", "export", "-c", file, "--from", "yesterday")
	verb(exitInvalid, "journal", "export", "all")
	verb(exitInvalid, "journal", "burn")

	db, err := sql.Open("sqlite", filepath.Join(dir, "data", store.StateFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`DROP TRIGGER events_never_change; UPDATE events SET body = CAST(replace(CAST(body AS TEXT), '"a"', '"b"') AS BLOB) WHERE seq = 2`); err != nil {
		t.Fatal(err)
	}
	if said := verb(exitFailed, "journal", "verify", "-c", file); !strings.Contains(said, "event 2 does not fit") {
		t.Error(said)
	}
}

// A verb that is to write to /dev/stdout, or to any link, leaves the link where it is; over a file it leaves a whole one.
func TestWhatAVerbWritesLeavesLinksAlone(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	err := errors.Join(os.WriteFile(file, []byte("an older and longer text"), 0o644), os.Symlink(file, link))
	if err != nil {
		t.Fatal(err)
	}
	write := func(target, text string, cut error) error {
		return writeWhole(target, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, cut)
		})
	}
	if err := write(link, "through the link", nil); err != nil {
		t.Error(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info.Mode(), err)
	}
	if err := write(file, "half of", io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); string(text) != "through the link" {
		t.Errorf("%q, %v", text, err)
	}
	if err := write(file, "in its place", nil); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	info, failed := os.Stat(file)
	if err = errors.Join(err, failed); err != nil || string(text) != "in its place" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v", text, info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".embergate-*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}
