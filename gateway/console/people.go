package console

import (
	"net/http"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
)

// accessRoutes are those of people, sessions and tokens.
func (w *web) accessRoutes() []route {
	return append(w.doorRoutes(), []route{
		{"POST /api/v1/login", Public, w.closed(w.login)},
		{"POST /api/v1/logout", Viewer, w.closed(w.logout)},
		{"GET /api/v1/me", Viewer, w.getMe},
		{"POST /api/v1/me/password", Viewer, w.closed(w.setOwnPassword)},
		{"GET /api/v1/sessions", Viewer, w.closed(w.getSessions)},
		{"DELETE /api/v1/sessions/{id}", Viewer, w.closed(w.endSession)},

		{"GET /api/v1/users", Admin, w.closed(w.getUsers)},
		{"POST /api/v1/users", Admin, w.closed(w.addUser)},
		{"PUT /api/v1/users/{id}", Admin, w.closed(w.changeUser)},
		{"POST /api/v1/users/{id}/password", Admin, w.closed(w.setPassword)},
		{"DELETE /api/v1/users/{id}", Admin, w.closed(w.removeUser)},
		{"GET /api/v1/tokens", Admin, w.closed(w.getTokens)},
		{"POST /api/v1/tokens", Admin, w.closed(w.addToken)},
		{"DELETE /api/v1/tokens/{id}", Admin, w.closed(w.removeToken)},
	}...)
}

// closed is a route of a console that asks who comes in; one that is open to all has no people.
func (w *web) closed(serve func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if w.Access == nil {
			w.problem(rw, r, http.StatusNotFound, i18n.T("nobody logs in to this console"))
			return
		}
		serve(rw, r)
	}
}

// meJSON is who asks, as the gateway sees it.
type meJSON struct {
	Login  bool            `json:"login"`  // false: whoever reaches this console may do everything
	Kind   string          `json:"kind"`   // user, token, shell; "" where nobody logs in
	ID     string          `json:"id"`     //
	Name   string          `json:"name"`   // with which acts are signed
	Role   Role            `json:"role"`   //
	Shared bool            `json:"shared"` // each act says by whom
	Ends   *time.Time      `json:"ends"`   // of the session; null where there is none
	People []access.Person `json:"people"` // the duty roster, by whose names a shared account acts
}

func meOf(who access.Identity, people []access.Person) meJSON {
	me := meJSON{Login: true, Kind: string(who.Kind), ID: who.ID, Name: who.Name, Role: who.Role, Shared: who.Shared, People: list(people)}
	if !who.Ends.IsZero() {
		ends := who.Ends
		me.Ends = &ends
	}
	return me
}

func (w *web) getMe(rw http.ResponseWriter, r *http.Request) {
	if w.Access == nil {
		w.answer(rw, r, http.StatusOK, meJSON{Role: Admin, Shared: true, People: []access.Person{}})
		return
	}
	w.answer(rw, r, http.StatusOK, meOf(identityOf(r), w.Access.People()))
}

// personRequest is the body of all that concerns people. By is ignored: it is always whoever asks.
type personRequest struct {
	By       string `json:"by"`
	User     string `json:"user"`
	ID       string `json:"id"`
	Name     string `json:"name"`
	Role     Role   `json:"role"`
	Person   string `json:"person"`
	Shared   bool   `json:"shared"`
	Password string `json:"password"`
	New      string `json:"new"`
}

func (q personRequest) account(id string) access.Account {
	return access.Account{ID: id, Name: q.Name, Role: q.Role, Person: q.Person, Shared: q.Shared}
}

// person reads the body of a request about people; false where it was refused.
func (w *web) person(rw http.ResponseWriter, r *http.Request) (q personRequest, ok bool) {
	status, why := readBody(r, &q)
	if status != 0 {
		w.problem(rw, r, status, why)
	}
	return q, status == 0
}

// done answers a change of people: with what is there now, or why it was refused.
func (w *web) done(rw http.ResponseWriter, r *http.Request, err error, now any) {
	switch {
	case err == nil:
		w.answer(rw, r, http.StatusOK, now)
	case !w.denied(rw, r, err):
		w.broken(rw, r, err)
	}
}

