package console

import (
	"fmt"
	"slices"

	"embergate/drivers/i18n"
	"embergate/gateway/duty"
)

// hazardPage is the list of hazards, with what people do to them.
func (w *web) hazardPage() page {
	return page{path: "/hazards", role: Viewer, title: i18n.T("Hazards"), nav: "/hazards", body: "hazards.html", view: w.seeHazards}
}

type hazardsView struct {
	Open, Closed []hazardView
	Zones        []Zone
}

type hazardView struct {
	duty.Hazard
	Mood        mood
	Word        string // overdue, open, put right, closed
	Found, Term moment
	Over        moment
	Done        []hazardNoteView
	Pictures    []string // addresses
	Late        bool
	CanFix      bool
	CanClose    bool
}

type hazardNoteView struct {
	At             moment
	By, What, Text string
}

// closedHazards is how many hazards that are gone the page shows.
const closedHazards = 20

// hazardActs say what somebody did to a hazard.
var hazardActs = map[string]i18n.Text{
	"opened": i18n.T("entered"), "changed": i18n.T("changed"), "noted": i18n.T("noted"), "fixed": i18n.T("put right"),
	"rejected": i18n.T("sent back"), "closed": i18n.T("seen and closed"),
}

func (w *web) seeHazards(q *look) (any, error) {
	v := hazardsView{Zones: q.Snapshot.Zones}
	all, err := w.Rounds.Hazards(q.Context())
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		seen := seeHazard(h, q)
		switch {
		case h.State != duty.HazardClosed:
			v.Open = append(v.Open, seen)
		case len(v.Closed) < closedHazards:
			v.Closed = append(v.Closed, seen)
		}
	}
	return v, nil
}

func seeHazard(h duty.Hazard, q *look) hazardView {
	l, now := q.Lang, q.Snapshot.Time
	v := hazardView{
		Hazard: h, Found: at(h.FoundAt.In(now.Location()), now, l), Term: at(h.Due.In(now.Location()), now, l), Late: h.Overdue(q.Now),
		CanFix: h.State == duty.HazardOpen, CanClose: h.State == duty.HazardFixed,
	}
	v.Word = l.Say(h.State.Standing(v.Late).Format)
	switch {
	case v.Late:
		v.Mood = "alarm"
	case h.State == duty.HazardOpen:
		v.Mood = "fault"
	case h.State == duty.HazardFixed:
		v.Mood = "notice"
	default:
		v.Over = when(h.ClosedAt, now, l)
	}
	for _, n := range slices.Backward(h.Notes) {
		what := n.Act
		if t, ok := hazardActs[n.Act]; ok {
			what = l.Say(t.Format)
		}
		v.Done = append(v.Done, hazardNoteView{at(n.At.In(now.Location()), now, l), n.By, what, n.Text})
	}
	for i := range h.Photos {
		v.Pictures = append(v.Pictures, fmt.Sprintf("/api/v1/hazards/%s/photo/%d", h.ID, i+1))
	}
	return v
}
