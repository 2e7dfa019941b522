// Package drivers holds the vocabulary of everything that is measured: signals and their kinds, readings and their
// quality, devices, and the contract of a driver.
//
// A driver speaks one protocol on one endpoint (a serial bus, a Modbus TCP host, a broker). It knows which devices are
// behind the endpoint and turns what they say into readings. Protocols are a table in cmd/embergate/drivers.go: to add
// one takes a package below this one and a line there.
package drivers

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// Quality tells how far a reading can be trusted. The zero value is Bad: what nobody has measured is not known.
type Quality uint8

// The qualities of a reading.
const (
	Bad       Quality = iota // no value; Reason says why
	Uncertain                // a value, with a doubt; Reason says which
	Good
)

// String is the word of the contract: bad, uncertain, good.
func (q Quality) String() string { return [...]string{"bad", "uncertain", "good"}[min(q, Good)] }

// Reason tells why a reading is not good.
type Reason string

// The reasons of the contract.
const (
	Timeout     Reason = "timeout"      // no answer in time
	CRC         Reason = "crc"          // a frame was damaged on the wire
	Exception   Reason = "exception"    // the device refused
	Offline     Reason = "offline"      // the endpoint or the device is not connected
	Stale       Reason = "stale"        // nothing new for longer than the signal's stale time
	Sentinel    Reason = "sentinel"     // the device says that it has no value (na)
	Range       Reason = "range"        // outside the plausible range
	Decode      Reason = "decode"       // the bytes do not mean what the signal says
	DeviceFault Reason = "device_fault" // the device reports a fault of its own
	Disabled    Reason = "disabled"     // taken out of service by a person
)

// Reasons are all reasons.
var Reasons = []Reason{Timeout, CRC, Exception, Offline, Stale, Sentinel, Range, Decode, DeviceFault, Disabled}

// Reading is the value of one signal at one time, with its quality.
type Reading struct {
	Signal   string    // device.signal
	Time     time.Time // when the reply or message arrived, with Go's monotonic part; or the payload's own time
	Value    float64   // in the unit of the signal's kind; 0 where Quality is Bad
	Reason   Reason    // "" where Quality is Good
	Detail   string    // what the device or the wire said, in English, for the installer: exception 2: illegal data address
	Raw      []byte    // the bytes the value was made of, as on the wire; may be nil
	Quality  Quality   // here and not above, so that a reading is eight bytes shorter
	Retained bool      // an MQTT retained message: it restores state, and raises nothing new
	OwnTime  bool      // Time is what the payload says, and can be right; else when it arrived
}

// Driver reads the devices of one endpoint.
type Driver interface {
	// Devices are the devices behind the endpoint with their signals, as configured. It may be called at any time.
	Devices() []Device

	// Run connects, reads until ctx ends, and hands every batch of readings to emit; it returns nil when ctx ended.
	//
	// A lost endpoint (no connection, adapter unplugged, broker gone) ends Run with an error; the caller restarts it with
	// back-off. A device that fails is no error: its signals are emitted as Bad with the reason. As soon as the endpoint
	// is connected, Run emits LinkUp. Run is called again only after it returned; it cleans up before it returns.
	//
	// emit returns when the gateway holds the readings; it may be called from any goroutine that Run started, and keeps
	// the slice with all its capacity: see Recycle. A batch is what one poll of one device, or one message, gave; a signal is in it once.
	Run(ctx context.Context, emit func([]Reading)) error
}

// ErrPanic is wrapped by the error of a Run that ended because a goroutine of the driver panicked.
var ErrPanic = errors.New("driver panicked")

// Writer is a driver that can set outputs. Write returns the value that the device confirmed, which is what its registers can hold
// of the one wanted, or an error that says why not. It is safe to call while Run runs, and fails at once while it does not.
type Writer interface {
	Write(ctx context.Context, signal string, value float64) (confirmed float64, err error)
}

// Planner is a driver that knows beforehand how busy its wire is going to be.
type Planner interface {
	// Plan is what an installer should know of it: how long a round takes, and a warning for each device that cannot keep its
	// period. It reaches nothing.
	Plan() []i18n.Text
}

// Tracer is a driver that keeps what went over its wire lately, for an installer to look at.
type Tracer interface {
	// Frames are the last frames of a device, oldest first; nil where it is not the driver's. It may be called at any time.
	Frames(device string) []Frame
	// LogFrames logs every frame of a device as well, until a time; one that has passed ends it. False: not the driver's.
	LogFrames(device string, until time.Time) bool
}

