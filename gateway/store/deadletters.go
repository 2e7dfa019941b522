package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// A queue keeps its newest dead letters, so many and so many bytes.
const (
	deadLetters     = 1000
	deadLetterBytes = 4 << 20
)

// DeadLetter is what a platform will never take, with its reason.
type DeadLetter struct {
	Time   time.Time
	Reason string
	Lines  []byte
}

// DeadLetter keeps lines that the platform will never take. The queue keeps the newest, 1,000 and 4 MiB at most, and
// always the last.
func (q *Queue) DeadLetter(ctx context.Context, lines []byte, reason string, at time.Time) error {
	err := q.store.series.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO dead (queue, time, reason, size, lines) VALUES (?, ?, ?, ?, ?)`,
			q.name, nanos(at), reason, len(lines), orEmpty(lines))
		if err != nil {
			return err
		}
		return q.trimDead(tx)
	}, nil)
	if err != nil {
		return fmt.Errorf("store: dead letter of queue %s: %w", q.name, err)
	}
	return nil
}

// trimDead drops the dead letters that are too many.
func (q *Queue) trimDead(tx *sql.Tx) error {
	rows, err := tx.Query(`SELECT id, size FROM dead WHERE queue = ? ORDER BY id DESC`, q.name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for letters, bytes := 0, 0; rows.Next(); letters++ {
		var id int64
		var size int
		if err := rows.Scan(&id, &size); err != nil {
			return err
		}
		bytes += size
		if letters == deadLetters || letters > 0 && bytes > deadLetterBytes {
			rows.Close()
			_, err := tx.Exec(`DELETE FROM dead WHERE queue = ? AND id <= ?`, q.name, id)
			return err
		}
	}
	return rows.Err()
}

// DeadLetters returns dead letters, the newest first; limit 0 is all.
func (q *Queue) DeadLetters(ctx context.Context, limit int) (letters []DeadLetter, err error) {
	err = q.store.series.read(ctx, func(db *sql.DB) (err error) {
		letters, err = collect(ctx, db, func(rows *sql.Rows) (l DeadLetter, err error) {
			var at int64
			err = rows.Scan(&at, &l.Reason, &l.Lines)
			l.Time = fromNanos(at)
			return l, err
		}, `SELECT time, reason, lines FROM dead WHERE queue = ? ORDER BY id DESC LIMIT ?`, q.name, orAll(limit))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: dead letters of queue %s: %w", q.name, err)
	}
	return letters, nil
}
