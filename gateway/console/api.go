package console

import (
	"cmp"
	"errors"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// Lists are as long as is asked for, within these bounds.
const (
	usualLimit    = 100
	greatestLimit = 1000
)

func (w *web) openAPI(rw http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(rw, r, files, "openapi.json")
}

func (w *web) healthz(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Write([]byte("ok\n"))
}

// componentJSON is one component in the answer of /readyz and /api/v1/status.
type componentJSON struct {
	Name    string    `json:"name"`
	Working bool      `json:"working"`
	Since   time.Time `json:"since,omitzero"`
	Why     string    `json:"why,omitempty"`
}

func (w *web) readyz(rw http.ResponseWriter, r *http.Request) {
	components := w.components(w.Source.Snapshot(), time.Now(), w.lang(r))
	status := http.StatusOK
	if !allWork(components) {
		status = http.StatusServiceUnavailable
	}
	w.answer(rw, r, status, struct {
		Ready      bool            `json:"ready"`
		Components []componentJSON `json:"components"`
	}{status == http.StatusOK, components})
}

// components are those of the snapshot. A gateway that gives no fresh snapshots does not work, whatever its last one
// says, so the hub is then among those that fail.
func (w *web) components(s *Snapshot, now time.Time, l i18n.Lang) []componentJSON {
	list := []componentJSON{}
	if s == nil {
		return append(list, componentJSON{Name: "hub", Why: l.Say("the gateway is starting; nothing is known yet")})
	}
	frozen := s.frozen(now)
	for _, c := range s.Components {
		if frozen && c.Name == "hub" {
			continue
		}
		list = append(list, componentJSON{c.Name, c.Working, c.Since, l.Say(c.Why.Format, c.Why.Args...)})
	}
	if frozen {
		why := l.Say("the gateway has not renewed its state since %s", s.Time.Format(time.TimeOnly))
		list = append(list, componentJSON{"hub", false, s.Time, why})
	}
	return list
}

func allWork(components []componentJSON) bool {
	for _, c := range components {
		if !c.Working {
			return false
		}
	}
	return true
}

// now is the snapshot that a read of the API is answered from; before the first one, an empty one.
func (w *web) now() *Snapshot {
	return cmp.Or(w.Source.Snapshot(), &Snapshot{})
}

func (w *web) getSite(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, http.StatusOK, w.now().Site)
}

// statusJSON is the state of the gateway in one object.
type statusJSON struct {
	Now        time.Time       `json:"now"`           // of the answer
	Time       time.Time       `json:"time,omitzero"` // of the state in it
	Started    time.Time       `json:"started,omitzero"`
	Version    string          `json:"version"`
	Mood       mood            `json:"mood"`
	Headline   string          `json:"headline"`
	Alarms     int             `json:"alarms_open"`
	Waiting    int             `json:"alarms_unacknowledged"`
	Signals    signalCounts    `json:"signals"`
	Devices    deviceCounts    `json:"devices"`
	Endpoints  []Endpoint      `json:"endpoints"`
	Components []componentJSON `json:"components"`
	Ready      bool            `json:"ready"`
}

func (w *web) getStatus(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, http.StatusOK, w.status(w.Source.Snapshot(), time.Now(), w.lang(r)))
}

func (w *web) status(s *Snapshot, now time.Time, l i18n.Lang) statusJSON {
	g := glanceOf(s, now)
	components := w.components(s, now, l)
	s = cmp.Or(s, &Snapshot{})
	status := statusJSON{
		Now: now.In(s.Time.Location()), Time: s.Time, Started: s.Started, Version: s.Version,
		Mood: g.mood, Headline: l.Say(g.headline.Format, g.headline.Args...),
		Alarms: len(s.Alarms), Signals: g.signals, Devices: g.devices,
		Endpoints: list(s.Endpoints), Components: components, Ready: allWork(components),
	}
	for _, a := range s.Alarms {
		if waits(a) {
			status.Waiting++
		}
	}
	return status
}

func (w *web) getZones(rw http.ResponseWriter, r *http.Request) {
	w.answer(rw, r, http.StatusOK, list(w.now().Zones))
}

// deviceJSON is a device with its signals.
type deviceJSON struct {
	Device
	Signals []signalJSON `json:"signals"`
}

