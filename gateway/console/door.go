package console

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
)

// The door: the pages to log in and to make the first administrator. They show nothing of the home, need no script, and
// are plain forms.

// doorRoutes are open to everybody.
func (w *web) doorRoutes() []route {
	return []route{
		{"GET /login", Public, w.seeLogin},
		{"POST /login", Public, w.postLogin},
		{"GET /setup", Public, w.seeSetup},
		{"POST /setup", Public, w.postSetup},
		{"POST /logout", Public, w.postLogout},
	}
}

// doorView is what both pages show.
type doorView struct {
	Lang  i18n.Lang
	Site  string
	Setup bool
	Next  string
	User  string
	Error string
	Plain bool // what is typed goes over the network unencrypted
}

// parseDoor reads the template of the door once for each language.
func parseDoor(a assets) map[i18n.Lang]*template.Template {
	doors := map[i18n.Lang]*template.Template{}
	for _, l := range i18n.Langs {
		doors[l] = template.Must(template.New("door.html").Funcs(template.FuncMap{"say": l.Say, "asset": a.url}).ParseFS(files, "templates/door/door.html"))
	}
	return doors
}

func (w *web) seeLogin(rw http.ResponseWriter, r *http.Request) {
	if w.Access == nil {
		http.Redirect(rw, r, "/", http.StatusSeeOther)
		return
	}
	if needed, err := w.Access.Setup(r.Context()); err == nil && needed {
		http.Redirect(rw, r, "/setup", http.StatusSeeOther)
		return
	}
	w.showDoor(rw, r, http.StatusOK, doorView{Next: r.URL.Query().Get("next")})
}

func (w *web) seeSetup(rw http.ResponseWriter, r *http.Request) {
	if w.Access == nil {
		http.Redirect(rw, r, "/", http.StatusSeeOther)
		return
	}
	if needed, err := w.Access.Setup(r.Context()); err == nil && !needed {
		http.Redirect(rw, r, "/login", http.StatusSeeOther)
		return
	}
	w.showDoor(rw, r, http.StatusOK, doorView{Setup: true})
}

func (w *web) showDoor(rw http.ResponseWriter, r *http.Request, status int, v doorView) {
	v.Lang = w.lang(r)
	v.Plain = !w.secure(r) && !loopbackName(r.Host)
	if s := w.Source.Snapshot(); s != nil {
		v.Site = s.Site.Name
	}
	var b bytes.Buffer
	if err := w.doors[v.Lang].Execute(&b, v); err != nil {
		w.broken(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Language", string(v.Lang))
	rw.WriteHeader(status)
	rw.Write(b.Bytes())
}

func (w *web) postLogin(rw http.ResponseWriter, r *http.Request) {
	if w.Access == nil {
		http.Redirect(rw, r, "/", http.StatusSeeOther)
		return
	}
	v := doorView{Next: r.PostFormValue("next"), User: r.PostFormValue("user")}
	cookie, who, err := w.Access.Login(r.Context(), time.Now(), v.User, r.PostFormValue("password"), w.origin(r))
	w.enter(rw, r, v, cookie, who, err)
}

func (w *web) postSetup(rw http.ResponseWriter, r *http.Request) {
	if w.Access == nil {
		http.Redirect(rw, r, "/", http.StatusSeeOther)
		return
	}
	v := doorView{Setup: true, User: r.PostFormValue("user")}
	cookie, who, err := "", access.Identity{}, error(nil)
	if r.PostFormValue("password") != r.PostFormValue("again") {
		err = &access.Refused{Cause: access.ErrInput, Text: i18n.T("the two passwords are not the same")}
	} else {
		account := access.Account{ID: v.User, Name: r.PostFormValue("name")}
		cookie, who, err = w.Access.AddFirst(r.Context(), time.Now(), r.PostFormValue("code"), account, r.PostFormValue("password"), w.origin(r))
	}
	w.enter(rw, r, v, cookie, who, err)
}

// enter lets somebody in, or shows the door again with what was wrong.
func (w *web) enter(rw http.ResponseWriter, r *http.Request, v doorView, cookie string, who access.Identity, err error) {
	var refused *access.Refused
	switch {
	case errors.As(err, &refused):
		v.Error = w.lang(r).Say(refused.Text.Format, refused.Text.Args...)
		w.showDoor(rw, r, refusalStatus(rw, refused), v)
	case err != nil:
		w.broken(rw, r, err)
	default:
		w.setSession(rw, r, cookie, who.Ends)
		http.Redirect(rw, r, within(v.Next), http.StatusSeeOther)
	}
}

// within is a path of this console; anything else leads to the first page.
func within(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

func (w *web) postLogout(rw http.ResponseWriter, r *http.Request) {
	if w.Access != nil {
		if who, ok, err := w.identify(r); err == nil && ok && who.Session != "" {
			err = w.Access.Logout(r.Context(), time.Now(), who, w.origin(r))
			if err != nil && !errors.Is(err, access.ErrNotFound) {
				w.broken(rw, r, err)
				return
			}
		}
		w.setSession(rw, r, "", time.Time{})
	}
	http.Redirect(rw, r, "/login", http.StatusSeeOther)
}

// refusalStatus is the status of a refusal; where it is for a time, the answer says how long.
func refusalStatus(rw http.ResponseWriter, refused *access.Refused) int {
	switch {
	case errors.Is(refused, access.ErrWrong):
		rw.Header().Set("WWW-Authenticate", challenge)
		return http.StatusUnauthorized
	case errors.Is(refused, access.ErrMany):
		rw.Header().Set("Retry-After", fmt.Sprint(int(refused.After/time.Second)))
		return http.StatusTooManyRequests
	case errors.Is(refused, access.ErrBusy):
		rw.Header().Set("Retry-After", "5")
		return http.StatusServiceUnavailable
	case errors.Is(refused, access.ErrConflict):
		return http.StatusConflict
	case errors.Is(refused, access.ErrNotFound):
		return http.StatusNotFound
	default:
		return http.StatusBadRequest
	}
}
