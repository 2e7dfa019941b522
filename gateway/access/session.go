package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// A session ends when it was not used for idle, and after whole in any case. Who may change much is asked more often than
// the screen in the duty room, which must not ask for a password in the middle of a night.
var (
	strict  = lifetime{12 * time.Hour, 7 * 24 * time.Hour}
	lasting = lifetime{30 * 24 * time.Hour, 180 * 24 * time.Hour}
)

type lifetime struct{ idle, whole time.Duration }

func (r Role) lifetime() lifetime {
	if r.May(Maintainer) {
		return strict
	}
	return lasting
}

// touchEvery is how often the use of a session or token is noted, to spare the disk.
const touchEvery = 10 * time.Minute

// mostBare bounds the sessions that are kept in memory because the disk takes none.
const mostBare = 64

// longestAgent bounds what a browser says of itself, in bytes.
const longestAgent = 200

// Confirm checks the password of a user, without a session. The error is a *Refused with ErrWrong, ErrMany or ErrBusy.
func (a *Access) Confirm(ctx context.Context, now time.Time, user, password string, o Origin) (Identity, error) {
	u, err := a.confirm(ctx, now, user, password, o)
	if err != nil {
		return Identity{}, err
	}
	return identify(u), nil
}

// confirm answers the user as it was when the password was looked at.
func (a *Access) confirm(ctx context.Context, now time.Time, user, password string, o Origin) (store.User, error) {
	u, wants, err := a.attempt(ctx, now, user, o)
	if err != nil {
		return u, err
	}
	hash := u.Password
	if hash == "" {
		hash = a.cost.stranger()
	}
	ok := len(password) <= longestBytes
	if !ok {
		password = "" // hashed all the same, so that it takes as long
	}
	matches, err := a.verify(ctx, hash, password)
	if err != nil {
		a.throttle.giveBack(wants...)
		return u, err
	}
	if !ok || !matches || u.ID == "" {
		a.failed(ctx, now, u, o)
		return u, refuse(ErrWrong, "name or password is wrong")
	}
	a.throttle.giveBack(wants...)
	return u, nil
}

// attempt takes one from the throttle for a login as a user, who may not exist: then the user is the zero one.
func (a *Access) attempt(ctx context.Context, now time.Time, user string, o Origin) (u store.User, wants []Want, err error) {
	if u, err = a.store.User(ctx, normal(user)); err != nil && !errors.Is(err, store.ErrNotFound) {
		return u, nil, err
	}
	from, account := Network(o.Address), u.ID
	if account == "" { // what nobody has has the same limits, so that they do not tell; it may be long, and a password
		account = fmt.Sprintf("? %x", hashOf(normal(user))[:8])
	}
	wants = []Want{{"pair " + account + " " + from, pairLimit}}
	known := false
	if u.ID != "" {
		if known, err = a.store.LoggedInFrom(ctx, u.ID, o.Address); err != nil {
			return u, nil, err
		}
	}
	if !known {
		wants = append(wants, Want{"address " + from, addressLimit}, Want{"account " + account, accountLimit})
	}
	if wait := a.throttle.Take(now, wants...); wait > 0 {
		return u, nil, TooMany(wait)
	}
	return u, wants, nil
}

// TooMany refuses what was done too often, until so long later.
func TooMany(wait time.Duration) error {
	wait = wait.Truncate(time.Second) + time.Second
	return &Refused{Cause: ErrMany, Text: i18n.T("too many attempts; try again in %v", wait), After: wait}
}

// failed writes down that somebody did not get in; what was typed as a name is not repeated where nobody has it, since it
// may be a password. Where there are many, most are only counted.
func (a *Access) failed(ctx context.Context, now time.Time, u store.User, o Origin) {
	if a.throttle.Take(now, Want{"journal", journalLimit}) > 0 {
		a.mu.Lock()
		a.silent++
		a.mu.Unlock()
		return
	}
	a.mu.Lock()
	more := a.silent
	a.silent = 0
	a.mu.Unlock()
	who := Identity{ID: "nobody", Name: u.Name}
	if u.ID != "" {
		who.ID = u.ID
	}
	text := ""
	if more > 0 {
		text = fmt.Sprintf("and %d more before", more)
	}
	a.log.Warn("login failed", "user", who.ID, "address", o.Address, "more", more)
	a.note(ctx, event(now, "login.failed", who, o, text))
}

// note writes an event; a disk that does not take it keeps nobody out.
func (a *Access) note(ctx context.Context, e alarm.Event) {
	if err := a.store.Note(ctx, e); err != nil {
		a.log.Error("access event not written", "type", e.Type, "err", err)
	}
}

// Login makes a session, and the secret that the browser is to present.
func (a *Access) Login(ctx context.Context, now time.Time, user, password string, o Origin) (cookie string, who Identity, err error) {
	u, err := a.confirm(ctx, now, user, password, o)
	if err != nil {
		return "", who, err
	}
	return a.begin(ctx, now, u, o)
}

// begin makes a session of a user whose password was right. Where the disk does not take it, it lasts until the restart:
// somebody wants to answer an alarm.
func (a *Access) begin(ctx context.Context, now time.Time, u store.User, o Origin) (cookie string, who Identity, err error) {
	who = identify(u)
	cookie, hash := secret("")
	session := store.Session{
		Hash: hash, ID: random(9), User: who.ID, Created: now, Used: now, Ends: now.Add(who.Role.lifetime().whole),
		Address: o.Address, Agent: bounded(o.Agent, longestAgent),
	}
	err = a.store.AddSession(ctx, session, u.Password, event(now, "login", who, o, ""))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", who, refuse(ErrWrong, "name or password is wrong") // removed meanwhile, or with a new password
	case err != nil:
		a.log.Error("login not written, it lasts until the restart", "user", who.ID, "err", err)
		if !a.keepBare(session) {
			return "", who, err
		}
	default:
		a.log.Info("login", "user", who.ID, "address", o.Address)
	}
	who.Session, who.Ends, who.hash = session.ID, session.Ends, hash
	return cookie, who, nil
}

