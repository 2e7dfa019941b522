package console

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime/pprof"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/logs"
)

// Operations are what an administrator asks of the daemon itself; what changes something is in the journal.
type Operations interface {
	// Levels are those of modules that do not log at level info for the time being.
	Levels() []logs.Level

	// SetLevel lets a module log from a level on until a time. The error is fs.ErrNotExist where there is no such module.
	SetLevel(ctx context.Context, module string, level slog.Level, until time.Time, a alarm.Act) error

	// Reload reads the configuration file anew. The error says why the running one stays.
	Reload(ctx context.Context, a alarm.Act) error
}

// longestLevel is how long a module may have a level of its own.
const longestLevel = 7 * 24 * time.Hour

// operationRoutes are those for whoever runs the daemon.
func (w *web) operationRoutes() []route {
	return []route{
		{"GET /api/v1/log", Admin, w.getLevels},
		{"POST /api/v1/log", Admin, w.setLevel},
		{"POST /api/v1/config/reload", Admin, w.reload},
		{"GET /api/v1/goroutines", Admin, w.goroutines},
	}
}

func (w *web) getLevels(rw http.ResponseWriter, r *http.Request) {
	if w.Operations == nil {
		w.noOperations(rw, r)
		return
	}
	w.answer(rw, r, http.StatusOK, w.Operations.Levels())
}

func (w *web) noOperations(rw http.ResponseWriter, r *http.Request) {
	w.problem(rw, r, http.StatusNotFound, i18n.T("this gateway runs without a configuration file"))
}

func (w *web) setLevel(rw http.ResponseWriter, r *http.Request) {
	var q struct {
		Module  string `json:"module"`
		Level   string `json:"level"`
		Minutes int    `json:"minutes"` // 0 ends it
	}
	if w.Operations == nil {
		w.noOperations(rw, r)
		return
	}
	if !w.body(rw, r, &q) {
		return
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(q.Level)); err != nil || strings.ContainsAny(q.Level, "+-") {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("level is debug, info, warn or error"))
		return
	}
	if most := int(longestLevel / time.Minute); q.Minutes < 0 || q.Minutes > most {
		w.problem(rw, r, http.StatusBadRequest, i18n.T("minutes is a whole number from 0 to %d", most))
		return
	}
	err := w.Operations.SetLevel(r.Context(), q.Module, level, time.Now().Add(time.Duration(q.Minutes)*time.Minute), w.unsigned(r, identityOf(r)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is no module %q; those that log: %s", q.Module, strings.Join(logs.Modules, ", ")))
	case err != nil:
		w.broken(rw, r, err)
	default:
		w.answer(rw, r, http.StatusOK, w.Operations.Levels())
	}
}

// reload answers once the new configuration has been checked, and takes the place of the old one thereafter.
func (w *web) reload(rw http.ResponseWriter, r *http.Request) {
	if w.Operations == nil {
		w.noOperations(rw, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	if err := w.Operations.Reload(ctx, w.unsigned(r, identityOf(r))); err != nil {
		w.problem(rw, r, http.StatusConflict, i18n.T("the running configuration stays: %s", err))
		return
	}
	rw.WriteHeader(http.StatusNoContent)
}

// goroutines tells what the daemon is doing: where each of its goroutines is, without what it holds.
func (w *web) goroutines(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_ = pprof.Lookup("goroutine").WriteTo(rw, 1) // whoever asked has gone
}
