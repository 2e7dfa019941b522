package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"embergate/gateway/alarm"
)

const writerDir = "EMBERGATE_TEST_STORE_WRITER" // this process is the writer that gets killed

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerDir); dir != "" {
		err := writeForever(dir)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if dir, err := filled(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// writeForever commits and appends, and prints each number once it was acknowledged.
func writeForever(dir string) error {
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if d := s.Damage(); d != nil {
		return fmt.Errorf("damage: %q", d)
	}
	ctx := context.Background()
	q := s.Queue("platform", QueueLimit{})
	for {
		next, err := s.LastSeq(ctx)
		if err != nil {
			return err
		}
		next++
		e := raised(fmt.Sprintf("a%d", next), noon)
		tx := &Transaction{
			Events:   []alarm.Event{e},
			Records:  []alarm.Record{{Key: "counter", Raised: next}},
			Messages: []Message{{Channel: "sms", Event: e.ID, Type: e.Type, Alarm: e.Alarm.ID, Class: "fire"}},
		}
		if err := s.Commit(ctx, tx); err != nil {
			return err
		}
		fmt.Println("event", tx.Events[0].Seq)
		if err := q.Append(ctx, Batch{Lines: int(next), Oldest: noon, Body: make([]byte, 20_000)}); err != nil {
			return err
		}
		fmt.Println("batch", next)
	}
}

// Rows SF01, AL11 and RE06.
func TestWhatWasAcknowledgedSurvivesKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]int64{}
	for round := range 20 {
		writer := exec.Command(os.Args[0])
		writer.Env = append(os.Environ(), writerDir+"="+dir)
		var complaint strings.Builder
		writer.Stderr = &complaint
		out, err := writer.StdoutPipe()
		if err == nil {
			err = writer.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var kill *time.Timer
		for lines.Scan() {
			if kill == nil { // at a random moment once it works
				kill = time.AfterFunc(time.Duration(rand.IntN(60_000))*time.Microsecond, func() { writer.Process.Kill() })
			}
			var what string
			var n int64
			if _, err := fmt.Sscan(lines.Text(), &what, &n); err != nil {
				continue // cut by the kill
			}
			acked[what] = n
		}
		writer.Wait()
		if complaint.Len() > 0 {
			t.Fatalf("round %d: the writer says %s", round, complaint.String())
		}
		checkAcknowledged(t, dir, acked)
	}
	t.Logf("acknowledged %d events and %d batches over 20 kills", acked["event"], acked["batch"])
}

func checkAcknowledged(t *testing.T, dir string, acked map[string]int64) {
	t.Helper()
	s := openAt(t, dir)
	defer s.Close()
	if d := s.Damage(); d != nil {
		t.Fatalf("damage: %q", d)
	}
	n, err := s.VerifyJournal(t.Context())
	if err != nil || n < acked["event"] || n > acked["event"]+1 {
		t.Fatalf("verify: %d events, %v; %d were acknowledged", n, err, acked["event"])
	}
	records := must[[]alarm.Record](t)(s.Records(t.Context()))
	messages := must[map[string]QueueStats](t)(s.PendingMessages(t.Context()))
	if len(records) != 1 || records[0].Raised != n || messages["sms"].Records != n {
		t.Fatalf("%d events, but record %+v and %d messages", n, records, messages["sms"].Records)
	}
	have := map[int64]bool{}
	batches := must[[]Batch](t)(s.Queue("platform", QueueLimit{}).Oldest(t.Context(), 1<<30))
	for _, b := range batches {
		have[int64(b.Lines)] = true
	}
	if last := acked["batch"]; last > 0 && !have[last] {
		t.Fatalf("batch %d was acknowledged and is gone", last)
	}
}

func TestAFullFileChangesNothingAndGoesOnWhenThereIsRoom(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	put(t, q, "a")
	commit(t, s, &Transaction{Events: []alarm.Event{raised("a", noon)}})
	limit := func(pages int) {
		for _, f := range []*file{s.state, s.series} {
			if _, err := f.conn.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)); err != nil {
				t.Fatal(err)
			}
		}
	}
	limit(30)
	if err := q.Append(t.Context(), Batch{Lines: 7, Oldest: noon, Body: make([]byte, 200_000)}); !errors.Is(err, ErrFull) {
		t.Errorf("append: %v, want ErrFull", err)
	}
	wantQueue(t, q, "a")
	tx := &Transaction{Messages: []Message{{Channel: "sms", Event: "b", Body: make([]byte, 200_000)}}}
	for i := range 20 {
		tx.Events = append(tx.Events, raised(fmt.Sprint("b", i), noon))
	}
	if err := s.Commit(t.Context(), tx); !errors.Is(err, ErrFull) {
		t.Errorf("commit: %v, want ErrFull", err)
	}
	if n, err := s.VerifyJournal(t.Context()); n != 1 || err != nil {
		t.Errorf("half written: %d events, %v", n, err)
	}
	limit(1_000_000)
	commit(t, s, tx)
	put(t, q, "b")
	wantQueue(t, q, "a b")
	if n, err := s.VerifyJournal(t.Context()); n != 21 || err != nil {
		t.Errorf("after there was room: %d events, %v", n, err)
	}
}

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, bytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Skip("needs root to mount a small disk: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return filepath.Join(dir, "data")
}

