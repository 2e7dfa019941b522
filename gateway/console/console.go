// Package console is the web of the gateway: the page that people look at, the JSON API that programs read, and the
// stream of events that keeps both up to date.
//
// It sees the gateway only through Source, which gives immutable snapshots and the journal, and changes it only through
// Acts. A slow or broken viewer holds up nobody: pages come from a snapshot, and a stream that does not read is dropped.
//
// Pages are Go templates; what moves on them is a fresh rendering of the same template, so that there is one place where
// a value becomes words. Nothing is loaded from elsewhere, and no script or style stands inside a page.
package console

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
)

// Source is the gateway as the console sees it. All methods are safe from any goroutine and never block on the hub.
type Source interface {
	// Snapshot is the latest state, at most about a second old; nil before the first.
	Snapshot() *Snapshot

	// Changed is closed at the next change of alarms or components, or when there are new readings, at most once a
	// second. Whoever waits asks again afterwards.
	Changed() <-chan struct{}

	// Events are the events of the journal after a sequence number, oldest first, at most limit of them.
	Events(ctx context.Context, after int64, limit int) ([]alarm.Event, error)

	// Alarm is one alarm, open or closed, with its events, oldest first. The error is fs.ErrNotExist where there is none.
	Alarm(ctx context.Context, id string) (alarm.Alarm, []alarm.Event, error)

	// Alarms are the open alarms in the order in which they are shown; or all, newest first. At most limit.
	Alarms(ctx context.Context, all bool, limit int) ([]alarm.Alarm, error)

	// Rule is what a rule makes of the present readings, at each of its sources or at the one of rule@source. The error is
	// fs.ErrNotExist where there is none.
	Rule(ctx context.Context, id string) ([]RuleState, error)

	// Drills are those remembered, the newest first, and before them the one that is on.
	Drills(ctx context.Context) ([]Drill, error)
}

// Acts are what people do to alarms, and to the state of the home. An error is *alarm.Refused where that is not allowed,
// fs.ErrNotExist where there is no such alarm. A zero until is the usual time.
type Acts interface {
	StartDrill(ctx context.Context, signal string, until time.Time, a alarm.Act) (Drill, error)
	StopDrill(ctx context.Context, a alarm.Act) (Drill, error)
	TestZone(ctx context.Context, zone string, until time.Time, a alarm.Act) (ZoneTest, error)
	EndTest(ctx context.Context, zone string, a alarm.Act) (ZoneTest, error)

	Acknowledge(ctx context.Context, id string, a alarm.Act) error
	Silence(ctx context.Context, id string, a alarm.Act) error
	Reset(ctx context.Context, id string, a alarm.Act) error
	Verdict(ctx context.Context, id, verdict string, a alarm.Act) error
	Shelve(ctx context.Context, id string, until time.Time, second string, a alarm.Act) error
}

// Options are what the console is made of.
type Options struct {
	Lang     i18n.Lang // of a request that does not ask for one with ?lang=
	Source   Source
	Acts     Acts
	History  Historian
	Notes    Notes
	Archive  Archive
	Writes   Writes
	Couriers Couriers
	Links    Links                                                                  // that answer a message; nil: there are none
	Rounds   Rounds                                                                 // what people on duty do besides alarms; nil: there is nothing of it
	Walks    Walks                                                                  // sheets of walk tests
	Months   Months                                                                 // the report of a month; nil: there is none
	Refused  func(ctx context.Context, uplink string, limit int) ([]Refused, error) // the latest that a platform refused
	Demo     bool                                                                   // says on the page that this is a demonstration, and explains the duty phone
	Metrics  http.Handler                                                           // GET /metrics

	Wires  Wires                                       // asks devices now
	Frames func(device string) ([]drivers.Frame, bool) // the last ones on a device's wire; false: no such device
	Host   string                                      // host name or address of console.listen; requests for any other than it and loopback are refused
	Log    *slog.Logger

	Operations Operations // on the daemon itself; nil: there are none
	Adding     Adding     // of devices to the configuration file; nil: there is none

	Access  *access.Access // nil: whoever reaches the console may do everything, as in the demonstration
	Proxies []netip.Prefix // those whose word is taken for where a request comes from
	Public  string         // the address under which people reach the console, https://host; "" where it is not known
}

