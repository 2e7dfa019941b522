package modbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"embergate/drivers"
)

// What a person asks while the driver polls goes through the queue of the wire, so that there is still one request in flight
// (MB04, MB34). A look at units that may not be there is served after everything else.

var errNotConnected = errors.New("not connected")

// ReadNow polls a device out of its period.
func (d *driver) ReadNow(ctx context.Context, device string) ([]drivers.Reading, error) {
	d.mu.Lock()
	p := d.pollers[device]
	d.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("modbus %s: read %s: %w", d.ID, device, errNotConnected)
	}
	who := make(chan []drivers.Reading, 1)
	select {
	case p.asked <- who:
	case <-p.gone:
		return nil, fmt.Errorf("modbus %s: read %s: %w", d.ID, device, errLost)
	case <-ctx.Done():
		return nil, fmt.Errorf("modbus %s: read %s: %w", d.ID, device, ctx.Err())
	}
	select {
	case readings := <-who:
		return readings, nil
	case <-p.gone:
		return nil, fmt.Errorf("modbus %s: read %s: %w", d.ID, device, errLost)
	case <-ctx.Done():
		return nil, fmt.Errorf("modbus %s: read %s: %w", d.ID, device, ctx.Err())
	}
}

// Try polls a device of another configuration once.
func (d *driver) Try(ctx context.Context, of drivers.Driver, id string) ([]drivers.Reading, error) {
	other, ours := of.(*driver)
	if !ours {
		return nil, fmt.Errorf("modbus %s: try %s: %w", d.ID, id, errors.ErrUnsupported)
	}
	i := slices.IndexFunc(other.devices, func(dev *device) bool { return dev.ID == id })
	if i < 0 {
		return nil, fmt.Errorf("modbus %s: try %s: no such device", d.ID, id)
	}
	b, err := d.bus()
	if err != nil {
		return nil, err
	}
	readings := newPoller(d, other.devices[i], b.ses, time.Now()).poll(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("modbus %s: try %s: %w", d.ID, id, err)
	}
	return readings, nil
}

// bus is the wire as it is now, for one who looks.
func (d *driver) bus() (*Bus, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session == nil {
		return nil, fmt.Errorf("modbus %s: %w", d.ID, errNotConnected)
	}
	return &Bus{d, d.session}, nil
}

// Look asks a unit what it is.
func (d *driver) Look(ctx context.Context, unit uint8) (drivers.Unit, error) {
	b, err := d.bus()
	if err != nil {
		return drivers.Unit{}, err
	}
	there, said, err := b.Look(ctx, unit)
	if err != nil || !there {
		return drivers.Unit{}, err
	}
	return drivers.Unit{There: true, Answered: said, Identity: b.Identity(ctx, unit)}, nil
}

// Registers reads n registers or bits of any unit.
func (d *driver) Registers(ctx context.Context, unit uint8, at string, n int) ([]byte, error) {
	address, why, ok := ParseAddress(at)
	most := 125
	if address.Table.Bits() {
		most = 2000
	}
	switch {
	case !ok:
		return nil, fmt.Errorf("modbus %s: address %q: %s", d.ID, at, why)
	case address.Field || n < 1 || n > most || int(address.Number)+n > 65536:
		return nil, fmt.Errorf("modbus %s: %d at %s cannot be read at once", d.ID, n, at)
	}
	b, err := d.bus()
	if err != nil {
		return nil, err
	}
	return b.Read(ctx, unit, address.Table, address.Number, n)
}

var (
	_ drivers.Asker     = (*driver)(nil)
	_ drivers.Inspector = (*driver)(nil)
	_ drivers.Trier     = (*driver)(nil)
)
