package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// schema is what a file holds.
type schema struct {
	// migrations lead from version i to i+1; PRAGMA user_version counts them. Only append.
	migrations []string
	// tables are what is rescued from a damaged file, in this order.
	tables []rescue
}

// rescue says how the rows of one table are taken over from a damaged file.
type rescue struct {
	table  string
	order  order
	settle string // SQL that makes the table whole once its rows are there
}

// order is from which end rows are taken over.
type order uint8

const (
	both   order = iota // newest first, then what can be reached from the other end
	prefix              // oldest first, up to the first that cannot be read
)

// Columns that are queried stand beside body, which is the whole thing as JSON. Times are nanoseconds since 1970 UTC.
var stateSchema = schema{
	migrations: []string{`
CREATE TABLE events (
	seq INTEGER PRIMARY KEY, id TEXT NOT NULL, time INTEGER NOT NULL, type TEXT NOT NULL,
	alarm TEXT NOT NULL, device TEXT NOT NULL, class TEXT NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX events_by_time   ON events (time);
CREATE INDEX events_by_device ON events (device, time) WHERE device <> '';
CREATE INDEX events_by_class  ON events (class, time)  WHERE class <> '';
CREATE INDEX events_by_alarm  ON events (alarm, seq)   WHERE alarm <> '';
CREATE TRIGGER events_never_change BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER events_never_leave  BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
INSERT INTO head VALUES (1, 0, zeroblob(32));

CREATE TABLE records (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE alarms (
	id TEXT PRIMARY KEY, seq INTEGER NOT NULL, raised INTEGER NOT NULL, open INTEGER NOT NULL,
	device TEXT NOT NULL, class TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX alarms_by_time   ON alarms (raised);
CREATE INDEX alarms_by_device ON alarms (device, raised);
CREATE INDEX alarms_by_class  ON alarms (class, raised);
CREATE INDEX alarms_open      ON alarms (raised) WHERE open = 1;

CREATE TABLE messages (
	id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, event TEXT NOT NULL, type TEXT NOT NULL,
	alarm TEXT NOT NULL, class TEXT NOT NULL, urgent INTEGER NOT NULL, created INTEGER NOT NULL,
	not_before INTEGER NOT NULL, decided INTEGER NOT NULL, -- decided is when not_before was set
	attempts INTEGER NOT NULL, last_error TEXT NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX messages_by_alarm ON messages (channel, alarm, id);
CREATE TABLE deliveries (
	id INTEGER PRIMARY KEY, time INTEGER NOT NULL, channel TEXT NOT NULL, message INTEGER NOT NULL, event TEXT NOT NULL, type TEXT NOT NULL,
	alarm TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL, latency INTEGER NOT NULL
) STRICT;

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
`, `
ALTER TABLE messages   ADD COLUMN recipient TEXT NOT NULL DEFAULT ''; -- ids of people, with commas between them
ALTER TABLE deliveries ADD COLUMN recipient TEXT NOT NULL DEFAULT '';
`, `
CREATE TABLE users (
	id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, person TEXT NOT NULL, shared INTEGER NOT NULL,
	password TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL -- changed is when the password was set
) STRICT;
CREATE TABLE sessions ( -- hash is the SHA-256 of what the browser holds
	hash BLOB PRIMARY KEY, id TEXT NOT NULL UNIQUE, user TEXT NOT NULL, created INTEGER NOT NULL, used INTEGER NOT NULL,
	ends INTEGER NOT NULL, address TEXT NOT NULL, agent TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user, address);
CREATE TABLE tokens ( -- hash is the SHA-256 of what the program holds
	name TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, role TEXT NOT NULL, made_by TEXT NOT NULL, created INTEGER NOT NULL,
	used INTEGER NOT NULL, address TEXT NOT NULL
) STRICT;
`, `
CREATE INDEX messages_by_turn ON messages (channel, CASE WHEN class = 'fire' THEN 0 WHEN urgent THEN 1 ELSE 2 END, id, not_before, decided);
CREATE INDEX messages_by_time ON messages (channel, not_before);
CREATE INDEX deliveries_by_channel ON deliveries (channel, id);
CREATE INDEX deliveries_by_alarm   ON deliveries (alarm, id) WHERE alarm <> '';
`},
	tables: []rescue{
		{table: "records"}, {table: "messages"}, {table: "settings"}, {table: "users"}, {table: "tokens"}, {table: "alarms"},
		{table: "events", order: prefix,
			settle: `UPDATE head SET (seq, hash) = (SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1) WHERE EXISTS (SELECT 1 FROM events)`},
		{table: "deliveries"}, {table: "sessions"},
	},
}