// web is the console: the options, and what is made of them once.
type web struct {
	Options
	table   []page
	pages   map[i18n.Lang]*pages
	assets  assets
	past    past
	press   press
	doors   map[i18n.Lang]*template.Template
	answers map[i18n.Lang]*template.Template // the page of a link
	streams streams
	photos  chan struct{} // holds one element for each picture that is received
}

// New is the handler of the console. It does no I/O of its own; everything comes through Source and Acts.
func New(o Options) http.Handler {
	w := newWeb(o)
	return w.handler(w.all())
}

// handler is the console with its routes, each behind its role.
func (w *web) handler(routes []route) http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.pattern, w.allow(r))
	}
	return w.guard(mux)
}

func newWeb(o Options) *web {
	w := &web{
		Options: o,
		streams: streams{of: map[string]int{}},
		photos:  make(chan struct{}, photosAtOnce),
	}
	w.assets = loadAssets(&w.press)
	w.doors = parseDoor(w.assets)
	w.answers = parseLink(w.assets)
	w.table = w.allPages()
	w.pages = parsePages(w.assets, w.table)
	return w
}

// Role is what somebody may do; each may do all that those before it may.
type Role = access.Role

// The roles, the least first. Public is nobody in particular.
const (
	Public     = access.Public
	Viewer     = access.Viewer
	Duty       = access.Duty
	Maintainer = access.Maintainer
	Admin      = access.Admin
)

// route is one method and path of the console, and the least role that may use it.
type route struct {
	pattern string
	role    Role
	serve   http.HandlerFunc
}

// all are the routes of all files.
func (w *web) all() []route {
	return slices.Concat(w.routes(), w.pageRoutes(), w.modeRoutes(), w.wireRoutes(), w.noteRoutes(), w.deliveryRoutes(), w.stillRoutes(), w.offlineRoutes(), w.accessRoutes(), w.roundRoutes(), w.walkRoutes(), w.monthRoutes(), w.linkRoutes(), w.operationRoutes(), w.dutyRoutes(), w.writeRoutes(), w.addRoutes())
}

// routes are all that the console answers. openapi.json describes those below /api, and the probes.
func (w *web) routes() []route {
	return []route{
		{"GET /assets/{name}", Public, w.asset},

		{"GET /healthz", Public, w.healthz},
		{"GET /readyz", Public, w.readyz},
		{"GET /metrics", Viewer, w.Metrics.ServeHTTP},

		{"GET /api/v1/openapi.json", Public, w.openAPI},
		{"GET /api/v1/site", Viewer, w.getSite},
		{"GET /api/v1/status", Viewer, w.getStatus},
		{"GET /api/v1/zones", Viewer, w.getZones},
		{"GET /api/v1/devices", Viewer, w.getDevices},
		{"GET /api/v1/devices/{id}/frames", Viewer, w.getFrames},
		{"GET /api/v1/signals", Viewer, w.getSignals},
		{"GET /api/v1/alarms", Viewer, w.getAlarms},
		{"GET /api/v1/alarms/{id}", Viewer, w.getAlarm},
		{"GET /api/v1/events", Viewer, w.getEvents},
		{"GET /api/v1/queues", Viewer, w.getQueues},
		{"GET /api/v1/queues/{id}/refused", Viewer, w.getRefused},
		{"GET /api/v1/history", Viewer, w.getHistory},
		{"GET /api/v1/rules/{id}", Viewer, w.getRule},
		{"GET /api/v1/stream", Viewer, w.stream},

		{"POST /api/v1/alarms/{id}/ack", Duty, w.do(w.acknowledge)},
		{"POST /api/v1/alarms/{id}/silence", Duty, w.do(w.silence)},
		{"POST /api/v1/alarms/{id}/reset", Duty, w.do(w.reset)},
		{"POST /api/v1/alarms/{id}/shelve", Duty, w.do(w.shelve)},
		{"POST /api/v1/alarms/{id}/verdict", Duty, w.do(w.verdict)},
	}
}

// lang is the language that a request asks for with ?lang=, or asked for with it before, or the site's. What a browser
// prefers is not asked: all who stand before one screen read the same.
func (w *web) lang(r *http.Request) i18n.Lang {
	if asked := i18n.Lang(r.URL.Query().Get("lang")); slices.Contains(i18n.Langs, asked) {
		return asked
	}
	if kept, err := r.Cookie(langCookie); err == nil && slices.Contains(i18n.Langs, i18n.Lang(kept.Value)) {
		return i18n.Lang(kept.Value)
	}
	return w.Lang
}

// langCookie keeps the language that a browser asked for last.
const langCookie = "lang"
