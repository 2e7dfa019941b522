package console

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/duty"
)

// Rounds is what people on duty do besides alarms. An error is *alarm.Refused where it is not allowed, and wraps
// fs.ErrNotExist where there is no such thing.
type Rounds interface {
	AnswerCheck(ctx context.Context, id string, a alarm.Act) (DutyCheck, error)

	// Hazards are all that are known, the urgent ones first. Of a new one title, zone, device, owner, due and major count.
	Hazards(ctx context.Context) ([]duty.Hazard, error)
	AddHazard(ctx context.Context, h duty.Hazard, a alarm.Act) (duty.Hazard, error)
	DoHazard(ctx context.Context, id string, act duty.HazardAct, a alarm.Act) (duty.Hazard, error)
	AddHazardPhoto(ctx context.Context, id string, picture []byte, a alarm.Act) (duty.Hazard, error)

	// HazardPhoto is the n-th picture of a hazard, from 1, with its type.
	HazardPhoto(ctx context.Context, id string, n int) (kind string, picture []byte, err error)

	// HandOver is signed by whoever acts, who goes, and the second, who comes.
	HandOver(ctx context.Context, second string, a alarm.Act) (HandOver, error)
	HandOvers(ctx context.Context) ([]HandOver, error)
}

// DutyCheck asks those on duty to show that they are there (查岗).
type DutyCheck struct {
	ID       string     `json:"id"`
	Shift    string     `json:"shift"`
	People   []string   `json:"people"` // names, of whom one is to answer
	Asked    time.Time  `json:"asked"`
	Until    time.Time  `json:"until"`
	Answered *time.Time `json:"answered"`
	By       string     `json:"by"`
}

