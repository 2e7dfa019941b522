// Package mqtt forwards the events of alarms and the state of devices to a platform's MQTT broker, as the contract's
// section 6 says.
//
//	TOPIC/status         online or offline, retained; offline is the will too
//	TOPIC/event          each event of an alarm, in order, QoS 1
//	TOPIC/alarms         the open alarms, a list, retained
//	TOPIC/state/DEVICE   the latest readings of a device, retained
//	TOPIC/command/ACT    with commands: true, what the platform may do to alarms: ack, silence, reset
//
// # Delivery
//
// Events come from the journal, from a place of their own in it, and leave it only when the broker has acknowledged them:
// at least once, in order, with their ids; nothing else but the list of alarms is sent while some wait. Of a device and of
// that list only the latest state is sent, so an outage makes nothing grow.
//
// # Concurrency
//
// Readings, Alarms, Wake, Status and Waiting may be called from any goroutine and return at once: a broker that is slow,
// full or away holds up nobody. Run is called once, and its goroutine alone speaks to the broker.
package mqtt

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/mqttconn"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink"
)

// Options are what the gateway gives an uplink besides its configuration.
type Options struct {
	ID      string
	Site    string
	Devices []string // ids of those that have a state
	Log     *slog.Logger
	// Body is the body of an event, as the contract's section 6 says; nil of an event that is not for platforms.
	Body func(e alarm.Event, late bool) []byte
	// Unit is the unit of a signal's values, "" where it has none.
	Unit func(s drivers.Signal) string
	// Observe is told the outcome of every publication: accepted or retry. It may be nil.
	Observe func(outcome string)
}

// Acts are what a platform may do to alarms; they return when it is on disk.
type Acts interface {
	Acknowledge(ctx context.Context, id string, a alarm.Act) error
	Silence(ctx context.Context, id string, a alarm.Act) error
	Reset(ctx context.Context, id string, a alarm.Act) error
}

// Uplink speaks to one broker. The zero value is of no use: New makes it.
type Uplink struct {
	uplink.Bell
	o        Options
	settings settings
	states   states
	dial     func(context.Context, *tls.Config) (net.Conn, error)

	stand    *uplink.Stand
	feed     *uplink.Feed
	answered time.Time // when the last command was carried out; Run's goroutine only
}

// New reads the mqtt: keys of an uplink and reports every mistake at its place. It touches neither disk nor network.
func New(s conf.Section, o Options) *Uplink {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	u := &Uplink{
		o: o, settings: readSettings(s, o), Bell: uplink.NewBell(),
		stand: uplink.NewStand(o.Log, "not connected yet"), feed: uplink.NewFeed(o.ID, o.Log),
	}
	slices.Sort(u.o.Devices)
	u.dial = func(ctx context.Context, t *tls.Config) (net.Conn, error) {
		return mqttconn.Dial(ctx, u.settings.broker, t, largestCommand)
	}
	u.states.devices = map[string]*state{}
	return u
}

// Readings takes the readings of one device. It never blocks and never fails.
func (u *Uplink) Readings(d drivers.Device, batch []drivers.Reading) { u.states.take(d, batch) }

// Alarms takes the list of the open alarms; the latest is sent.
func (u *Uplink) Alarms(open []alarm.Alarm) {
	u.states.setAlarms(open)
	u.Wake()
}

// Status is how the uplink stands.
func (u *Uplink) Status() uplink.Status { return u.stand.Status() }

// Waiting tells the number of the last event that the broker acknowledged, and since when something waits, as of a Feed.
func (u *Uplink) Waiting() (sent int64, oldest time.Time) { return u.feed.Waiting(u.stand.Lost()) }

const lastWords = 3 * time.Second

// Run connects and sends until ctx ends, and returns nil. acts are used with commands: true only.
func (u *Uplink) Run(ctx context.Context, j uplink.Journal, acts Acts) error {
	u.stand.Keep(ctx,
		func(ctx context.Context) error { return u.converse(ctx, j, acts) },
		func(ctx context.Context) { u.feed.Next(ctx, j, 1) }) // to know what waits
	return nil
}
