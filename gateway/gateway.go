// Package gateway is the daemon: it assembles drivers, rules, alarms, store, channels and uplinks from one configuration
// and runs them.
//
// New finds every mistake that a configuration can hold and touches neither disk nor network; Run starts everything, and
// is the only place that starts long-lived goroutines. README.md beside this file draws the way of a reading.
package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/derived"
	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/duty"
	"embergate/gateway/logs"
	"embergate/gateway/notify"
	"embergate/gateway/store"
	"embergate/rules"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Options are what a gateway is made of besides its configuration.
type Options struct {
	Protocols map[string]func() drivers.Protocol // by the key of an endpoint: modbus, mqtt
	Version   string
	Log       *slog.Logger
	Listener  net.Listener // the console's; nil: it listens by itself, and tries again where the address is taken
	Demo      bool         // the console says that this is a demo

	File   string                          // of the configuration, to add devices to; "": there is none
	Levels *logs.Handler                   // of Log, to change levels by the API; nil: they stay
	Reload func(ctx context.Context) error // reads the configuration file anew, for the API; nil: there is none

	// Now reads a device through a daemon that has its wire, for Read; false where there is none.
	Now   func(ctx context.Context, device string) ([]drivers.Reading, bool)
	Asked func(device string) bool // the devices that Read is going to be asked for; nil for a gateway that runs
}

// Gateway is one site's daemon, made but not yet running.
type Gateway struct {
	Options
	cfg         Config
	read        [sha256.Size]byte // of the text of cfg
	location    *time.Location
	places      map[string]place
	links       []*link
	derived     *derived.Driver // nil: none is configured
	rules       *rules.Set
	model       rules.Model
	signals     map[string]int // index in the model, by key; see spot
	channels    *notify.Channels
	uplinks     []uplink
	plan        *duty.Plan     // who is on duty, and who is told; nil: there is no roster
	sounder     []rules.Output // where nobody can be told
	warnings    conf.Problems
	told        atomic.Pointer[duties] // of the hub, once it runs
	testAt      time.Duration          // of the daily test of the channels, since midnight; below 0: never
	metrics     *metrics
	phone       *phone
	proof       *proof
	people      []access.Person // of the duty roster
	certificate *certificate    // of the console, once it runs; nil: it has none
	watchers    []*watcher      // of the heartbeat
	cameras     *cameras
	built       time.Time    // of this program: no clock before it is right
	windows     *rules.State // of the gateway whose place it takes; nil: it starts anew
	state       *rules.State // once it runs
}

// link is an endpoint with its driver.
type link struct {
	id       string
	protocol string
	url      string
	driver   drivers.Driver
	at       conf.Section
}

// New makes a gateway of a configuration. Its mistakes are root.Problems() afterwards; a gateway with any is not to be run.
func New(root conf.Section, o Options) (*Gateway, error) {
	g := &Gateway{Options: o, metrics: newMetrics(o.Version), phone: &phone{log: o.Log}, proof: &proof{}, built: builtAt()}
	g.cfg, g.location = readConfig(root)
	g.read = sha256.Sum256(root.Text())
	g.places = checkZones(root.At("zones"), g.cfg.Zones)
	models, err := g.models(g.cfg.Profiles)
	if err != nil {
		return nil, err
	}
	g.readEndpoints(models)
	g.readDerived()
	g.model = g.ruleModel()
	g.checkPaths()
	g.rules = rules.New(root.At("rules"), g.model)
	g.channels = notify.New(root.At("channels"), notify.Options{
		Site:      notify.Site{ID: g.cfg.Site.ID, Name: g.cfg.Site.Name, Region: g.cfg.Site.Region},
		Lang:      g.cfg.Site.Language,
		Location:  g.location,
		Log:       o.Log,
		Observe:   g.metrics.notified,
		Delivered: g.delivered,
		Person:    g.Person,
		Failed:    g.failed,
		Link:      g.link,
	})
	if s := root.At("duty"); s.Exists() {
		g.readDuty(s)
	}
	g.testAt = readDailyTest(root.At("daily_test"), g.cfg.DailyTest)
	g.readUplinks(root.At("uplinks").Items())
	g.watchers = newWatchers(g.cfg.Heartbeat, o.Log)
	g.cameras = newCameras(g.places, o.Log)
	g.people = readPeople(root.At("duty").At("people"))
	return g, nil
}