// History that grows for a day does not take the disk from what platforms have not yet taken; and a queue that is empty uses
// what is free within the file.
func TestHistoryLeavesRoomForQueues(t *testing.T) {
	dir := smallDisk(t, reserve+leftToQueues+2<<20)
	s := openAt(t, dir)
	q := s.Queue("platform", QueueLimit{})
	put := func(want error) {
		t.Helper()
		if err := q.Append(t.Context(), Batch{Lines: 1, Oldest: noon, Body: make([]byte, 1<<20)}); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	for range 4 {
		put(nil)
	}
	if err := s.History().Keep(t.Context(), noon); !errors.Is(err, ErrFull) {
		t.Errorf("history on a disk that is almost full: %v, want ErrFull", err)
	}
	batches, err := q.Oldest(t.Context(), 4)
	for _, b := range batches {
		err = errors.Join(err, q.Remove(t.Context(), b.ID))
	}
	left, failed := free(dir)
	if err = errors.Join(err, failed); err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(dir), "ballast"), make([]byte, left-reserve+4<<20), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	put(nil)
}

func TestTelemetryLeavesRoomForAlarms(t *testing.T) {
	s := openAt(t, smallDisk(t, reserve+4<<20))
	q := s.Queue("platform", QueueLimit{})
	for n := 0; q.Stats().Dropped < 100; n++ {
		if n > 10_000 {
			t.Fatal("the disk does not fill")
		}
		if err := q.Append(t.Context(), Batch{Lines: 1, Oldest: noon.Add(time.Duration(n)), Body: make([]byte, 100_000)}); err != nil {
			t.Fatalf("batch %d: %v; the oldest go first", n, err)
		}
	}
	if err := s.Room(); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	newest, _, err := q.Newest(t.Context())
	if st := q.Stats(); err != nil || newest.Oldest.Sub(noon) != time.Duration(st.Batches+st.Dropped-1) {
		t.Errorf("the newest is number %d of %d and %d dropped: %v", newest.Oldest.Sub(noon), st.Batches, st.Dropped, err)
	}
	for i := range 300 {
		commit(t, s, &Transaction{Events: []alarm.Event{raised(fmt.Sprint("a", i), noon)}})
	}
	if err := q.Append(t.Context(), Batch{Lines: 1, Oldest: noon, Body: make([]byte, 100<<20)}); !errors.Is(err, ErrFull) {
		t.Errorf("one that is greater than all it could replace: %v, want ErrFull", err)
	}
}

