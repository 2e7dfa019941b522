package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"embergate/gateway/alarm"
)

// Why a change of users or tokens was refused, besides ErrNotFound.
var (
	ErrExists    = errors.New("there already")
	ErrLastAdmin = errors.New("the last administrator")
)

// Admin is the role of which one user must stay.
const Admin = "admin"

// User is a person who may use the console, or a screen that several share.
type User struct {
	ID, Name, Role string
	Person         string // id of the duty person, "" for none
	Shared         bool   // whoever acts says who they are
	Password       string // its hash, as package access writes it
	Created        time.Time
	Changed        time.Time // when the password was set
}

// Session is one browser in which a user is logged in. Hash is the SHA-256 of what the browser holds.
type Session struct {
	Hash           []byte
	ID, User       string // ID names it for people; it opens nothing
	Created, Used  time.Time
	Ends           time.Time
	Address, Agent string
}

// Token lets a program use the API. Hash is the SHA-256 of what the program holds.
type Token struct {
	Name, Role    string
	Hash          []byte
	By            string // who made it
	Created, Used time.Time
	Address       string // from where it was used last
}

// Every change below writes its event into the journal in the same transaction: there is no change without its line.

// Note writes an event that changes nothing, as a failed login.
func (s *Store) Note(ctx context.Context, e alarm.Event) error {
	return s.access(ctx, "note "+e.Type, e, func(*sql.Tx) error { return nil })
}

func (s *Store) access(ctx context.Context, what string, e alarm.Event, change func(*sql.Tx) error) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		return appendEvents(tx, []alarm.Event{e})
	}, nil)
	if err != nil {
		return fmt.Errorf("store: %s: %w", what, err)
	}
	return nil
}

// AddUser adds a user. The error wraps ErrExists where the id is taken, and ErrLastAdmin for a first one who is no
// administrator.
func (s *Store) AddUser(ctx context.Context, u User, e alarm.Event) error {
	return s.access(ctx, "add user "+u.ID, e, func(tx *sql.Tx) error { return addUser(tx, u) })
}

// AddFirstUser adds a user where there is none yet; else the error wraps ErrExists.
func (s *Store) AddFirstUser(ctx context.Context, u User, e alarm.Event) error {
	return s.access(ctx, "add first user "+u.ID, e, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRow(`SELECT COUNT(*) FROM users`).Scan(&n); err != nil || n > 0 {
			return errors.Join(err, ErrExists)
		}
		return addUser(tx, u)
	})
}

func addUser(tx *sql.Tx, u User) error {
	err := one(ErrExists)(tx.Exec(`INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		u.ID, u.Name, u.Role, u.Person, u.Shared, u.Password, nanos(u.Created), nanos(u.Changed)))
	if err != nil {
		return err
	}
	return adminLeft(tx)
}

// ChangeUser changes name, role, person and sharing of a user. The error wraps ErrNotFound, or ErrLastAdmin where no
// administrator would be left.
func (s *Store) ChangeUser(ctx context.Context, u User, e alarm.Event) error {
	return s.access(ctx, "change user "+u.ID, e, func(tx *sql.Tx) error {
		err := one(ErrNotFound)(tx.Exec(`UPDATE users SET name = ?, role = ?, person = ?, shared = ? WHERE id = ?`, u.Name, u.Role, u.Person, u.Shared, u.ID))
		if err != nil {
			return err
		}
		return adminLeft(tx)
	})
}

// NewPassword is what a user logs in with from now on.
type NewPassword struct {
	User string
	Was  string // the hash that it takes the place of; "" for any
	Hash string
	At   time.Time
	Keep []byte // hash of the session that stays
}

// SetPassword sets the password of a user and ends the user's sessions, but for the one that is kept. The error wraps
// ErrNotFound where there is no such user, or the password is another than it was.
func (s *Store) SetPassword(ctx context.Context, n NewPassword, e alarm.Event) error {
	return s.access(ctx, "set password of "+n.User, e, func(tx *sql.Tx) error {
		err := one(ErrNotFound)(tx.Exec(`UPDATE users SET password = ?, changed = ? WHERE id = ?3 AND (?4 = '' OR password = ?4)`,
			n.Hash, nanos(n.At), n.User, n.Was))
		if err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM sessions WHERE user = ? AND hash IS NOT ?`, n.User, n.Keep)
		return err
	})
}

