package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"embergate/rules"
)

// clockSlack is how far a clock may be behind before it is taken to have been set back.
const clockSlack = time.Minute

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

// Due says which messages a channel may send.
type Due struct {
	Channel string
	Now     time.Time
	Limit   int      // 0 is all
	Urgent  bool     // only those
	Apart   bool     // each person is told apart: what ends an alarm waits for nothing of another person
	Except  []string // people who are left out, as Message.To
	After   int64    // only those committed after this one; 0 is all
}

// turn is the order of delivery: fire, then what is urgent, then the rest. The index messages_by_turn has the same words.
const turn = `CASE WHEN class = 'fire' THEN 0 WHEN urgent THEN 1 ELSE 2 END`

const messageColumns = `id, channel, recipient, event, type, alarm, class, urgent, created, not_before, attempts, last_error, body`

// where is the condition of a Due but for its time. What ends an alarm (cleared, reset, closed) waits until what came
// before it of that alarm is settled, so that nobody reads "raised" after "cleared".
func (d Due) where() (condition string, args []any) {
	same := ""
	if d.Apart {
		same = ` AND e.recipient = m.recipient`
	}
	condition = `channel = ? AND NOT (type IN (` + words(ending) + `) AND alarm <> ''
	AND EXISTS (SELECT 1 FROM messages AS e WHERE e.channel = m.channel AND e.alarm = m.alarm AND e.id < m.id` + same + `))`
	args = []any{d.Channel}
	if d.Urgent {
		condition += ` AND urgent`
	}
	if d.After != 0 {
		condition += ` AND id > ?`
		args = append(args, d.After)
	}
	if len(d.Except) > 0 {
		condition += ` AND recipient NOT IN (SELECT value FROM json_each(?))`
		args = append(args, listed(d.Except))
	}
	return condition, args
}

// listed is a list of words for json_each.
func listed(words []string) string {
	list, _ := json.Marshal(words) // strings always marshal
	return string(list)
}

// DueMessages returns messages of a channel whose time has come: fire first, then what is urgent, then in the order of
// Commit. A clock that was set back behind the moment NotBefore was decided makes a message due at once.
func (s *Store) DueMessages(ctx context.Context, d Due) (due []Message, err error) {
	where, args := d.where()
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		due, err = collect(ctx, db, scanMessage, `SELECT `+messageColumns+` FROM messages AS m
WHERE `+where+` AND (not_before <= ? OR decided > ?) ORDER BY `+turn+`, id LIMIT ?`,
			append(args, nanos(d.Now), nanos(d.Now.Add(clockSlack)), orAll(d.Limit))...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: due messages of %s: %w", d.Channel, err)
	}
	return due, nil
}

// NextDue is the earliest time after a given one for which a message of a channel waits, the zero time where none does;
// and how many of its messages are not settled.
func (s *Store) NextDue(ctx context.Context, channel string, after time.Time) (next time.Time, pending int, err error) {
	err = s.state.read(ctx, func(db *sql.DB) error {
		var earliest sql.NullInt64
		if err := db.QueryRowContext(ctx, `SELECT MIN(not_before) FROM messages WHERE channel = ? AND not_before > ?`,
			channel, nanos(after)).Scan(&earliest); err != nil {
			return err
		}
		next = fromNanos(earliest.Int64)
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM messages WHERE channel = ?`, channel).Scan(&pending)
	})
	if err != nil {
		return time.Time{}, 0, fmt.Errorf("store: next message of %s: %w", channel, err)
	}
	return next, pending, nil
}

// MessagesOf returns what is not settled of some alarms in a channel, in the order of Commit.
func (s *Store) MessagesOf(ctx context.Context, channel string, alarms []string) (all []Message, err error) {
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		all, err = collect(ctx, db, scanMessage, `SELECT `+messageColumns+` FROM messages
WHERE channel = ? AND alarm <> '' AND alarm IN (SELECT value FROM json_each(?)) ORDER BY id`, channel, listed(alarms))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: messages of %s: %w", channel, err)
	}
	return all, nil
}

func scanMessage(rows *sql.Rows) (m Message, err error) {
	var created, notBefore int64
	err = rows.Scan(&m.ID, &m.Channel, &m.To, &m.Event, &m.Type, &m.Alarm, &m.Class, &m.Urgent, &created, &notBefore,
		&m.Attempts, &m.LastError, &m.Body)
	m.Created, m.NotBefore = fromNanos(created), fromNanos(notBefore)
	return m, err
}

// SettleMessages takes messages out of their queue, Accepted or Never, and writes the ledger: a line each. One attempt
// may have been for several. The error wraps ErrNotFound where all were settled before.
func (s *Store) SettleMessages(ctx context.Context, ids []int64, outcome Outcome, detail string, at time.Time) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error {
		if outcome != Accepted && outcome != Never {
			return fmt.Errorf("outcome %q settles nothing", outcome)
		}
		return eachEntered(tx, ids, outcome, detail, at, func(id int64) error {
			_, err := tx.Exec(`DELETE FROM messages WHERE id = ?`, id)
			return err
		})
	}, nil)
	if err != nil {
		return fmt.Errorf("store: settle messages %v: %w", ids, err)
	}
	return nil
}

// RetryMessages notes a failed attempt and when to try again, and writes the ledger, as SettleMessages.
func (s *Store) RetryMessages(ctx context.Context, ids []int64, notBefore time.Time, why string, at time.Time) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error {
		return eachEntered(tx, ids, Retry, why, at, func(id int64) error {
			_, err := tx.Exec(`UPDATE messages SET attempts = attempts + 1, not_before = ?, decided = ?, last_error = ? WHERE id = ?`,
				nanos(notBefore), nanos(at), why, id)
			return err
		})
	}, nil)
	if err != nil {
		return fmt.Errorf("store: retry messages %v: %w", ids, err)
	}
	return nil
}

// eachEntered writes the ledger and changes the message, for each that is there.
func eachEntered(tx *sql.Tx, ids []int64, outcome Outcome, detail string, at time.Time, change func(id int64) error) error {
	found := false
	for _, id := range ids {
		err := enter(tx, id, outcome, detail, at)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err == nil {
			err = change(id)
		}
		if err != nil {
			return err
		}
		found = true
	}
	if !found {
		return ErrNotFound
	}
	return nil
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
