package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

const (
	// batchGap is the distance between the ids of batches, so that parts of one keep its place when it is split.
	batchGap = 1 << 20
	// evictAtOnce is how many batches one Append drops for the limit.
	evictAtOnce = 1000
	// evictMore is how many bytes more than it needs a batch frees on a full disk: pages are freed whole.
	evictMore = 16 << 10
	// The file shrinks once so many of its pages and three quarters of it are free, so many pages at a time.
	shrinkFrom = 2048
	shrinkBy   = 512
)

// QueueLimit is how much a queue may hold; zero is no limit.
type QueueLimit struct {
	Bytes int64         // of bodies, as stored
	Age   time.Duration // older than the batch that arrives
}

// Batch is what an uplink sends in one call.
type Batch struct {
	ID     int64 // given by the queue; grows from old to new
	Lines  int
	Oldest time.Time // of its lines
	Body   []byte    // gzip line protocol, opaque here
}

// Queue is the durable queue of one uplink in series.db. Reading does not remove; removal comes after delivery, so a
// restart sends again at most what was not removed. Nothing leaves it otherwise but for the limit.
type Queue struct {
	store *Store
	name  string

	mu     sync.Mutex
	limit  QueueLimit // guarded by mu
	stats  QueueStats // guarded by mu; written only by the writer of series, as is newest
	newest Batch      // guarded by mu; as it was appended, while nothing else has changed since: it need not be read. Else zero
}

// Queue returns the queue of that name. The same name is the same queue, and the limit given last is in force.
func (s *Store) Queue(name string, limit QueueLimit) *Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queueLocked(name)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = limit
	return q
}

func (s *Store) queueLocked(name string) *Queue {
	q, ok := s.queues[name]
	if !ok {
		q = &Queue{store: s, name: name}
		s.queues[name] = q
	}
	return q
}

// loadQueues counts what series.db holds. The caller is its writer.
func (s *Store) loadQueues(ctx context.Context) error {
	found := map[string]QueueStats{}
	var last int64
	_, err := collect(ctx, s.series.readers, func(rows *sql.Rows) (name string, err error) {
		var st QueueStats
		var oldest, id int64
		err = rows.Scan(&name, &st.Records, &st.Batches, &st.Bytes, &oldest, &id, &st.Dropped)
		st.Oldest = fromNanos(oldest)
		last = max(last, id)
		found[name] = st
		return name, err
	}, `
SELECT name, COALESCE(SUM(b.lines), 0), COUNT(b.id), COALESCE(SUM(size), 0),
	COALESCE((SELECT oldest FROM batches WHERE queue = name ORDER BY id LIMIT 1), 0), COALESCE(MAX(b.id), 0),
	COALESCE((SELECT lines FROM dropped WHERE queue = name), 0)
FROM (SELECT DISTINCT queue AS name FROM batches UNION SELECT queue FROM dropped) LEFT JOIN batches AS b ON b.queue = name
GROUP BY name`)
	if err != nil {
		return fmt.Errorf("count queues: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextBatch = max(s.nextBatch, (last/batchGap+1)*batchGap)
	for name := range found {
		s.queueLocked(name)
	}
	for name, q := range s.queues {
		q.set(found[name], Batch{})
	}
	return nil
}

func (q *Queue) set(st QueueStats, newest Batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stats, q.newest = st, newest
}

// Stats is how full the queue is, from memory.
func (q *Queue) Stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

// change runs op in one transaction of series.db. op changes st along with the rows; newest is what it appends last, or nil.
func (q *Queue) change(ctx context.Context, newest *Batch, op func(tx *sql.Tx, st *QueueStats) error) error {
	var after QueueStats
	return q.store.series.write(ctx, func(tx *sql.Tx) error {
		after = q.Stats()
		return op(tx, &after)
	}, func() {
		if newest == nil {
			newest = &Batch{}
		}
		q.set(after, *newest)
	})
}

// Append adds a batch in one commit; b.ID is ignored. What is over the limit is dropped, oldest first, and counted; and
// where the disk has only left what alarms need, so much of the oldest that b takes its place. The error wraps ErrFull
// where that is not enough; then nothing has changed.
func (q *Queue) Append(ctx context.Context, b Batch) error {
	room := q.store.Room()
	err := room
	if room == nil || q.mayMakeRoom(ctx, b) {
		err = q.change(ctx, &b, func(tx *sql.Tx, st *QueueStats) error {
			if err := q.evict(tx, st, b, room != nil); err != nil {
				return err
			}
			b.ID = q.store.nextBatch
			q.store.nextBatch += batchGap
			return q.insert(tx, st, b.ID, b)
		})
	}
	if err != nil {
		return fmt.Errorf("store: append %d lines to queue %s: %w", b.Lines, q.name, err)
	}
	return nil
}

// Room is nil while there is room for telemetry, else an error that wraps ErrFull: the disk has only left what alarms may
// need.
func (s *Store) Room() error { return s.roomBeside(0) }

// roomBeside is Room for what leaves so many bytes more.
func (s *Store) roomBeside(more int64) error {
	left, err := free(s.dir)
	if err != nil {
		return err
	}
	if left-more < s.reserve {
		return fmt.Errorf("%w: %d bytes left, telemetry leaves %d to alarms", ErrFull, left, s.reserve)
	}
	return nil
}

// mayMakeRoom tells whether b can take the place of older batches, or of what left the file: the log that this goes through
// needs a little room.
func (q *Queue) mayMakeRoom(ctx context.Context, b Batch) bool {
	left, err := free(q.store.dir)
	if err != nil || left < q.store.reserve/2 {
		return false
	}
	unused := int64(0) // pages of the file that hold nothing
	err = q.store.series.read(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `PRAGMA freelist_count`).Scan(&unused)
	})
	return err == nil && q.Stats().Bytes+unused*pageSize >= int64(len(b.Body))+evictMore
}

