package console

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// Bounds of what a person writes, in characters.
const (
	longestName = 40
	longestNote = 500
)

// request is the body of an act: who does it, and what the act needs.
type request struct {
	By             string     `json:"by"`
	Note           string     `json:"note"`
	Until          *time.Time `json:"until"`           // shelve
	Second         string     `json:"second"`          // shelve: the second person, where the class asks for one
	SecondPassword string     `json:"second_password"` // shelve: with which the second person says so
	Verdict        string     `json:"verdict"`         // verdict: real, false:CAUSE, drill, test, fault
	Signal         string     `json:"signal"`          // drill: what is taken to be in alarm
}

// act is one of Acts, with what it needs of a request.
type act func(ctx context.Context, id string, q request, who alarm.Act) error

func (w *web) acknowledge(ctx context.Context, id string, _ request, who alarm.Act) error {
	return w.Acts.Acknowledge(ctx, id, who)
}

func (w *web) silence(ctx context.Context, id string, _ request, who alarm.Act) error {
	return w.Acts.Silence(ctx, id, who)
}

func (w *web) reset(ctx context.Context, id string, _ request, who alarm.Act) error {
	return w.Acts.Reset(ctx, id, who)
}

func (w *web) verdict(ctx context.Context, id string, q request, who alarm.Act) error {
	return w.Acts.Verdict(ctx, id, q.Verdict, who)
}

func (w *web) shelve(ctx context.Context, id string, q request, who alarm.Act) error {
	if q.Until == nil {
		return &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("until is missing: the time at which the alarm comes back")}
	}
	return w.Acts.Shelve(ctx, id, *q.Until, q.Second, who)
}

// do reads the body of an act, does it, and answers with the alarm as it is then.
func (w *web) do(a act) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		q, status, why := readRequest(r)
		if status != 0 {
			w.problem(rw, r, status, why)
			return
		}
		who, err := w.sign(r, q)
		if err == nil {
			q.Second, err = w.witness(r, q)
		}
		if err == nil {
			err = a(r.Context(), r.PathValue("id"), q, who)
		}
		if err != nil {
			w.refuse(rw, r, err)
			return
		}
		w.getAlarm(rw, r)
	}
}

// CLI is how the verbs of this program name themselves to the API.
const CLI = "embergate-cli"

// refuse answers why an act was not done.
func (w *web) refuse(rw http.ResponseWriter, r *http.Request, err error) {
	var refused *alarm.Refused
	if !errors.As(err, &refused) {
		if w.denied(rw, r, err) {
			return
		}
		w.noAlarm(rw, r, err)
		return
	}
	status := http.StatusConflict
	switch {
	case errors.Is(err, alarm.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, alarm.ErrInput):
		status = http.StatusBadRequest
	}
	w.problem(rw, r, status, refused.Text)
}

// readRequest is the body of an act; where status is not 0, it is refused with that status.
func readRequest(r *http.Request) (q request, status int, why i18n.Text) {
	if status, why := readBody(r, &q); status != 0 {
		return q, status, why
	}
	status, why = q.check()
	return q, status, why
}

// check trims what a person wrote and keeps it within bounds; where status is not 0, it is refused with that status.
func (q *request) check() (status int, why i18n.Text) {
	q.By, q.Note, q.Second = strings.TrimSpace(q.By), strings.TrimSpace(q.Note), strings.TrimSpace(q.Second)
	switch {
	case utf8.RuneCountInString(q.By) > longestName || utf8.RuneCountInString(q.Second) > longestName:
		return http.StatusBadRequest, i18n.T("a name has at most %d characters", longestName)
	case utf8.RuneCountInString(q.Note) > longestNote:
		return http.StatusBadRequest, i18n.T("a note has at most %d characters", longestNote)
	}
	return 0, i18n.Text{}
}

// readBody reads a body of JSON into an object; where status is not 0, it is refused with that status.
func readBody(r *http.Request, into any) (status int, why i18n.Text) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		return http.StatusUnsupportedMediaType, i18n.T("the body must be application/json")
	}
	body, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	if errors.As(err, &tooLong) {
		return http.StatusRequestEntityTooLarge, i18n.T("the body is longer than %d bytes", maxBody)
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err == nil {
		err = d.Decode(into)
	}
	if err == nil && d.InputOffset() != int64(len(strings.TrimRight(string(body), " \t\r\n"))) {
		err = errors.New("more than one value")
	}
	if err != nil {
		return http.StatusBadRequest, i18n.T("the body is not the JSON object that this act takes: %s", err)
	}
	return 0, i18n.Text{}
}
