package console

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// Historian has what signals said: minutes of the last month, changes of the last day.
type Historian interface {
	// History is what a signal was from one time to another, in steps of equal length, at most so many.
	History(ctx context.Context, signal string, from, to time.Time, points int) ([]Step, error)
}

// Step is what a signal was in one step of a chart. A value is null where the signal had none.
type Step struct {
	Time time.Time      `json:"time"` // its start
	Min  *float64       `json:"min"`
	Mean *float64       `json:"mean"`
	Max  *float64       `json:"max"`
	Last *float64       `json:"last"`
	Good float64        `json:"good_s"` // seconds with a value
	Bad  float64        `json:"bad_s"`  // seconds known to have none; the rest of the step nothing is known: a gap
	Why  drivers.Reason `json:"reason,omitempty"`
}

// A chart has so many steps where none are asked for, and at most.
const (
	usualPoints    = 300
	greatestPoints = 5000
	longestHistory = 31 * 24 * time.Hour
)

// historyJSON is the history of one signal.
type historyJSON struct {
	Signal string    `json:"signal"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Steps  []Step    `json:"steps"`
}

func (w *web) getHistory(rw http.ResponseWriter, r *http.Request) {
	now := time.Now()
	q := r.URL.Query()
	signal := q.Get("signal")
	to, ok := queryTime(q.Get("to"), now)
	from, ok2 := queryTime(q.Get("from"), to.Add(-24*time.Hour))
	points, ok3 := whole(r, "points", usualPoints)
	switch {
	case !ok || !ok2 || !ok3:
		w.problem(rw, r, http.StatusBadRequest, i18n.T("from and to are times as 2026-11-21T20:00:00+08:00, and points a whole number"))
		return
	case !to.After(from) || to.Sub(from) > longestHistory:
		w.problem(rw, r, http.StatusBadRequest, i18n.T("to is after from, by 31 days at most"))
		return
	case !w.now().has(signal):
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no signal %q", signal))
		return
	}
	steps, err := w.History.History(r.Context(), signal, from, to, int(min(max(points, 1), greatestPoints)))
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	location := w.now().Time.Location()
	for i := range steps {
		steps[i].Time = steps[i].Time.In(location)
	}
	w.answer(rw, r, http.StatusOK, historyJSON{signal, from.In(location), to.In(location), list(steps)})
}

// queryTime is a time of the query: RFC 3339, or Unix seconds; where it is missing, the usual one.
func queryTime(text string, usual time.Time) (time.Time, bool) {
	if text == "" {
		return usual, true
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(n, 0), n > 0 && n < 1<<33
	}
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

// has tells whether there is a signal of that name.
func (s *Snapshot) has(signal string) bool {
	for _, d := range s.Devices {
		for _, sig := range d.Signals {
			if d.ID+"."+sig.ID == signal {
				return true
			}
		}
		if d.ID+"."+drivers.OnlineSignal == signal {
			return true
		}
	}
	return false
}
