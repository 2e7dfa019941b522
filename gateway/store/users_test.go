package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"embergate/gateway/alarm"
)

// note is the event of a change.
func note(kind string) alarm.Event { return alarm.Event{ID: kind, Time: noon, Type: kind, By: "anna"} }

func withAdmin(t *testing.T) *Store {
	t.Helper()
	s := openAt(t, t.TempDir())
	if err := s.AddFirstUser(t.Context(), User{ID: "anna", Role: Admin, Password: "one"}, note("user.added")); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestUsersSessionsAndTokensSurviveReopening, each change with its line in the journal.
func TestUsersSessionsAndTokensSurviveReopening(t *testing.T) {
	s := withAdmin(t)
	ctx := t.Context()
	for _, err := range []error{
		s.AddUser(ctx, User{ID: "li", Name: "李四", Role: "duty", Person: "li", Password: "two", Created: noon, Changed: noon}, note("user.added")),
		s.AddSession(ctx, Session{Hash: []byte("h1"), ID: "s1", User: "li", Created: noon, Used: noon, Ends: noon.Add(time.Hour), Address: "::1", Agent: "tablet"}, "two", note("login")),
		s.TouchSession(ctx, []byte("h1"), noon.Add(time.Minute), "::2"),
		s.AddToken(ctx, Token{Name: "grafana", Role: "viewer", Hash: []byte("h2"), By: "anna", Created: noon}, note("token.added")),
		s.TouchToken(ctx, []byte("h2"), noon.Add(time.Minute), "::3"),
		s.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s = openAt(t, s.dir)
	if u, err := s.User(ctx, "li"); err != nil || u != (User{ID: "li", Name: "李四", Role: "duty", Person: "li", Password: "two", Created: noon, Changed: noon}) {
		t.Error(u, err)
	}
	if n, err := s.Session(ctx, []byte("h1")); err != nil || n.User != "li" || !n.Used.Equal(noon.Add(time.Minute)) || n.Address != "::2" || n.Agent != "tablet" {
		t.Error(n, err)
	}
	if k, err := s.Token(ctx, []byte("h2")); err != nil || k.Name != "grafana" || !k.Used.Equal(noon.Add(time.Minute)) || k.Address != "::3" {
		t.Error(k, err)
	}
	if from, err := s.LoggedInFrom(ctx, "li", "::2"); !from || err != nil {
		t.Error(from, err)
	}
	events, err := s.Events(ctx, 0, 0)
	if err != nil || len(events) != 4 || events[2].Type != "login" || events[2].By != "anna" {
		t.Error(events, err)
	}
	if _, err := s.VerifyJournal(ctx); err != nil {
		t.Error(err)
	}
}

// TestAChangeThatIsRefusedLeavesNothing: neither row nor line.
func TestAChangeThatIsRefusedLeavesNothing(t *testing.T) {
	s := withAdmin(t)
	ctx := t.Context()
	session := Session{Hash: []byte("h"), ID: "s", User: "anna", Created: noon, Ends: noon.Add(time.Hour)}
	token := Token{Name: "n", Hash: []byte("h")}
	if err := errors.Join(s.AddSession(ctx, session, "one", note("login")), s.AddToken(ctx, token, note("token.added"))); err != nil {
		t.Fatal(err)
	}
	before, err := s.LastSeq(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name      string
		err, want error
	}{
		{"a second first user", s.AddFirstUser(ctx, User{ID: "eve", Role: Admin}, note("x")), ErrExists},
		{"an id that is taken", s.AddUser(ctx, User{ID: "anna", Role: Admin}, note("x")), ErrExists},
		{"the last administrator removed", s.RemoveUser(ctx, "anna", note("x")), ErrLastAdmin},
		{"the last administrator made a viewer", s.ChangeUser(ctx, User{ID: "anna", Role: "viewer"}, note("x")), ErrLastAdmin},
		{"nobody removed", s.RemoveUser(ctx, "eve", note("x")), ErrNotFound},
		{"nobody changed", s.ChangeUser(ctx, User{ID: "eve", Role: Admin}, note("x")), ErrNotFound},
		{"a password of nobody", s.SetPassword(ctx, NewPassword{User: "eve", Hash: "y"}, note("x")), ErrNotFound},
		{"a password over another than is known", s.SetPassword(ctx, NewPassword{User: "anna", Was: "two", Hash: "y"}, note("x")), ErrNotFound},
		{"a session of nobody", s.AddSession(ctx, Session{Hash: []byte("i"), ID: "i", User: "eve"}, "one", note("x")), ErrNotFound},
		{"a session with a password of before", s.AddSession(ctx, Session{Hash: []byte("i"), ID: "i", User: "anna"}, "zero", note("x")), ErrNotFound},
		{"a session of another ended", s.EndSession(ctx, "s", "eve", note("x")), ErrNotFound},
		{"a token's name that is taken", s.AddToken(ctx, Token{Name: "n", Hash: []byte("i")}, note("x")), ErrExists},
		{"no token removed", s.RemoveToken(ctx, "m", note("x")), ErrNotFound},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, test.err, test.want)
		}
	}
	if after, err := s.LastSeq(ctx); after != before || err != nil {
		t.Errorf("%d lines in the journal, %d before: %v", after, before, err)
	}
	empty := openAt(t, t.TempDir())
	if err := empty.AddUser(ctx, User{ID: "li", Role: "duty"}, note("x")); !errors.Is(err, ErrLastAdmin) {
		t.Error("a home whose only user is no administrator:", err)
	}
}

