package gateway

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"embergate/drivers"
	"embergate/gateway/console"
)

// wires lets people ask devices now, through the queue of the driver that polls them (MB34): console.Wires.
type wires struct{ links []*link }

// ReadNow reads a device out of its period. What it says reaches the hub too, as every poll does.
func (w wires) ReadNow(ctx context.Context, device string) ([]console.NowReading, error) {
	l, d, err := w.device(device)
	if err != nil {
		return nil, err
	}
	a, ok := l.driver.(drivers.Asker)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	readings, err := a.ReadNow(ctx, device)
	if err != nil {
		return nil, err
	}
	now := make([]console.NowReading, 0, len(readings))
	for _, r := range readings {
		n := console.NowReading{Reading: r}
		for _, s := range d.Signals {
			if d.Key(s) == r.Signal {
				v := choice{signal: s}.value(r)
				n.Unit, n.Label, n.Words = v.Unit, v.Label, v.Registers
			}
		}
		now = append(now, n)
	}
	return now, nil
}

// LogFrames logs every frame of a device until a time (MB33).
func (w wires) LogFrames(device string, until time.Time) error {
	l, _, err := w.device(device)
	if err != nil {
		return err
	}
	if t, ok := l.driver.(drivers.Tracer); ok && t.LogFrames(device, until) {
		return nil
	}
	return errors.ErrUnsupported
}

// Look asks a unit of an endpoint's wire what it is.
func (w wires) Look(ctx context.Context, endpoint string, unit uint8) (drivers.Unit, error) {
	i, err := w.inspector(endpoint)
	if err != nil {
		return drivers.Unit{}, err
	}
	return i.Look(ctx, unit)
}

// Registers reads registers of any unit of an endpoint's wire.
func (w wires) Registers(ctx context.Context, endpoint string, unit uint8, at string, n int) ([]byte, error) {
	i, err := w.inspector(endpoint)
	if err != nil {
		return nil, err
	}
	return i.Registers(ctx, unit, at, n)
}

func (w wires) device(id string) (*link, drivers.Device, error) {
	for _, l := range w.links {
		for _, d := range l.driver.Devices() {
			if d.ID == id {
				return l, d, nil
			}
		}
	}
	return nil, drivers.Device{}, fs.ErrNotExist
}

func (w wires) inspector(endpoint string) (drivers.Inspector, error) {
	for _, l := range w.links {
		if l.id != endpoint {
			continue
		}
		if i, ok := l.driver.(drivers.Inspector); ok {
			return i, nil
		}
		return nil, errors.ErrUnsupported
	}
	return nil, fs.ErrNotExist
}

// LogAllFrames logs every frame of every device until a time: what SIGUSR1 does.
func (g *Gateway) LogAllFrames(until time.Time) { g.logFrames("", until) }

// logFrames logs every frame of the devices of a protocol, or of all.
func (g *Gateway) logFrames(protocol string, until time.Time) {
	for _, l := range g.links {
		if t, ok := l.driver.(drivers.Tracer); ok && (protocol == "" || protocol == l.protocol) {
			for _, d := range l.driver.Devices() {
				t.LogFrames(d.ID, until)
			}
		}
	}
}