// HandOver is the end of one shift and the beginning of the next, with what was open then.
type HandOver struct {
	Time    time.Time `json:"time"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Note    string    `json:"note"`
	Open    []string  `json:"open"`    // alarms
	Shelved []string  `json:"shelved"` // alarms
	Silent  []string  `json:"silent"`  // devices
	Tests   []string  `json:"tests"`   // zones
	Hazards []string  `json:"hazards"`
}

// Say is the hand-over in one sentence, for the journal.
func (o HandOver) Say(l i18n.Lang) string {
	said := l.Say("%s hands over to %s. Open alarms: %d, shelved: %d, silent devices: %d, zones under test: %d, hazards: %d.",
		o.From, o.To, len(o.Open), len(o.Shelved), len(o.Silent), len(o.Tests), len(o.Hazards))
	for _, lines := range [][]string{o.Open, o.Shelved, o.Silent, o.Tests, o.Hazards} {
		for _, line := range lines[:min(len(lines), longestLists)] {
			said += "\n" + line
		}
	}
	if o.Note != "" {
		said += "\n" + o.Note
	}
	return said
}

// longestLists is how many of a kind are named in the journal.
const longestLists = 20

// roundRoutes are those of duty checks, hazards and hand-overs.
func (w *web) roundRoutes() []route {
	return []route{
		{"POST /api/v1/duty/check/{id}", Duty, change(w, w.answerCheck)},
		{"GET /api/v1/duty/handovers", Viewer, w.getHandOvers},
		{"POST /api/v1/duty/handover", Duty, change(w, w.handOver)},
		{"GET /api/v1/hazards", Viewer, w.getHazards},
		{"POST /api/v1/hazards", Duty, w.addHazard},
		{"POST /api/v1/hazards/{id}/photo", Duty, w.fewAtOnce(w.addHazardPhoto)},
		{"GET /api/v1/hazards/{id}/photo/{n}", Viewer, w.getHazardPhoto},
		{"POST /api/v1/hazards/{id}/{act}", Duty, w.doHazard},
	}
}

func (w *web) answerCheck(r *http.Request, _ request, who alarm.Act) (DutyCheck, error) {
	return w.Rounds.AnswerCheck(r.Context(), r.PathValue("id"), who)
}

func (w *web) handOver(r *http.Request, q request, who alarm.Act) (HandOver, error) {
	second, err := w.witness(r, q)
	if err != nil {
		return HandOver{}, err
	}
	return w.Rounds.HandOver(r.Context(), second, who)
}

func (w *web) getHandOvers(rw http.ResponseWriter, r *http.Request) {
	overs, err := w.Rounds.HandOvers(r.Context())
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(overs))
}

// hazardJSON is a hazard with what follows from the time.
type hazardJSON struct {
	duty.Hazard
	Overdue bool `json:"overdue"`
}

func (w *web) getHazards(rw http.ResponseWriter, r *http.Request) {
	all, err := w.Rounds.Hazards(r.Context())
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	state := r.URL.Query().Get("state")
	if state != "" && state != "open" && state != "all" {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("state is open or all"))
		return
	}
	hazards := []hazardJSON{}
	for _, h := range all {
		if state == "all" || h.State != duty.HazardClosed {
			hazards = append(hazards, hazardJSON{h, h.Overdue(time.Now())})
		}
	}
	w.answer(rw, r, http.StatusOK, hazards)
}

// hazardRequest is the body of what is done to a hazard.
type hazardRequest struct {
	request
	Title  string     `json:"title"`
	Zone   string     `json:"zone"`
	Device string     `json:"device"`
	Owner  string     `json:"owner"`
	Due    *time.Time `json:"due"`
	Major  *bool      `json:"major"`
}

// hazardBody reads the body, and who acts; false where it was refused.
func (w *web) hazardBody(rw http.ResponseWriter, r *http.Request) (q hazardRequest, who alarm.Act, ok bool) {
	status, why := readBody(r, &q)
	if status == 0 {
		status, why = q.request.check()
	}
	if status != 0 {
		w.problem(rw, r, status, why)
		return q, who, false
	}
	who, err := w.sign(r, q.request)
	if err != nil {
		w.refuse(rw, r, err)
		return q, who, false
	}
	return q, who, true
}

func (q hazardRequest) due() time.Time {
	if q.Due == nil {
		return time.Time{}
	}
	return *q.Due
}

func (w *web) addHazard(rw http.ResponseWriter, r *http.Request) {
	q, who, ok := w.hazardBody(rw, r)
	if !ok {
		return
	}
	h, err := w.Rounds.AddHazard(r.Context(), duty.Hazard{
		Title: q.Title, Zone: q.Zone, Device: q.Device, Owner: q.Owner, Due: q.due(), Major: q.Major != nil && *q.Major,
	}, who)
	w.answerHazard(rw, r, h, err)
}

func (w *web) doHazard(rw http.ResponseWriter, r *http.Request) {
	q, who, ok := w.hazardBody(rw, r)
	if !ok {
		return
	}
	h, err := w.Rounds.DoHazard(r.Context(), r.PathValue("id"), duty.HazardAct{Act: r.PathValue("act"), Owner: q.Owner, Due: q.due(), Major: q.Major}, who)
	w.answerHazard(rw, r, h, err)
}

func (w *web) answerHazard(rw http.ResponseWriter, r *http.Request, h duty.Hazard, err error) {
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, hazardJSON{h, h.Overdue(time.Now())})
}

func (w *web) addHazardPhoto(rw http.ResponseWriter, r *http.Request) {
	picture, q, ok := w.readPhoto(rw, r)
	if !ok {
		return
	}
	who, err := w.sign(r, q)
	var h duty.Hazard
	if err == nil {
		h, err = w.Rounds.AddHazardPhoto(r.Context(), r.PathValue("id"), picture, who)
	}
	w.answerHazard(rw, r, h, err)
}

func (w *web) getHazardPhoto(rw http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("n"))
	var kind string
	var picture []byte
	if err == nil {
		kind, picture, err = w.Rounds.HazardPhoto(r.Context(), r.PathValue("id"), n)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, strconv.ErrSyntax) && !errors.Is(err, strconv.ErrRange) {
			w.broken(rw, r, err)
			return
		}
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no hazard %q", r.PathValue("id")))
		return
	}
	sendPicture(rw, kind, picture)
}