// Row SF04.
func TestAFullDiskLosesNothingAndRecovers(t *testing.T) {
	dir := smallDisk(t, 4<<20)
	s := openAt(t, dir)
	s.reserve = 0
	q := s.Queue("platform", QueueLimit{})
	var appended, committed int64
	var appendErr, commitErr error
	for appendErr == nil || commitErr == nil {
		if appendErr == nil {
			if appendErr = q.Append(t.Context(), Batch{Lines: 1, Oldest: noon, Body: make([]byte, 10_000)}); appendErr == nil {
				appended++
			}
		}
		if commitErr == nil {
			tx := &Transaction{Events: []alarm.Event{raised(fmt.Sprint("a", committed), noon)}}
			if commitErr = s.Commit(t.Context(), tx); commitErr == nil {
				committed++
			}
		}
	}
	if !errors.Is(appendErr, ErrFull) || !errors.Is(commitErr, ErrFull) {
		t.Errorf("append: %v; commit: %v; want ErrFull", appendErr, commitErr)
	}
	if n, err := s.VerifyJournal(t.Context()); n != committed || err != nil {
		t.Errorf("on the full disk: %d of %d events, %v", n, committed, err)
	}
	if got := q.Stats().Batches; got != appended {
		t.Errorf("%d batches, %d were acknowledged", got, appended)
	}
	if err := unix.Mount("", filepath.Dir(dir), "", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	put(t, q, "again")
	commit(t, s, &Transaction{Events: []alarm.Event{raised("again", noon)}})
	s = reopen(t, s)
	if d := s.Damage(); d != nil {
		t.Errorf("damage: %q", d)
	}
	if n, err := s.VerifyJournal(t.Context()); n != committed+1 || err != nil {
		t.Errorf("after there was room: %d of %d events, %v", n, committed+1, err)
	}
	if got := s.Queue("platform", QueueLimit{}).Stats().Batches; got != appended+1 {
		t.Errorf("%d batches, want %d", got, appended+1)
	}
}

func TestReadersAndWritersDoNotDisturbEachOther(t *testing.T) {
	s := openAt(t, t.TempDir())
	ctx := t.Context()
	const each = 15
	var wg sync.WaitGroup
	check := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for w := range 3 {
		wg.Go(func() {
			for i := range each {
				e := raised(fmt.Sprintf("a%d-%d", w, i), noon)
				tx := &Transaction{Events: []alarm.Event{e}, Messages: []Message{{Channel: "sms", Event: e.ID, Alarm: e.Alarm.ID, Class: "fire"}}}
				check("commit", s.Commit(ctx, tx))
				check("settle", s.SettleMessages(ctx, []int64{tx.Messages[0].ID}, Accepted, "", noon))
			}
		})
		wg.Go(func() {
			q := s.Queue(fmt.Sprint("q", w%2), QueueLimit{Bytes: 50_000})
			for range each {
				check("append", q.Append(ctx, Batch{Lines: 1, Oldest: noon, Body: make([]byte, 3000)}))
				b, ok, err := q.Newest(ctx)
				check("newest", err)
				if ok {
					check("remove", q.Remove(ctx, b.ID))
				}
				q.Stats()
			}
		})
		wg.Go(func() {
			for range each {
				n, err := s.VerifyJournal(ctx)
				check("verify", err)
				last, err := s.LastSeq(ctx)
				check("last seq", err)
				if last < n {
					t.Errorf("the journal went back from %d to %d", n, last)
				}
				_, err = s.Alarms(ctx, AlarmQuery{State: "open"})
				check("alarms", err)
				_, err = s.DueMessages(ctx, Due{Channel: "sms", Now: noon, Limit: 10})
				check("due", err)
			}
		})
	}
	wg.Wait()
	if n, err := s.VerifyJournal(ctx); n != 3*each || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
	if got := len(must[[]Delivery](t)(s.Deliveries(ctx, Ledger{}))); got != 3*each {
		t.Errorf("%d deliveries, want %d", got, 3*each)
	}
	for _, name := range []string{"q0", "q1"} {
		wantQueue(t, s.Queue(name, QueueLimit{}), bodies(t, s.Queue(name, QueueLimit{})))
	}
}
