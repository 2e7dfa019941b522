package console

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// asking is a Wires with one device, d, on one endpoint, bus; mq speaks by itself.
type asking struct{ until time.Time }

func (a *asking) of(id, known string) error {
	switch id {
	case known:
		return nil
	case "mq":
		return errors.ErrUnsupported
	case "lost":
		return errors.New("modbus bus: not connected")
	}
	return fs.ErrNotExist
}

func (a *asking) ReadNow(_ context.Context, device string) ([]NowReading, error) {
	at := time.Date(2026, 11, 21, 20, 0, 0, 0, time.UTC)
	return []NowReading{
		{Reading: drivers.Reading{Signal: "d.lel", Time: at, Value: 12.5, Quality: drivers.Good, Raw: []byte{0, 125}}, Unit: "%LEL"},
		{Reading: drivers.Reading{Signal: "d.gone", Time: at, Reason: drivers.Exception, Detail: "holding 9: exception 2"}},
	}, a.of(device, "d")
}

func (a *asking) LogFrames(device string, until time.Time) error {
	a.until = until
	return a.of(device, "d")
}

func (a *asking) Look(_ context.Context, endpoint string, unit uint8) (drivers.Unit, error) {
	return drivers.Unit{There: unit == 7, Answered: "holding 0 = 0001", Identity: "Gasworks"}, a.of(endpoint, "bus")
}

func (a *asking) Registers(_ context.Context, endpoint string, unit uint8, at string, n int) ([]byte, error) {
	return []byte{1, 2, 3, 4}, a.of(endpoint, "bus")
}

// Rows MB33 and MB34: a device is read, its frames logged, and any unit looked at, on the wire that the daemon holds.
func TestPeopleAskTheWires(t *testing.T) {
	a := &asking{}
	c := freshEvening(i18n.English)
	h := New(Options{
		Lang: i18n.English, Source: c, Acts: c, History: c, Archive: c, Wires: a, Metrics: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
	})
	d := described(t)
	for _, c := range []struct {
		name, route, id, body string
		status                int
		wants                 string
	}{
		{"a device", "/api/v1/devices/{id}/read", "d", "", 200, `{"signal":"d.lel","value":12.5,"unit":"%LEL","quality":"good","time":"2026-11-21T20:00:00Z","raw":"007d"},{"signal":"d.gone","value":null,"unit":"","quality":"bad","reason":"exception","detail":"holding 9: exception 2",`},
		{"no such device", "/api/v1/devices/{id}/read", "x", "", 404, `no device and no endpoint`},
		{"one that speaks by itself", "/api/v1/devices/{id}/read", "mq", "", 409, `speaks by itself`},
		{"one whose wire is gone", "/api/v1/devices/{id}/read", "lost", "", 409, `lost gave no answer: modbus bus: not connected`},
		{"frames into the log", "/api/v1/devices/{id}/trace", "d", `{"minutes":10}`, 200, `{"until":"`},
		{"frames for too long", "/api/v1/devices/{id}/trace", "d", `{"minutes":61}`, 400, `from 0 to 60`},
		{"frames of no device", "/api/v1/devices/{id}/trace", "x", `{"minutes":1}`, 404, `no device`},
		{"a unit", "/api/v1/endpoints/{id}/look", "bus", `{"unit":7}`, 200, `{"unit":7,"there":true,"answered":"holding 0 = 0001","identity":"Gasworks"}`},
		{"a unit of no wire", "/api/v1/endpoints/{id}/look", "x", `{"unit":7}`, 404, `no device and no endpoint`},
		{"a unit that cannot be", "/api/v1/endpoints/{id}/look", "bus", `{"unit":700}`, 400, `not the JSON object`},
		{"registers", "/api/v1/endpoints/{id}/registers", "bus", `{"unit":7,"at":"holding:0","count":2}`, 200, `{"bytes":"01020304"}`},
		{"a word that means nothing", "/api/v1/endpoints/{id}/registers", "bus", `{"unit":7,"colour":2}`, 400, `colour`},
		{"two objects", "/api/v1/endpoints/{id}/registers", "bus", `{} {}`, 400, `more than one value`},
		{"a body without end", "/api/v1/endpoints/{id}/look", "bus", `{"unit":7` + strings.Repeat(" ", maxBody) + `}`, 413, `longer`},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := ask(t, h, "POST", strings.Replace(c.route, "{id}", c.id, 1), c.body)
			d.answers(t, c.route, "POST", rec)
			if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.wants) {
				t.Errorf("%d %s\nwant %d %s", rec.Code, rec.Body, c.status, c.wants)
			}
		})
	}
	if left := time.Until(a.until); left < 0 || left > time.Hour {
		t.Errorf("logged for %s", left)
	}
}
