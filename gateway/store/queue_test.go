package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// put appends batches named by their bodies, each of ten lines and a minute after the one before.
func put(t testing.TB, q *Queue, bodies ...string) {
	t.Helper()
	for i, body := range bodies {
		b := Batch{Lines: 10, Oldest: noon.Add(time.Duration(i) * time.Minute), Body: []byte(body)}
		if err := q.Append(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func bodies(t testing.TB, q *Queue) string {
	t.Helper()
	var all []string
	for _, b := range must[[]Batch](t)(q.Oldest(context.Background(), 100)) {
		all = append(all, string(b.Body))
	}
	return strings.Join(all, " ")
}

// deliver removes the newest batch, as after it was sent.
func deliver(t testing.TB, q *Queue) {
	t.Helper()
	b, _, err := q.Newest(context.Background())
	if err == nil {
		err = q.Remove(context.Background(), b.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func wantQueue(t testing.TB, q *Queue, want string) {
	t.Helper()
	if got := bodies(t, q); got != want {
		t.Errorf("queue %s holds %q, want %q", q.name, got, want)
	}
	st, counted := q.Stats(), QueueStats{Dropped: q.Stats().Dropped}
	for i, b := range must[[]Batch](t)(q.Oldest(context.Background(), 1<<30)) {
		if i == 0 {
			counted.Oldest = b.Oldest
		}
		counted.Batches++
		counted.Records += int64(b.Lines)
		counted.Bytes += int64(len(b.Body))
	}
	if st != counted {
		t.Errorf("queue %s: stats %+v, counted %+v", q.name, st, counted)
	}
}

// Rows SF05 and SF10.
func TestReadingDoesNotRemove(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	if _, ok, err := q.Newest(t.Context()); ok || err != nil {
		t.Errorf("newest of an empty queue: %v, %v", ok, err)
	}
	put(t, q, "a", "b", "c")
	wantQueue(t, q, "a b c")
	newest, ok, err := q.Newest(t.Context())
	if !ok || err != nil || string(newest.Body) != "c" || newest.Lines != 10 || !newest.Oldest.Equal(noon.Add(2*time.Minute)) {
		t.Errorf("newest %+v, %v, %v", newest, ok, err)
	}
	if err := q.Remove(t.Context(), newest.ID); err != nil {
		t.Fatal(err)
	}
	wantQueue(t, q, "a b")
	s = reopen(t, s)
	q = s.Queue("platform", QueueLimit{})
	wantQueue(t, q, "a b")
	if err := q.Remove(t.Context(), newest.ID, 12345); err != nil {
		t.Errorf("removing what is not there: %v", err)
	}
	put(t, q, "d")
	wantQueue(t, q, "a b d")
}

// Row SF11.
func TestQueuesDoNotTouchEachOther(t *testing.T) {
	s := openAt(t, t.TempDir())
	one, two := s.Queue("one", QueueLimit{Bytes: 3}), s.Queue("two", QueueLimit{})
	put(t, two, "x")
	put(t, one, "a", "b", "c", "d")
	put(t, two, "y")
	wantQueue(t, one, "b c d")
	wantQueue(t, two, "x y")
	theirs, _, _ := two.Newest(t.Context())
	if err := one.Remove(t.Context(), theirs.ID); err != nil {
		t.Fatal(err)
	}
	wantQueue(t, two, "x y")
	if s.Queue("one", QueueLimit{}) != one {
		t.Error("the same name is another queue")
	}
}

// Row SF03.
func TestOverTheLimitTheOldestGoesAndIsCounted(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{Bytes: 6})
	put(t, q, "aa", "bb", "cc")
	wantQueue(t, q, "aa bb cc")
	put(t, q, "dddd")
	wantQueue(t, q, "cc dddd")
	put(t, q, "larger than all") // alone over the limit: the newest is kept all the same
	wantQueue(t, q, "larger than all")
	if got := q.Stats().Dropped; got != 40 {
		t.Errorf("dropped %d lines, want 40", got)
	}
	s = reopen(t, s)
	if got := s.Queue("platform", QueueLimit{}).Stats().Dropped; got != 40 {
		t.Errorf("dropped %d lines after a restart, want 40", got)
	}
}

func TestTooOldGoesAndIsCounted(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{Age: 2 * time.Minute})
	put(t, q, "a", "b", "c", "d", "e") // a minute apart
	wantQueue(t, q, "c d e")
	if got := q.Stats().Dropped; got != 20 {
		t.Errorf("dropped %d lines, want 20", got)
	}
}

func TestPartsKeepThePlaceOfTheWhole(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	put(t, q, "a", "whole", "c")
	id := func(body string) int64 {
		for _, b := range must[[]Batch](t)(q.Oldest(t.Context(), 100)) {
			if string(b.Body) == body {
				return b.ID
			}
		}
		t.Fatalf("no batch %s", body)
		return 0
	}
	part := func(body string) Batch { return Batch{Lines: 5, Oldest: noon, Body: []byte(body)} }
	if err := q.Replace(t.Context(), id("whole"), []Batch{part("b1"), part("b2")}); err != nil {
		t.Fatal(err)
	}
	wantQueue(t, q, "a b1 b2 c")
	if err := q.Replace(t.Context(), id("b1"), []Batch{part("b11"), part("b12"), part("b13")}); err != nil {
		t.Fatal(err)
	}
	wantQueue(t, q, "a b11 b12 b13 b2 c")
	if err := q.Replace(t.Context(), id("b12"), nil); err != nil {
		t.Fatal(err)
	}
	wantQueue(t, q, "a b11 b13 b2 c")
	if err := q.Replace(t.Context(), 99, []Batch{part("x")}); !errors.Is(err, ErrNotFound) {
		t.Errorf("replacing what is not there: %v, want ErrNotFound", err)
	}
	for i := range 17 { // 100,000 lines are halved 17 times until one is left
		if err := q.Replace(t.Context(), id("c"), []Batch{part("c"), part(fmt.Sprint("half", i))}); err != nil {
			t.Fatalf("halving %d: %v", i, err)
		}
	}
	put(t, q, "z")
	if got := bodies(t, q); !strings.HasPrefix(got, "a b11 b13 b2 c half16 half15") || !strings.HasSuffix(got, "half1 half0 z") {
		t.Errorf("order %q", got)
	}
}

func TestDeadLettersAreKeptWithTheirReason(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	letter := func(i int) error {
		return q.DeadLetter(t.Context(), fmt.Appendf(nil, "gas,zone=k lel=%d", i), "partial write: field type conflict", noon.Add(time.Duration(i)))
	}
	if err := letter(0); err != nil {
		t.Fatal(err)
	}
	_, err := s.series.conn.ExecContext(t.Context(), `WITH n AS (SELECT value FROM json_each(?))
		INSERT INTO dead (queue, time, reason, size, lines) SELECT 'platform', 0, '', 0, x'' FROM n`, "[0"+strings.Repeat(",0", deadLetters-3)+"]")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := letter(i + 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Queue("other", QueueLimit{}).DeadLetter(t.Context(), nil, "x", noon); err != nil {
		t.Fatal(err)
	}
	got := must[[]DeadLetter](t)(q.DeadLetters(t.Context(), 0))
	if len(got) != deadLetters || string(got[0].Lines) != "gas,zone=k lel=3" || got[0].Reason != "partial write: field type conflict" ||
		!got[0].Time.Equal(noon.Add(3)) || string(got[deadLetters-1].Lines) != "" {
		t.Errorf("%d letters, %+v … %+v", len(got), got[0], got[len(got)-1])
	}
	if err := q.DeadLetter(t.Context(), make([]byte, deadLetterBytes+1), "large", noon); err != nil {
		t.Fatal(err)
	}
	if got := must[[]DeadLetter](t)(q.DeadLetters(t.Context(), 0)); len(got) != 1 || got[0].Reason != "large" {
		t.Errorf("%d letters are kept beside one over the limit, want 0", len(got)-1)
	}
}

func TestADrainedFileShrinks(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	body := bytes.Repeat([]byte("x"), 1_000_000)
	for range 20 {
		if err := q.Append(t.Context(), Batch{Lines: 1, Oldest: noon, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	for {
		batches := must[[]Batch](t)(q.Oldest(t.Context(), 10))
		if len(batches) == 0 {
			break
		}
		for _, b := range batches {
			if err := q.Remove(t.Context(), b.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 15 { // live data that passes through
		put(t, q, "live")
		deliver(t, q)
	}
	s.series.turn <- struct{}{}
	s.series.checkpoint()
	<-s.series.turn
	info, err := os.Stat(s.series.path)
	if err != nil || info.Size() > (shrinkFrom+shrinkBy)*pageSize {
		t.Errorf("%d bytes after draining 20 MB, %v", info.Size(), err)
	}
}

// Pages are freed by a limit and by history too, not only by what was delivered.
func TestAFileThatALimitEmptiedShrinks(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	appended := func(n, size int) {
		for range n {
			if err := q.Append(t.Context(), Batch{Lines: 1, Oldest: noon, Body: make([]byte, size)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	appended(40, 1_000_000)
	deliver(t, q) // here it is full, and is seen to be
	s.Queue("platform", QueueLimit{Bytes: 100_000})
	for range 60 { // live data that passes through
		appended(1, 50_000)
		deliver(t, q)
	}
	var pages int64
	if err := s.series.readers.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil || pages > shrinkFrom+shrinkBy {
		t.Errorf("%d pages after a limit dropped 40 MB, %v", pages, err)
	}
}

// A panic within a write undoes it, and the next goes through.
func TestAPanicWithinAWriteIsUndone(t *testing.T) {
	s := openAt(t, t.TempDir())
	q := s.Queue("platform", QueueLimit{})
	put(t, q, "a")
	func() {
		defer func() { recover() }()
		_ = s.series.write(t.Context(), func(tx *sql.Tx) error {
			_, _ = tx.Exec(`DELETE FROM batches`)
			panic("within")
		}, nil)
	}()
	if err := q.Append(t.Context(), Batch{Lines: 10, Oldest: noon, Body: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	wantQueue(t, q, "a b")
}
