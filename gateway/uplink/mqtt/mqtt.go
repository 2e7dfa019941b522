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
// at least once, in order, with their ids; nothing else is sent while some wait. Of a device and of the list of alarms only
// the latest state is sent, so an outage makes nothing grow.
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
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
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
	o        Options
	settings settings
	states   states
	wake     chan struct{} // capacity 1
	dial     func(context.Context, *tls.Config) (net.Conn, error)

	place    uplink.Place // of the last event that was acknowledged; Run's goroutine only
	unsaved  bool         // the place is not in the store yet; Run's goroutine only
	diskErr  bool         // the store failed; Run's goroutine only
	answered time.Time    // when the last command was carried out; Run's goroutine only

	mu      sync.Mutex
	status  uplink.Status // guarded by mu
	lost    time.Time     // when it began to fail, zero while it works; guarded by mu
	sent    int64         // number of the last event that was acknowledged; guarded by mu
	waiting time.Time     // of the first event that waits, zero where none is known to; guarded by mu
}

// New reads the mqtt: keys of an uplink and reports every mistake at its place. It touches neither disk nor network.
func New(s conf.Section, o Options) *Uplink {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(string) {}
	}
	u := &Uplink{o: o, settings: readSettings(s, o), wake: make(chan struct{}, 1)}
	slices.Sort(u.o.Devices)
	u.dial = u.settings.dial
	u.states.devices, u.sent = map[string]*state{}, -1
	u.status.LastError = "not connected yet"
	return u
}

// Readings takes the readings of one device. It never blocks and never fails.
func (u *Uplink) Readings(d drivers.Device, batch []drivers.Reading) { u.states.take(d, batch) }

// Alarms takes the list of the open alarms; the latest is sent.
func (u *Uplink) Alarms(open []alarm.Alarm) {
	u.states.setAlarms(open)
	u.Wake()
}

// Wake says that there are new events in the journal.
func (u *Uplink) Wake() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Status is how the uplink stands.
func (u *Uplink) Status() uplink.Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.status
}

// Waiting tells the number of the last event that the broker acknowledged, -1 where that is not known yet, and since when
// something waits: the time of the first event, or since when there is no connection; zero where nothing does.
func (u *Uplink) Waiting() (sent int64, oldest time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lost.IsZero() || !u.waiting.IsZero() && u.waiting.Before(u.lost) {
		return u.sent, u.waiting
	}
	return u.sent, u.lost
}

// A lost broker is tried again after 1, 2, 4 … 30 s, up to a fifth less, so that a thousand gateways do not come at once.
const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
	settled     = time.Minute // a connection that stayed so long begins again at firstWait
	lastWords   = 3 * time.Second
)

// Run connects and sends until ctx ends, and returns nil. acts are used with commands: true only.
func (u *Uplink) Run(ctx context.Context, j uplink.Journal, acts Acts) error {
	wait := firstWait
	for ctx.Err() == nil {
		began := time.Now()
		err := u.converse(ctx, j, acts)
		if ctx.Err() != nil {
			break
		}
		now := time.Now()
		u.failed(now, err)
		if now.Sub(began) > settled {
			wait = firstWait
		}
		u.look(ctx, j)
		select {
		case <-time.After(wait - rand.N(wait/5)):
		case <-ctx.Done():
		}
		wait = min(2*wait, longestWait)
	}
	return nil
}

// works notes that the broker takes what is sent.
func (u *Uplink) works(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.status.Working {
		if u.lost.IsZero() {
			u.o.Log.Info("uplink works")
		} else {
			u.o.Log.Info("uplink restored", "after", now.Sub(u.lost).Round(time.Second))
		}
		u.status.Working, u.status.Since = true, now
	}
	u.status.LastError, u.status.LastSuccess, u.lost = "", now, time.Time{}
}

// failed notes that it takes nothing. The first failure is logged, and one with other words, not every attempt.
func (u *Uplink) failed(now time.Time, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.lost.IsZero():
		u.o.Log.Warn("uplink lost", "err", err)
		u.status.Working, u.status.Since, u.lost = false, now, now
	case u.status.LastError != err.Error():
		u.o.Log.Warn("uplink still lost", "err", err)
	}
	u.status.LastError = err.Error()
}