// Asker is a driver that reads a device when somebody asks, through the queue of its wire, so that no two requests are on it.
type Asker interface {
	// ReadNow reads a device out of its period and answers what was emitted, in the order of its signals. The error says why it
	// could not be asked (not connected, no such device); a device that fails is in the readings.
	ReadNow(ctx context.Context, device string) ([]Reading, error)
}

// Trier is a driver that can read a device which it does not have, before somebody adds it.
type Trier interface {
	// Try reads a device of another driver of the same protocol, which does not run, once: as a poll of it would, through the queue
	// of this one's wire. Nothing is emitted. The error says why it could not be asked; a device that fails is in the readings.
	Try(ctx context.Context, of Driver, device string) ([]Reading, error)
}

// Inspector is a driver whose wire a person may look at while it polls, through the same queue: units and registers that
// nobody configured.
type Inspector interface {
	// Look asks a unit what it is.
	Look(ctx context.Context, unit uint8) (Unit, error)
	// Registers reads n registers as on the wire, or n bits packed as in a reply, at an address such as holding:0.
	Registers(ctx context.Context, unit uint8, at string, n int) ([]byte, error)
}

// Unit is what an address on a wire says of itself.
type Unit struct {
	There    bool   // something answers
	Answered string // what it said when asked for register 0
	Identity string // "" where it knows no such question
}

// Frame is what went over the wire for a device.
type Frame struct {
	Time  time.Time
	Sent  bool   // by the gateway; else received
	Bytes []byte // the whole frame with its header or CRC, or what came instead of one
	Note  string // what is wrong with it, "" if nothing
}

// Protocol checks one endpoint of a configuration and makes its driver. It reports every mistake at its place through
// the sections of the endpoint, and touches neither wire nor disk. A driver with reported mistakes is never run.
type Protocol func(Endpoint) Driver

// Endpoint is what a protocol is given: one wire or connection of the configuration.
type Endpoint struct {
	ID       string
	Settings conf.Section   // the protocol's own keys: endpoints[0].modbus
	Devices  []conf.Section // the devices below it; read each with Endpoint.Device
	Profiles Profiles
	Alike    *Alike // of all endpoints; may be nil
	Log      *slog.Logger
	Monitor  Monitor

	// Asked is set where a person waits for values, perhaps beside the daemon: only the devices for which it is true are read, at
	// once, and what the daemon keeps elsewhere (its session at a broker) is left alone. nil: all devices, in their periods.
	Asked func(device string) bool
}

// Monitor is told what a driver sees besides readings; all methods return at once.
type Monitor interface {
	// Polled: one poll of one device took so long, from its first request to its last reply.
	Polled(took time.Duration)
	// Overrun: a device was not read in its period, because the wire was busy.
	Overrun(device string)
	// Busy is the share of time, 0 to 1, that the wire was in use lately.
	Busy(ratio float64)
	// Malformed: a frame or payload gave no reading; device may be "" where none could be told.
	Malformed(device string, reason Reason, detail string)
	// Unclaimed: a device that nobody configured publishes at the topic; profile is the model that would fit, "" where none
	// does. It is told once, and again when another model fits better.
	Unclaimed(topic, profile string)
	// Expiring: a certificate of the endpoint, ours or the other side's, ends at a time less than 30 days away; told at
	// every connect. The zero time: it was renewed.
	Expiring(certificate string, until time.Time)
}

// LinkUp is the batch that says that an endpoint is connected.
func LinkUp(endpoint string, now time.Time) []Reading {
	return []Reading{{Signal: endpoint + "." + LinkSignal, Time: now, Value: 1, Quality: Good}}
}

// LinkDown is the batch that says that an endpoint is not connected, of a driver that goes on waiting for whoever connects to it.
func LinkDown(endpoint string, now time.Time, why string) []Reading {
	return []Reading{{Signal: endpoint + "." + LinkSignal, Time: now, Quality: Good, Detail: why}}
}

// Signals that the gateway itself keeps: LinkSignal of each endpoint is 1 while it is connected, OnlineSignal of each
// device is 1 while it answers. A device's own signals may not use these names.
const (
	LinkSignal   = "link"
	OnlineSignal = "online"
)

// Discard is a Monitor that nobody looks at.
type Discard struct{}

// Polled, Overrun, Busy, Malformed, Unclaimed and Expiring do nothing.
func (Discard) Polled(time.Duration)             {}
func (Discard) Overrun(string)                   {}
func (Discard) Busy(float64)                     {}
func (Discard) Malformed(string, Reason, string) {}
func (Discard) Unclaimed(string, string)         {}
func (Discard) Expiring(string, time.Time)       {}
