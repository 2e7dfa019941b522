package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// Wires asks devices now, through the queue of the driver that polls them. The error is fs.ErrNotExist where there is no such
// device or endpoint, errors.ErrUnsupported where its protocol cannot be asked, and else says why nothing came.
type Wires interface {
	// ReadNow reads a device out of its period.
	ReadNow(ctx context.Context, device string) ([]NowReading, error)
	// LogFrames logs every frame of a device until a time.
	LogFrames(device string, until time.Time) error
	// Look asks a unit of an endpoint's wire what it is.
	Look(ctx context.Context, endpoint string, unit uint8) (drivers.Unit, error)
	// Registers reads n registers, or bits packed as in a reply, at an address such as holding:0.
	Registers(ctx context.Context, endpoint string, unit uint8, at string, n int) ([]byte, error)
}

// NowReading is what a signal said when it was asked.
type NowReading struct {
	drivers.Reading
	Unit  string
	Label string // the word of an enum, or the names of the flags that are set
	Words bool   // Raw is registers or a bit, not text
}

// Bounds of what a person asks of a wire.
const (
	askTimeout  = 15 * time.Second
	longestLook = time.Hour // how long frames may be logged
)

// wireRoutes ask the wires.
func (w *web) wireRoutes() []route {
	return []route{
		{"POST /api/v1/devices/{id}/read", Duty, w.readNow},
		{"POST /api/v1/devices/{id}/trace", Maintainer, w.logFrames},
		{"POST /api/v1/endpoints/{id}/look", Maintainer, w.lookAt},
		{"POST /api/v1/endpoints/{id}/registers", Maintainer, w.registers},
	}
}

// nowJSON is a NowReading.
type nowJSON struct {
	Signal  string    `json:"signal"`
	Value   *float64  `json:"value"` // null where there is none
	Unit    string    `json:"unit"`
	Quality string    `json:"quality"`
	Reason  string    `json:"reason,omitempty"`
	Detail  string    `json:"detail,omitempty"`
	Label   string    `json:"label,omitempty"`
	Time    time.Time `json:"time"`
	Raw     string    `json:"raw"` // hexadecimal, as on the wire
}

func (w *web) readNow(rw http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	readings, err := w.Wires.ReadNow(ctx, r.PathValue("id"))
	if err != nil {
		w.notAsked(rw, r, err)
		return
	}
	answer := make([]nowJSON, 0, len(readings))
	for _, n := range readings {
		j := nowJSON{
			Signal: n.Signal, Unit: n.Unit, Quality: n.Quality.String(), Reason: string(n.Reason), Detail: n.Detail, Label: n.Label,
			Time: n.Time, Raw: fmt.Sprintf("%x", n.Raw),
		}
		if n.Quality != drivers.Bad {
			j.Value = finite(&n.Value)
		}
		answer = append(answer, j)
	}
	w.answer(rw, r, http.StatusOK, struct {
		Device   string    `json:"device"`
		Readings []nowJSON `json:"readings"`
	}{r.PathValue("id"), answer})
}

func (w *web) logFrames(rw http.ResponseWriter, r *http.Request) {
	var q struct {
		Minutes int `json:"minutes"`
	}
	if !w.body(rw, r, &q) {
		return
	}
	if most := int(longestLook / time.Minute); q.Minutes < 0 || q.Minutes > most {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("minutes is a whole number from 0 to %d", most))
		return
	}
	until := time.Now().Add(time.Duration(q.Minutes) * time.Minute)
	if err := w.Wires.LogFrames(r.PathValue("id"), until); err != nil {
		w.notAsked(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, struct {
		Until time.Time `json:"until"`
	}{until})
}

func (w *web) lookAt(rw http.ResponseWriter, r *http.Request) {
	var q struct {
		Unit uint8 `json:"unit"`
	}
	if !w.body(rw, r, &q) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	u, err := w.Wires.Look(ctx, r.PathValue("id"), q.Unit)
	if err != nil {
		w.notAsked(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, struct {
		Unit     uint8  `json:"unit"`
		There    bool   `json:"there"`
		Answered string `json:"answered"`
		Identity string `json:"identity"`
	}{q.Unit, u.There, u.Answered, u.Identity})
}

func (w *web) registers(rw http.ResponseWriter, r *http.Request) {
	var q struct {
		Unit  uint8  `json:"unit"`
		At    string `json:"at"`
		Count int    `json:"count"`
	}
	if !w.body(rw, r, &q) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	raw, err := w.Wires.Registers(ctx, r.PathValue("id"), q.Unit, q.At, q.Count)
	if err != nil {
		w.notAsked(rw, r, err)
		return
	}
	w.answer(rw, r, http.StatusOK, struct {
		Bytes string `json:"bytes"`
	}{fmt.Sprintf("%x", raw)})
}

// notAsked answers why a device or wire gave nothing. What the wire said is for the installer, in English.
func (w *web) notAsked(rw http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no device and no endpoint %q", r.PathValue("id")))
	case errors.Is(err, errors.ErrUnsupported):
		w.problem(rw, r, http.StatusConflict, i18n.T("%s speaks by itself and cannot be asked", r.PathValue("id")))
	default:
		w.problem(rw, r, http.StatusConflict, i18n.T("%s gave no answer: %s", r.PathValue("id"), err))
	}
}

// body reads a JSON object; where it cannot, it has answered.
func (w *web) body(rw http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		w.problem(rw, r, http.StatusUnsupportedMediaType, i18n.T("the body must be application/json"))
		return false
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("more than one value")
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		w.problem(rw, r, http.StatusRequestEntityTooLarge, i18n.T("the body is longer than %d bytes", maxBody))
	case err != nil:
		w.problem(rw, r, http.StatusBadRequest, i18n.T("the body is not the JSON object that this route takes: %s", err))
	}
	return err == nil
}
