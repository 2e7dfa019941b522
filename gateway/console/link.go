package console

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// Links answer a message from the phone that got it, without a login: who holds the link is who it was sent to. The error
// is *alarm.Refused where a link is not ours, is too old or was used, or where the alarm cannot be acknowledged.
type Links interface {
	Link(ctx context.Context, token string) (Link, error)
	Answer(ctx context.Context, token, person string) (Link, error)
}

// Link is what a link is for.
type Link struct {
	Alarm  alarm.Alarm
	Person string   // the name of whoever it was sent to; "" where several read the message
	People []string // of whom one then says that it is they; nil: there is no roster, and anybody says so
	Used   bool
}

// linkRoutes are open to everybody: the link itself is the proof. Reading it does nothing, for whatever shows a preview of
// a message reads its links.
func (w *web) linkRoutes() []route {
	if w.Links == nil {
		return nil
	}
	return []route{
		{"GET /a/{token}", Public, w.seeLink},
		{"POST /a/{token}", Public, w.postLink},
	}
}

// answerView is the page of a link.
type answerView struct {
	Lang   i18n.Lang
	Site   string
	Link   Link
	Raised string
	Taken  string // when somebody took it
	Open   bool   // it can be acknowledged
	Error  string
}

func parseLink(a assets) map[i18n.Lang]*template.Template {
	byLang := map[i18n.Lang]*template.Template{}
	for _, l := range i18n.Langs {
		byLang[l] = template.Must(template.New("link.html").Funcs(template.FuncMap{"say": l.Say, "asset": a.url}).ParseFS(files, "templates/door/link.html"))
	}
	return byLang
}

func (w *web) seeLink(rw http.ResponseWriter, r *http.Request) {
	l, err := w.Links.Link(r.Context(), r.PathValue("token"))
	w.showLink(rw, r, l, err)
}

func (w *web) postLink(rw http.ResponseWriter, r *http.Request) {
	person := strings.TrimSpace(r.PostFormValue("person"))
	token := r.PathValue("token")
	l, err := w.Links.Link(r.Context(), token)
	switch {
	case err != nil:
	case l.Person == "" && (person == "" || utf8.RuneCountInString(person) > longestName || l.People != nil && !slices.Contains(l.People, person)):
		err = &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("say who you are")}
	default:
		l, err = w.Links.Answer(r.Context(), token, person)
	}
	w.showLink(rw, r, l, err)
}

// showLink is the page, with what was wrong where something was. What cannot be done because somebody else was faster is
// no error: the page says who.
func (w *web) showLink(rw http.ResponseWriter, r *http.Request, l Link, err error) {
	v := answerView{Lang: w.lang(r), Link: l}
	status := http.StatusOK
	var refused *alarm.Refused
	switch {
	case errors.As(err, &refused):
		status = http.StatusBadRequest
		if errors.Is(err, alarm.ErrNotFound) {
			status = http.StatusGone
		} else if errors.Is(err, alarm.ErrState) {
			status = http.StatusConflict
		}
		v.Error = v.Lang.Say(refused.Text.Format, refused.Text.Args...)
	case err != nil:
		w.broken(rw, r, err)
		return
	}
	s := w.now()
	v.Site = s.Site.Name
	if a := l.Alarm; a.ID != "" {
		v.Raised = a.RaisedAt.In(s.Time.Location()).Format("01-02 15:04:05")
		if a.AcknowledgedAt != nil {
			v.Taken = a.AcknowledgedAt.In(s.Time.Location()).Format("15:04")
		}
		v.Open = !l.Used && (a.State == alarm.Unacknowledged || a.State == alarm.Returned)
	}
	var b bytes.Buffer
	if err := w.answers[v.Lang].Execute(&b, v); err != nil {
		w.broken(rw, r, err)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(v.Lang))
	rw.WriteHeader(status)
	rw.Write(b.Bytes())
}
