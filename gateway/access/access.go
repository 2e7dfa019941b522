// Package access knows who may use the console and the API: people with passwords, the browsers in which they are logged
// in, and the tokens of programs.
//
// What opens something is kept as a hash only, and neither it nor its hash is ever logged. Every change, every login and
// every login that failed is a line of the journal, with who and from where.
//
// # Concurrency
//
// All methods may be called at the same time, also by several processes on one data directory.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// Role is what somebody may do; each may do all that those before it may.
type Role string

// The roles, the least first. Public is nobody in particular.
const (
	Public     Role = ""
	Viewer     Role = "viewer"
	Duty       Role = "duty"
	Maintainer Role = "maintainer"
	Admin      Role = store.Admin
)

// Roles are those that a user or token can have, the least first.
var Roles = []Role{Viewer, Duty, Maintainer, Admin}

// May tells whether the role includes another.
func (r Role) May(least Role) bool {
	return least == Public || slices.Index(Roles, r) >= slices.Index(Roles, least) && slices.Contains(Roles, least)
}

// Kind is how somebody came in.
type Kind string

// The ways in. Shell is who may read the token file in the data directory.
const (
	User  Kind = "user"
	Token Kind = "token"
	Shell Kind = "shell"
)

// Identity is who asks.
type Identity struct {
	Kind   Kind
	ID     string // of the user, or name of the token
	Name   string // with which acts are signed
	Role   Role
	Person string // id of the duty person, "" for none
	Shared bool   // several people act through it: each act says who

	Session string    // its id, where it came by one
	Ends    time.Time // when the session ends at the latest
	hash    []byte
}

// Origin is from where something is asked.
type Origin struct {
	Address string // IP address of the asking machine
	Agent   string // as the browser or program names itself
	Via     string // console, api, cli
}

// What is known of users, sessions and tokens.
type (
	KnownUser   = store.User
	OpenSession = store.Session
	KnownToken  = store.Token
)

// Person is somebody of the duty roster, by whose name a shared account acts.
type Person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Why something was refused; the error is a *Refused that wraps one of these.
var (
	ErrInput    = errors.New("something is missing or wrong")
	ErrWrong    = errors.New("name or password is wrong")
	ErrMany     = errors.New("too many attempts")
	ErrBusy     = errors.New("busy")
	ErrConflict = errors.New("not possible as things are")
	ErrNotFound = errors.New("not there")
)

// Refused is the error of what was not done; nothing has changed.
type Refused struct {
	Cause error
	Text  i18n.Text     // for the person who tried
	After time.Duration // ErrMany: when to try again
}

func (r *Refused) Error() string { return r.Text.String() }
func (r *Refused) Unwrap() error { return r.Cause }

func refuse(cause error, format string, args ...any) error {
	return &Refused{Cause: cause, Text: i18n.T(format, args...)}
}

// Access decides who may come in.
type Access struct {
	store    *store.Store
	people   []Person
	log      *slog.Logger
	throttle Throttle
	cost     cost
	hashing  chan struct{} // holds one element for each password that is being hashed

	mu     sync.Mutex
	code   string                   // for the first administrator
	shell  [sha256.Size]byte        // of the shell's token
	bare   map[string]store.Session // by hash: logins that the disk did not take
	silent int                      // failed logins that were not written down
}

// New is the access to what a store knows; people are the duty roster.
func New(st *store.Store, people []Person, log *slog.Logger) *Access {
	return &Access{
		store: st, people: people, log: log, throttle: NewThrottle(), cost: usualCost, hashing: make(chan struct{}, hashesAtOnce),
		bare: map[string]store.Session{},
	}
}

// People are those of the duty roster.
func (a *Access) People() []Person { return slices.Clone(a.people) }

// person is the name of somebody of the roster, by id or name; where there is no roster, anybody.
func (a *Access) person(who string) (string, bool) {
	for _, p := range a.people {
		if who == p.ID || who == p.Name {
			return p.Name, true
		}
	}
	return who, len(a.people) == 0
}

// Sign is the name with which an act is signed: one's own, or where several act through one account, the name given.
func (a *Access) Sign(who Identity, by string) (string, error) {
	own := who.Kind != Shell && !who.Shared
	switch {
	case own && by != "" && by != who.Name && by != who.ID:
		return "", refuse(ErrConflict, "you are %s here, and act in that name only, not as %s", who.Name, by)
	case own:
		return who.Name, nil
	case by == "":
		return "", refuse(ErrInput, "by is missing: the name of the person who acts")
	case who.Kind == Shell:
		return by, nil
	}
	name, ok := a.person(by)
	if !ok {
		return "", refuse(ErrInput, "%s is not on the duty roster", by)
	}
	return name, nil
}

// From says through which account and from where an identity acts.
func (who Identity) From(o Origin) string {
	switch who.Kind {
	case Token:
		return fmt.Sprintf("token %s, %s", who.ID, o.Address)
	case Shell:
		return "shell, " + o.Address
	default:
		return fmt.Sprintf("%s, %s", who.ID, o.Address)
	}
}

// event is a line of the journal about access.
func event(now time.Time, kind string, who Identity, o Origin, note string) alarm.Event {
	return alarm.Event{
		ID: fmt.Sprintf("%s/%d-%s", kind, now.UnixNano(), random(3)), Time: now, Type: kind, By: who.Name, Via: o.Via, From: who.From(o), Note: note,
	}
}

// secret is a new secret of 32 random bytes in base64, and the hash that is kept of it.
func secret(prefix string) (string, []byte) {
	s := prefix + random(32)
	return s, hashOf(s)
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

func random(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Setup tells whether there is no user yet. The first time that this is so, a one-time code is written to the log.
func (a *Access) Setup(ctx context.Context) (bool, error) {
	users, err := a.store.Users(ctx)
	if err != nil || len(users) > 0 {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.code == "" {
		a.code = newCode()
		a.log.Warn("nobody may use the console yet: open it and make the first administrator with this one-time code, or use embergate user add", "code", a.code)
	}
	return true, nil
}

// newCode is a code that a person can type: twelve letters and digits of which none looks like another, 60 bits.
func newCode() string {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	b := make([]byte, 12)
	rand.Read(b)
	var code []byte
	for i, c := range b {
		if i > 0 && i%4 == 0 {
			code = append(code, '-')
		}
		code = append(code, letters[int(c)%len(letters)])
	}
	return string(code)
}