// RemoveUser removes a user and ends the sessions. The errors are those of ChangeUser.
func (s *Store) RemoveUser(ctx context.Context, id string, e alarm.Event) error {
	return s.access(ctx, "remove user "+id, e, func(tx *sql.Tx) error {
		if err := one(ErrNotFound)(tx.Exec(`DELETE FROM users WHERE id = ?`, id)); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM sessions WHERE user = ?`, id); err != nil {
			return err
		}
		return adminLeft(tx)
	})
}

// adminLeft refuses a change after which nobody could change users.
func adminLeft(tx *sql.Tx) error {
	var n int
	if err := tx.QueryRow(`SELECT COUNT(*) FROM users WHERE role = ?`, Admin).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return ErrLastAdmin
	}
	return nil
}

// User is one user; the error wraps ErrNotFound where there is none of that id.
func (s *Store) User(ctx context.Context, id string) (User, error) {
	return first(s.users(ctx, `WHERE id = ?`, id))
}

// Users are all of them, by id.
func (s *Store) Users(ctx context.Context) ([]User, error) { return s.users(ctx, `ORDER BY id`) }

func (s *Store) users(ctx context.Context, where string, args ...any) ([]User, error) {
	return rowsOf(ctx, s, "users", func(rows *sql.Rows) (u User, err error) {
		var created, changed int64
		err = rows.Scan(&u.ID, &u.Name, &u.Role, &u.Person, &u.Shared, &u.Password, &created, &changed)
		u.Created, u.Changed = fromNanos(created), fromNanos(changed)
		return u, err
	}, `SELECT id, name, role, person, shared, password, created, changed FROM users `+where, args...)
}

// mostSessions is in how many browsers one user is logged in; one more ends the session that was not used for longest.
const mostSessions = 50

// AddSession logs a user in whose password has a hash, and drops the sessions that have ended or are too many. The error wraps ErrNotFound
// where the user is gone, or the password is another meanwhile.
func (s *Store) AddSession(ctx context.Context, n Session, password string, e alarm.Event) error {
	return s.access(ctx, "add session of "+n.User, e, func(tx *sql.Tx) error {
		if _, err := tx.Exec(`DELETE FROM sessions WHERE ends < ?`, nanos(n.Created)); err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE user = ? ORDER BY used DESC LIMIT -1 OFFSET ?)`,
			n.User, mostSessions-1); err != nil {
			return err
		}
		return one(ErrNotFound)(tx.Exec(`INSERT INTO sessions SELECT ?, ?, id, ?, ?, ?, ?, ? FROM users WHERE id = ? AND password = ?`,
			n.Hash, n.ID, nanos(n.Created), nanos(n.Used), nanos(n.Ends), n.Address, n.Agent, n.User, password))
	})
}

// Session is the one of a hash; the error wraps ErrNotFound where there is none.
func (s *Store) Session(ctx context.Context, hash []byte) (Session, error) {
	return first(s.sessions(ctx, `WHERE hash = ?`, hash))
}

// Sessions are those of a user, the last used first; of all users where user is "".
func (s *Store) Sessions(ctx context.Context, user string) ([]Session, error) {
	return s.sessions(ctx, `WHERE ?1 = '' OR user = ?1 ORDER BY used DESC`, user)
}

func (s *Store) sessions(ctx context.Context, where string, args ...any) ([]Session, error) {
	return rowsOf(ctx, s, "sessions", func(rows *sql.Rows) (n Session, err error) {
		var created, used, ends int64
		err = rows.Scan(&n.Hash, &n.ID, &n.User, &created, &used, &ends, &n.Address, &n.Agent)
		n.Created, n.Used, n.Ends = fromNanos(created), fromNanos(used), fromNanos(ends)
		return n, err
	}, `SELECT hash, id, user, created, used, ends, address, agent FROM sessions `+where, args...)
}

