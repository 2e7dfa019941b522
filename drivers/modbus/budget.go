package modbus

import (
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// turnaround is what a unit is given to think before it answers. Instruments take 2 to 50 ms; a slower one makes the wire busier
// than the plan says, which the metric of its use shows.
const turnaround = 10 * time.Millisecond

// budget is how much of a wire's time the devices on it ask for.
type budget struct {
	round   time.Duration // every device read once
	use     float64       // share of the time, by all periods together
	fastUse float64       // share that goes to devices that watch for fire or gas
	tooSlow []overdue     // those that alone could not be read in their period
	slip    []*device     // those that share what is left and find it too little
}

// overdue is a device whose poll takes longer than its period.
type overdue struct {
	*device
	took time.Duration
}

// budget sums up what all devices of the wire ask for (MB06).
func (w *wire) budget() (b budget) {
	for _, d := range w.drivers {
		for _, dev := range d.devices {
			if dev.Disabled {
				continue
			}
			busy, took := w.cost(d, dev)
			b.round += busy
			share := float64(busy) / float64(dev.Every)
			b.use += share
			if dev.fast {
				b.fastUse += share
			}
			if took > dev.Every {
				b.tooSlow = append(b.tooSlow, overdue{dev, took})
			}
		}
	}
	for _, d := range w.drivers {
		for _, dev := range d.devices {
			if !dev.Disabled && b.use > 1 && (!dev.fast || b.fastUse > 1) {
				b.slip = append(b.slip, dev)
			}
		}
	}
	return b
}

// cost is how long the wire is busy with one poll of a device, and how long the poll takes: longer where the unit wants a rest
// between two requests, in which others are served.
func (w *wire) cost(d *driver, dev *device) (busy, took time.Duration) {
	pace := link{at: w.at, line: w.line}
	gap := *d.settings.Gap
	if w.at.framing == rtu {
		gap = max(gap, pace.quiet())
	}
	for _, b := range plan(dev.points, dev.limits) {
		request := turnaround
		if w.at.framing != tcp {
			const frame = 8 // unit, function, address, quantity, CRC
			data := 2 * b.count()
			if b.table().Bits() {
				data = (b.count() + 7) / 8
			}
			request += pace.characters(frame + data + 5)
		}
		busy += request + gap
		took += request + max(gap, dev.rest)
	}
	return busy, took
}

// Plan says how long a round of the wire takes, and which devices cannot keep their periods. Of endpoints that share a wire the
// first speaks for all.
func (d *driver) Plan() []i18n.Text {
	if d.wire == nil || d.wire.drivers[0] != d {
		return nil
	}
	devices := 0
	for _, other := range d.wire.drivers {
		devices += len(other.devices)
	}
	b := d.wire.budget()
	round, percent := b.round.Round(time.Millisecond).String(), 100*b.use
	var texts []i18n.Text
	switch d.wire.at.framing {
	case rtu:
		texts = append(texts, i18n.T("%s: reading its %d devices once takes %s at %d baud; their periods use %.0f %% of the line", d.ID, devices, round, d.wire.line.Baud, percent))
	case rtuOver:
		texts = append(texts, i18n.T("%s: reading its %d devices once takes %s if the converter's line has %d baud; their periods use %.0f %% of it", d.ID, devices, round, d.wire.line.Baud, percent))
	default:
		texts = append(texts, i18n.T("%s: reading its %d devices once takes about %s; their periods use %.0f %% of the connection", d.ID, devices, round, percent))
	}
	for _, dev := range b.tooSlow {
		texts = append(texts, i18n.T("warning: %s cannot be read every %s: one reading takes %s", dev.ID, dev.Every.String(), dev.took.Round(time.Millisecond).String()))
	}
	if len(b.slip) > 0 {
		var names []string
		for _, dev := range b.slip {
			names = append(names, dev.ID)
		}
		texts = append(texts, i18n.T("warning: the wire of %s is asked for %.0f %% of its time, so these cannot keep their periods: %s; give them longer ones, or the line more baud", d.ID, percent, strings.Join(names, ", ")))
	}
	return texts
}

var _ drivers.Planner = (*driver)(nil)
