package alarm

import "time"

// timer is a delay under way. It counts by the clock that is never set: its times carry Go's monotonic reading (RU16).
type timer struct {
	begun, running bool
	spent          time.Duration // before since
	since          time.Time     // running since
}

// run starts the timer, or lets it go on.
func (t *timer) run(now time.Time) {
	if !t.running {
		t.begun, t.running, t.since = true, true, now
	}
}

// pause lets the timer stand still.
func (t *timer) pause(now time.Time) { t.spent, t.running = t.elapsed(now), false }

// stop puts the timer back to its start.
func (t *timer) stop() { *t = timer{} }

// elapsed is how long the timer ran.
func (t *timer) elapsed(now time.Time) time.Duration {
	if !t.running {
		return t.spent
	}
	return t.spent + now.Sub(t.since)
}

// over tells whether the timer began, and ran for so long.
func (t *timer) over(now time.Time, delay time.Duration) bool {
	return t.begun && t.elapsed(now) >= delay
}

// end is when a running timer will have run for so long.
func (t *timer) end(delay time.Duration) time.Time { return t.since.Add(delay - t.spent) }
