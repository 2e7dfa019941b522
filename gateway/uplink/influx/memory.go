package influx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/gateway/store"

	"github.com/klauspost/compress/gzip"
)

const (
	groupEvery = time.Second
	groupLines = 5000     // at most so many lines in a batch
	maxRaw     = 16 << 20 // bytes of lines that wait for their second, while the disk hangs
	maxHeld    = 8 << 20  // bytes of batches that wait for room on the disk
	lastWrites = 5 * time.Second
)

// memory holds what is not on disk: lines of the second at hand, and batches that the queue had no room for.
type memory struct {
	site, region string

	mu      sync.Mutex
	devices map[string]*series
	groups  []group // the last one grows
	raw     int     // bytes in groups
	spare   []byte  // a buffer to grow the next group in
	held    []*store.Batch
	heldLen int   // bytes in held
	dropped int64 // lines lost
}

// group is lines that become one batch.
type group struct {
	lines  []byte
	count  int
	oldest time.Time
}

func (m *memory) open(site, region string) {
	m.site, m.region, m.devices = site, region, map[string]*series{}
}

// readings adds the lines of a batch.
func (m *memory) readings(d drivers.Device, batch []drivers.Reading) {
	if len(batch) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.devices[d.ID]
	if s == nil || !s.of(d) {
		s = newSeries(m.site, m.region, d)
		m.devices[d.ID] = s
	}
	g := m.growing()
	before := len(g.lines)
	var count int
	g.lines, count = s.append(g.lines, batch)
	m.grown(g, before, count, batch[0].Time)
}

// point adds the line of a point.
func (m *memory) point(p Point) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.growing()
	before := len(g.lines)
	if g.lines = appendPoint(g.lines, p); len(g.lines) > before {
		m.grown(g, before, 1, p.Time)
	}
}

// growing is the group that new lines go to; m.mu is held.
func (m *memory) growing() *group {
	if n := len(m.groups); n > 0 && m.groups[n-1].count < groupLines {
		return &m.groups[n-1]
	}
	m.groups = append(m.groups, group{lines: m.spare[:0]})
	m.spare = nil
	return &m.groups[len(m.groups)-1]
}

// grown accounts for new lines, or takes them back where the memory is full; m.mu is held.
func (m *memory) grown(g *group, before, count int, at time.Time) {
	if added := len(g.lines) - before; m.raw+added <= maxRaw {
		m.raw += added
	} else {
		g.lines = g.lines[:before]
		m.dropped += int64(count)
		return
	}
	if g.count == 0 {
		g.oldest = at
	}
	g.count += count
}

// take empties the groups.
func (m *memory) take() []group {
	m.mu.Lock()
	defer m.mu.Unlock()
	groups := m.groups
	m.groups, m.raw = nil, 0
	return groups
}

// reuse gives a buffer back.
func (m *memory) reuse(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cap(b) > cap(m.spare) && cap(b) <= 1<<20 {
		m.spare = b
	}
}

// hold keeps a batch in memory; the oldest leave where there is no room.
func (m *memory) hold(b *store.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = append(m.held, b)
	m.heldLen += len(b.Body)
	for m.heldLen > maxHeld && len(m.held) > 1 {
		m.dropped += int64(m.held[0].Lines)
		m.heldLen -= len(m.held[0].Body)
		m.held = m.held[1:]
	}
}

// oldest and newest are batches that are held, nil where there is none.
func (m *memory) oldest() *store.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.held) == 0 {
		return nil
	}
	return m.held[0]
}

func (m *memory) newest() *store.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.held) == 0 {
		return nil
	}
	return m.held[len(m.held)-1]
}

// release lets go of a batch, if it is still held.
func (m *memory) release(b *store.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, held := range m.held {
		if held == b {
			m.held = append(m.held[:i:i], m.held[i+1:]...)
			m.heldLen -= len(b.Body)
			return
		}
	}
}

func (m *memory) droppedLines() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped
}

// group makes a batch each second and stores it, until ctx ends; then it stores the rest.
func (u *Uplink) group(ctx context.Context, q Queue) {
	c := newCompressor()
	tick := time.NewTicker(groupEvery)
	defer tick.Stop()
	full := false
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			full = u.save(ctx, q, c, full)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
	defer cancel()
	if u.save(last, q, c, full) {
		lost := 0
		for b := u.memory.oldest(); b != nil; b = u.memory.oldest() {
			lost += b.Lines
			u.memory.release(b)
		}
		u.o.Log.Error("telemetry lost at the end: the queue cannot be written", "lines", lost)
	}
}

// save stores what is in memory, and tells whether the queue could not take all of it. It is told whether that was so
// before, since only a change is logged.
func (u *Uplink) save(ctx context.Context, q Queue, c *compressor, full bool) bool {
	for _, g := range u.memory.take() {
		if g.count > 0 {
			u.memory.hold(&store.Batch{Lines: g.count, Oldest: g.oldest, Body: c.compress(g.lines)})
		}
		u.memory.reuse(g.lines)
	}
	b := u.memory.oldest()
	if b == nil {
		return full
	}
	for ; b != nil; b = u.memory.oldest() {
		if err := q.Append(ctx, *b); err != nil {
			if !full {
				u.o.Log.Error("queue cannot be written, batches stay in memory", "err", err)
			}
			u.Wake() // they are sent from there
			return true
		}
		u.memory.release(b)
		u.Wake()
	}
	if full {
		u.o.Log.Info("queue can be written again")
	}
	return false
}

// compressor makes gzip bodies, at level 1: lines repeat themselves so much that the fastest does most of what can be done.
type compressor struct {
	buf bytes.Buffer
	w   *gzip.Writer
}

func newCompressor() *compressor {
	c := &compressor{}
	c.w, _ = gzip.NewWriterLevel(&c.buf, gzip.BestSpeed) // the level is valid
	return c
}

func (c *compressor) compress(lines []byte) []byte {
	c.buf.Reset()
	c.w.Reset(&c.buf)
	c.w.Write(lines) // a bytes.Buffer takes everything
	c.w.Close()
	return bytes.Clone(c.buf.Bytes())
}

// expand is the reverse; a stored body that is damaged is an error.
func expand(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("stored batch: %w", err)
	}
	lines, err := io.ReadAll(io.LimitReader(r, 2*maxRaw))
	if err != nil {
		return nil, fmt.Errorf("stored batch: %w", err)
	}
	return lines, nil
}
