package mqtt

import (
	"slices"
	"time"

	"embergate/drivers"
)

// take is what one message tells.
func (d *driver) take(p *publication, now time.Time) batches {
	var told batches
	routes := d.routes.of(p.topic)
	for _, r := range routes {
		d.read(r, p, now, &told)
	}
	if len(routes) == 0 {
		d.stranger(p, now)
	}
	d.strangeMembers(routes, p)
	return told
}

// batches are what one message gave: mostly one batch, more where it carries several samples of a signal.
type batches struct {
	readings [][]drivers.Reading
	held     []delivery // to be noted when the gateway holds them
}

// delivery is a message of a device by its id.
type delivery struct {
	device *device
	id     string
}

// read makes the readings of a message for one of the devices that it reaches.
func (d *driver) read(r route, p *publication, now time.Time, told *batches) {
	dev := r.device
	if r.availability {
		if len(p.payload) == 0 {
			return
		}
		online, err := readAvailability(p.payload)
		if err != nil {
			d.malformedPayload(dev, p, drivers.Decode, err, now)
			return
		}
		told.add(0, d.present(dev, presence{p.topic, online}, p.retained, now))
		return
	}
	samples, err := dev.wrapping.samples(p, dev.below(p.topic))
	if err != nil {
		d.malformedPayload(dev, p, drivers.Decode, err, now)
	}
	for i, s := range samples {
		if dev.repeats(s.id) {
			continue
		}
		if s.id != "" {
			told.held = append(told.held, delivery{dev, s.id})
		}
		if s.presence.by != "" {
			told.add(i, d.present(dev, s.presence, p.retained, now))
		}
		at, doubt := s.stamp(now, p.retained)
		if doubt != nil {
			d.malformedPayload(dev, p, drivers.Range, doubt, now)
		}
		readings, err := decode(dev.Signals, s, at)
		if err != nil {
			d.malformedPayload(dev, p, drivers.Decode, err, now)
		}
		for j := range readings {
			if doubt != nil && readings[j].Detail == "" {
				readings[j].Detail = doubt.Error()
			}
			readings[j].OwnTime = doubt == nil && !s.time.IsZero()
		}
		told.add(i, dev.receive(readings, p.retained, now))
	}
}

// present takes what is said of a device's life.
func (d *driver) present(dev *device, said presence, retained bool, now time.Time) []drivers.Reading {
	before := len(dev.offline) > 0
	told := dev.available(said.by, said.online, retained, now)
	if after := len(dev.offline) > 0; after != before {
		d.log.Info("device availability changed", "device", dev.ID, "online", !after)
	}
	return told
}

// add puts readings into the i-th batch; of two of a signal the later stays.
func (b *batches) add(i int, readings []drivers.Reading) {
	for len(b.readings) <= i {
		b.readings = append(b.readings, nil)
	}
	for _, r := range readings {
		b.readings[i] = slices.DeleteFunc(b.readings[i], func(old drivers.Reading) bool { return old.Signal == r.Signal })
		b.readings[i] = append(b.readings[i], r)
	}
}
