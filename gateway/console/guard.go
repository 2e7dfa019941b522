package console

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"embergate/drivers/i18n"
)

// maxBody is the greatest body of a request, in bytes; the greatest sensible one, with a long note, has a tenth of it.
const maxBody = 16 << 10

// policy lets a page load and reach what this server serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// guard stands before all routes: it refuses what a foreign page could make a browser send, bounds bodies, and sets the
// headers that every answer has.
func (w *web) guard(mux *http.ServeMux) http.Handler {
	origin := http.NewCrossOriginProtection()
	if w.Public != "" {
		if err := origin.AddTrustedOrigin(w.Public); err != nil {
			w.Log.Warn("public address is no origin", "url", w.Public, "err", err) // the configuration was checked
		}
	}
	origin.SetDenyHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.problem(rw, r, http.StatusForbidden, i18n.T("the request comes from another site"))
	}))
	inner := origin.Handler(w.orProblem(mux))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")  // with none at all a browser over plain HTTP hides where a form comes from, and it is refused
		if w.secure(r) || loopbackName(r.Host) { // elsewhere a browser ignores it, and complains
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
		}
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !w.knownHost(r) {
			w.problem(rw, r, http.StatusMisdirectedRequest, i18n.T("%q is not a name of this gateway; console.public_url says which is", r.Host))
			return
		}
		r.Body = http.MaxBytesReader(rw, r.Body, longestBody(r))
		inner.ServeHTTP(rw, r)
	})
}

// knownHost tells whether the Host of a request is this gateway's. A page of a hostile site whose name was made to
// resolve to this address (DNS rebinding) carries that site's name. Over TLS the browser has seen to it; an address
// cannot be made to resolve, but where nobody logs in, only those of this machine are taken.
func (w *web) knownHost(r *http.Request) bool {
	host := hostOf(r.Host)
	if loopbackName(r.Host) || w.Host != "" && host == strings.ToLower(w.Host) {
		return true
	}
	if w.Access == nil {
		return false
	}
	if public, err := url.Parse(w.Public); err == nil && w.Public != "" && host == hostOf(public.Host) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil || w.secure(r)
}

// hostOf is a host without its port, in small letters.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// loopbackName tells whether a host is a name or address of the machine itself.
func loopbackName(hostport string) bool {
	host := hostOf(hostport)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// orProblem serves the routes; a path or method that none of them has is answered with a problem instead of plain text.
func (w *web) orProblem(mux *http.ServeMux) http.Handler {
	nowhere := w.allow(route{"", Viewer, w.servePage(nowhere)})
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(rw, r)
			return
		}
		refusal := refusal{header: rw.Header()}
		h.ServeHTTP(&refusal, r) // sets Allow where the method is wrong
		if refusal.status == http.StatusMethodNotAllowed {
			w.problem(rw, r, refusal.status, i18n.T("%s is not possible here", r.Method))
			return
		}
		if strings.HasPrefix(r.Header.Get("Accept"), "text/html") && !strings.HasPrefix(r.URL.Path, "/api/") {
			nowhere(rw, r)
			return
		}
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is nothing at %s", r.URL.Path))
	})
}

// refusal keeps the status and headers of an answer and drops its body.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) WriteHeader(status int)      { r.status = status }
func (r *refusal) Write(p []byte) (int, error) { return len(p), nil }