func (w *web) login(rw http.ResponseWriter, r *http.Request) {
	q, ok := w.person(rw, r)
	if !ok {
		return
	}
	cookie, who, err := w.Access.Login(r.Context(), time.Now(), q.User, q.Password, w.origin(r))
	if err == nil {
		w.setSession(rw, r, cookie, who.Ends)
	}
	w.done(rw, r, err, meOf(who, w.Access.People()))
}

func (w *web) logout(rw http.ResponseWriter, r *http.Request) {
	who := identityOf(r)
	err := w.Access.Logout(r.Context(), time.Now(), who, w.origin(r))
	if err == nil {
		w.setSession(rw, r, "", time.Time{})
	}
	w.done(rw, r, err, meOf(access.Identity{}, nil))
}

func (w *web) setOwnPassword(rw http.ResponseWriter, r *http.Request) {
	q, ok := w.person(rw, r)
	if !ok {
		return
	}
	who := identityOf(r)
	if who.Kind != access.User {
		w.problem(rw, r, http.StatusConflict, i18n.T("only a person has a password"))
		return
	}
	err := w.Access.ChangePassword(r.Context(), time.Now(), q.Password, q.New, who, w.origin(r))
	w.done(rw, r, err, meOf(who, w.Access.People()))
}

// sessionJSON is one browser in which somebody is logged in.
type sessionJSON struct {
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"` // to within ten minutes
	Ends    time.Time `json:"ends"`
	Address string    `json:"address"`
	Agent   string    `json:"agent"`
	Own     bool      `json:"own"` // the one that asks
}

// getSessions are one's own sessions; an administrator sees those of all with ?of=all.
func (w *web) getSessions(rw http.ResponseWriter, r *http.Request) {
	list := w.ownSessions
	if r.URL.Query().Get("of") == "all" {
		if !identityOf(r).Role.May(Admin) {
			w.problem(rw, r, http.StatusForbidden, i18n.T("only an administrator sees the sessions of others"))
			return
		}
		list = func(r *http.Request) ([]sessionJSON, error) { return w.sessionsOf(r, "") }
	}
	sessions, err := list(r)
	w.done(rw, r, err, sessions)
}

// ownSessions are those of whoever asks; a program has none, also where it is called like a person.
func (w *web) ownSessions(r *http.Request) ([]sessionJSON, error) {
	if who := identityOf(r); who.Kind == access.User {
		return w.sessionsOf(r, who.ID)
	}
	return []sessionJSON{}, nil
}

func (w *web) sessionsOf(r *http.Request, user string) ([]sessionJSON, error) {
	all, err := w.Access.Sessions(r.Context(), time.Now(), user)
	sessions := []sessionJSON{}
	for _, s := range all {
		sessions = append(sessions, sessionJSON{s.ID, s.User, s.Created, s.Used, s.Ends, s.Address, s.Agent, s.ID == identityOf(r).Session})
	}
	return sessions, err
}

func (w *web) endSession(rw http.ResponseWriter, r *http.Request) {
	err := w.Access.EndSession(r.Context(), time.Now(), identityOf(r), r.PathValue("id"), w.origin(r))
	w.answerList(rw, r, err, func() (any, error) { return w.ownSessions(r) })
}

// answerList answers a change with the list as it is then.
func (w *web) answerList(rw http.ResponseWriter, r *http.Request, err error, now func() (any, error)) {
	var all any
	if err == nil {
		all, err = now()
	}
	w.done(rw, r, err, all)
}

// userJSON is a user, without the password.
type userJSON struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Person   string    `json:"person"`
	Shared   bool      `json:"shared"`
	Created  time.Time `json:"created"`
	Password time.Time `json:"password_set"`
}

func userOf(u access.KnownUser) userJSON {
	return userJSON{u.ID, u.Name, Role(u.Role), u.Person, u.Shared, u.Created, u.Changed}
}