// LoggedInFrom tells whether a user has a session from an address.
func (s *Store) LoggedInFrom(ctx context.Context, user, address string) (bool, error) {
	found, err := s.sessions(ctx, `WHERE user = ? AND address = ? LIMIT 1`, user, address)
	return len(found) > 0, err
}

// TouchSession notes that a session was used.
func (s *Store) TouchSession(ctx context.Context, hash []byte, at time.Time, address string) error {
	return s.touch(ctx, `UPDATE sessions SET used = ?, address = ? WHERE hash = ?`, nanos(at), address, hash)
}

// EndSession ends a session by its id, of a user or, where user is "", of anyone. The error wraps ErrNotFound.
func (s *Store) EndSession(ctx context.Context, id, user string, e alarm.Event) error {
	return s.access(ctx, "end session "+id, e, func(tx *sql.Tx) error {
		return one(ErrNotFound)(tx.Exec(`DELETE FROM sessions WHERE id = ?1 AND (?2 = '' OR user = ?2)`, id, user))
	})
}

// AddToken adds a token. The error wraps ErrExists where the name is taken.
func (s *Store) AddToken(ctx context.Context, t Token, e alarm.Event) error {
	return s.access(ctx, "add token "+t.Name, e, func(tx *sql.Tx) error {
		return one(ErrExists)(tx.Exec(`INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			t.Name, t.Hash, t.Role, t.By, nanos(t.Created), nanos(t.Used), t.Address))
	})
}

// RemoveToken removes a token by its name. The error wraps ErrNotFound.
func (s *Store) RemoveToken(ctx context.Context, name string, e alarm.Event) error {
	return s.access(ctx, "remove token "+name, e, func(tx *sql.Tx) error {
		return one(ErrNotFound)(tx.Exec(`DELETE FROM tokens WHERE name = ?`, name))
	})
}

// Token is the one of a hash; the error wraps ErrNotFound where there is none.
func (s *Store) Token(ctx context.Context, hash []byte) (Token, error) {
	return first(s.tokens(ctx, `WHERE hash = ?`, hash))
}

// Tokens are all of them, by name.
func (s *Store) Tokens(ctx context.Context) ([]Token, error) { return s.tokens(ctx, `ORDER BY name`) }

func (s *Store) tokens(ctx context.Context, where string, args ...any) ([]Token, error) {
	return rowsOf(ctx, s, "tokens", func(rows *sql.Rows) (t Token, err error) {
		var created, used int64
		err = rows.Scan(&t.Name, &t.Hash, &t.Role, &t.By, &created, &used, &t.Address)
		t.Created, t.Used = fromNanos(created), fromNanos(used)
		return t, err
	}, `SELECT name, hash, role, made_by, created, used, address FROM tokens `+where, args...)
}

// TouchToken notes that a token was used.
func (s *Store) TouchToken(ctx context.Context, hash []byte, at time.Time, address string) error {
	return s.touch(ctx, `UPDATE tokens SET used = ?, address = ? WHERE hash = ?`, nanos(at), address, hash)
}

func (s *Store) touch(ctx context.Context, query string, args ...any) error {
	err := s.state.write(ctx, func(tx *sql.Tx) error { _, err := tx.Exec(query, args...); return err }, nil)
	if err != nil {
		return fmt.Errorf("store: note the use: %w", err)
	}
	return nil
}

// one makes a statement that changed no row the error otherwise.
func one(otherwise error) func(sql.Result, error) error {
	return func(r sql.Result, err error) error {
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, otherwise)
		}
		return nil
	}
}

// first is the first of what a query found, or ErrNotFound.
func first[T any](all []T, err error) (T, error) {
	var none T
	switch {
	case err != nil:
		return none, err
	case len(all) == 0:
		return none, ErrNotFound
	}
	return all[0], nil
}

func rowsOf[T any](ctx context.Context, s *Store, what string, scan func(*sql.Rows) (T, error), query string, args ...any) (all []T, err error) {
	err = s.state.read(ctx, func(db *sql.DB) (err error) {
		all, err = collect(ctx, db, scan, query, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: read %s: %w", what, err)
	}
	return all, nil
}
