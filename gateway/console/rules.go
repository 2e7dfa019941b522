package console

import (
	"errors"
	"io/fs"
	"net/http"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// RuleState is one rule at one source as it is now: what its condition reads, what that makes of it, and how far it is
// from an alarm.
type RuleState struct {
	Key      string       `json:"key"` // rule@device.signal, or rule@zone
	Rule     string       `json:"rule"`
	Name     string       `json:"name"`
	Signal   string       `json:"signal"`
	Zone     string       `json:"zone"`
	ZonePath string       `json:"zone_path"`
	When     string       `json:"when"`
	Until    string       `json:"until"`
	Operands []Operand    `json:"operands"` // each word of both conditions, once
	Raises   string       `json:"raises"`   // true, false or unknown
	Clears   string       `json:"clears"`
	Inner    string       `json:"inner,omitempty"` // the zone within that holds all the evidence and raises it instead
	Error    string       `json:"error,omitempty"` // in English: why it cannot be evaluated
	For      float64      `json:"for"`             // seconds
	Waited   *float64     `json:"waited"`          // seconds of the on-delay that have run; null where none runs
	Hold     float64      `json:"hold"`            // seconds
	Latch    bool         `json:"latch"`
	Test     bool         `json:"test"`  // its zone is under test
	Alarm    *alarm.Alarm `json:"alarm"` // the open one; null where there is none
}

// Operand is one word of a condition, as it is written, with what it reads.
type Operand struct {
	Text  string `json:"text"`
	Value string `json:"value"`
}

func (w *web) getRule(rw http.ResponseWriter, r *http.Request) {
	states, err := w.Source.Rule(r.Context(), r.PathValue("id"))
	if errors.Is(err, fs.ErrNotExist) {
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no rule %q in force", r.PathValue("id")))
		return
	}
	if err != nil {
		w.broken(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, list(states))
}