func (w *web) getDevices(rw http.ResponseWriter, r *http.Request) {
	devices := []deviceJSON{}
	for _, d := range w.now().Devices {
		devices = append(devices, deviceJSON{d, signalsOf(d)})
	}
	w.answer(rw, r, http.StatusOK, devices)
}

func (w *web) getSignals(rw http.ResponseWriter, r *http.Request) {
	signals := []signalJSON{}
	for _, d := range w.now().Devices {
		signals = append(signals, signalsOf(d)...)
	}
	w.answer(rw, r, http.StatusOK, signals)
}

// signalJSON is a signal with its latest reading. Value is null where the quality is bad, Last where it is not.
type signalJSON struct {
	Signal  string         `json:"signal"` // device.signal
	Device  string         `json:"device"`
	Name    string         `json:"name"`
	Kind    string         `json:"kind"`
	Class   string         `json:"class"`
	Unit    string         `json:"unit"`
	Value   *float64       `json:"value"`
	Quality string         `json:"quality"`
	Reason  drivers.Reason `json:"reason,omitempty"`
	Detail  string         `json:"detail,omitempty"`
	Label   string         `json:"label,omitempty"`
	Time    time.Time      `json:"time,omitzero"`
	Since   time.Time      `json:"since,omitzero"`
	Last    *float64       `json:"last"`

	Writable bool `json:"writable,omitempty"`
}

func signalsOf(d Device) []signalJSON {
	signals := make([]signalJSON, 0, len(d.Signals))
	for _, s := range d.Signals {
		signals = append(signals, d.json(s))
	}
	return signals
}

func (d Device) json(s Signal) signalJSON {
	j := signalJSON{
		Signal: d.ID + "." + s.ID, Device: d.ID, Name: s.Name, Kind: s.Kind, Class: s.Class, Unit: s.Unit,
		Quality: s.Quality.String(), Reason: s.Reason, Detail: s.Detail, Label: s.Label, Time: s.Time, Since: s.Since,
		Writable: s.Output != nil,
	}
	if s.Quality == drivers.Bad {
		j.Last = finite(s.Last)
	} else {
		j.Value = finite(&s.Value)
	}
	return j
}

// finite is the number, or nil for what JSON cannot say.
func finite(v *float64) *float64 {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return nil
	}
	return v
}

func (w *web) getAlarms(rw http.ResponseWriter, r *http.Request) {
	state := cmp.Or(r.URL.Query().Get("state"), "open")
	limit, ok := whole(r, "limit", usualLimit)
	if !ok || state != "open" && state != "all" {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("state is open or all, and limit a whole number"))
		return
	}
	alarms, err := w.Source.Alarms(r.Context(), state == "all", bounded(limit))
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(alarms))
}

func (w *web) getAlarm(rw http.ResponseWriter, r *http.Request) {
	a, events, err := w.Source.Alarm(r.Context(), r.PathValue("id"))
	if err != nil {
		w.noAlarm(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, struct {
		alarm.Alarm
		Events []alarm.Event `json:"events"`
	}{a, list(events)})
}

// noAlarm answers that an alarm could not be had.
func (w *web) noAlarm(rw http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no alarm %q", r.PathValue("id")))
		return
	}
	w.broken(rw, r, err)
}

func (w *web) getEvents(rw http.ResponseWriter, r *http.Request) {
	after, ok := whole(r, "after", 0)
	limit, ok2 := whole(r, "limit", usualLimit)
	if !ok || !ok2 {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("after and limit are whole numbers"))
		return
	}
	events, err := w.Source.Events(r.Context(), after, bounded(limit))
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(events))
}

func (w *web) getQueues(rw http.ResponseWriter, r *http.Request) {
	s := w.now()
	w.answer(rw, r, http.StatusOK, struct {
		Uplinks  []Uplink  `json:"uplinks"`
		Channels []Channel `json:"channels"`
	}{list(s.Uplinks), list(s.Channels)})
}

// whole is a parameter of the query that is a whole number, 0 or more.
func whole(r *http.Request, name string, usual int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return usual, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0
}

func bounded(limit int64) int { return int(min(max(limit, 1), greatestLimit)) }

// list is the list, so that an empty one is [] in JSON and not null.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
