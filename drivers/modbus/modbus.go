// Package modbus reads and writes devices over Modbus TCP, RTU on a serial line, and RTU over TCP.
//
// One wire (a serial line, a host:port) has one request in flight, however many endpoints name it. Requests have their turns
// in order: outputs, devices that watch for fire or gas, the rest, and units that did not answer last
// time. Each device has a poller that asks for one block of registers at a time, so that a long device lets others in
// between two blocks.
//
//	wire     one session: connect, give the turns, close
//	link     one exchange: write, read the reply, tell it from late, foreign and damaged ones
//	frame    what a reply looks like in each framing
//	poller   one device: when it is due, which blocks it takes, what became of them
//	plan     from signals to blocks
//	point    from a signal's keys to a place and a form; decode from registers to a reading
package modbus

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/serial"
)

// New makes the protocol for one configuration: endpoints that name the same serial path or host:port share one wire,
// its queue and its socket.
func New() drivers.Protocol { return protocol(openWire) }

// protocol is New with its own way to open a wire.
func protocol(open opener) drivers.Protocol {
	wires, doors := map[string]*wire{}, map[string]*door{}
	return func(e drivers.Endpoint) drivers.Driver {
		set, at, known := decodeSettings(e.Settings)
		d := &driver{Endpoint: e, settings: set}
		for _, s := range e.Devices {
			d.devices = append(d.devices, decodeDevice(e, s, at.framing))
		}
		if !known {
			return d // its mistake is reported, so it is never run
		}
		w := wires[at.name]
		switch {
		case w == nil:
			w = &wire{at: at, line: set.line(), open: open}
			wires[at.name] = w
			w.enter(doors, e.Settings)
		case w.at != at:
			e.Settings.At("url").Problem("%s cannot speak Modbus TCP and RTU at once: the devices %s and %s want both",
				at.name, strings.Join(w.users, ", "), strings.Join(d.ids(), ", "))
		case at.framing == rtu && w.line != set.line():
			e.Settings.At("url").Problem("the serial line %s is set differently for the devices %s: baud, parity, stop_bits, data_bits and rs485 must be the same",
				at.name, strings.Join(w.users, ", "))
		}
		w.delay = max(w.delay, set.ConnectDelay)
		d.wire, d.shift = w, len(w.users)
		w.users = append(w.users, d.ids()...)
		w.drivers = append(w.drivers, d)
		d.Endpoint.Devices, d.Profiles = nil, nil // read: they would keep the whole file in memory
		return d
	}
}

// driver reads the devices of one endpoint.
type driver struct {
	drivers.Endpoint
	settings settings
	wire     *wire
	devices  []*device
	shift    int // how many devices were declared on the wire before: first polls are spread over all of them

	mu      sync.Mutex
	session *session           // guarded by mu; nil while Run does not run or is not connected
	pollers map[string]*poller // guarded by mu, by device; of the session
}

// device is one device of an endpoint, with its signals made ready.
type device struct {
	drivers.Device
	unit   uint8
	fast   bool // it watches for fire or gas
	limits limits
	rest   time.Duration // between two requests to it
	points []point
	alive  *alive // nil: it watches nobody
	trace  trace
}

// Devices are the devices behind the endpoint.
func (d *driver) Devices() []drivers.Device {
	devices := make([]drivers.Device, len(d.devices))
	for i, dev := range d.devices {
		devices[i] = dev.Device
	}
	return devices
}

func (d *driver) ids() []string {
	ids := make([]string, len(d.devices))
	for i, dev := range d.devices {
		ids[i] = dev.ID
	}
	return ids
}

// Frames are the last 50 frames that went over the wire for a device, oldest first; nil where there is no such device.
func (d *driver) Frames(device string) []drivers.Frame {
	for _, dev := range d.devices {
		if dev.ID == device {
			return dev.trace.last()
		}
	}
	return nil
}

// LogFrames logs every frame of a device until a time; false where there is no such device.
func (d *driver) LogFrames(device string, until time.Time) bool {
	for _, dev := range d.devices {
		if dev.ID == device {
			dev.trace.logUntil(until)
			return true
		}
	}
	return false
}

// Run polls the devices that are in service until ctx ends or the connection is lost.
func (d *driver) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	var running sync.WaitGroup
	defer running.Wait()
	s := d.wire.join(d)
	defer d.wire.leave(s, d) // before it waits: where nobody else uses the port, what is under way ends at once
	for up := false; !up; {
		select {
		case <-s.up:
			up = true
		case <-s.done:
			return s.err
		case <-ctx.Done():
			return nil
		case <-d.wire.lateness():
			emit(drivers.LinkDown(d.ID, time.Now(), "no converter has dialled in at "+d.wire.at.name))
		}
	}
	d.warnPath()
	start := time.Now()
	if d.Asked == nil {
		start = start.Add((beat - time.Duration(start.UnixNano())%beat) % beat)
	}
	pollers := map[string]*poller{}
	for i, dev := range d.devices {
		if !dev.Disabled && (d.Asked == nil || d.Asked(dev.ID)) {
			pollers[dev.ID] = newPoller(d, dev, s, start.Add(d.stagger(i)))
		}
	}
	d.use(s, pollers)
	defer d.use(nil, nil)
	emit(drivers.LinkUp(d.ID, time.Now())) // whoever hears it may write at once
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := make(chan error, len(d.devices))
	for id, p := range pollers {
		running.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					broken <- fmt.Errorf("modbus: poll of %s: %w", id, panicked(p))
				}
			}()
			p.run(ctx, emit)
		})
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.done:
		return s.err
	case err := <-broken:
		return err
	}
}

const (
	mostSpread = 10 * time.Second // the longest that a device waits for its first poll, however long its period
	beat       = time.Second      // polls of all wires begin on it: waking for each alone costs more than it does
)

// stagger is when the i-th device is first polled, in whole beats: the devices of a wire are spread over their periods, unless
// somebody waits.
func (d *driver) stagger(i int) time.Duration {
	if d.Asked != nil {
		return 0
	}
	all := len(d.wire.users)
	return (min(d.devices[i].Every, mostSpread) * time.Duration(d.shift+i) / time.Duration(all)).Truncate(beat)
}

func (d *driver) use(s *session, pollers map[string]*poller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session, d.pollers = s, pollers
}

var unstablePath = regexp.MustCompile(`^/dev/tty(USB|ACM)\d+$`)

// warnPath warns of a serial path that may name another adapter after the next start.
func (d *driver) warnPath() {
	if path := d.wire.at.name; d.wire.at.framing == rtu && unstablePath.MatchString(path) {
		d.Log.Warn("serial path changes when adapters are plugged in another order", "path", path, "use", serial.StableName(path))
	}
}

// request is one request to a device.
func (d *driver) request(ctx context.Context, dev *device, c class) *request {
	return &request{
		class: c, unit: dev.unit, timeout: d.settings.Timeout, gap: *d.settings.Gap, rest: dev.rest,
		trace: &dev.trace, ctx: ctx,
	}
}

// find is the point of a signal.
func (d *driver) find(signal string) (*device, *point) {
	for _, dev := range d.devices {
		if i := slices.IndexFunc(dev.points, func(p point) bool { return p.key == signal }); i >= 0 {
			return dev, &dev.points[i]
		}
	}
	return nil, nil
}
