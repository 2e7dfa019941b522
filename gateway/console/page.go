package console

import (
	"bytes"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"sync"
	"text/template/parse"
	"time"

	"embergate/drivers/i18n"
)

// How to add a page
//
// One Go file with a function that answers the page's row, and one line in allPages; one template in templates/:
//
//	func (w *web) usersPage() page {
//		return page{path: "/users", role: Admin, title: i18n.T("Users"), nav: "/users", body: "users.html", view: w.seeUsers}
//	}
//	func (w *web) seeUsers(q *look) (any, error) { return usersView{…}, nil }
//
// The template's dot is the frame: {{.View}} is what view answered, {{.Lang}}, {{.Who}}, {{.May "duty"}} come with it. Sentences are
// {{say "English format" args}}, with their Chinese in drivers/i18n/zh/console.yaml. A view that cannot find what its URL
// names answers fs.ErrNotExist. Times are at(t, q.Now, q.Lang), shown by {{template "ago" .X}} or {{.X.Clock}}.
//
// What stands in <main> is fetched again every two seconds, at once when the journal moves, and put into place where it
// differs (live.js); give what must survive that an id, and to what scripts or people fill in data-keep.
//
// No page needs a script of its own to act: acts.js sends
//   - <form data-post="/api/v1/…">: its named fields as one JSON object. number inputs become numbers, checkboxes booleans,
//     datetime-local times with zone, data-minutes selects a time so far ahead, data-number selects a number; empty fields are left out, "by" is the name
//     of whoever acts. data-method="DELETE" sends another method, data-then="/path" goes there afterwards, an
//     <output data-field="token"> shows a field of the answer. Refusals appear in the form's [role=alert] (made where missing).
//     data-confirm="really?" on the button makes it ask for a second tap; its data-post is where it sends instead, and its
//     data-follow="/path/{}" the page of what came into being, of which the answer has the id.
//   - <button data-act="ack|silence|reset|shelve|verdict" data-id=ALARM data-what=NAME>: the dialog of dialog.html.

// page is one page of the console.
type page struct {
	path  string    // of its URL, as http.ServeMux takes it; "/" is the first page alone
	role  Role      // the least that may see it
	title i18n.Text // also its entry in the navigation
	nav   string    // the path of the entry that is marked while it is shown; the entry is its own where nav is its path
	body  string    // its template, given a frameView
	bare  bool      // without navigation, footer and dialog: a wall

	// view is what its template shows as .View. Shared pages look at nothing but the snapshot, the language and the role,
	// and are rendered once for all who look at one snapshot.
	view   func(q *look) (any, error)
	shared bool
}

// allPages are the pages in the order of the navigation.
func (w *web) allPages() []page {
	return slices.Concat([]page{w.nowPage()}, w.alarmPages(), w.placePages(), []page{w.dutyPage(), w.chartPage(), w.drillPage(), w.hazardPage(), w.reportPage(), w.healthPage(), w.wallPage()}, w.peoplePages())
}

// look is one request for a page.
type look struct {
	*http.Request
	Snapshot *Snapshot // never nil; before the first it is empty
	Now      time.Time
	Lang     i18n.Lang
	Who      visitor
	Title    string // of the window, in Lang; a view may set a better one than its page's
}

// pages are the templates in one language, with the latest renderings. Everybody who looks at the same snapshot in the same
// language gets the same bytes, so that fifty viewers cost little more than one.
type pages struct {
	all  func() *template.Template // every template, and for each body the frame with it in: framed; read when first asked for
	lang i18n.Lang

	mu     sync.Mutex // guards what follows
	of     *Snapshot
	frozen bool
	last   map[sharedBy]rendered
}

// sharedBy is what renderings of one snapshot differ by.
type sharedBy struct {
	path string
	who  visitor
}

// rendered is a page as it is sent.
type rendered struct{ plain, gzip []byte }

// framed is the name of the frame with a body in.
func framed(body string) string { return "page.html " + body }

// parsePages reads the templates of a language when somebody first looks in it: most homes look in one, and each takes 1 MB.
func parsePages(a assets, all []page) map[i18n.Lang]*pages {
	byLang := map[i18n.Lang]*pages{}
	for _, l := range i18n.Langs {
		byLang[l] = &pages{all: sync.OnceValue(func() *template.Template { return readTemplates(a, all, l) }), lang: l, last: map[sharedBy]rendered{}}
	}
	return byLang
}

// readTemplates reads the templates in a language, and makes a frame for each page's body. Only the frame is copied: copies of all
// templates for each page were 20 MB.
func readTemplates(a assets, all []page, l i18n.Lang) *template.Template {
	base := template.Must(template.New("").Funcs(template.FuncMap{
		"say":      l.Say,
		"verdicts": func() []choice { return verdicts(l) },
		"asset":    a.url,
		"version":  func() string { return a.all },
	}).ParseFS(files, "templates/*.html"))
	for _, body := range append(bodiesOf(all), missing) {
		frame := base.Lookup("page.html").Tree.Copy()
		for _, n := range frame.Root.Nodes {
			if t, ok := n.(*parse.TemplateNode); ok && t.Name == "body" {
				t.Name = body
			}
		}
		template.Must(base.AddParseTree(framed(body), frame))
	}
	return base
}

func bodiesOf(all []page) (bodies []string) {
	for _, p := range all {
		bodies = append(bodies, p.body)
	}
	return bodies
}

