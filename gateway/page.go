package gateway

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
)

// page is what the console sees of the hub: an immutable snapshot, made on the hub's goroutine at most once a second and
// only while somebody looks.
type page struct {
	latest  atomic.Pointer[console.Snapshot]
	asked   atomic.Int64 // when a snapshot was last asked for, Unix nanoseconds
	started time.Time

	mu     sync.Mutex
	change chan struct{} // closed at the next change

	made    time.Time // when the latest was made
	store   fact      // whether the journal takes events
	console fact

	certificate fact // the console's, where it has one
	wellness    wellness
}

// fact is whether a component works, since when, and why not.
type fact struct {
	works bool
	since time.Time
	why   string
}

// A snapshot is made again after pace at the earliest, and goes on being made for watched after it was last asked for.
const (
	pace    = 900 * time.Millisecond
	watched = 10 * time.Second
)

func (p *page) init(now time.Time) {
	p.started = now
	p.change = make(chan struct{})
	p.store = fact{works: true, since: now}
	p.console = fact{works: true, since: now}
	p.certificate = fact{works: true, since: now}
}

// set notes whether a component works; since changes only with that.
func (f *fact) set(now time.Time, err error) {
	if works := err == nil; works != f.works {
		f.works, f.since = works, now
	}
	f.why = ""
	if err != nil {
		f.why = firstLine(err.Error())
	}
}

// consoleUp tells the hub whether the console listens.
func (h *hub) consoleUp(err error) {
	h.post(func(now time.Time) { h.page.console.set(now, err) })
}

// wanted tells whether somebody looked lately.
func (p *page) wanted(now time.Time) bool {
	return now.UnixNano()-p.asked.Load() < int64(watched)
}

// show makes a snapshot if somebody looks, and wakes those who wait for it. A quiet home has one every turn too: its age
// is what the console trusts the hub by.
func (h *hub) show(now time.Time, urgent bool) {
	p := &h.page
	if !p.wanted(now) || !urgent && now.Sub(p.made) < pace {
		return
	}
	p.made = now
	p.latest.Store(h.snapshot(now))
	p.mu.Lock()
	close(p.change)
	p.change = make(chan struct{})
	p.mu.Unlock()
}

// Snapshot is the latest state; where nobody had looked for a while, one is made.
func (h *hub) Snapshot() *console.Snapshot {
	p := &h.page
	now := time.Now()
	fresh := p.wanted(now)
	p.asked.Store(now.UnixNano())
	latest := p.latest.Load()
	if fresh && latest != nil {
		return latest
	}
	done := make(chan struct{})
	go h.post(func(now time.Time) { h.show(now, true); close(done) })
	select {
	case <-done:
	case <-h.quit:
	case <-time.After(time.Second): // a hub that does not answer is seen by the age of what is shown
	}
	return p.latest.Load()
}

// Changed is closed when there is a newer snapshot.
func (h *hub) Changed() <-chan struct{} {
	h.page.mu.Lock()
	defer h.page.mu.Unlock()
	return h.page.change
}

// Events, Alarm and Alarms are read from the store, beside the hub.
func (h *hub) Events(ctx context.Context, after int64, limit int) ([]alarm.Event, error) {
	return h.store.Events(ctx, after, limit)
}

// Alarm is one alarm with its events.
func (h *hub) Alarm(ctx context.Context, id string) (alarm.Alarm, []alarm.Event, error) {
	a, events, err := h.store.Alarm(ctx, id)
	return a, events, missing(err)
}

// Alarms are the open ones, or all.
func (h *hub) Alarms(ctx context.Context, all bool, limit int) ([]alarm.Alarm, error) {
	if !all {
		open := h.Snapshot().Alarms
		return open[:min(len(open), limit)], nil
	}
	return h.store.Alarms(ctx, store.AlarmQuery{Limit: limit})
}

// Acknowledge, Silence, Reset, Verdict and Shelve are what people do to alarms; they return when it is on disk.
func (h *hub) Acknowledge(ctx context.Context, id string, a alarm.Act) error {
	return h.do(ctx, func(now time.Time) ([]alarm.Event, error) { return h.board.Acknowledge(now, id, a) })
}

