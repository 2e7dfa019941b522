package console

import (
	"net/http"
	"strconv"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// ViaCamera is through what the picture of a zone's camera came to an alarm.
const ViaCamera = "camera"

// stillRoutes are those of the pictures that cameras took.
func (w *web) stillRoutes() []route {
	return []route{{"GET /api/v1/alarms/{id}/still", Viewer, w.getStill}}
}

// stillOf is the event by which the camera's picture came to an alarm.
func stillOf(events []alarm.Event) (alarm.Event, bool) {
	for _, e := range events {
		if e.Photo != nil && e.Via == ViaCamera {
			return e, true
		}
	}
	return alarm.Event{}, false
}

// getStill answers the picture that the zone's camera took when the alarm was raised.
func (w *web) getStill(rw http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	_, events, err := w.Source.Alarm(r.Context(), id)
	if err != nil {
		w.noAlarm(rw, r, err)
		return
	}
	taken, ok := stillOf(events)
	if !ok {
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no still of alarm %q", id))
		return
	}
	p, picture, err := w.Notes.Photo(r.Context(), id, taken.Photo.N)
	if err != nil {
		w.noAlarm(rw, r, err)
		return
	}
	sendPicture(rw, p.Type, picture)
}

// sendPicture answers a picture of a type, as image/png. A picture of an alarm or hazard never changes.
func sendPicture(rw http.ResponseWriter, kind string, picture []byte) {
	rw.Header().Set("Content-Type", kind)
	rw.Header().Set("Content-Length", strconv.Itoa(len(picture)))
	rw.Header().Set("Cache-Control", "private, max-age=86400, immutable")
	rw.Write(picture)
}