// missing is the body of a page whose URL names what there is not.
const missing = "missing.html"

// nowhere is the page of an address that no page has.
var nowhere = page{body: missing, title: i18n.T("Not found"), view: func(*look) (any, error) { return nil, fs.ErrNotExist }}

// pageRoutes are those of the pages.
func (w *web) pageRoutes() []route {
	var routes []route
	for _, p := range w.table {
		pattern := "GET " + p.path
		if p.path == "/" {
			pattern = "GET /{$}"
		}
		routes = append(routes, route{pattern, p.role, w.servePage(p)})
	}
	return routes
}

// servePage answers requests for a page.
func (w *web) servePage(p page) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		l := w.lang(r)
		if r.URL.Query().Has("lang") {
			http.SetCookie(rw, &http.Cookie{Name: langCookie, Value: string(l), Path: "/", MaxAge: 365 * 24 * 60 * 60, SameSite: http.SameSiteLaxMode})
		}
		body, status, err := w.renderPage(p, w.Source.Snapshot(), &look{Request: r, Now: time.Now(), Lang: l, Who: w.visitor(r)})
		if err != nil {
			w.broken(rw, r, err)
			return
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		rw.Header().Set("Content-Language", string(l))
		send(rw, r, status, body.plain, body.gzip)
	}
}

// renderPage is the page for one request, with the status of the answer; a shared one is rendered once for a snapshot.
func (w *web) renderPage(p page, s *Snapshot, q *look) (rendered, int, error) {
	if !p.shared || s == nil {
		return w.execute(p, s, q)
	}
	set, frozen, key := w.pages[q.Lang], s.frozen(q.Now), sharedBy{p.path, q.Who}
	set.mu.Lock()
	defer set.mu.Unlock()
	if !set.holds(s, frozen) {
		set.of, set.frozen = s, frozen
		clear(set.last)
	}
	if body, ok := set.last[key]; ok {
		return body, http.StatusOK, nil
	}
	body, status, err := w.execute(p, s, q)
	if err == nil && status == http.StatusOK {
		set.last[key] = body
	}
	return body, status, err
}

// renderAgain is how much newer a snapshot must be to be rendered, where nothing has happened: who fetches a page within it
// gets what somebody else got. How old that is stands on it.
const renderAgain = time.Second

// holds tells whether the renderings are good for a snapshot.
func (p *pages) holds(s *Snapshot, frozen bool) bool {
	if p.of == s {
		return p.frozen == frozen
	}
	return p.of != nil && !p.frozen && !frozen && p.of.Seq == s.Seq && s.Time.Sub(p.of.Time) < renderAgain && !s.Time.Before(p.of.Time)
}

// execute renders a page anew.
func (w *web) execute(p page, s *Snapshot, q *look) (rendered, int, error) {
	status := http.StatusOK
	q.Snapshot = s
	if s == nil {
		q.Snapshot = &Snapshot{Time: q.Now}
	}
	q.Title = q.Lang.Say(p.title.Format)
	view, err := p.view(q)
	if errors.Is(err, fs.ErrNotExist) {
		p.body, status, err = missing, http.StatusNotFound, nil
		q.Title = q.Lang.Say("Not found")
	}
	if err != nil {
		return rendered{}, 0, err
	}
	f := w.frame(p, s, q)
	f.View = view
	var b bytes.Buffer
	if err := w.pages[q.Lang].all().ExecuteTemplate(&b, framed(p.body), f); err != nil {
		return rendered{}, 0, err
	}
	return rendered{b.Bytes(), w.press.gzip(b.Bytes())}, status, nil
}

// frameView is what all pages have, and what the page shows itself.
type frameView struct {
	glanceView
	Lang    i18n.Lang
	Path    string // of the page, as in its row
	Title   string // of the page
	Window  string // title of the window: what is most urgent first
	Bare    bool
	Nav     []navEntry
	Site    Site
	Version string
	Demo    bool
	Modes   modesView
	Duty    dutyView
	Who     visitor
	View    any
}

// May tells whether whoever looks has a role.
func (f frameView) May(role Role) bool { return f.Who.Role.May(role) }

// navEntry is one entry of the navigation. Rest are those that a phone folds away.
type navEntry struct {
	Path, Title   string
	Current, Rest bool
}

// tabs is how many entries of the navigation a phone shows at once.
const tabs = 4

func (w *web) frame(p page, s *Snapshot, q *look) frameView {
	f := frameView{
		glanceView: seeGlance(s, q.Now, q.Lang),
		Lang:       q.Lang, Path: p.path, Title: q.Title, Bare: p.bare, Site: q.Snapshot.Site, Version: q.Snapshot.Version, Demo: w.Demo,
		Modes: modesOf(q.Snapshot, q.Snapshot.Time, q.Lang), Who: q.Who,
		Duty: dutyOf(q.Snapshot, q.Lang),
	}
	f.Window = f.Headline
	if p.path != "/" {
		f.Window = q.Title + " · " + f.Headline
	}
	if f.Site.Name != "" {
		f.Window += " · " + f.Site.Name
	}
	for _, other := range w.table {
		if other.nav == other.path && q.Who.Role.May(other.role) {
			f.Nav = append(f.Nav, navEntry{other.path, q.Lang.Say(other.title.Format), other.path == p.nav, len(f.Nav) >= tabs})
		}
	}
	return f
}