// Silence switches the sound of an alarm off.
func (h *hub) Silence(ctx context.Context, id string, a alarm.Act) error {
	return h.do(ctx, func(now time.Time) ([]alarm.Event, error) { return h.board.Silence(now, id, a) })
}

// Reset ends a latched alarm.
func (h *hub) Reset(ctx context.Context, id string, a alarm.Act) error {
	return h.do(ctx, func(now time.Time) ([]alarm.Event, error) { return h.board.Reset(now, id, a) })
}

// Verdict says what an alarm was.
func (h *hub) Verdict(ctx context.Context, id, verdict string, a alarm.Act) error {
	return h.do(ctx, func(now time.Time) ([]alarm.Event, error) { return h.board.Verdict(now, id, verdict, a) })
}

// Shelve sets an alarm aside for a time.
func (h *hub) Shelve(ctx context.Context, id string, until time.Time, second string, a alarm.Act) error {
	return h.do(ctx, func(now time.Time) ([]alarm.Event, error) { return h.board.Shelve(now, id, a, until, second) })
}

// snapshot is everything that the console shows, copied.
func (h *hub) snapshot(now time.Time) *console.Snapshot {
	cfg, lang := h.g.cfg, string(h.g.cfg.Site.Language)
	s := &console.Snapshot{
		Time: now.In(h.g.location), Started: h.page.started, Version: h.g.Version, Seq: h.seq,
		Site: console.Site{
			ID: cfg.Site.ID, Name: cfg.Site.Name, Region: cfg.Site.Region,
			Contact: cfg.Site.Contact.Name, Phone: cfg.Site.Contact.Phone, Beds: cfg.Site.Beds, Timezone: cfg.Site.Timezone,
		},
		Zones: pageZones(cfg.Zones, h.g.places), Alarms: h.board.Open(),
	}
	for _, l := range h.g.links {
		ls := h.live.links[l.id]
		s.Endpoints = append(s.Endpoints, console.Endpoint{
			ID: l.id, Protocol: l.protocol, URL: maskURL(l.url), Up: ls.up(), Since: ls.signal.since, Error: firstLine(ls.lastErr),
			Unclaimed: h.g.metrics.notices.unclaimedOf(l.id), Load: h.g.metrics.notices.loadOf(l.id), Certificates: h.g.metrics.notices.certificatesOf(l.id),
		})
	}
	for _, d := range h.live.devices {
		s.Devices = append(s.Devices, pageDevice(d, lang))
	}
	for _, u := range h.g.uplinks {
		q, st := h.backlog(u), u.Status()
		s.Uplinks = append(s.Uplinks, console.Uplink{
			ID: u.id, Kind: u.kind, Working: st.Working, Since: st.Since, LastError: st.LastError, LastSuccess: st.LastSuccess,
			QueueRecords: q.Records, QueueOldest: q.Oldest, Dropped: q.Dropped + st.Dropped, Refused: st.Rejected, Refusal: st.Refusal,
		})
	}
	for _, c := range h.g.channels.Status() {
		s.Channels = append(s.Channels, console.Channel{
			ID: c.ID, Kind: c.Kind, Working: c.Working, Since: c.Since, LastError: c.LastError, LastSuccess: c.LastSuccess, Pending: c.Pending,
		})
	}
	for _, t := range h.exercise.Tests {
		s.Tests = append(s.Tests, h.g.pageTest(t))
	}
	if d := h.exercise.Drill; d != nil {
		drill := pageDrill(*d, h.g.location)
		s.Drill = &drill
	}
	s.Check = h.rounds.asked()
	s.Duty = h.duty.state(now)
	s.Components = h.components(s)
	s.Health = h.wellness(now)
	s.Phone = h.g.phone.messages()
	return s
}

