package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// Records returns all alarm records, by key. One that cannot be read is left out, which Damage says.
func (s *Store) Records(ctx context.Context) (records []alarm.Record, err error) {
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		records, err = readable[alarm.Record](ctx, db, s, "an alarm record", `SELECT key, body FROM records ORDER BY key`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: read alarm records: %w", err)
	}
	return records, nil
}

func putRecord(db *sql.Tx, r alarm.Record) error {
	if r.Gone {
		_, err := db.Exec(`DELETE FROM records WHERE key = ?`, r.Key)
		return err
	}
	if r.Alarm != nil {
		a := storable(*r.Alarm)
		r.Alarm = &a
	}
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("alarm record %s: %w", r.Key, err)
	}
	_, err = db.Exec(`INSERT INTO records VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body`, r.Key, body)
	return err
}

// AlarmQuery selects alarms. What is zero selects all.
type AlarmQuery struct {
	State    string    // open, or all
	From, To time.Time // From ≤ raised < To
	Device   string
	Class    rules.Class
	Limit    int
}

// Alarms returns the latest state of alarms, the one raised last first. One that cannot be read is left out, which Damage
// says.
func (s *Store) Alarms(ctx context.Context, q AlarmQuery) (alarms []alarm.Alarm, err error) {
	where, args := conditions("raised", q.From, q.To, q.Device, q.Class)
	if q.State == "open" {
		where += ` AND open = 1`
	}
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		alarms, err = readable[alarm.Alarm](ctx, db, s, "an alarm", `SELECT id, body FROM alarms `+where+` ORDER BY raised DESC, seq DESC LIMIT ?`,
			append(args, orAll(q.Limit))...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: read alarms: %w", err)
	}
	return alarms, nil
}

// Alarm returns one alarm and its events, oldest first. The error wraps ErrNotFound where there is none.
func (s *Store) Alarm(ctx context.Context, id string) (a alarm.Alarm, events []alarm.Event, err error) {
	err = s.state.read(ctx, func(db *sql.DB) error {
		var body []byte
		err := db.QueryRowContext(ctx, `SELECT body FROM alarms WHERE id = ?`, id).Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(body, &a)
	})
	if err != nil {
		return alarm.Alarm{}, nil, fmt.Errorf("store: alarm %s: %w", id, err)
	}
	events, err = s.events(ctx, `WHERE alarm <> '' AND alarm = ? ORDER BY seq`, id)
	return a, events, err
}

func putAlarm(db *sql.Tx, seq int64, a alarm.Alarm) error {
	body, err := json.Marshal(storable(a))
	if err != nil {
		return fmt.Errorf("alarm %s: %w", a.ID, err)
	}
	_, err = db.Exec(`INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, raised = excluded.raised, open = excluded.open,
			device = excluded.device, class = excluded.class, body = excluded.body`,
		a.ID, seq, nanos(a.RaisedAt), a.Open(), a.Device, string(a.Class), body)
	if err != nil {
		return fmt.Errorf("alarm %s: %w", a.ID, err)
	}
	return nil
}