// TestAPasswordThatChangesEndsTheOtherSessions, and so does the removal of the user (SE02).
func TestAPasswordThatChangesEndsTheOtherSessions(t *testing.T) {
	s := withAdmin(t)
	ctx := t.Context()
	left := func() (ids string) {
		t.Helper()
		all, err := s.Sessions(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			ids += n.ID
		}
		return ids
	}
	for i, who := range []string{"anna", "anna", "li"} {
		_ = s.AddUser(ctx, User{ID: "li", Role: "duty", Password: "x"}, note("user.added")) // the first time
		id := string(rune('a' + i))
		if err := s.AddSession(ctx, Session{Hash: []byte(id), ID: id, User: who, Created: noon, Used: noon.Add(-time.Duration(i)), Ends: noon.Add(time.Hour)}, map[string]string{"anna": "one", "li": "x"}[who], note("login")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ChangeUser(ctx, User{ID: "anna", Name: "Anna", Role: Admin}, note("user.changed")); err != nil || left() != "abc" {
		t.Error("a new name ends no session:", left(), err)
	}
	if err := s.SetPassword(ctx, NewPassword{User: "anna", Was: "one", Hash: "two", Keep: []byte("b")}, note("user.password")); err != nil || left() != "bc" {
		t.Error("her own browser stays:", left(), err)
	}
	if err := s.SetPassword(ctx, NewPassword{User: "anna", Hash: "three"}, note("user.password")); err != nil || left() != "c" {
		t.Error("set by another:", left(), err)
	}
	if err := s.RemoveUser(ctx, "li", note("user.removed")); err != nil || left() != "" {
		t.Error("removed:", left(), err)
	}
	if err := s.AddSession(ctx, Session{Hash: []byte("d"), ID: "d", User: "anna", Created: noon, Ends: noon.Add(time.Hour)}, "three", note("login")); err != nil {
		t.Fatal(err)
	}
	if err := s.AddSession(ctx, Session{Hash: []byte("e"), ID: "e", User: "anna", Created: noon.Add(2 * time.Hour), Ends: noon.Add(3 * time.Hour)}, "three", note("login")); err != nil || left() != "e" {
		t.Error("what has ended is dropped at the next login:", left(), err)
	}
}

// TestChangesOfOneUserDoNotUndoEachOther: a password takes long to hash, and what was read before is not written back; a role
// that was taken away meanwhile stays away, and so does a password (SE02, SE04).
func TestChangesOfOneUserDoNotUndoEachOther(t *testing.T) {
	s := withAdmin(t)
	ctx := t.Context()
	for _, err := range []error{
		s.AddUser(ctx, User{ID: "eve", Name: "Eve", Role: Admin, Password: "x"}, note("user.added")),
		s.ChangeUser(ctx, User{ID: "eve", Name: "Eve", Role: "viewer", Password: "of before", Changed: noon.Add(time.Hour)}, note("user.changed")),
		s.SetPassword(ctx, NewPassword{User: "eve", Was: "x", Hash: "y", At: noon}, note("user.password")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if u, err := s.User(ctx, "eve"); err != nil || u.Role != "viewer" || u.Name != "Eve" || u.Password != "y" || !u.Changed.Equal(noon) {
		t.Error(u, err)
	}
}

// TestTheSessionsOfOneUserAreBounded: a program that logs in for each request does not fill the file. Those used last stay.
func TestTheSessionsOfOneUserAreBounded(t *testing.T) {
	s := withAdmin(t)
	ctx := t.Context()
	if err := s.AddUser(ctx, User{ID: "li", Role: "duty", Password: "x"}, note("user.added")); err != nil {
		t.Fatal(err)
	}
	login := func(user, password string, i int) {
		t.Helper()
		at := noon.Add(time.Duration(i) * time.Second)
		id := fmt.Sprint(user, i)
		if err := s.AddSession(ctx, Session{Hash: []byte(id), ID: id, User: user, Created: at, Used: at, Ends: noon.Add(time.Hour)}, password, alarm.Event{ID: id, Time: at, Type: "login"}); err != nil {
			t.Fatal(err)
		}
	}
	login("li", "x", 0)
	login("anna", "one", 0)
	login("anna", "one", 1)
	if err := s.TouchSession(ctx, []byte("anna0"), noon.Add(time.Minute), "::1"); err != nil { // the screen that is in use
		t.Fatal(err)
	}
	for i := range mostSessions {
		login("anna", "one", 2+i)
	}
	all, err := s.Sessions(ctx, "anna")
	if err != nil || len(all) != mostSessions {
		t.Fatalf("%d sessions, %v", len(all), err)
	}
	if there := func(id string) bool { return slices.ContainsFunc(all, func(n Session) bool { return n.ID == id }) }; !there("anna0") || there("anna1") || !there(fmt.Sprint("anna", mostSessions+1)) {
		t.Errorf("those that stay: %v", all)
	}
	if others, err := s.Sessions(ctx, "li"); err != nil || len(others) != 1 {
		t.Error("another user's:", others, err)
	}
}
