package console

import (
	"fmt"
	"net/http"
	"time"

	"embergate/drivers/i18n"
)

// frame is what went over the wire for a device, as JSON.
type frame struct {
	Time  time.Time `json:"time"`
	Sent  bool      `json:"sent"`  // by the gateway; else received
	Bytes string    `json:"bytes"` // hexadecimal, 01 03 00 00
	Note  string    `json:"note"`  // in English: what is wrong with it; "" if nothing
}

// getFrames answers the last frames of a device (MB33).
func (w *web) getFrames(rw http.ResponseWriter, r *http.Request) {
	kept, ok := w.Frames(r.PathValue("id"))
	if !ok {
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no device %q", r.PathValue("id")))
		return
	}
	frames := make([]frame, 0, len(kept))
	for _, f := range kept {
		frames = append(frames, frame{f.Time, f.Sent, fmt.Sprintf("% x", f.Bytes), f.Note})
	}
	w.answer(rw, r, http.StatusOK, frames)
}
