package console

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// Couriers are the channels as the console sees them: what became of every attempt, and a way to try one.
type Couriers interface {
	// Deliveries are attempts to tell people, the newest first.
	Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error)

	// TestChannel sends a test message by a channel, to a person by id where the channel reaches one at a time, and answers
	// how that went. The error wraps fs.ErrNotExist where there is no such channel, and is *alarm.Refused where it cannot
	// be tried so.
	TestChannel(ctx context.Context, channel, to string, a alarm.Act) (Delivery, error)
}

// DeliveryQuery selects attempts; what is empty selects nothing.
type DeliveryQuery struct {
	Alarm, Channel string
	Limit          int
}

// Delivery is one attempt to tell people of something, a line of the ledger.
type Delivery struct {
	Time    time.Time `json:"time"`
	Channel string    `json:"channel"`
	To      string    `json:"to"`      // ids of people, with commas between them; empty: whoever reads the channel
	Event   string    `json:"event"`   // id of what was told
	Type    string    `json:"type"`    // of the event: alarm.raised
	Alarm   string    `json:"alarm"`   // id; empty where it was of no alarm
	Outcome string    `json:"outcome"` // accepted, retry or never
	Detail  string    `json:"detail"`  // in English: why it failed, or the far side's number of the message
	Latency float64   `json:"latency"` // seconds since the message was made
}

// deliveryRoutes are those of the channels.
func (w *web) deliveryRoutes() []route {
	return []route{
		{"GET /api/v1/deliveries", Viewer, w.getDeliveries},
		{"POST /api/v1/channels/{id}/test", Maintainer, w.testChannel},
	}
}

func (w *web) getDeliveries(rw http.ResponseWriter, r *http.Request) {
	limit, ok := whole(r, "limit", usualLimit)
	if !ok {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("limit is a whole number"))
		return
	}
	q := DeliveryQuery{Alarm: r.URL.Query().Get("alarm"), Channel: r.URL.Query().Get("channel"), Limit: bounded(limit)}
	deliveries, err := w.Couriers.Deliveries(r.Context(), q)
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(deliveries))
}

// testChannel answers with the attempt, whatever became of it: the test was made.
func (w *web) testChannel(rw http.ResponseWriter, r *http.Request) {
	var q struct {
		By   string `json:"by"`
		To   string `json:"to"` // a person's id
		Note string `json:"note"`
	}
	if status, why := readBody(r, &q); status != 0 {
		w.problem(rw, r, status, why)
		return
	}
	q.By, q.To, q.Note = strings.TrimSpace(q.By), strings.TrimSpace(q.To), strings.TrimSpace(q.Note)
	if utf8.RuneCountInString(q.By) > longestName {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("a name has at most %d characters", longestName))
		return
	}
	who, err := w.sign(r, request{By: q.By, Note: q.Note})
	var made Delivery
	if err == nil {
		made, err = w.Couriers.TestChannel(r.Context(), r.PathValue("id"), q.To, who)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no channel %q", r.PathValue("id")))
	case err != nil:
		w.refuse(rw, r, err)
	default:
		w.answer(rw, r, http.StatusOK, made)
	}
}
