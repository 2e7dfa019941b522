package console

import (
	"io/fs"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
)

// peoplePages are one's own account, and for administrators everybody's.
func (w *web) peoplePages() []page {
	if w.Access == nil {
		return nil
	}
	return []page{
		{path: "/users", role: Admin, title: i18n.T("Users"), nav: "/users", body: "users.html", view: w.seeUsers},
		{path: "/account", role: Viewer, title: i18n.T("Account"), body: "account.html", view: w.seeAccount},
	}
}

// roleWords name the roles, with what each may do.
var roleWords = map[Role]i18n.Text{
	Viewer:     i18n.T("looks"),
	Duty:       i18n.T("answers alarms"),
	Maintainer: i18n.T("sets up and tests"),
	Admin:      i18n.T("adds people"),
}

type usersView struct {
	Users    []userView
	Tokens   []tokenView
	Sessions []sessionView
	Roles    []pick
	People   []access.Person
	Me       string
}

type userView struct {
	userJSON
	RoleWord string
	Since    moment
	Roles    []pick
}

type tokenView struct {
	Name, RoleWord, By, Address string
	Created, Used               moment
}

type sessionView struct {
	ID, User, Address, Agent string
	Own                      bool
	Created, Used, Ends      moment
}

func (w *web) seeUsers(q *look) (any, error) {
	users, err := w.Access.Users(q.Context())
	if err != nil {
		return nil, err
	}
	tokens, err := w.Access.Tokens(q.Context())
	if err != nil {
		return nil, err
	}
	v := usersView{Roles: roles(Viewer, q.Lang), People: w.Access.People(), Me: identityOf(q.Request).ID}
	for _, u := range users {
		v.Users = append(v.Users, userView{userOf(u), roleWord(Role(u.Role), q.Lang), at(u.Created, q.Now, q.Lang), roles(Role(u.Role), q.Lang)})
	}
	for _, t := range tokens {
		v.Tokens = append(v.Tokens, tokenView{t.Name, roleWord(Role(t.Role), q.Lang), t.By, t.Address, at(t.Created, q.Now, q.Lang), at(t.Used, q.Now, q.Lang)})
	}
	v.Sessions, err = w.seeSessions(q, "")
	return v, err
}

// accountView is who is logged in, and where.
type accountView struct {
	ID, Name, RoleWord string
	Shared             bool
	Sessions           []sessionView
}

func (w *web) seeAccount(q *look) (any, error) {
	who := identityOf(q.Request)
	if who.Kind != access.User {
		return nil, fs.ErrNotExist
	}
	v := accountView{ID: who.ID, Name: who.Name, RoleWord: roleWord(who.Role, q.Lang), Shared: who.Shared}
	var err error
	v.Sessions, err = w.seeSessions(q, who.ID)
	return v, err
}

func (w *web) seeSessions(q *look, user string) ([]sessionView, error) {
	sessions, err := w.sessionsOf(q.Request, user)
	var views []sessionView
	for _, s := range sessions {
		views = append(views, sessionView{s.ID, s.User, s.Address, s.Agent, s.Own, at(s.Created, q.Now, q.Lang), at(s.Used, q.Now, q.Lang), at(s.Ends, q.Now, q.Lang)})
	}
	return views, err
}

// roles are those that can be chosen, one of them as it is now.
func roles(now Role, l i18n.Lang) (list []pick) {
	for _, r := range access.Roles {
		list = append(list, pick{To: string(r), Word: roleWord(r, l), Current: r == now})
	}
	return list
}

func roleWord(r Role, l i18n.Lang) string { return string(r) + " · " + l.Say(roleWords[r].Format) }
