package console

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
)

// Writes are what people may set by hand (SE05).
type Writes interface {
	// WriteSignal sets a signal and answers what the device confirmed. The error is *alarm.Refused or *access.Refused where it
	// was not done; either way it is in the journal.
	WriteSignal(ctx context.Context, signal string, value float64, a alarm.Act) (float64, error)

	// WriteDenied writes down that somebody tried whose role is not enough.
	WriteDenied(ctx context.Context, signal string, a alarm.Act, why i18n.Text) error
}

// Output is what may be written into a signal.
type Output struct {
	Least, Greatest *float64     // nil: what its registers hold
	Words           []OutputWord // of an enum: nothing else may be written
}

// OutputWord is a value with its word.
type OutputWord struct {
	Word  string
	Value float64
}

// writeRoute is the only one whose refusals are written down.
const writeRoute = "POST /api/v1/signals/{signal}/write"

func (w *web) writeRoutes() []route { return []route{{writeRoute, Maintainer, w.writeSignal}} }

func (w *web) writeSignal(rw http.ResponseWriter, r *http.Request) {
	var body struct {
		By    string   `json:"by"`
		Note  string   `json:"note"`
		Value *float64 `json:"value"`
	}
	status, why := readBody(r, &body)
	q := request{By: body.By, Note: body.Note}
	switch {
	case status != 0:
	case body.Value == nil:
		status, why = http.StatusBadRequest, i18n.T("value is missing: a number; of a state, 0 or 1")
	default:
		status, why = q.check()
	}
	if status != 0 {
		w.problem(rw, r, status, why)
		return
	}
	key := signalOf(r)
	confirmed := 0.0
	a, err := w.sign(r, q)
	if err == nil {
		confirmed, err = w.Writes.WriteSignal(r.Context(), key, *body.Value, a)
	}
	if err != nil {
		w.refuse(rw, r, err)
		return
	}
	said := number(confirmed)
	if sig, ok := w.now().signal(key); ok {
		sig.Label = ""
		said = strings.TrimSpace(sig.say(confirmed, w.lang(r)) + " " + sig.Unit)
	}
	w.answer(rw, r, http.StatusOK, struct {
		Signal string    `json:"signal"`
		Value  float64   `json:"value"` // as it was read back
		Said   string    `json:"said"`  // the same for people
		Time   time.Time `json:"time"`
	}{key, confirmed, w.lang(r).Say("read back: %s", said), time.Now()})
}

// signalOf is the signal that a request names. What is too long for one stands in no journal.
func signalOf(r *http.Request) string {
	if key := r.PathValue("signal"); utf8.RuneCountInString(key) <= 2*longestName+1 {
		return key
	}
	return "?"
}

// writeDenied writes down who tried to set a signal and may not.
func (w *web) writeDenied(r *http.Request, who access.Identity, why i18n.Text) {
	key := signalOf(r)
	a := w.unsigned(r, who)
	if err := w.Writes.WriteDenied(context.WithoutCancel(r.Context()), key, a, why); err != nil {
		w.Log.Error("refused write not in the journal", "signal", key, "by", a.By, "err", err)
	}
}

// outputView is the form that sets a signal.
type outputView struct {
	Key, ID, Name, Unit string
	Least, Greatest     string
	Words               []OutputWord
}

// outputs are the forms of a device.
func outputs(d Device, l i18n.Lang) (list []outputView) {
	for _, s := range d.Signals {
		if s.Output == nil {
			continue
		}
		v := outputView{Key: d.ID + "." + s.ID, ID: s.ID, Name: seeSignal(s, time.Time{}, l).Name, Unit: s.Unit, Words: s.Output.Words}
		if s.Form == drivers.State && len(v.Words) == 0 {
			s.Label = ""
			v.Words = []OutputWord{{s.say(0, l), 0}, {s.say(1, l), 1}}
		}
		v.Least, v.Greatest = bound(s.Output.Least), bound(s.Output.Greatest)
		list = append(list, v)
	}
	return list
}

// bound is a bound of a number for a form.
func bound(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}