func (q *Queue) insert(tx *sql.Tx, st *QueueStats, id int64, b Batch) error {
	_, err := tx.Exec(`INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)`, id, q.name, b.Lines, nanos(b.Oldest), len(b.Body), orEmpty(b.Body))
	if err != nil {
		return err
	}
	if st.Batches == 0 {
		st.Oldest = fromNanos(nanos(b.Oldest)) // as it is read again
	}
	st.Batches++
	st.Records += int64(b.Lines)
	st.Bytes += int64(len(b.Body))
	return nil
}

// oldest finds out anew of which time the oldest batch is.
func (q *Queue) oldest(tx *sql.Tx, st *QueueStats) error {
	var oldest int64
	if st.Batches > 0 {
		err := tx.QueryRow(`SELECT oldest FROM batches WHERE queue = ? ORDER BY id LIMIT 1`, q.name).Scan(&oldest)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
	}
	st.Oldest = fromNanos(oldest)
	return nil
}

// evict drops the oldest batches until b is within the limit, and where it is to make room until b fits into what they
// leave. A batch that is over the limit alone is kept.
func (q *Queue) evict(tx *sql.Tx, st *QueueStats, b Batch, makeRoom bool) error {
	q.mu.Lock()
	limit := q.limit
	q.mu.Unlock()
	if makeRoom {
		var unused int64 // pages of the file that hold nothing
		if err := tx.QueryRow(`PRAGMA freelist_count`).Scan(&unused); err != nil {
			return err
		}
		limit.Bytes = min(max(st.Bytes+unused*pageSize-evictMore, 1), orMost(limit.Bytes))
	}
	var dropped int64
	for range evictAtOnce {
		over := limit.Bytes > 0 && st.Bytes+int64(len(b.Body)) > limit.Bytes
		tooOld := limit.Age > 0 && st.Oldest.Before(b.Oldest.Add(-limit.Age))
		if st.Batches == 0 || !over && !tooOld {
			break
		}
		var id, lines, size int64
		err := tx.QueryRow(`SELECT id, lines, size FROM batches WHERE queue = ? ORDER BY id LIMIT 1`, q.name).Scan(&id, &lines, &size)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM batches WHERE id = ?`, id); err != nil {
			return err
		}
		dropped += lines
		st.Batches, st.Records, st.Bytes = st.Batches-1, st.Records-lines, st.Bytes-size
		if err := q.oldest(tx, st); err != nil {
			return err
		}
	}
	if dropped == 0 {
		return nil
	}
	st.Dropped += dropped
	_, err := tx.Exec(`INSERT INTO dropped VALUES (?, ?) ON CONFLICT (queue) DO UPDATE SET lines = lines + excluded.lines`, q.name, dropped)
	return err
}

// orMost is a limit, where 0 is none.
func orMost(limit int64) int64 {
	if limit == 0 {
		return math.MaxInt64
	}
	return limit
}

// Newest returns the batch that was appended last, false where the queue is empty. Its body may be the one that was appended.
func (q *Queue) Newest(ctx context.Context) (Batch, bool, error) {
	q.mu.Lock()
	newest, empty := q.newest, q.stats.Batches == 0
	q.mu.Unlock()
	if empty || newest.ID != 0 {
		return newest, !empty, nil
	}
	batches, err := q.batches(ctx, `DESC`, 1)
	if err != nil || len(batches) == 0 {
		return Batch{}, false, err
	}
	return batches[0], true, nil
}

// Oldest returns up to n batches, the oldest first.
func (q *Queue) Oldest(ctx context.Context, n int) ([]Batch, error) {
	if q.Stats().Batches == 0 {
		return nil, nil
	}
	return q.batches(ctx, `ASC`, n)
}

func (q *Queue) batches(ctx context.Context, order string, n int) (batches []Batch, err error) {
	err = q.store.series.read(ctx, func(db *sql.DB) (err error) {
		batches, err = collect(ctx, db, func(rows *sql.Rows) (b Batch, err error) {
			var oldest int64
			err = rows.Scan(&b.ID, &b.Lines, &oldest, &b.Body)
			b.Oldest = fromNanos(oldest)
			return b, err
		}, `SELECT id, lines, oldest, body FROM batches WHERE queue = ? ORDER BY id `+order+` LIMIT ?`, q.name, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: read queue %s: %w", q.name, err)
	}
	return batches, nil
}

// Remove takes delivered batches out. One that is no longer there, dropped for the limit meanwhile, is no error.
func (q *Queue) Remove(ctx context.Context, ids ...int64) error {
	var freed int64
	err := q.change(ctx, nil, func(tx *sql.Tx, st *QueueStats) error {
		before := *st
		for _, id := range ids {
			if err := q.remove(tx, st, id); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		freed = (before.Bytes-st.Bytes)/pageSize + before.Batches - st.Batches
		return q.oldest(tx, st)
	})
	if err != nil {
		return fmt.Errorf("store: remove %d batches from queue %s: %w", len(ids), q.name, err)
	}
	q.store.series.shrink(ctx, freed)
	return nil
}

func (q *Queue) remove(tx *sql.Tx, st *QueueStats, id int64) error {
	var lines, size int64
	err := tx.QueryRow(`DELETE FROM batches WHERE queue = ? AND id = ? RETURNING lines, size`, q.name, id).Scan(&lines, &size)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	st.Batches, st.Records, st.Bytes = st.Batches-1, st.Records-lines, st.Bytes-size
	return nil
}

// Replace puts the parts of a batch in its place, as when it is halved. The error wraps ErrNotFound where the batch is no
// longer there.
func (q *Queue) Replace(ctx context.Context, id int64, with []Batch) error {
	err := q.change(ctx, nil, func(tx *sql.Tx, st *QueueStats) error {
		if err := q.remove(tx, st, id); err != nil {
			return err
		}
		var next int64
		err := tx.QueryRow(`SELECT COALESCE(MIN(id), ?) FROM batches WHERE id > ?`, (id/batchGap+1)*batchGap, id).Scan(&next)
		if err != nil {
			return err
		}
		next = min(next, (id/batchGap+1)*batchGap)
		if int64(len(with)) > next-id {
			return fmt.Errorf("no room for %d parts", len(with))
		}
		for i, part := range with {
			if err := q.insert(tx, st, id+int64(i)*(next-id)/int64(len(with)), part); err != nil {
				return err
			}
		}
		return q.oldest(tx, st)
	})
	if err != nil {
		return fmt.Errorf("store: replace batch %d of queue %s: %w", id, q.name, err)
	}
	return nil
}
