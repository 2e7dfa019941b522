package console

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// Notes is what people add to alarms, and what became of telling them. An error is *alarm.Refused where it is not taken,
// and wraps fs.ErrNotExist where there is no such alarm or picture.
type Notes interface {
	Note(ctx context.Context, id string, a alarm.Act) error

	// AddPhoto takes a JPEG or PNG as it came from the telephone; what is kept says nothing beside its pixels.
	AddPhoto(ctx context.Context, id string, picture []byte, a alarm.Act) (alarm.Photo, error)

	// Photo is the n-th picture of an alarm, from 1.
	Photo(ctx context.Context, id string, n int) (alarm.Photo, []byte, error)

	// Attempts are the attempts to tell people of an alarm, oldest first.
	Attempts(ctx context.Context, id string) ([]Attempt, error)
}

// Attempt is one attempt to tell people of an alarm.
type Attempt struct {
	Time    time.Time `json:"time"`
	Channel string    `json:"channel"`
	To      string    `json:"to"`      // ids of people, with commas between them; empty: whoever reads the channel
	Type    string    `json:"type"`    // of the event that was told
	Outcome string    `json:"outcome"` // accepted, retry or never
	Detail  string    `json:"detail"`  // in English: why it failed, or the far side's number of the message
}

// A picture has at most so many bytes, and a telephone with bad radio so much time to send it. So many are received at once,
// since each is held in memory as a whole.
const (
	maxPhoto     = 2 << 20
	photoTime    = 60 * time.Second
	photosAtOnce = 8
)

// noteRoutes are those of what people add to alarms.
func (w *web) noteRoutes() []route {
	return []route{
		{"POST /api/v1/alarms/{id}/note", Duty, w.do(w.note)},
		{"POST /api/v1/alarms/{id}/photo", Duty, w.fewAtOnce(w.addPhoto)},
		{"GET /api/v1/alarms/{id}/photo/{n}", Viewer, w.getPhoto},
		{"GET /api/v1/alarms/{id}/deliveries", Viewer, w.getAttempts},
		{"GET /api/v1/alarms/{id}/report", Viewer, w.getReport},
	}
}

func (w *web) note(ctx context.Context, id string, _ request, who alarm.Act) error {
	return w.Notes.Note(ctx, id, who)
}

// longestBody is how many bytes the body of a request may have.
func longestBody(r *http.Request) int64 {
	if r.Method == http.MethodPost && (strings.HasPrefix(r.URL.Path, "/api/v1/alarms/") || strings.HasPrefix(r.URL.Path, "/api/v1/hazards/")) && strings.HasSuffix(r.URL.Path, "/photo") {
		return maxPhoto
	}
	return maxBody
}

// fewAtOnce is a route that takes a picture.
func (w *web) fewAtOnce(serve http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		select {
		case w.photos <- struct{}{}:
			defer func() { <-w.photos }()
			serve(rw, r)
		default:
			rw.Header().Set("Retry-After", "5")
			w.problem(rw, r, http.StatusServiceUnavailable, i18n.T("%d pictures are on their way already; try again", photosAtOnce))
		}
	}
}

// readPhoto takes the bytes of a picture as the body; by and note stand in the query. False where it was refused.
func (w *web) readPhoto(rw http.ResponseWriter, r *http.Request) (picture []byte, q request, ok bool) {
	q, status, why := photoRequest(r)
	if status != 0 {
		w.problem(rw, r, status, why)
		return nil, q, false
	}
	slow := time.Now().Add(photoTime)
	c := http.NewResponseController(rw)
	if err := errors.Join(c.SetReadDeadline(slow), c.SetWriteDeadline(slow.Add(photoTime))); err != nil {
		w.Log.Debug("no more time for a picture", "err", err) // a test's recorder has no deadlines
	}
	picture, err := io.ReadAll(r.Body)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		w.problem(rw, r, http.StatusRequestEntityTooLarge, i18n.T("the picture is larger than %d bytes", maxPhoto))
		return nil, q, false
	case err != nil:
		w.problem(rw, r, http.StatusBadRequest, i18n.T("the picture did not arrive as a whole"))
		return nil, q, false
	}
	return picture, q, true
}

func (w *web) addPhoto(rw http.ResponseWriter, r *http.Request) {
	picture, q, ok := w.readPhoto(rw, r)
	if !ok {
		return
	}
	var kept alarm.Photo
	who, err := w.sign(r, q)
	if err == nil {
		kept, err = w.Notes.AddPhoto(r.Context(), r.PathValue("id"), picture, who)
	}
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, kept)
}

// photoRequest is who adds a picture, and what they say of it; where status is not 0, it is refused with that status.
func photoRequest(r *http.Request) (q request, status int, why i18n.Text) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "image/jpeg" && kind != "image/png" {
		return q, http.StatusUnsupportedMediaType, i18n.T("a picture is image/jpeg or image/png")
	}
	query := r.URL.Query()
	q.By, q.Note = strings.TrimSpace(query.Get("by")), strings.TrimSpace(query.Get("note"))
	switch {
	case !utf8.ValidString(q.By+q.Note) || utf8.RuneCountInString(q.By) > longestName:
		return q, http.StatusBadRequest, i18n.T("a name has at most %d characters", longestName)
	case utf8.RuneCountInString(q.Note) > longestNote:
		return q, http.StatusBadRequest, i18n.T("a note has at most %d characters", longestNote)
	}
	return q, 0, i18n.Text{}
}

func (w *web) getPhoto(rw http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil {
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no alarm %q", r.PathValue("id")))
		return
	}
	p, picture, err := w.Notes.Photo(r.Context(), r.PathValue("id"), n)
	if err != nil {
		w.noAlarm(rw, r, err)
		return
	}
	sendPicture(rw, p.Type, picture)
}

func (w *web) getAttempts(rw http.ResponseWriter, r *http.Request) {
	if _, _, err := w.Source.Alarm(r.Context(), r.PathValue("id")); err != nil {
		w.noAlarm(rw, r, err)
		return
	}
	deliveries, err := w.Notes.Attempts(r.Context(), r.PathValue("id"))
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(deliveries))
}
