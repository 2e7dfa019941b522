package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// Transaction is what must be on disk before anyone is told.
type Transaction struct {
	Events   []alarm.Event  // appended to the journal; Seq is filled in
	Records  []alarm.Record // upserted by Key, deleted where Gone
	Messages []Message      // for the channels; ID is filled in
	Settings []Setting      // upserted by Key, deleted where Value is ""

	Withdrawn []string // ids of alarms: their reminders and escalations that wait are no longer wanted, but for Messages
}

// Commit writes all of tx, on disk when it returns nil, or nothing. It fills in Seq of the events and ID of the messages.
// An alarm in an event becomes the latest state of that alarm. The error wraps ErrFull where the disk is full.
func (s *Store) Commit(ctx context.Context, tx *Transaction) error {
	events := append([]alarm.Event(nil), tx.Events...)
	ids := make([]int64, len(tx.Messages))
	err := s.state.write(ctx, func(db *sql.Tx) error {
		if err := appendEvents(db, events); err != nil {
			return err
		}
		for _, r := range tx.Records {
			if err := putRecord(db, r); err != nil {
				return err
			}
		}
		for _, set := range tx.Settings {
			if err := putSetting(db, set); err != nil {
				return err
			}
		}
		for _, id := range tx.Withdrawn {
			if err := withdraw(db, id); err != nil {
				return err
			}
		}
		for i, m := range tx.Messages {
			var err error
			if ids[i], err = putMessage(db, m); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		return fmt.Errorf("store: commit %d events, %d records, %d messages: %w", len(tx.Events), len(tx.Records), len(tx.Messages), err)
	}
	for i := range events {
		tx.Events[i].Seq = events[i].Seq
	}
	for i := range ids {
		tx.Messages[i].ID = ids[i]
	}
	return nil
}

func appendEvents(db *sql.Tx, events []alarm.Event) error {
	if len(events) == 0 {
		return nil
	}
	var seq int64
	var hash []byte
	if err := db.QueryRow(`SELECT seq, hash FROM head`).Scan(&seq, &hash); err != nil {
		return fmt.Errorf("head of the journal: %w", err)
	}
	for i := range events {
		e := &events[i]
		seq++
		e.Seq = seq
		row, err := rowOf(*e)
		if err != nil {
			return err
		}
		hash = chain(hash, row.body)
		if _, err := db.Exec(`INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			row.seq, row.id, row.time, row.kind, row.alarm, row.device, row.class, row.body, hash); err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		if e.Alarm != nil {
			if err := putAlarm(db, seq, *e.Alarm); err != nil {
				return err
			}
		}
	}
	_, err := db.Exec(`UPDATE head SET seq = ?, hash = ?`, seq, hash)
	return err
}

// chain is the hash of a row: SHA-256 over the hash of the row before (32 zero bytes before the first) and its body.
func chain(previous, body []byte) []byte {
	h := sha256.New()
	h.Write(previous)
	h.Write(body)
	return h.Sum(nil)
}

// eventRow is an event as stored: body is its JSON, which the hash covers; the rest repeats what is queried.
type eventRow struct {
	seq                        int64
	id                         string
	time                       int64
	kind, alarm, device, class string
	body, hash                 []byte
}

func rowOf(e alarm.Event) (eventRow, error) {
	if e.Alarm != nil {
		a := storable(*e.Alarm)
		e.Alarm = &a
	}
	body, err := json.Marshal(e)
	if err != nil {
		return eventRow{}, fmt.Errorf("event %s: %w", e.ID, err)
	}
	return parseRow(body)
}

// parseRow makes the row of a body. It is read back, since JSON may change what it cannot hold, as text that is not UTF-8.
func parseRow(body []byte) (eventRow, error) {
	var e alarm.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return eventRow{}, fmt.Errorf("event: %w", err)
	}
	row := eventRow{seq: e.Seq, id: e.ID, time: nanos(e.Time), kind: e.Type, body: body}
	if a := e.Alarm; a != nil {
		row.alarm, row.device, row.class = a.ID, a.Device, string(a.Class)
	}
	return row, nil
}

// storable drops a value that JSON cannot hold: an alarm must not be lost for a number.
func storable(a alarm.Alarm) alarm.Alarm {
	if a.Value != nil && (math.IsNaN(*a.Value) || math.IsInf(*a.Value, 0)) {
		a.Value = nil
	}
	return a
}

// Events returns up to limit events after the one numbered after, in the order of the journal; limit 0 is all.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]alarm.Event, error) {
	return s.events(ctx, `WHERE seq > ? ORDER BY seq LIMIT ?`, after, orAll(limit))
}

// EventQuery selects events. What is zero selects all.
type EventQuery struct {
	From, To time.Time // From ≤ time < To
	Device   string
	Class    rules.Class
	Types    []string // none is all; for FindEvents
	Limit    int
}

// FindEvents returns events, the newest first.
func (s *Store) FindEvents(ctx context.Context, q EventQuery) ([]alarm.Event, error) {
	where, args := conditions("time", q.From, q.To, q.Device, q.Class)
	if len(q.Types) > 0 {
		where += ` AND type IN (?` + strings.Repeat(`, ?`, len(q.Types)-1) + `)`
		for _, t := range q.Types {
			args = append(args, t)
		}
	}
	return s.events(ctx, where+` ORDER BY time DESC, seq DESC LIMIT ?`, append(args, orAll(q.Limit))...)
}

// conditions are those that alarms and events share. A device decides over a class: it is the narrower index.
func conditions(column string, from, to time.Time, device string, class rules.Class) (where string, args []any) {
	where = `WHERE 1`
	add := func(condition string, arg any) { where, args = where+` AND `+condition, append(args, arg) }
	if device != "" {
		add(`device <> '' AND device = ?`, device)
	}
	if class != "" && device != "" {
		add(`+class = ?`, string(class))
	} else if class != "" {
		add(`class <> '' AND class = ?`, string(class))
	}
	if !from.IsZero() {
		add(column+` >= ?`, nanos(from))
	}
	if !to.IsZero() {
		add(column+` < ?`, nanos(to))
	}
	return where, args
}

func (s *Store) events(ctx context.Context, where string, args ...any) (events []alarm.Event, err error) {
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		events, err = collect(ctx, db, s.scanEvent, `SELECT seq, id, time, body FROM events `+where, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: read events: %w", err)
	}
	return events, nil
}

// unreadable is the type of an event whose line is damaged. It stands in its place, so that those after it are read.
const unreadable = "journal.unreadable"

func (s *Store) scanEvent(rows *sql.Rows) (e alarm.Event, err error) {
	var seq, at int64
	var id string
	var body sql.RawBytes
	if err := rows.Scan(&seq, &id, &at, &body); err != nil {
		return e, err
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Seq != seq {
		s.cannotRead("an event", seq)
		return alarm.Event{Seq: seq, ID: id, Time: fromNanos(at), Type: unreadable}, nil
	}
	return e, nil
}

// scanJSON reads a row of one column of JSON.
func scanJSON(rows *sql.Rows, into any) error {
	var body sql.RawBytes
	if err := rows.Scan(&body); err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// LastSeq is the number of the newest event, 0 where there is none. Who remembers a greater one remembers a journal
// that was set aside as damaged, and starts over.
func (s *Store) LastSeq(ctx context.Context) (seq int64, err error) {
	err = s.state.read(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT seq FROM head`).Scan(&seq)
	})
	if err != nil {
		return 0, fmt.Errorf("store: last event: %w", err)
	}
	return seq, nil
}

// ChainError names the first event of the journal that does not fit.
type ChainError struct {
	Seq  int64
	What string
}

// Error says which event and what is wrong with it.
func (e *ChainError) Error() string { return fmt.Sprintf("journal: event %d: %s", e.Seq, e.What) }

// VerifyJournal reads the whole journal and returns how many events fit. The error is a *ChainError where one was
// changed, removed or swapped. It proves nothing against someone who computed the whole chain anew: compare with the
// copies that the uplinks hold.
func (s *Store) VerifyJournal(ctx context.Context) (n int64, err error) {
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		n, err = verify(ctx, db)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("store: verify: %w", err)
	}
	return n, nil
}

