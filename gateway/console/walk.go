package console

import (
	"bytes"
	"context"
	"html/template"
	"net/http"
	"time"

	"embergate/drivers/i18n"
)

// Walks are the commissioning sheets of walk tests: those that are on, and the last that are over, the newest first.
type Walks interface {
	WalkTests(ctx context.Context) ([]WalkTest, error)
}

// WalkTest is a walk through a zone under test, in which every detector is tried.
type WalkTest struct {
	ID       string     `json:"id"`
	Zone     string     `json:"zone"`
	ZonePath string     `json:"zone_path"`
	By       string     `json:"by"`
	Note     string     `json:"note"`
	Started  time.Time  `json:"started"`
	Ended    *time.Time `json:"ended"` // null while it is on
	Tried    int        `json:"tried"` // of the lines
	Lines    []WalkLine `json:"lines"`
}

// WalkLine is one detector.
type WalkLine struct {
	Place  string     `json:"place"`
	Device string     `json:"device"`
	Signal string     `json:"signal"`
	Tried  *time.Time `json:"tried"` // when it was first found in alarm; null: it was not
}

// walkRoutes are those of the sheets.
func (w *web) walkRoutes() []route {
	return []route{
		{"GET /api/v1/tests/sheets", Viewer, w.getWalks},
		{"GET /api/v1/tests/sheets/{id}", Viewer, w.getWalk},
	}
}

func (w *web) getWalks(rw http.ResponseWriter, r *http.Request) {
	walks, err := w.Walks.WalkTests(r.Context())
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(walks))
}

// getWalk answers one sheet, for the printer with format=html.
func (w *web) getWalk(rw http.ResponseWriter, r *http.Request) {
	walks, err := w.Walks.WalkTests(r.Context())
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	for _, t := range walks {
		if t.ID != r.PathValue("id") {
			continue
		}
		if r.URL.Query().Get("format") == "html" {
			w.printWalk(rw, r, t)
			return
		}
		w.answer(rw, r, http.StatusOK, t)
		return
	}
	w.problem(rw, r, http.StatusNotFound, i18n.T("there is no walk test %q", r.PathValue("id")))
}

func (w *web) printWalk(rw http.ResponseWriter, r *http.Request, t WalkTest) {
	l, s := w.lang(r), w.now()
	clock := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Format(time.DateTime)
	}
	page, err := template.New("").Funcs(template.FuncMap{"say": l.Say, "asset": w.assets.url, "clock": clock}).ParseFS(reportFiles, "report/walk.html")
	var b bytes.Buffer
	if err == nil {
		err = page.ExecuteTemplate(&b, "walk.html", struct {
			WalkTest
			Lang i18n.Lang
			Site Site
			Made string
		}{t, l, s.Site, s.Time.Format(time.DateTime)})
	}
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Language", string(l))
	rw.Write(b.Bytes())
}