var seriesSchema = schema{
	migrations: []string{`
CREATE TABLE batches (
	id INTEGER PRIMARY KEY, queue TEXT NOT NULL, lines INTEGER NOT NULL, oldest INTEGER NOT NULL,
	size INTEGER NOT NULL, body BLOB NOT NULL
) STRICT;
CREATE INDEX batches_by_queue ON batches (queue, id, lines, oldest, size); -- counting never reads a body
CREATE TABLE dropped (queue TEXT PRIMARY KEY, lines INTEGER NOT NULL) STRICT;
CREATE TABLE dead (
	id INTEGER PRIMARY KEY, queue TEXT NOT NULL, time INTEGER NOT NULL, reason TEXT NOT NULL,
	size INTEGER NOT NULL, lines BLOB NOT NULL
) STRICT;
CREATE INDEX dead_by_queue ON dead (queue, id, size);
`, `
CREATE TABLE history_signals (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE history_raw     (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT; -- period << 20 | signal
CREATE TABLE history_minutes (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT; -- hour << 20 | signal
CREATE TABLE history_rolled  (one INTEGER PRIMARY KEY CHECK (one = 1), hour INTEGER NOT NULL) STRICT;
`},
	tables: []rescue{{table: "dropped"}, {table: "batches"}, {table: "dead"},
		{table: "history_signals"}, {table: "history_rolled"}, {table: "history_minutes"}, {table: "history_raw"}},
}

// version is that of a file, which is a connection to it; the error wraps ErrNewer where this program does not know it.
func (sc schema) version(ctx context.Context, file interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (version int, err error) {
	if err := file.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&version); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if version > len(sc.migrations) {
		return 0, fmt.Errorf("schema version %d, this program knows %d: %w", version, len(sc.migrations), ErrNewer)
	}
	return version, nil
}

// migrate brings a file to the version of this program, in one transaction.
func (sc schema) migrate(ctx context.Context, conn *sql.Conn) error {
	version, err := sc.version(ctx, conn)
	if err != nil || version == len(sc.migrations) {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	defer tx.Rollback()
	if version, err = sc.version(ctx, tx); err != nil { // again, now alone: another process may have been faster
		return err
	}
	for ; version < len(sc.migrations); version++ {
		if _, err := tx.Exec(sc.migrations[version]); err != nil {
			return fmt.Errorf("migrate to version %d: %w", version+1, err)
		}
	}
	if _, err := tx.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, version)); err != nil {
		return fmt.Errorf("write schema version: %w", err)
	}
	return tx.Commit()
}

// holds tells by an error where a file has other tables, indexes or triggers than its version makes.
func (sc schema) holds(ctx context.Context, db *sql.DB, version int) error {
	model, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer model.Close()
	model.SetMaxOpenConns(1) // each has a memory of its own
	for _, migration := range sc.migrations[:max(version, 0)] {
		if _, err := model.ExecContext(ctx, migration); err != nil {
			return err
		}
	}
	names := func(db *sql.DB) ([]string, error) {
		return collect(ctx, db, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) },
			`SELECT type || ' ' || name || ' of ' || tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY 1`)
	}
	want, err := names(model)
	if err != nil {
		return err
	}
	got, err := names(db)
	if err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("version %d has %q, this has %q", version, want, got)
	}
	return err
}
