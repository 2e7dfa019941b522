package console

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
)

// The cookie of a session. Under TLS its name forbids any other host or path to set it.
const (
	plainCookie  = "embergate"
	secureCookie = "__Host-embergate"
)

// identityKey is the key under which a request finds who sends it.
type identityKey struct{}

// identityOf is who sends a request, as allow found; the zero one for a public route.
func identityOf(r *http.Request) access.Identity {
	who, _ := r.Context().Value(identityKey{}).(access.Identity)
	return who
}

// allow stands before one route: it finds out who asks, and lets nobody through who has less than its role. It is the only
// place where that is decided.
func (w *web) allow(rt route) http.HandlerFunc {
	if w.Access == nil || rt.role == Public {
		return rt.serve
	}
	return func(rw http.ResponseWriter, r *http.Request) {
		who, ok, err := w.identify(r)
		switch {
		case err != nil:
			w.broken(rw, r, err)
		case !ok && rt.pattern == metricsRoute && w.local(r):
			rt.serve(rw, r)
		case !ok:
			w.unknown(rw, r)
		case !who.Role.May(rt.role):
			why := i18n.T("this needs the role %s; %s has %s", string(rt.role), cmp.Or(who.Name, who.ID), string(who.Role))
			if rt.pattern == writeRoute {
				w.writeDenied(r, who, why)
			}
			w.problem(rw, r, http.StatusForbidden, why)
		default:
			rt.serve(rw, r.WithContext(context.WithValue(r.Context(), identityKey{}, who)))
		}
	}
}

// challenge says how a program proves who it is.
const challenge = `Bearer realm="embergate"`

// metricsRoute may be read from the same machine without a token.
const metricsRoute = "GET /metrics"

// identify is who sends a request: the token is asked first, then the session.
func (w *web) identify(r *http.Request) (access.Identity, bool, error) {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return w.Access.Bearer(r.Context(), time.Now(), strings.TrimSpace(token), w.origin(r))
	}
	cookie, err := r.Cookie(w.cookieName(r))
	if err != nil {
		return access.Identity{}, false, nil
	}
	return w.Access.Session(r.Context(), time.Now(), cookie.Value, w.origin(r))
}

// still tells whether who opened a stream may still read it.
func (w *web) still(r *http.Request) bool {
	if w.Access == nil {
		return true
	}
	ok, err := w.Access.Still(r.Context(), time.Now(), identityOf(r), w.origin(r))
	return ok || err != nil // a store that cannot be read takes no screen away
}

// unknown answers somebody who has not said who they are: a page sends them to the door, the API says so.
func (w *web) unknown(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != "/metrics" {
		door := "/login"
		if needed, err := w.Access.Setup(r.Context()); err == nil && needed {
			door = "/setup"
		}
		http.Redirect(rw, r, door+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	rw.Header().Set("WWW-Authenticate", challenge)
	w.problem(rw, r, http.StatusUnauthorized, i18n.T("log in, or present a token"))
}

// origin is from where a request comes.
func (w *web) origin(r *http.Request) access.Origin {
	return access.Origin{Address: w.address(r), Agent: r.UserAgent(), Via: via(r)}
}

// via is how a request comes: a browser says where it comes from, a program does not.
func via(r *http.Request) string {
	switch {
	case r.Header.Get("Origin") != "":
		return "console"
	case strings.HasPrefix(r.UserAgent(), CLI+"/"):
		return "cli"
	}
	return "api"
}

// address is the IP address from which a request comes: the last one named that is no proxy of ours.
func (w *web) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !w.proxied(host) {
		return host
	}
	named := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, name := range slices.Backward(named) {
		name = strings.TrimSpace(name)
		if _, err := netip.ParseAddr(name); err != nil {
			return host // the proxy says nothing that can be used
		}
		if !w.proxied(name) {
			return name
		}
		host = name
	}
	return host
}

// proxied tells whether an address is one of our proxies.
func (w *web) proxied(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(w.Proxies, func(p netip.Prefix) bool { return p.Contains(ip.Unmap().WithZone("")) })
}

// secure tells whether what the browser sends is encrypted on its way.
func (w *web) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return w.proxied(host) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// local tells whether a request comes from this machine, and by no proxy.
func (w *web) local(r *http.Request) bool {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() && len(w.Proxies) == 0 && loopbackName(r.Host)
}

func (w *web) cookieName(r *http.Request) string {
	if w.secure(r) {
		return secureCookie
	}
	return plainCookie
}

// setSession gives the browser the secret of its session, or takes it away where it is empty.
func (w *web) setSession(rw http.ResponseWriter, r *http.Request, secret string, ends time.Time) {
	c := &http.Cookie{
		Name: w.cookieName(r), Value: secret, Path: "/", HttpOnly: true, Secure: w.secure(r), SameSite: http.SameSiteLaxMode,
		MaxAge: int(time.Until(ends) / time.Second),
	}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(rw, c)
}

// sign makes the act of a request: who does it, in whose name, and from where.
func (w *web) sign(r *http.Request, q request) (alarm.Act, error) {
	a := alarm.Act{By: q.By, Via: via(r), Note: q.Note}
	if w.Access == nil {
		if q.By == "" {
			return a, &access.Refused{Cause: access.ErrInput, Text: i18n.T("by is missing: the name of the person who acts")}
		}
		return a, nil
	}
	who := identityOf(r)
	by, err := w.Access.Sign(who, q.By)
	a.By, a.From = by, who.From(w.origin(r))
	return a, err
}

// unsigned is an act of which nobody is asked in whose name it is done: in that of the account.
func (w *web) unsigned(r *http.Request, who access.Identity) alarm.Act {
	a := alarm.Act{By: who.Name, Via: via(r)}
	if w.Access != nil {
		a.From = who.From(w.origin(r))
	}
	return a
}

// witness is the name of the second person of an act, who says with a password that it is so. Where nobody logs in, the
// name is taken as it is.
func (w *web) witness(r *http.Request, q request) (string, error) {
	if w.Access == nil || q.Second == "" {
		return q.Second, nil
	}
	second, err := w.Access.Confirm(r.Context(), time.Now(), q.Second, q.SecondPassword, w.origin(r))
	switch {
	case errors.Is(err, access.ErrWrong):
		return "", &access.Refused{Cause: access.ErrInput, Text: i18n.T("name or password of the second person is wrong")}
	case err != nil:
		return "", err
	case second.Shared || !second.Role.May(Duty):
		return "", &access.Refused{Cause: access.ErrInput, Text: i18n.T("%s cannot be the second person: it takes somebody on duty with an account of their own", second.Name)}
	case second.ID == identityOf(r).ID:
		return "", &access.Refused{Cause: access.ErrInput, Text: i18n.T("the second person must be another")}
	}
	return second.Name, nil
}

// denied answers why something about access was refused; false where the error is another.
func (w *web) denied(rw http.ResponseWriter, r *http.Request, err error) bool {
	var refused *access.Refused
	if !errors.As(err, &refused) {
		return false
	}
	w.problem(rw, r, refusalStatus(rw, refused), refused.Text)
	return true
}
