package gateway

import (
	"log/slog"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink/influx"
)

// gate lets readings and points through to what keeps their times: platforms and history. It gives every reading the time
// that the wall clock has now, less its age by the clock that only runs on; so a clock that was set leaves neither points
// twice nor points in the future. While the wall clock is not believed it holds them. The hub uses it.
type gate struct {
	clock   clock
	started time.Time
	log     *slog.Logger
	reading func(now time.Time, d drivers.Device, batch []drivers.Reading) // now is when it came
	point   func(influx.Point)

	held    []heldReading // oldest first; a ring once it is full
	first   int           // index of the oldest in held
	points  []heldPoint
	dropped int64         // readings that had no room
	doubted time.Duration // since when the clock is doubted
}

// heldReading is a reading that waits for its time. It is small: there may be many.
type heldReading struct {
	device  *device
	signal  string
	at      time.Duration // since the start
	own     int64         // the device's own time, nanoseconds since 1970; 0 where at counts
	value   float64
	reason  drivers.Reason
	quality drivers.Quality
}

type heldPoint struct {
	at    time.Duration
	point influx.Point
}

const (
	mostHeld      = 200_000 // readings, about 14 MB; the oldest go
	mostPoints    = 2_000
	releaseAtOnce = 5_000       // readings a turn, so that the hub is not held up
	mostAhead     = time.Minute // that a device's own time may be before ours
)

func newGate(start, built, last time.Time, log *slog.Logger) *gate {
	return &gate{clock: newClock(built, last, at(start, start, synced())), started: start, log: log}
}

// look judges the clock, and tells by how much it jumped since it was looked at before.
func (g *gate) look(m moment) (step time.Duration) {
	before := g.clock.believed()
	step = g.clock.look(m)
	switch after := g.clock.believed(); {
	case before && !after:
		g.doubted = m.mono
		g.log.Warn("clock doubted, readings for platforms are held", "now", m.wall)
	case !before && after:
		g.log.Info("clock believed, held readings get their times", "now", m.wall, "readings", len(g.held), "dropped", g.dropped)
		g.dropped = 0
	}
	return step
}

// moment is a look at both clocks.
func (g *gate) moment(now time.Time, synced bool) moment { return at(g.started, now, synced) }

// take lets a batch of one device through, or holds it.
func (g *gate) take(m moment, d *device, batch []drivers.Reading) {
	if !g.clock.believed() {
		for i := range batch {
			g.hold(m, d, &batch[i])
		}
		return
	}
	own := true // the batch is still the caller's, who has other uses for its times
	var read, right time.Time
	for i := range batch {
		if i == 0 || batch[i].Time != read { // most of a batch was read at once
			read = batch[i].Time
			right = g.stamp(m, read)
		}
		if right.Sub(read.Round(0)).Abs() < leastStep {
			continue
		}
		if own {
			batch, own = slices.Clone(batch), false
		}
		batch[i].Time = right
	}
	g.reading(m.wall, d.Device, batch)
}

// stamp is a time by the wall clock as it is at m.
func (g *gate) stamp(m moment, t time.Time) time.Time {
	if isOwn(t) {
		return g.when(m, 0, t.UnixNano())
	}
	return g.when(m, t.Sub(g.started), 0)
}

// when is the time of something that happened so long after the start, or that has a time of its own, which may not be
// ahead of ours.
func (g *gate) when(m moment, at time.Duration, own int64) time.Time {
	if own == 0 {
		return m.wall.Add(at - m.mono)
	}
	if t := time.Unix(0, own); t.Before(m.wall.Add(mostAhead)) {
		return t
	}
	return m.wall
}

// isOwn tells whether a time was not read from this machine's clock: it has no monotonic part.
func isOwn(t time.Time) bool { return t == t.Round(0) }

func (g *gate) hold(m moment, d *device, r *drivers.Reading) {
	h := heldReading{device: d, signal: r.Signal, at: m.mono, value: r.Value, reason: r.Reason, quality: r.Quality}
	if isOwn(r.Time) {
		h.own = r.Time.UnixNano()
	} else {
		h.at = r.Time.Sub(g.started)
	}
	if len(g.held) < mostHeld {
		g.held = append(g.held, h)
		return
	}
	g.held[g.first] = h
	g.first = (g.first + 1) % len(g.held)
	g.dropped++
}

// takePoint lets a point through, or holds it.
func (g *gate) takePoint(m moment, p influx.Point) {
	if g.clock.believed() {
		p.Time = g.stamp(m, p.Time)
		g.point(p)
		return
	}
	if len(g.points) == mostPoints {
		g.points = g.points[1:]
	}
	g.points = append(g.points, heldPoint{p.Time.Sub(g.started), p})
}

// release lets through what was held, some at a time, with the times that it should have had.
func (g *gate) release(m moment) {
	if !g.clock.believed() {
		return
	}
	for _, h := range g.points {
		h.point.Time = g.when(m, h.at, 0)
		g.point(h.point)
	}
	g.points = nil
	if len(g.held) == 0 {
		return
	}
	if g.first > 0 {
		g.held = append(g.held[g.first:len(g.held):len(g.held)], g.held[:g.first]...)
		g.first = 0
	}
	batch, n := []drivers.Reading(nil), min(len(g.held), releaseAtOnce)
	for i, h := range g.held[:n] {
		batch = append(batch, drivers.Reading{Signal: h.signal, Time: g.when(m, h.at, h.own), Value: h.value, Quality: h.quality, Reason: h.reason})
		if i+1 == n || g.held[i+1].device != h.device || g.held[i+1].at != h.at {
			g.reading(g.when(m, h.at, 0), h.device.Device, batch)
			batch = nil // whoever took it may keep it
		}
	}
	if g.held = g.held[n:]; len(g.held) == 0 {
		g.held = nil
	}
}

// doubtedFor is how long the clock has been doubted; 0 while it is believed.
func (g *gate) doubtedFor() time.Duration {
	if g.clock.believed() {
		return 0
	}
	return max(g.clock.m.mono-g.doubted, 1)
}

// watchClock looks at both clocks; a jump is an event.
func (h *hub) watchClock(now time.Time, synced bool) {
	m := h.gate.moment(now, synced)
	if step := h.gate.look(m); step != 0 {
		e := alarm.Event{ID: eventID(clockStepped, now), Time: now, Type: clockStepped, Note: stepNote(m.wall.Add(-step), m.wall)}
		h.events = append(h.events, e)
		h.g.metrics.machine.stepped(step)
	}
}

// newest is the time of the last of events, zero where there is none.
func newest(events []alarm.Event) time.Time {
	if len(events) == 0 {
		return time.Time{}
	}
	return events[len(events)-1].Time
}

// send gives readings of one device that came at a time to history, and to the uplinks: but for those of a zone under test.
func (h *hub) send(now time.Time, d drivers.Device, batch []drivers.Reading) {
	h.store.History().Readings(now, batch)
	if h.exercise.tested[d.Zone] {
		return
	}
	for _, u := range h.g.uplinks {
		u.Readings(d, batch)
	}
}

func (h *hub) sendPoint(p influx.Point) {
	for _, u := range h.g.uplinks {
		u.Point(p)
	}
}
