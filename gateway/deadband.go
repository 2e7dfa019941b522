package gateway

import (
	"time"

	"embergate/drivers"
)

// deadbands thin out what is forwarded: of a text nothing (it is for who looks); of a signal with a deadband, a value that has
// moved by less since the one forwarded last is kept back, but for mostSilence at the most. Rules, alarms and the console see
// every reading; see hub.forward.
type deadbands struct {
	last map[string]forwarded // by signal; only of those with a deadband
}

// forwarded is a reading that was passed on, and when.
type forwarded struct {
	drivers.Reading
	at time.Time
}

// mostSilence is how long an unchanged value may be kept back: a platform must be able to tell it from a dead signal.
const mostSilence = 5 * time.Minute

// pass is what of a device's readings is forwarded. The batch itself stays as it is.
func (b *deadbands) pass(now time.Time, d *device, batch []drivers.Reading) []drivers.Reading {
	if !d.thin {
		return batch
	}
	kept := make([]drivers.Reading, 0, len(batch))
	for _, r := range batch {
		if b.due(now, d, r) {
			kept = append(kept, r)
		}
	}
	return kept
}

// thinned tells whether a signal is not always forwarded.
func thinned(s drivers.Signal) bool { return s.Deadband.Width > 0 || s.Of().Form == drivers.Text }

func (b *deadbands) due(now time.Time, d *device, r drivers.Reading) bool {
	for _, s := range d.signals {
		if s.Reading.Signal != r.Signal {
			continue
		}
		if s.Of().Form == drivers.Text {
			return false
		}
		if s.Deadband.Width == 0 {
			continue
		}
		last, known := b.last[r.Signal]
		if known && r.Quality == last.Quality && r.Reason == last.Reason && r.Quality != drivers.Bad &&
			s.Deadband.Holds(r.Value, last.Value) && now.Sub(last.at) < mostSilence {
			return false
		}
		if b.last == nil {
			b.last = map[string]forwarded{}
		}
		b.last[r.Signal] = forwarded{r, now}
	}
	return true
}
