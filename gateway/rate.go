package gateway

import (
	"fmt"
	"math"
	"time"

	"embergate/drivers"
)

// doubt makes a value Bad that is further from the last good one than the signal can move in the time between: a loose wire,
// a damaged frame that a CRC let through. The longer it stays the further it may be, so a new level is believed in the end.
func (s *signal) doubt(r *drivers.Reading) {
	if s.MaxRate == 0 || r.Quality == drivers.Bad || s.good.Time.IsZero() {
		return
	}
	passed := r.Time.Sub(s.good.Time)
	if passed < 0 {
		return // of a device that keeps its own time and set it
	}
	if moved := math.Abs(r.Value - s.good.Value); moved > s.MaxRate*passed.Minutes() {
		r.Detail = fmt.Sprintf("%v came %v after %v: faster than %v a minute", r.Value, passed.Round(time.Millisecond), s.good.Value, s.MaxRate)
		r.Value, r.Quality, r.Reason = 0, drivers.Bad, drivers.Range
	}
}
