package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"embergate/rules"
)

const (
	ledgerRows = 100_000     // deliveries that are kept
	clockSlack = time.Minute // a clock is taken to have been set back when it is behind by more
)

// Message is one notification for one channel, durable until it is settled.
type Message struct {
	ID        int64
	Channel   string
	Event     string // the event's id
	Type      string // the event's type
	To        string // ids of the people it is for, with commas between them; "": whoever reads the channel
	Alarm     string // the alarm's id; "" where the message is of no alarm
	Class     rules.Class
	Urgent    bool
	Created   time.Time
	NotBefore time.Time // zero is at once
	Attempts  int
	LastError string
	Body      []byte
}

// Outcome is how one attempt to deliver ended.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted" // the channel has taken it
	Never    Outcome = "never"    // it will never be taken, and is given up
	Retry    Outcome = "retry"    // it is tried again
)

// Delivery is one line of the ledger: one attempt.
type Delivery struct {
	Time    time.Time
	Channel string
	Message int64
	Event   string // the event's id
	Type    string
	To      string // as Message.To
	Alarm   string
	Outcome Outcome
	Detail  string        // why it failed; the far side's id of the message, where it was accepted
	Latency time.Duration // since the message was created
}

// QueueStats is how full a queue is.
type QueueStats struct {
	Records int64     // lines, or messages
	Batches int64     // of an uplink
	Bytes   int64     // of bodies, as stored
	Oldest  time.Time // zero where the queue is empty
	Dropped int64     // lines given up for the limit, since the file began
}

func putMessage(db *sql.Tx, m Message) (int64, error) {
	result, err := db.Exec(`INSERT INTO messages
		(channel, recipient, event, type, alarm, class, urgent, created, not_before, decided, attempts, last_error, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		m.Channel, m.To, m.Event, m.Type, m.Alarm, string(m.Class), m.Urgent, nanos(m.Created), nanos(m.NotBefore), nanos(m.Created),
		m.Attempts, m.LastError, orEmpty(m.Body))
	if err != nil {
		return 0, fmt.Errorf("message of %s for %s: %w", m.Event, m.Channel, err)
	}
	return result.LastInsertId()
}

// orEmpty keeps nil from becoming NULL.
func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// DueMessages returns up to limit messages of a channel whose time has come: fire first, then in the order of Commit.
// What ends an alarm (cleared, reset, closed) waits until all that came before it of that alarm is settled, so nobody
// reads "raised" after "cleared". A clock that was set back behind the moment NotBefore was decided makes it due at once.
func (s *Store) DueMessages(ctx context.Context, channel string, now time.Time, limit int) (due []Message, err error) {
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		due, err = collect(ctx, db, scanMessage, `
SELECT id, channel, recipient, event, type, alarm, class, urgent, created, not_before, attempts, last_error, body
FROM messages AS m
WHERE channel = ?1 AND (not_before <= ?2 OR decided > ?4)
	AND NOT ((type LIKE '%.cleared' OR type LIKE '%.reset' OR type LIKE '%.closed') AND alarm <> ''
		AND EXISTS (SELECT 1 FROM messages AS e WHERE e.channel = m.channel AND e.alarm = m.alarm AND e.id < m.id))
ORDER BY class <> 'fire', id LIMIT ?3`, channel, nanos(now), orAll(limit), nanos(now.Add(clockSlack)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: due messages of %s: %w", channel, err)
	}
	return due, nil
}

func scanMessage(rows *sql.Rows) (m Message, err error) {
	var created, notBefore int64
	err = rows.Scan(&m.ID, &m.Channel, &m.To, &m.Event, &m.Type, &m.Alarm, &m.Class, &m.Urgent, &created, &notBefore,
		&m.Attempts, &m.LastError, &m.Body)
	m.Created, m.NotBefore = fromNanos(created), fromNanos(notBefore)
	return m, err
}

// SettleMessage takes a message out of its queue, Accepted or Never, and writes the ledger. The error wraps ErrNotFound
// where it was settled before.
func (s *Store) SettleMessage(ctx context.Context, id int64, outcome Outcome, detail string, at time.Time) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error {
		if outcome != Accepted && outcome != Never {
			return fmt.Errorf("outcome %q settles nothing", outcome)
		}
		if err := enter(tx, id, outcome, detail, at); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM messages WHERE id = ?`, id)
		return err
	}, nil)
	if err != nil {
		return fmt.Errorf("store: settle message %d: %w", id, err)
	}
	return nil
}

// RetryMessage notes a failed attempt and when to try again, and writes the ledger.
func (s *Store) RetryMessage(ctx context.Context, id int64, notBefore time.Time, why string, at time.Time) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error {
		if err := enter(tx, id, Retry, why, at); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE messages SET attempts = attempts + 1, not_before = ?, decided = ?, last_error = ? WHERE id = ?`,
			nanos(notBefore), nanos(at), why, id)
		return err
	}, nil)
	if err != nil {
		return fmt.Errorf("store: retry message %d: %w", id, err)
	}
	return nil
}

// enter writes one line of the ledger and drops the lines that are too many.
func enter(tx *sql.Tx, id int64, outcome Outcome, detail string, at time.Time) error {
	result, err := tx.Exec(`INSERT INTO deliveries (time, channel, recipient, message, event, type, alarm, outcome, detail, latency)
		SELECT ?1, channel, recipient, id, event, type, alarm, ?2, ?3, ?1 - created FROM messages WHERE id = ?4`,
		nanos(at), string(outcome), detail, id)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, ErrNotFound)
	}
	line, err := result.LastInsertId()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM deliveries WHERE id <= ?`, line-ledgerRows)
	return err
}

// Deliveries returns the newest lines of the ledger, the newest first; limit 0 is all.
func (s *Store) Deliveries(ctx context.Context, limit int) (ledger []Delivery, err error) {
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		ledger, err = collect(ctx, db, func(rows *sql.Rows) (d Delivery, err error) {
			var at, latency int64
			err = rows.Scan(&at, &d.Channel, &d.To, &d.Message, &d.Event, &d.Type, &d.Alarm, &d.Outcome, &d.Detail, &latency)
			d.Time, d.Latency = fromNanos(at), time.Duration(latency)
			return d, err
		}, `SELECT time, channel, recipient, message, event, type, alarm, outcome, detail, latency FROM deliveries ORDER BY id DESC LIMIT ?`, orAll(limit))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: deliveries: %w", err)
	}
	return ledger, nil
}

// PendingMessages tells, by channel, how many messages are not settled.
func (s *Store) PendingMessages(ctx context.Context) (map[string]QueueStats, error) {
	pending := map[string]QueueStats{}
	err := s.state.read(ctx, func(db *sql.DB) error {
		clear(pending)
		_, err := collect(ctx, db, func(rows *sql.Rows) (channel string, err error) {
			var st QueueStats
			var oldest int64
			err = rows.Scan(&channel, &st.Records, &st.Bytes, &oldest)
			st.Oldest = fromNanos(oldest)
			pending[channel] = st
			return channel, err
		}, `SELECT channel, COUNT(*), SUM(LENGTH(body)), MIN(created) FROM messages GROUP BY channel`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: pending messages: %w", err)
	}
	return pending, nil
}
