package console

import (
	"net/http"
	"slices"
	"time"

	"embergate/drivers/i18n"
)

// Refused is what a platform will never take, in the words with which it said so.
type Refused struct {
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Lines  string    `json:"lines"` // line protocol
}

// getRefused answers the lines that a platform refused, the latest first.
func (w *web) getRefused(rw http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	limit, ok := whole(r, "limit", 100)
	if !ok {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("limit is a whole number"))
		return
	}
	if !slices.ContainsFunc(w.now().Uplinks, func(u Uplink) bool { return u.ID == id }) {
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no uplink %q", id))
		return
	}
	refused, err := w.Refused(r.Context(), id, bounded(limit))
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(refused))
}