// components are the parts that /readyz asks for: the store, the console, each endpoint, uplink and channel.
func (h *hub) components(s *console.Snapshot) []console.Component {
	disk := h.page.store
	if h.away != nil {
		disk = fact{since: h.page.started, why: firstLine(h.away.Error())}
	}
	list := []console.Component{
		{Name: "store", Working: disk.works, Since: disk.since, Why: i18n.T("the journal cannot be written: %s", disk.why)},
		{Name: "console", Working: h.page.console.works, Since: h.page.console.since, Why: i18n.T("the console does not listen: %s", h.page.console.why)},
	}
	if h.g.certificate != nil {
		why, ends := h.g.certificate.trouble(s.Time, h.g.location)
		if f := &h.page.certificate; f.works == ends {
			f.works, f.since = !ends, s.Time
		}
		list = append(list, console.Component{Name: "certificate", Working: !ends, Since: h.page.certificate.since, Why: why})
	}
	doubted := h.gate.doubtedFor()
	list = append(list, console.Component{Name: "clock", Working: doubted == 0, Since: s.Time.Add(-doubted), Why: i18n.T("the clock is not right; readings wait until it is set")})
	for _, w := range h.g.watchers {
		works, since, why := w.stand()
		list = append(list, console.Component{Name: "heartbeat " + w.id, Working: works, Since: since, Why: i18n.T("the heartbeat does not arrive: %v", why)})
	}
	if s.Duty != nil {
		list = append(list, console.Component{Name: "duty", Working: s.Duty.Alone.Format == "", Since: h.duty.alarming.since, Why: s.Duty.Alone})
	}
	for _, e := range s.Endpoints {
		list = append(list, console.Component{Name: "endpoint " + e.ID, Working: e.Up, Since: e.Since, Why: i18n.T("not connected: %s", e.Error)})
	}
	for _, d := range s.Devices {
		if d.Online != nil && !*d.Online {
			list = append(list, console.Component{Name: "device " + d.ID, Since: d.Since, Why: i18n.T("the device does not answer")})
		}
	}
	for _, u := range s.Uplinks {
		list = append(list, console.Component{Name: "uplink " + u.ID, Working: u.Working, Since: u.Since, Why: i18n.T("the platform does not take data: %s", u.LastError)})
	}
	for _, c := range s.Channels {
		list = append(list, console.Component{Name: "channel " + c.ID, Working: c.Working, Since: c.Since, Why: i18n.T("messages are not accepted: %s", c.LastError)})
	}
	for i := range list {
		if list[i].Working {
			list[i].Why = i18n.Text{}
		}
	}
	return list
}

func pageDevice(d *device, lang string) console.Device {
	p := console.Device{ID: d.ID, Name: d.Name, Zone: d.Zone, Endpoint: d.link.id, Since: d.online.since, Profile: d.Profile, Every: d.Every, Errors: d.failures.counts}
	if d.online.Quality == drivers.Good {
		online := d.online.Value == 1
		p.Online = &online
	}
	p.Signals = make([]console.Signal, 0, len(d.signals))
	for _, s := range d.signals {
		if s.Optional && !s.seen() {
			continue
		}
		p.Signals = append(p.Signals, pageSignal(s, lang))
	}
	return p
}

func pageSignal(s *signal, lang string) console.Signal {
	kind := s.Of()
	p := console.Signal{
		ID: s.Signal.ID, Name: s.Name.In(lang), Kind: s.Kind, Class: string(kind.Class), Unit: unit(*s.Signal), Form: kind.Form,
		Value: s.Value, Quality: s.Quality, Reason: s.Reason, Detail: s.Detail, Time: s.good.Time, Since: s.since, Output: outputOf(*s.Signal),
	}
	if p.Name == "" {
		p.Name = i18n.Lang(lang).Say(kind.Name)
	}
	if s.Quality == drivers.Bad && !s.good.Time.IsZero() {
		last := s.good.Value
		p.Last = &last
	}
	if s.Quality != drivers.Bad {
		p.Label = s.label()
	}
	return p
}

// maskURL is an address without its user and password.
func maskURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}
