// Package gbt26875 reports to a fire brigade's monitoring centre as a user information transmission device does after
// GB/T 26875.3-2011: over one TCP connection, each packet confirmed by the centre.
//
//	journal ──events, in order──▶ type 2, what became of a part; 4 and 24, what people did ──┐
//	Alarms ──what is open now──▶ types 1 and 21, systems and this gateway ───────────────────┼─▶ one packet ─▶ confirm
//	Readings ──the latest──▶ type 3, analog values ──────────────────────────────────────────┘
//	                                    requests, the clock (90), duty checks (91) ◀── centre
//
// # Delivery
//
// Events come from the journal, from a place of their own in it, and leave it when the centre has confirmed them: at least
// once, in order. A fire that waits behind others goes before the next packet. A packet that is not confirmed is sent again
// three times with its serial number (6.5); then the connection is given up and made anew. One that the centre denies, or
// ignores while it is there, is shown as refused, and the next goes; of parts what still holds is told again every minute. Of
// states and values only the latest are sent, so an outage makes nothing grow.
//
// Clauses and tables are those of GB/T 26875.3-2011, read in a public transcription and compared with two independent
// implementations; testdata/published.txt holds packets that others published.
//
// # Concurrency
//
// Readings, Alarms, Wake, Status and Waiting may be called from any goroutine and return at once: a centre that is slow,
// silent or hostile holds up nobody. Run is called once; its goroutine alone writes to the centre.
package gbt26875

import (
	"context"
	"log/slog"
	"net"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink"
)

// Options are what the gateway gives an uplink besides its configuration.
type Options struct {
	ID       string
	Version  string // of the program: 1.2.3
	Location *time.Location
	Devices  []drivers.Device
	Zones    []Zone   // in the order of the configuration
	People   []string // names; who is first is operator 1
	Log      *slog.Logger
	// Observe is told the outcome of every packet: accepted, retry or refused. It may be nil.
	Observe func(outcome string)
}

// Zone is a place in the home, with its path from the root of the tree.
type Zone struct{ ID, Path string }

// Acts are what a centre may ask of the home.
type Acts interface {
	// OrderCheck asks those on duty to show that they are there, within so long. One that is under way is enough.
	OrderCheck(ctx context.Context, answer time.Duration) error
}

// Uplink speaks to one centre. The zero value is of no use: New makes it.
type Uplink struct {
	uplink.Bell
	o        Options
	settings settings
	plan     plan
	states   states
	stand    *uplink.Stand
	feed     *uplink.Feed
	dial     func(context.Context) (net.Conn, error)

	// Run's goroutine only:
	serial  uint16             // of the next packet
	begun   bool               // our place in the journal is known
	numbers bool               // the parts have the numbers of the store
	new     bool               // the centre was never told what is open
	sent    map[part]state     // what the centre was told of parts
	known   bool               // sent is complete: a part that is not in it is normal
	doubts  map[part]time.Time // since when the list of alarms says otherwise; in the future of what the centre denied, see learned
	ahead   map[string]int     // alarms that were told before their turn, or are over, with the count of triggers
	due     []string           // signals whose values are to be sent
	round   time.Time          // when they were listed
	clockAt time.Time          // when the centre's clock was logged
	called  time.Time          // when it last called for a duty check
	call    uint16             // with which serial number
	heeded  bool               // and it was taken
}

// New reads the gbt26875: keys of an uplink and reports every mistake at its place. It touches neither disk nor network.
func New(s conf.Section, o Options) *Uplink {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	u := &Uplink{
		o: o, settings: readSettings(s, o), Bell: uplink.NewBell(),
		stand: uplink.NewStand(o.Log, "not connected yet"), feed: uplink.NewFeed(o.ID, o.Log),
		sent: map[part]state{}, doubts: map[part]time.Time{}, ahead: map[string]int{},
	}
	u.plan = newPlan(u.settings, o)
	u.states.values = map[string]drivers.Reading{}
	u.dial = u.settings.dial
	return u
}

// Readings takes the readings of one device. It never blocks and never fails.
func (u *Uplink) Readings(_ drivers.Device, batch []drivers.Reading) {
	u.states.take(batch, u.plan.analogs)
}

// Alarms takes the list of the open alarms; the latest counts.
func (u *Uplink) Alarms(open []alarm.Alarm) {
	u.states.setAlarms(open)
	u.Wake()
}

// Status is how the uplink stands.
func (u *Uplink) Status() uplink.Status { return u.stand.Status() }

// Waiting tells the number of the last event that the centre confirmed, and since when something waits, as of a Feed.
func (u *Uplink) Waiting() (sent int64, oldest time.Time) { return u.feed.Waiting(u.stand.Lost()) }

// local is a time in the zone of the site. One from before the clock was set is the time of its telling.
func (u *Uplink) local(t time.Time) time.Time {
	if t.Year() < 2000 {
		t = time.Now()
	}
	return t.In(u.o.Location)
}

// Run connects and sends until ctx ends, and returns nil.
func (u *Uplink) Run(ctx context.Context, j uplink.Journal, acts Acts) error {
	u.begin(ctx, j)
	u.stand.Keep(ctx,
		func(ctx context.Context) error { return u.converse(ctx, j, acts) },
		func(ctx context.Context) {
			if u.begin(ctx, j) {
				u.feed.Next(ctx, j, 1) // to know what waits
			}
		})
	return nil
}

// begin takes from the store, until that was done once, what an earlier run left: our place in the journal, whether the centre
// is new, and the numbers of parts. A new one is not told what is past, as a fire of last year would be one to it; but what
// is open.
func (u *Uplink) begin(ctx context.Context, j uplink.Journal) (begun bool) {
	if !u.begun {
		told, err := "", u.feed.Skip(ctx, j)
		if err == nil {
			told, err = j.Get(ctx, u.key("told"))
		}
		if err != nil {
			u.feed.Disk(err)
			return false
		}
		u.begun, u.new = true, told == ""
		u.known = u.known || u.new
	}
	if !u.numbers {
		u.numbers = u.plan.number(ctx, j, u.key("parts")) == nil
	}
	return true
}

// key is that of something of ours in the store.
func (u *Uplink) key(what string) string { return "uplink/" + u.o.ID + "/" + what }
