package console

import (
	"net/http"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// ZoneTest is a zone under test, with those below it: what is found there is marked, and nothing of it leaves the site.
type ZoneTest struct {
	Zone     string    `json:"zone"`
	ZonePath string    `json:"zone_path"`
	By       string    `json:"by"`
	Note     string    `json:"note"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"` // it ends by itself
}

// Drill is an exercise: a signal is taken to be in alarm, and the whole chain runs, marked.
type Drill struct {
	ID      string      `json:"id"`
	Signal  string      `json:"signal"`
	By      string      `json:"by"`
	Note    string      `json:"note"`
	Started time.Time   `json:"started"`
	Until   time.Time   `json:"until"` // it ends by itself
	Ended   *time.Time  `json:"ended"` // null while it is on
	Why     string      `json:"why,omitempty"`
	Steps   []DrillStep `json:"steps"`
}

// DrillStep is one thing that happened in a drill.
type DrillStep struct {
	After float64 `json:"after"` // seconds since the start
	Event string  `json:"event"` // type of the event; delivered for a message that a channel took
	Name  string  `json:"name"`  // of the alarm, or of the channel
	By    string  `json:"by,omitempty"`
}

// modeRoutes are those of tests and drills.
func (w *web) modeRoutes() []route {
	return []route{
		{"GET /api/v1/drills", Viewer, w.getDrills},
		{"POST /api/v1/drills", Duty, change(w, w.startDrill)},
		{"POST /api/v1/drills/stop", Duty, change(w, w.stopDrill)},
		{"GET /api/v1/tests", Viewer, w.getTests},
		{"POST /api/v1/zones/{id}/test", Duty, change(w, w.testZone)},
		{"POST /api/v1/zones/{id}/test/end", Duty, change(w, w.endTest)},
	}
}

func (w *web) getTests(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, http.StatusOK, list(w.now().Tests))
}

func (w *web) getDrills(rw http.ResponseWriter, r *http.Request) {
	drills, err := w.Source.Drills(r.Context())
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(drills))
}

func (w *web) startDrill(r *http.Request, q request, who alarm.Act) (Drill, error) {
	if q.Signal == "" {
		return Drill{}, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("signal is missing: what is taken to be in alarm")}
	}
	return w.Acts.StartDrill(r.Context(), q.Signal, q.end(), who)
}

func (w *web) stopDrill(r *http.Request, _ request, who alarm.Act) (Drill, error) {
	return w.Acts.StopDrill(r.Context(), who)
}

func (w *web) testZone(r *http.Request, q request, who alarm.Act) (ZoneTest, error) {
	return w.Acts.TestZone(r.Context(), r.PathValue("id"), q.end(), who)
}

func (w *web) endTest(r *http.Request, _ request, who alarm.Act) (ZoneTest, error) {
	return w.Acts.EndTest(r.Context(), r.PathValue("id"), who)
}

// end is until; zero where the usual time is meant.
func (q request) end() time.Time {
	if q.Until == nil {
		return time.Time{}
	}
	return *q.Until
}

// change reads the body of an act, does it, and answers with what it made.
func change[T any](w *web, act func(r *http.Request, q request, who alarm.Act) (T, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		q, status, why := readRequest(r)
		if status != 0 {
			w.problem(rw, r, status, why)
			return
		}
		var made T
		who, err := w.sign(r, q)
		if err == nil {
			made, err = act(r, q, who)
		}
		if err != nil {
			w.refuse(rw, r, err)
			return
		}
		w.answer(rw, r, http.StatusOK, made)
	}
}

// modesView is what the page says of tests and of the drill.
type modesView struct {
	Check *checkView // that waits for its answer
	Drill *modeView
	Tests []modeView
}

// checkView is a duty check that waits.
type checkView struct {
	ID, Shift, People string
	Until             moment
}

type modeView struct {
	What, By, Note string
	Until          moment
}

func modesOf(s *Snapshot, now time.Time, l i18n.Lang) (v modesView) {
	if s == nil {
		return v
	}
	if c := s.Check; c != nil {
		v.Check = &checkView{c.ID, c.Shift, strings.Join(c.People, ", "), at(c.Until, now, l)}
	}
	if d := s.Drill; d != nil {
		v.Drill = &modeView{d.Signal, d.By, d.Note, at(d.Until, now, l)}
	}
	for _, t := range s.Tests {
		v.Tests = append(v.Tests, modeView{t.ZonePath, t.By, t.Note, at(t.Until, now, l)})
	}
	return v
}
