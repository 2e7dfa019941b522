package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// Adding puts devices into the configuration file (UI09). Errors are *alarm.Refused where something is not done.
type Adding interface {
	// Choices are what there is to choose from, besides the connections and places of the snapshot.
	Choices() Choices

	// TryDevice checks a device as if it stood in the file, and reads it once. Nothing is saved.
	TryDevice(ctx context.Context, d NewDevice, l i18n.Lang) (Tried, error)

	// AddDevice writes a device into the file and has that read anew. Seen is what TryDevice answered: of another device, or where
	// the file was changed since, it is refused.
	AddDevice(ctx context.Context, d NewDevice, seen string, l i18n.Lang, a alarm.Act) error
}

// NewDevice is a device that somebody adds.
type NewDevice struct {
	Endpoint string `json:"endpoint"`
	Profile  string `json:"profile"` // the device model
	ID       string `json:"id"`
	Name     string `json:"name"`
	Zone     string `json:"zone"`
	Unit     *int   `json:"unit"`  // on a Modbus wire
	Topic    string `json:"topic"` // at a broker
	Every    string `json:"every"` // between two polls; "": as the model says
}

// Choices are what a device may be, and where it is written.
type Choices struct {
	File   string
	Locked i18n.Text // why the file cannot be written; empty where it can
	Models []Model
}

// Model is a device model.
type Model struct {
	ID       string
	Name     drivers.Name
	Protocol string
}

// Tried is what a device said, and what would be written.
type Tried struct {
	Signals []Signal
	Lines   string // as in the file
	Line    int    // where they would stand
	Seen    string // names the file and the device, for AddDevice
	Locked  i18n.Text
	Edited  bool // the file is not what the gateway runs with
}

func (w *web) addRoutes() []route {
	return []route{
		{"POST /api/v1/devices/try", Maintainer, w.tryDevice},
		{"POST /api/v1/devices", Maintainer, w.addDevice},
	}
}

// addBody is the body of both routes.
type addBody struct {
	NewDevice
	Seen string `json:"seen"`
	By   string `json:"by"`
	Note string `json:"note"`
}

// newDevice reads the body; where it cannot, it has answered.
func (w *web) newDevice(rw http.ResponseWriter, r *http.Request) (body addBody, who alarm.Act, ok bool) {
	if w.Adding == nil {
		w.noOperations(rw, r)
		return body, who, false
	}
	status, why := readBody(r, &body)
	q := request{By: body.By, Note: body.Note}
	if status == 0 {
		status, why = q.check()
	}
	for _, text := range []*string{&body.ID, &body.Name, &body.Topic, &body.Profile, &body.Zone, &body.Every} {
		if *text = strings.TrimSpace(*text); status == 0 && (utf8.RuneCountInString(*text) > longestTopic || strings.ContainsFunc(*text, func(c rune) bool { return c < ' ' })) {
			status, why = http.StatusBadRequest, i18n.T("this is one line of at most %d characters", longestTopic)
		}
	}
	if status != 0 {
		w.problem(rw, r, status, why)
		return body, who, false
	}
	who, err := w.sign(r, q)
	if err != nil {
		w.refuse(rw, r, err)
		return body, who, false
	}
	return body, who, true
}

// longestTopic is the longest text of a device.
const longestTopic = 200

// triedJSON is what one signal said, in words.
type triedJSON struct {
	Signal  string   `json:"signal"`
	Name    string   `json:"name"`
	Value   *float64 `json:"value"`
	Said    string   `json:"said"`
	Unit    string   `json:"unit"`
	Quality string   `json:"quality"`
	Word    string   `json:"word"` // good, or why not
	Detail  string   `json:"detail,omitempty"`
}

