package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"embergate/drivers"
)

// Bucket is what a signal was in one step of a chart.
type Bucket struct {
	Start                time.Time
	Known                bool // there was a value, and Min to Last are it
	Min, Mean, Max, Last float64
	Good, Bad            time.Duration  // how long it had a value, and was known to have none; the rest is a gap
	Reason               drivers.Reason // why it had none, the latest; "" where it always had one
}

// mostBuckets is how many steps one chart has at most.
const mostBuckets = 5000

// movingTime is how long a query waits for what is on its way to the disk.
const movingTime = 2 * time.Second

// ErrRange is a range of time that no chart can have.
var ErrRange = errors.New("the end is not after the start")

// Query answers what a signal was from `from` to `to`, in steps of equal length, at most so many. Steps under a minute go
// back a day; longer ones are whole minutes, and go back a month. A signal that is not known is a gap throughout.
func (h *History) Query(ctx context.Context, signal string, from, to time.Time, points int) ([]Bucket, error) {
	return h.query(ctx, time.Now(), signal, from, to, points)
}

func (h *History) query(ctx context.Context, now time.Time, signal string, from, to time.Time, points int) ([]Bucket, error) {
	if !to.After(from) {
		return nil, ErrRange
	}
	q := newSteps(from, to, min(max(points, 1), mostBuckets))
	select {
	case h.moving <- struct{}{}:
		defer func() { <-h.moving }()
	case <-time.After(movingTime): // the disk hangs: what is on its way there is left out
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err := h.store.series.read(ctx, func(db *sql.DB) error {
		q.sums = make([]sum, len(q.sums)) // it may be done twice
		return q.fromDisk(ctx, db, signal)
	})
	if err != nil {
		return nil, fmt.Errorf("store: history of %s: %w", signal, err)
	}
	for _, c := range h.inMemory(now, signal) {
		spread(q.sums, q.from, q.step, c)
	}
	return q.buckets(), nil
}

// inMemory are the chunks of a signal that are not yet written; the last goes on until now.
func (h *History) inMemory(now time.Time, signal string) (chunks []chunk) {
	h.mu.Lock()
	i, known := h.index[signal]
	stretches := append(slices.Clone(h.waiting), h.now.seen(ticks(now)))
	h.mu.Unlock()
	if !known {
		return nil
	}
	for n := range stretches {
		chunks = append(chunks, stretches[n].pieces(stretches[n].of(i))...)
	}
	return chunks
}

// steps are the sums of a chart.
type steps struct {
	from, to, step int64 // ticks
	sums           []sum
}

func newSteps(from, to time.Time, points int) *steps {
	q := &steps{from: ticks(from), to: ticks(to)}
	q.to = max(q.to, q.from+1)
	q.step = max((q.to-q.from+int64(points)-1)/int64(points), 1)
	if q.step >= ticksPerMinute {
		q.step = (q.step + ticksPerMinute - 1) / ticksPerMinute * ticksPerMinute
		q.from = q.from / ticksPerMinute * ticksPerMinute
	}
	q.sums = make([]sum, (q.to-q.from+q.step-1)/q.step)
	return q
}

// fromDisk adds what is on disk: minutes where the steps are as long and the hour has them, else changes.
func (q *steps) fromDisk(ctx context.Context, db *sql.DB, signal string) error {
	var number, oldest int64 // of the changes of all signals
	err := db.QueryRowContext(ctx, `SELECT id, (SELECT COALESCE(MIN(id), 0) FROM history_raw) FROM history_signals WHERE name = ?`, signal).Scan(&number, &oldest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	raw, err := rawReader(ctx, db)
	if err != nil {
		return err
	}
	defer raw.find.Close()
	changes := func(at int64) (chunks []chunk, err error) {
		from, to := max(at*hourTicks, q.from), min((at+1)*hourTicks, q.to)
		if rowOfSlot((to-1)/slotTicks, number) < oldest {
			return nil, nil
		}
		err = raw.each(ctx, number, number, from, to, func(_ int64, c chunk) { chunks = append(chunks, c) })
		return chunks, err
	}
	byMinute, err := db.PrepareContext(ctx, `SELECT body FROM history_minutes WHERE id = ?`)
	if err != nil {
		return err
	}
	defer byMinute.Close()
	for at := q.from / hourTicks; at*hourTicks < q.to; at++ {
		var chunks []chunk
		if q.step < ticksPerMinute {
			if chunks, err = changes(at); err != nil {
				return err
			}
		}
		if len(chunks) == 0 {
			found, err := q.minutes(ctx, byMinute, raw.u, at, number)
			if err != nil {
				return err
			}
			if !found && q.step >= ticksPerMinute {
				if chunks, err = changes(at); err != nil {
					return err
				}
			}
		}
		q.within(at, chunks)
	}
	return nil
}

// within adds what chunks say of one hour: the next is added by its own.
func (q *steps) within(at int64, chunks []chunk) {
	begin, end := max(at*hourTicks, q.from), min((at+1)*hourTicks, q.to)
	for _, c := range chunks {
		spread(q.sums, q.from, q.step, c.cut(begin, end))
	}
}

// cut is what a chunk says of a stretch of time.
func (c chunk) cut(begin, end int64) chunk {
	first, last := 0, len(c.entries)
	for i, e := range c.entries {
		if c.from+int64(e.at) <= begin {
			first = i
		}
		if c.from+int64(e.at) >= end {
			last = i
			break
		}
	}
	cut := chunk{from: max(c.from, begin), until: min(c.until, end)}
	if cut.until < cut.from || cut.until == cut.from && c.until > c.from {
		return chunk{from: begin, until: begin}
	}
	for _, e := range c.entries[min(first, last):last] {
		e.at = int32(max(c.from+int64(e.at)-cut.from, 0))
		cut.entries = append(cut.entries, e)
	}
	return cut
}

// minutes adds the minutes of an hour, and tells whether there are any. One that cannot be read is none.
func (q *steps) minutes(ctx context.Context, find *sql.Stmt, u *unpacker, at, number int64) (found bool, err error) {
	var body []byte
	err = find.QueryRowContext(ctx, rowOfHour(at, number)).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	h, err := u.hour(body)
	if err != nil {
		return false, nil
	}
	for i := range h {
		if n := (at*hourTicks + int64(i)*ticksPerMinute - q.from); n >= 0 && n/q.step < int64(len(q.sums)) {
			q.sums[n/q.step].minute(&h[i])
		}
	}
	return true, nil
}

func (q *steps) buckets() []Bucket {
	all := make([]Bucket, len(q.sums))
	duration := func(n int64) time.Duration { return time.Duration(min(n, q.step)) * time.Second / ticksPerSecond }
	for i := range q.sums {
		s := &q.sums[i]
		all[i] = Bucket{Start: fromTicks(q.from + int64(i)*q.step), Good: duration(s.good), Bad: duration(s.bad), Reason: s.reason()}
		if s.any {
			all[i].Known = true
			all[i].Min, all[i].Mean, all[i].Max, all[i].Last = s.min, s.mean(), s.max, s.last
		}
	}
	return all
}
