package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ledgerRows is how many deliveries are kept.
const ledgerRows = 100_000

// Outcome is how one attempt to deliver ended.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted" // the channel has taken it
	Never    Outcome = "never"    // it will never be taken, and is given up
	Retry    Outcome = "retry"    // it is tried again
)

// Delivery is one line of the ledger: one attempt to deliver one message. Lines of one channel and time are one attempt
// for several messages.
type Delivery struct {
	Time    time.Time
	Channel string
	Message int64  // 0 for a test that was no message of the outbox
	Event   string // the event's id
	Type    string
	To      string // as Message.To
	Alarm   string
	Outcome Outcome
	Detail  string        // why it failed; the far side's id of the message, where it was accepted
	Latency time.Duration // since the message was created
}

// enter writes one line of the ledger for a message, and drops the lines that are too many.
func enter(tx *sql.Tx, id int64, outcome Outcome, detail string, at time.Time) error {
	result, err := tx.Exec(`INSERT INTO deliveries (time, channel, recipient, message, event, type, alarm, outcome, detail, latency)
		SELECT ?1, channel, recipient, id, event, type, alarm, ?2, ?3, ?1 - created FROM messages WHERE id = ?4`,
		nanos(at), string(outcome), detail, id)
	if err != nil {
		return err
	}
	return trim(tx, result)
}

// trim drops the lines that are too many after an insertion; ErrNotFound where it inserted none.
func trim(tx *sql.Tx, inserted sql.Result) error {
	if n, err := inserted.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrNotFound)
	}
	line, err := inserted.LastInsertId()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM deliveries WHERE id <= ?`, line-ledgerRows)
	return err
}

// RecordDelivery writes a line of the ledger for an attempt that was no message of the outbox.
func (s *Store) RecordDelivery(ctx context.Context, d Delivery) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error {
		result, err := tx.Exec(`INSERT INTO deliveries (time, channel, recipient, message, event, type, alarm, outcome, detail, latency)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			nanos(d.Time), d.Channel, d.To, d.Message, d.Event, d.Type, d.Alarm, string(d.Outcome), d.Detail, int64(d.Latency))
		if err != nil {
			return err
		}
		return trim(tx, result)
	}, nil)
	if err != nil {
		return fmt.Errorf("store: record delivery by %s: %w", d.Channel, err)
	}
	return nil
}

// Ledger selects lines of the ledger; what is zero selects nothing.
type Ledger struct {
	Channel string
	Alarm   string // id
	Outcome Outcome
	Since   time.Time // not before it
	Limit   int       // 0 is all
}

// where is the condition of a selection.
func (l Ledger) where() (string, []any) {
	conditions, args := []string{"1"}, []any{}
	add := func(condition string, arg any) {
		conditions, args = append(conditions, condition), append(args, arg)
	}
	if l.Alarm != "" {
		add(`alarm <> '' AND alarm = ?`, l.Alarm)
	}
	if l.Channel != "" {
		add(`channel = ?`, l.Channel)
	}
	if l.Outcome != "" {
		add(`outcome = ?`, string(l.Outcome))
	}
	if !l.Since.IsZero() {
		add(`time >= ?`, nanos(l.Since))
	}
	return strings.Join(conditions, " AND "), args
}

// Deliveries returns lines of the ledger, the newest first.
func (s *Store) Deliveries(ctx context.Context, l Ledger) (ledger []Delivery, err error) {
	where, args := l.where()
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		ledger, err = collect(ctx, db, func(rows *sql.Rows) (d Delivery, err error) {
			var at, latency int64
			err = rows.Scan(&at, &d.Channel, &d.To, &d.Message, &d.Event, &d.Type, &d.Alarm, &d.Outcome, &d.Detail, &latency)
			d.Time, d.Latency = fromNanos(at), time.Duration(latency)
			return d, err
		}, `SELECT time, channel, recipient, message, event, type, alarm, outcome, detail, latency FROM deliveries
WHERE `+where+` ORDER BY id DESC LIMIT ?`, append(args, orAll(l.Limit))...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: deliveries: %w", err)
	}
	return ledger, nil
}