func (w *web) getUsers(rw http.ResponseWriter, r *http.Request) {
	users, err := w.users(r)
	w.done(rw, r, err, users)
}

func (w *web) users(r *http.Request) (any, error) {
	all, err := w.Access.Users(r.Context())
	return Accounts(all), err
}

// Accounts are users as the API shows them.
func Accounts(all []access.KnownUser) any {
	users := []userJSON{}
	for _, u := range all {
		users = append(users, userOf(u))
	}
	return users
}

func (w *web) addUser(rw http.ResponseWriter, r *http.Request) {
	if q, ok := w.person(rw, r); ok {
		err := w.Access.AddUser(r.Context(), time.Now(), q.account(q.ID), q.Password, identityOf(r), w.origin(r))
		w.answerUser(rw, r, q.ID, err)
	}
}

func (w *web) changeUser(rw http.ResponseWriter, r *http.Request) {
	if q, ok := w.person(rw, r); ok {
		err := w.Access.ChangeUser(r.Context(), time.Now(), q.account(r.PathValue("id")), identityOf(r), w.origin(r))
		w.answerUser(rw, r, r.PathValue("id"), err)
	}
}

func (w *web) setPassword(rw http.ResponseWriter, r *http.Request) {
	if q, ok := w.person(rw, r); ok {
		err := w.Access.SetPassword(r.Context(), time.Now(), r.PathValue("id"), q.Password, identityOf(r), w.origin(r))
		w.answerUser(rw, r, r.PathValue("id"), err)
	}
}

// answerUser answers a change of a user with the user.
func (w *web) answerUser(rw http.ResponseWriter, r *http.Request, id string, err error) {
	w.answerList(rw, r, err, func() (any, error) {
		u, err := w.Access.User(r.Context(), id)
		return userOf(u), err
	})
}

func (w *web) removeUser(rw http.ResponseWriter, r *http.Request) {
	err := w.Access.RemoveUser(r.Context(), time.Now(), r.PathValue("id"), identityOf(r), w.origin(r))
	w.answerList(rw, r, err, func() (any, error) { return w.users(r) })
}

// tokenJSON is a token of a program, without what opens.
type tokenJSON struct {
	Name    string     `json:"name"`
	Role    Role       `json:"role"`
	By      string     `json:"by"`
	Created time.Time  `json:"created"`
	Used    *time.Time `json:"used"` // to within ten minutes; null where it never was
	Address string     `json:"address"`
}

func tokenOf(t access.KnownToken) tokenJSON {
	j := tokenJSON{Name: t.Name, Role: Role(t.Role), By: t.By, Created: t.Created, Address: t.Address}
	if !t.Used.IsZero() {
		j.Used = &t.Used
	}
	return j
}

func (w *web) getTokens(rw http.ResponseWriter, r *http.Request) {
	tokens, err := w.tokens(r)
	w.done(rw, r, err, tokens)
}

func (w *web) tokens(r *http.Request) (any, error) {
	all, err := w.Access.Tokens(r.Context())
	return Tokens(all), err
}

// Tokens are tokens as the API shows them.
func Tokens(all []access.KnownToken) any {
	tokens := []tokenJSON{}
	for _, t := range all {
		tokens = append(tokens, tokenOf(t))
	}
	return tokens
}

func (w *web) addToken(rw http.ResponseWriter, r *http.Request) {
	q, ok := w.person(rw, r)
	if !ok {
		return
	}
	token, err := w.Access.AddToken(r.Context(), time.Now(), q.Name, q.Role, identityOf(r), w.origin(r))
	w.done(rw, r, err, struct {
		Name  string `json:"name"`
		Role  Role   `json:"role"`
		Token string `json:"token"` // told this once
	}{q.Name, q.Role, token})
}

func (w *web) removeToken(rw http.ResponseWriter, r *http.Request) {
	err := w.Access.RemoveToken(r.Context(), time.Now(), r.PathValue("id"), identityOf(r), w.origin(r))
	w.answerList(rw, r, err, func() (any, error) { return w.tokens(r) })
}