// devices are those of all endpoints.
func (g *Gateway) devices() (all []drivers.Device) {
	for _, l := range g.links {
		all = append(all, l.driver.Devices()...)
	}
	return all
}

// Size is how much a configuration holds.
type Size struct{ Endpoints, Devices, Signals, Rules int }

// Size counts what the configuration holds.
func (g *Gateway) Size() Size {
	n := Size{Endpoints: len(g.links), Rules: len(g.rules.Rules())}
	for _, d := range g.devices() {
		n.Devices++
		n.Signals += len(d.Signals)
	}
	return n
}

// Language is the site's.
func (g *Gateway) Language() i18n.Lang { return g.cfg.Site.Language }

// Location is the site's time zone.
func (g *Gateway) Location() *time.Location { return g.location }

// readEndpoints makes the drivers, and reports what only the whole can see: ids there twice, zones that are not there.
func (g *Gateway) readEndpoints(models drivers.Profiles) {
	protocols := map[string]drivers.Protocol{} // one for the configuration, so that endpoints may share a wire
	for name, make := range g.Protocols {
		protocols[name] = make()
	}
	ids, alike := map[string]bool{}, new(drivers.Alike)
	for _, s := range g.cfg.Endpoints {
		claim(ids, s.At("id").Value(), s.At("id"))
		l := g.readEndpoint(s, protocols, models, alike)
		if l == nil {
			continue
		}
		for _, d := range l.driver.Devices() {
			claim(ids, d.ID, d.Section.At("id"))
			if d.Stale > 0 && d.Stale < d.Every {
				d.Section.At("stale").Problem("stale is at least the period, %s, or every value is stale before the next comes", d.Every)
			}
			if _, ok := g.places[d.Zone]; d.Zone != "" && !ok {
				d.Section.At("zone").NotOneOf(d.Zone, zoneIDs(g.places))
			}
		}
		g.links = append(g.links, l)
	}
}

func claim(ids map[string]bool, id string, at conf.Section) {
	if ids[id] {
		at.Problem("the id %q is there twice; endpoints and devices share their ids", id)
	}
	ids[id] = true
}

func (g *Gateway) readEndpoint(s conf.Section, protocols map[string]drivers.Protocol, models drivers.Profiles, alike *drivers.Alike) *link {
	var own struct {
		ID      string         `yaml:"id"`
		Devices []conf.Section `yaml:"devices"`
	}
	settings := map[string]conf.Section{}
	for name := range protocols {
		settings[name] = conf.Section{}
	}
	s.Decode(&own, settings)
	maps.DeleteFunc(settings, func(_ string, at conf.Section) bool { return !at.Exists() })
	if !drivers.IDPattern.MatchString(own.ID) {
		s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", own.ID)
	}
	if len(settings) != 1 {
		s.Problem("an endpoint has exactly one protocol: %s", strings.Join(slices.Sorted(maps.Keys(protocols)), ", "))
		return nil
	}
	name := slices.Collect(maps.Keys(settings))[0]
	driver := protocols[name](drivers.Endpoint{
		ID:       own.ID,
		Settings: settings[name],
		Devices:  own.Devices,
		Profiles: models,
		Alike:    alike,
		Log:      g.Log.With("endpoint", own.ID),
		Monitor:  g.metrics.monitor(own.ID),
		Asked:    g.Asked,
	})
	return &link{id: own.ID, protocol: name, url: settings[name].At("url").Value(), driver: driver, at: s}
}

// ruleModel is everything that a condition may name: the devices' signals, and those that the hub keeps itself.
func (g *Gateway) ruleModel() rules.Model {
	m := rules.Model{Zones: ruleZones(g.cfg.Zones, g.places), Location: g.location, Lang: g.cfg.Site.Language}
	add := func(d drivers.Device, s drivers.Signal) {
		m.Signals = append(m.Signals, rules.Signal{Key: d.Key(s), Signal: s, Device: d})
	}
	for _, l := range g.links {
		add(drivers.Device{ID: l.id, Name: l.id}, drivers.Signal{ID: drivers.LinkSignal, Kind: drivers.LinkSignal})
		for _, d := range l.driver.Devices() {
			add(d, drivers.Signal{ID: drivers.OnlineSignal, Kind: drivers.OnlineSignal})
			for _, s := range d.Signals {
				add(d, s)
			}
		}
	}
	return m
}

