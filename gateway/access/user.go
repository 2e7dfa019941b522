package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"embergate/gateway/store"
)

// longestName bounds ids and names, in characters, as the journal does.
const longestName = 40

// Account is what is said of a user when one is added or changed.
type Account struct {
	ID     string // letters and digits of any script, . _ and -
	Name   string // with which acts are signed; the id where it is empty
	Role   Role
	Person string // id of the duty person, "" for none
	Shared bool   // a screen that several use: whoever acts says who they are
}

// AddUser adds a user. By is who does it.
func (a *Access) AddUser(ctx context.Context, now time.Time, n Account, password string, by Identity, o Origin) error {
	u, err := a.account(n)
	if err != nil {
		return err
	}
	if u.Password, err = a.newPassword(ctx, u.ID, password); err != nil {
		return err
	}
	u.Created, u.Changed = now, now
	e := event(now, "user.added", by, o, fmt.Sprintf("%s, %s", u.ID, u.Role))
	return a.explain(a.store.AddUser(ctx, u, e), u.ID)
}

// AddFirst makes the first administrator with the one-time code of the log, and logs in.
func (a *Access) AddFirst(ctx context.Context, now time.Time, code string, n Account, password string, o Origin) (cookie string, who Identity, err error) {
	needed, err := a.Setup(ctx)
	if err != nil {
		return "", who, err
	}
	if !needed {
		return "", who, refuse(ErrConflict, "there is an administrator already; log in")
	}
	wants := []Want{{"address " + Network(o.Address), addressLimit}, {"setup", accountLimit}}
	if wait := a.throttle.Take(now, wants...); wait > 0 {
		return "", who, TooMany(wait)
	}
	a.mu.Lock()
	want := a.code
	a.mu.Unlock()
	if subtle.ConstantTimeCompare(hashOf(plain(code)), hashOf(plain(want))) != 1 {
		a.failed(ctx, now, store.User{}, o)
		return "", who, refuse(ErrWrong, "that is not the code; it stands in the gateway's log")
	}
	n.Role, n.Shared = Admin, false
	u, err := a.account(n)
	if err == nil {
		u.Password, err = a.newPassword(ctx, u.ID, password)
	}
	a.throttle.giveBack(wants...)
	if err != nil {
		return "", who, err
	}
	u.Created, u.Changed = now, now
	who = identify(u)
	if err := a.store.AddFirstUser(ctx, u, event(now, "user.added", who, o, u.ID+", with the one-time code")); err != nil {
		return "", who, a.explain(err, u.ID)
	}
	return a.begin(ctx, now, u, o)
}

// plain is a code without what people add to it.
func plain(code string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, code)
}

// ChangeUser changes name, role, person and sharing of a user.
func (a *Access) ChangeUser(ctx context.Context, now time.Time, n Account, by Identity, o Origin) error {
	before, err := a.User(ctx, n.ID)
	if err != nil {
		return err
	}
	u, err := a.account(n)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%s, %s, before %s", u.ID, u.Role, before.Role)
	return a.explain(a.store.ChangeUser(ctx, u, event(now, "user.changed", by, o, note)), u.ID)
}

// SetPassword sets the password of a user and ends the user's sessions, but for the one that asks.
func (a *Access) SetPassword(ctx context.Context, now time.Time, id, password string, by Identity, o Origin) error {
	u, err := a.User(ctx, id)
	if err != nil {
		return err
	}
	return a.setPassword(ctx, now, store.NewPassword{User: u.ID}, password, by, o)
}

// ChangePassword is SetPassword for oneself, by whoever knows the password until now.
func (a *Access) ChangePassword(ctx context.Context, now time.Time, old, password string, who Identity, o Origin) error {
	u, err := a.confirm(ctx, now, who.ID, old, o)
	if err != nil {
		return err
	}
	err = a.setPassword(ctx, now, store.NewPassword{User: u.ID, Was: u.Password}, password, who, o)
	if errors.Is(err, ErrNotFound) {
		return refuse(ErrWrong, "name or password is wrong") // removed meanwhile, or another was set
	}
	return err
}

func (a *Access) setPassword(ctx context.Context, now time.Time, n store.NewPassword, password string, by Identity, o Origin) (err error) {
	if n.Hash, err = a.newPassword(ctx, n.User, password); err != nil {
		return err
	}
	n.At, n.Keep = now, by.hash
	return a.explain(a.store.SetPassword(ctx, n, event(now, "user.password", by, o, n.User)), n.User)
}

// RemoveUser removes a user and ends the user's sessions.
func (a *Access) RemoveUser(ctx context.Context, now time.Time, id string, by Identity, o Origin) error {
	id = normal(id)
	return a.explain(a.store.RemoveUser(ctx, id, event(now, "user.removed", by, o, id)), id)
}

// User is one user by id.
func (a *Access) User(ctx context.Context, id string) (store.User, error) {
	id = normal(id)
	u, err := a.store.User(ctx, id)
	return u, a.explain(err, id)
}

// Users are all of them, by id.
func (a *Access) Users(ctx context.Context) ([]store.User, error) { return a.store.Users(ctx) }

// account checks what is said of a user.
func (a *Access) account(n Account) (u store.User, err error) {
	u = store.User{ID: normal(n.ID), Name: strings.TrimSpace(n.Name), Role: string(n.Role), Person: n.Person, Shared: n.Shared}
	if u.Name == "" {
		u.Name = u.ID
	}
	switch {
	case !isID(u.ID):
		return u, refuse(ErrInput, "%q is no name to log in with: 1 to %d letters, digits, . _ or -", u.ID, longestName)
	case utf8.RuneCountInString(u.Name) > longestName || strings.ContainsFunc(u.Name, unicode.IsControl):
		return u, refuse(ErrInput, "a name has at most %d characters", longestName)
	case !slices.Contains(Roles, n.Role):
		return u, refuse(ErrInput, "the role %q is none of viewer, duty, maintainer, admin", string(n.Role))
	case n.Shared && n.Role.May(Maintainer):
		return u, refuse(ErrInput, "an account that several share is viewer or duty")
	case n.Person != "" && !slices.ContainsFunc(a.people, func(p Person) bool { return p.ID == n.Person }):
		return u, refuse(ErrInput, "%s is not on the duty roster", n.Person)
	}
	return u, nil
}

// isID tells whether a text is the id of a user or the name of a token.
func isID(id string) bool {
	n := utf8.RuneCountInString(id)
	return n >= 1 && n <= longestName && utf8.ValidString(id) && !strings.ContainsFunc(id, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-", r)
	})
}

func (a *Access) newPassword(ctx context.Context, id, password string) (string, error) {
	if err := checkPassword(id, password); err != nil {
		return "", err
	}
	return a.hash(ctx, password)
}

// explain is an error of the store in words for the person who tried.
func (a *Access) explain(err error, id string) error {
	switch {
	case errors.Is(err, store.ErrExists):
		return refuse(ErrConflict, "there is %q already", id)
	case errors.Is(err, store.ErrLastAdmin):
		return refuse(ErrConflict, "one administrator must be left")
	case errors.Is(err, store.ErrNotFound):
		return refuse(ErrNotFound, "there is no %q", id)
	}
	return err
}
