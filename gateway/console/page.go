package console

import (
	"bytes"
	"html/template"
	"net/http"
	"sync"
	"time"

	"embergate/drivers/i18n"
)

// pages are the templates in one language, with the latest rendering of the page. Everybody who looks at the same
// snapshot in the same language gets the same bytes, so that a hundred viewers cost little more than one.
type pages struct {
	*template.Template
	lang i18n.Lang
	demo bool

	mu   sync.Mutex // guards last
	last rendered
}

// rendered is the page of one snapshot.
type rendered struct {
	of          *Snapshot
	frozen      bool
	plain, gzip []byte
}

// parsePages reads the templates once for each language.
func parsePages(a assets, demo bool) map[i18n.Lang]*pages {
	all := map[i18n.Lang]*pages{}
	for _, l := range i18n.Langs {
		t := template.New("").Funcs(template.FuncMap{
			"say":     l.Say,
			"asset":   a.url,
			"version": func() string { return a.all },
		})
		all[l] = &pages{Template: template.Must(t.ParseFS(files, "templates/*.html")), lang: l, demo: demo}
	}
	return all
}

// home is the page that people look at.
func (w *web) home(rw http.ResponseWriter, r *http.Request) {
	l := w.lang(r)
	page, err := w.pages[l].render(w.Source.Snapshot(), time.Now())
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Language", string(l))
	send(rw, r, page.plain, page.gzip)
}

// render is the page of a snapshot. The last one is kept.
func (p *pages) render(s *Snapshot, now time.Time) (rendered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	frozen := s == nil || s.frozen(now)
	if s != nil && p.last.of == s && p.last.frozen == frozen {
		return p.last, nil
	}
	var b bytes.Buffer
	err := p.ExecuteTemplate(&b, "page.html", struct {
		view
		Demo bool
	}{see(s, now, p.lang), p.demo})
	if err != nil {
		return rendered{}, err
	}
	p.last = rendered{s, frozen, b.Bytes(), compress(b.Bytes())}
	return p.last, nil
}