func (a *Access) keepBare(s store.Session) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.bare) >= mostBare {
		return false
	}
	a.bare[string(s.Hash)] = s
	return true
}

// Session is who presents a session's secret; false where there is no such session, or it has ended.
func (a *Access) Session(ctx context.Context, now time.Time, cookie string, o Origin) (Identity, bool, error) {
	return a.session(ctx, now, hashOf(cookie), o)
}

// Still tells whether who came in may still be there, for a stream that lives for hours: the session or token is there, and
// the role has not become less.
func (a *Access) Still(ctx context.Context, now time.Time, who Identity, o Origin) (bool, error) {
	var again Identity
	var ok bool
	var err error
	switch who.Kind {
	case User:
		again, ok, err = a.session(ctx, now, who.hash, o)
	case Token:
		again, ok, err = a.token(ctx, now, who.hash, o)
	default:
		return true, nil
	}
	return ok && again.Role.May(who.Role), err
}

func (a *Access) session(ctx context.Context, now time.Time, hash []byte, o Origin) (who Identity, ok bool, err error) {
	a.mu.Lock()
	s, bare := a.bare[string(hash)]
	a.mu.Unlock()
	if !bare {
		if s, err = a.store.Session(ctx, hash); err != nil {
			return who, false, ignore(err, store.ErrNotFound)
		}
	}
	if who, ok, err = a.peek(ctx, now, s); !ok {
		return who, false, err
	}
	switch {
	case now.Sub(s.Used) < touchEvery:
	case bare:
		s.Used = now
		a.mu.Lock()
		if _, there := a.bare[string(hash)]; there {
			a.bare[string(hash)] = s
		}
		a.mu.Unlock()
	default:
		if err := a.store.TouchSession(ctx, hash, now, o.Address); err != nil {
			a.log.Warn("use of a session not noted", "user", who.ID, "err", err)
		}
	}
	return who, true, nil
}

// peek is whose a session is; false where it has ended: by its time, or by a change of the password.
func (a *Access) peek(ctx context.Context, now time.Time, s store.Session) (Identity, bool, error) {
	u, err := a.store.User(ctx, s.User)
	if err != nil {
		return Identity{}, false, ignore(err, store.ErrNotFound)
	}
	who := identify(u)
	life := who.Role.lifetime()
	if ends := s.Created.Add(life.whole); ends.Before(s.Ends) {
		s.Ends = ends // the role has become more
	}
	a.mu.Lock()
	_, bare := a.bare[string(s.Hash)]
	a.mu.Unlock()
	if now.After(s.Ends) || now.Sub(s.Used) > life.idle || bare && u.Changed.After(s.Created) {
		return Identity{}, false, nil
	}
	who.Session, who.Ends, who.hash = s.ID, s.Ends, s.Hash
	return who, true, nil
}

// Logout ends the session of somebody.
func (a *Access) Logout(ctx context.Context, now time.Time, who Identity, o Origin) error {
	if who.Session == "" {
		return refuse(ErrConflict, "there is no session to end")
	}
	return a.EndSession(ctx, now, who, who.Session, o)
}

// EndSession ends a session by its id: one of one's own, for an administrator any.
func (a *Access) EndSession(ctx context.Context, now time.Time, by Identity, id string, o Origin) error {
	owner := by.ID
	switch {
	case by.Role.May(Admin):
		owner = ""
	case by.Kind != User: // and called like a person
		return refuse(ErrNotFound, "there is no session %q", id)
	}
	kind := "session.ended"
	if id == by.Session {
		kind = "logout"
	}
	if a.endBare(id, owner) {
		a.note(ctx, event(now, kind, by, o, ""))
		return nil
	}
	err := a.store.EndSession(ctx, id, owner, event(now, kind, by, o, ""))
	if errors.Is(err, store.ErrNotFound) {
		return refuse(ErrNotFound, "there is no session %q", id)
	}
	return err
}

func (a *Access) endBare(id, owner string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for hash, s := range a.bare {
		if s.ID == id && (owner == "" || owner == s.User) {
			delete(a.bare, hash)
			return true
		}
	}
	return false
}

// Sessions are those of a user that have not ended, the last used first; of all users where user is "".
func (a *Access) Sessions(ctx context.Context, now time.Time, user string) ([]store.Session, error) {
	all, err := a.store.Sessions(ctx, user)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	for _, s := range a.bare {
		if user == "" || user == s.User {
			all = append(all, s)
		}
	}
	a.mu.Unlock()
	var open []store.Session
	for _, s := range all {
		if who, ok, err := a.peek(ctx, now, s); err != nil {
			return nil, err
		} else if ok {
			s.Ends = who.Ends
			open = append(open, s)
		}
	}
	return open, nil
}

// identify is who a user is.
func identify(u store.User) Identity {
	return Identity{Kind: User, ID: u.ID, Name: u.Name, Role: Role(u.Role), Person: u.Person, Shared: u.Shared}
}

// normal is the form in which the id of a user is kept.
func normal(id string) string { return strings.ToLower(strings.TrimSpace(id)) }

// bounded cuts a text to so many bytes, between characters.
func bounded(text string, bytes int) string {
	if len(text) > bytes {
		text = text[:bytes]
	}
	return strings.ToValidUTF8(text, "")
}

// ignore is the error, unless it is one that is expected.
func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
