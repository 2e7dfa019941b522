package console

import (
	"encoding/json"
	"net/http"

	"embergate/drivers/i18n"
)

// problem answers with an error in the shape of RFC 9457, in the language of the request.
func (w *web) problem(rw http.ResponseWriter, r *http.Request, status int, why i18n.Text) {
	l := w.lang(r)
	body, _ := json.Marshal(struct { // strings always marshal
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", l.Say(title(status)), status, l.Say(why.Format, why.Args...)})
	rw.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	rw.Header().Set("Content-Language", string(l))
	rw.WriteHeader(status)
	rw.Write(append(body, '\n'))
}

// titles are the short names of the statuses that the console answers with.
var titles = map[int]i18n.Text{
	http.StatusBadRequest:            i18n.T("Request not understood"),
	http.StatusUnauthorized:          i18n.T("Not logged in"),
	http.StatusTooManyRequests:       i18n.T("Too many attempts"),
	http.StatusForbidden:             i18n.T("Not allowed"),
	http.StatusNotFound:              i18n.T("Not found"),
	http.StatusMethodNotAllowed:      i18n.T("Not possible here"),
	http.StatusConflict:              i18n.T("Refused"),
	http.StatusRequestEntityTooLarge: i18n.T("Too long"),
	http.StatusUnsupportedMediaType:  i18n.T("Not JSON"),
	http.StatusMisdirectedRequest:    i18n.T("Wrong address"),
	http.StatusInternalServerError:   i18n.T("The gateway failed"),
	http.StatusServiceUnavailable:    i18n.T("Not available now"),
}

func title(status int) string { return titles[status].Format }

// broken answers that the gateway itself failed, and says in the log how.
func (w *web) broken(rw http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is there any more to be answered
	}
	w.Log.Error("console request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	w.problem(rw, r, http.StatusInternalServerError, i18n.T("the request could not be carried out; the log says why"))
}

// answer sends a value as JSON.
func (w *web) answer(rw http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(status)
	rw.Write(append(body, '\n'))
}
