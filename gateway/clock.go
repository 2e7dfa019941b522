package gateway

import (
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// moment is one look at both clocks: the one on the wall, which people and networks set, and the one that only runs on.
type moment struct {
	wall   time.Time     // without its monotonic part
	mono   time.Duration // since the gateway started
	synced bool          // the kernel counts the wall clock as synchronised
}

// clock judges the wall clock. A box without a battery for its clock starts in 1970, or where it was switched off; until it
// is set, times mean nothing to a platform, and what is measured is held (rows RE04, RE05). The zero value believes nothing.
type clock struct {
	built time.Time // of this program: no clock before it is right
	m     moment
	doubt time.Duration // doubted until then, by the clock that only runs on
}

const (
	// leastStep is the smallest jump of the wall clock that is one; what is less is how clocks are trimmed.
	leastStep = time.Second
	// settling is how long a clock is doubted that was set by hand, or that starts before the newest event of the journal:
	// the network may yet set it right, or a person a second time.
	settling = 2 * time.Minute
)

// newClock begins at a moment; last is the time of the newest event in the journal, zero where there is none.
func newClock(built, last time.Time, m moment) clock {
	c := clock{built: built, m: m}
	if m.wall.Before(last) {
		c.doubt = m.mono + settling
	}
	return c
}

// look takes in a later moment and tells by how much the wall clock jumped since the one before; 0 where it ran on.
func (c *clock) look(m moment) (step time.Duration) {
	step = m.wall.Sub(c.m.wall) - (m.mono - c.m.mono)
	c.m = m
	if step.Abs() < leastStep {
		return 0
	}
	if !m.synced {
		c.doubt = m.mono + settling
	}
	return step
}

// believed tells whether the wall clock can be right.
func (c *clock) believed() bool {
	return !c.m.wall.Before(c.built) && (c.m.synced || c.m.mono >= c.doubt)
}

// ok is clock_ok of the contract: synchronised, and believed.
func (c *clock) ok() bool { return c.m.synced && c.believed() }

// at is a moment by Go's clock, which carries both.
func at(start, now time.Time, synced bool) moment {
	return moment{wall: now.Round(0), mono: now.Sub(start), synced: synced}
}

// synced tells whether the kernel counts the clock as synchronised (adjtimex(2)).
func synced() bool {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR
}

// builtAt is when this program was built, as far as it knows: the time of its commit, else of the last release.
func builtAt() time.Time {
	released := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return released
	}
	for _, s := range info.Settings {
		if s.Key != "vcs.time" {
			continue
		}
		if t, err := time.Parse(time.RFC3339, s.Value); err == nil && t.After(released) {
			return t.Add(-24 * time.Hour) // whoever committed may have had a clock that is ahead
		}
	}
	return released
}