func verify(ctx context.Context, db *sql.DB) (n int64, err error) {
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // rows and head of one moment
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	var head int64
	var headHash []byte
	if err := tx.QueryRowContext(ctx, `SELECT seq, hash FROM head`).Scan(&head, &headHash); err != nil {
		return 0, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT seq, id, time, type, alarm, device, class, body, hash FROM events NOT INDEXED ORDER BY seq`)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	hash := make([]byte, sha256.Size)
	for rows.Next() {
		var r eventRow
		if err := rows.Scan(&r.seq, &r.id, &r.time, &r.kind, &r.alarm, &r.device, &r.class, &r.body, &r.hash); err != nil {
			return n, err
		}
		if what := r.misfit(n+1, hash); what != "" {
			return n, &ChainError{min(r.seq, n+1), what}
		}
		hash = r.hash
		n++
	}
	if err := rows.Err(); err != nil {
		return n, err
	}
	if n != head {
		return n, &ChainError{min(n, head) + 1, fmt.Sprintf("the journal should end at %d, it ends at %d", head, n)}
	}
	if !bytes.Equal(hash, headHash) {
		return n, &ChainError{n, "differs from what the journal should end with"}
	}
	return n, nil
}

// misfit says what is wrong with the row that should be number seq after previous, "" where nothing is.
func (r eventRow) misfit(seq int64, previous []byte) string {
	if r.seq != seq {
		return fmt.Sprintf("removed, or renumbered to %d", r.seq)
	}
	if !bytes.Equal(r.hash, chain(previous, r.body)) {
		return "changed, or not the one that followed"
	}
	want, err := parseRow(r.body)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	if r.seq != want.seq || r.id != want.id || r.time != want.time || r.kind != want.kind || r.alarm != want.alarm ||
		r.device != want.device || r.class != want.class {
		return "its columns differ from what was signed"
	}
	return ""
}