func (w *web) tryDevice(rw http.ResponseWriter, r *http.Request) {
	body, _, ok := w.newDevice(rw, r)
	if !ok {
		return
	}
	l := w.lang(r)
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	tried, err := w.Adding.TryDevice(ctx, body.NewDevice, l)
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	signals, good := make([]triedJSON, 0, len(tried.Signals)), 0
	for _, s := range tried.Signals {
		v := seeSignal(s, s.Time, l)
		j := triedJSON{Signal: body.ID + "." + s.ID, Name: v.Name, Said: v.Value, Unit: v.Unit, Quality: s.Quality.String(), Word: v.Word, Detail: v.Detail}
		if s.Quality != drivers.Bad {
			j.Value = finite(&s.Value)
		}
		if s.Quality == drivers.Good {
			good++
			j.Word = l.Say("good")
		}
		signals = append(signals, j)
	}
	said := l.Say("%d of %d values are good. These lines would stand in %s from line %d on; nothing is saved yet.", good, len(signals), w.Adding.Choices().File, tried.Line)
	if tried.Edited {
		said += " " + l.Say("The file was changed since the gateway read it; saving takes that into force too.")
	}
	if tried.Locked.Format != "" {
		said += " " + l.Say("But %s.", tried.Locked)
	}
	w.answer(rw, r, http.StatusOK, struct {
		Signals []triedJSON `json:"signals"`
		Lines   string      `json:"lines"`
		Line    int         `json:"line"`
		Seen    string      `json:"seen"`
		Said    string      `json:"said"`
	}{signals, tried.Lines, tried.Line, tried.Seen, said})
}

func (w *web) addDevice(rw http.ResponseWriter, r *http.Request) {
	body, who, ok := w.newDevice(rw, r)
	if !ok {
		return
	}
	if body.Seen == "" {
		w.problem(rw, r, http.StatusConflict, i18n.T("test it first: what is saved is what was tested"))
		return
	}
	l := w.lang(r)
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if err := w.Adding.AddDevice(ctx, body.NewDevice, body.Seen, l, who); err != nil {
		w.refuse(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, struct {
		ID   string `json:"id"`
		Said string `json:"said"`
	}{body.ID, l.Say("It is saved. The gateway reads its configuration anew; the page of the device follows.")})
}

// addPage adds a device.
func (w *web) addPage() page {
	return page{path: "/new-device", role: Maintainer, title: i18n.T("Add a device"), nav: "/zones", body: "adddevice.html", view: w.seeAdd}
}

type addView struct {
	Possible  bool // there is a configuration file
	File      string
	Locked    string
	Endpoints []linkView // to choose from; none where one is chosen
	Endpoint  string
	Protocol  string
	Models    []modelView
	Zones     []Zone
}

type modelView struct{ ID, Name string }

func (w *web) seeAdd(q *look) (any, error) {
	if w.Adding == nil {
		return addView{}, nil
	}
	c, l := w.Adding.Choices(), q.Lang
	v := addView{Possible: true, File: c.File, Zones: q.Snapshot.Zones}
	if c.Locked.Format != "" {
		v.Locked = l.Say(c.Locked.Format, c.Locked.Args...)
	}
	chosen := q.URL.Query().Get("endpoint")
	i := slices.IndexFunc(q.Snapshot.Endpoints, func(e Endpoint) bool { return e.ID == chosen })
	if i < 0 {
		for _, e := range q.Snapshot.Endpoints {
			if slices.ContainsFunc(c.Models, func(m Model) bool { return m.Protocol == e.Protocol }) {
				look := "bad"
				if e.Up {
					look = "good"
				}
				v.Endpoints = append(v.Endpoints, linkView{ID: e.ID, Kind: e.Protocol, Where: e.URL, Look: look})
			}
		}
		return v, nil
	}
	v.Endpoint, v.Protocol = chosen, q.Snapshot.Endpoints[i].Protocol
	for _, m := range c.Models {
		if m.Protocol == v.Protocol {
			v.Models = append(v.Models, modelView{m.ID, m.Name.In(string(l))})
		}
	}
	return v, nil
}