// Replace gives the gateway what the conditions of another have seen, which has stopped (row RU17). Everything else that
// must survive a reload is on disk.
func (g *Gateway) Replace(old *Gateway) { g.windows = old.state }

// ErrReplaced is the cause with which the context of Run ends where another gateway takes its place at once: outputs then
// stay as they are.
var ErrReplaced = errors.New("replaced by a new configuration")

// Run runs the gateway until ctx ends, then shuts down in the direction of the data: drivers stop, the hub drains, queues
// are on disk, the console closes. What is down or broken at start is a fault that people see, and recovers by itself.
func (g *Gateway) Run(ctx context.Context) error {
	st, away, forget, err := g.openStore()
	if err != nil {
		return err
	}
	defer forget()
	if g.certificate = newCertificate(g.cfg.Console, st.Dir(), g.Log); g.certificate != nil {
		g.metrics.certificate(g.certificate.until)
	}
	h, err := newHub(ctx, g, st)
	if err != nil {
		return errors.Join(err, st.Close())
	}
	h.away = away
	signals := len(g.model.Signals)
	g.forgetModel()
	north, stopNorth := context.WithCancel(context.WithoutCancel(ctx))
	south, stopSouth := context.WithCancel(context.WithoutCancel(ctx))
	var readers, senders sync.WaitGroup
	hubDone := make(chan struct{})
	go func() { defer close(hubDone); h.run() }()
	for _, u := range g.uplinks {
		senders.Go(func() {
			h.superviseUplink(north, u, func(ctx context.Context) error {
				return u.run(ctx, h)
			})
		})
	}
	senders.Go(func() {
		if err := g.channels.Run(north, h.outbox); err != nil {
			g.Log.Error("channels ended", "err", err)
		}
	})
	senders.Go(func() { st.History().Run(north) })
	admitted, done := g.admit(ctx, st)
	defer done()
	senders.Go(func() { g.serve(north, h, admitted) })
	for _, w := range g.watchers {
		senders.Go(func() { w.run(north, h.health) })
	}
	for range lookers {
		senders.Go(func() { g.cameras.run(north, h.AddPhoto) })
	}
	for _, l := range g.links {
		readers.Go(func() { h.supervise(south, l) })
	}
	notifySystemd(daemon.SdNotifyReady)
	g.Log.Info("gateway started", "site", g.cfg.Site.ID, "endpoints", len(g.links), "signals", signals, "rules", len(g.rules.Rules()))

	<-ctx.Done()
	if context.Cause(ctx) != ErrReplaced {
		notifySystemd(daemon.SdNotifyStopping) // of a reload it must not hear: it would kill what does not end in time
		h.restOutputs()
	}
	stopSouth()
	readers.Wait()
	h.stop()
	<-hubDone
	stopNorth()
	senders.Wait()
	g.Log.Info("gateway stopped")
	return st.Close()
}

// openStore opens the state directory. Where that cannot be used (full, locked, not ours), the home is protected all the
// same, with a directory that does not outlive the run; away then says why (RE07). Forget removes it after the store is
// closed.
func (g *Gateway) openStore() (st *store.Store, away error, forget func(), err error) {
	st, err = store.Open(string(g.cfg.Data), g.Log)
	if err == nil {
		switch err := st.Claim(); {
		case errors.Is(err, store.ErrRunning):
			return nil, nil, nil, errors.Join(fmt.Errorf("another gateway runs: %w", err), st.Close())
		case err != nil:
			g.Log.Warn("nothing keeps a second gateway off the state directory", "err", err)
		}
		return st, nil, func() {}, nil
	}
	away = fmt.Errorf("state in %s: %w", g.cfg.Data, err)
	dir, err := os.MkdirTemp(os.Getenv("RUNTIME_DIRECTORY"), "embergate-") // systemd's, in memory; else the temporary one
	if err != nil {
		return nil, nil, nil, errors.Join(away, err)
	}
	g.Log.Error("state directory not usable, nothing will be remembered after the next restart", "err", away, "instead", dir)
	forget = func() { _ = os.RemoveAll(dir) } // what is left is in a temporary directory
	if st, err = store.Open(dir, g.Log); err != nil {
		forget()
		return nil, nil, nil, errors.Join(away, err)
	}
	return st, away, forget, nil
}

func notifySystemd(state string) {
	_, _ = daemon.SdNotify(false, state) // without a notify socket there is nobody to tell
}
