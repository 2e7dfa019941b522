package console

import (
	"bytes"
	"net/http"
)

// offlineRoutes are what makes the page installable: a service worker that says plainly when there is no connection, and
// what it shows then. It keeps nothing else.
func (w *web) offlineRoutes() []route {
	return []route{
		{"GET /sw.js", Public, w.serviceWorker},
		{"GET /offline", Public, w.offline},
	}
}

func (w *web) serviceWorker(rw http.ResponseWriter, r *http.Request) {
	a := w.assets.byName[w.assets.names["sw.js"]]
	rw.Header().Set("Content-Type", a.contentType)
	rw.Header().Set("Cache-Control", "no-cache")
	send(rw, r, http.StatusOK, a.plain, a.gzip)
}

// offline is what a browser shows where the gateway cannot be reached.
func (w *web) offline(rw http.ResponseWriter, r *http.Request) {
	l := w.lang(r)
	var b bytes.Buffer
	if err := w.pages[l].all().ExecuteTemplate(&b, "offline.html", frameView{Lang: l}); err != nil {
		w.broken(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Language", string(l))
	send(rw, r, http.StatusOK, b.Bytes(), w.press.gzip(b.Bytes()))
}
