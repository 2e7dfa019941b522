package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"embergate/drivers"
)

// History keeps what every signal said, for charts that need no platform: every change for a day, and least, mean, greatest
// and last of every minute for a month. A gap, a zero and a stale signal stay different things.
//
// Changes are in memory for five minutes, then one blob a signal goes to disk, all in one commit: a power cut takes at
// most these five minutes (alarms are elsewhere, and on disk at once). When an hour is over its minutes are made of what is
// on disk, so that there is one way to them, before a restart and after.
type History struct {
	store *Store
	log   *slog.Logger
	full  chan struct{} // capacity 1: memory wants to be written before its time

	writing sync.Mutex    // who keeps
	moving  chan struct{} // capacity 1: held while memory goes to disk, and by who looks, so that all is in one of the two, once

	mu      sync.Mutex
	tracks  map[string]*track
	order   []*track
	entries int     // in all tracks
	late    []track // pieces of tracks that ended, as when the clock was set back
	dropped int64   // changes that had no room
}

// track is one signal's changes since they were last written.
type track struct {
	name   string
	number int64  // in history_signals; 0 is not yet known
	next   *track // that came after it, last time
	chunk
}

const (
	rawFor     = 24 * time.Hour
	minutesFor = 30 * 24 * time.Hour

	flushEvery  = 5 * time.Minute // also the period by which raw chunks are found
	flushAtMost = time.Minute     // however much there is
	fullAt      = 150_000         // changes in memory that are written before their time, 16 bytes each
	mostChanges = 2 * fullAt      // and more are not kept

	periodTicks  = int64(flushEvery/time.Second) * ticksPerSecond
	hourTicks    = minutesOfHour * ticksPerMinute
	signalBits   = 20 // a row is the period or hour, and below it the signal
	rowsInACall  = 500
	deleteAtOnce = 2000
	nearby       = time.Minute
)

func newHistory(s *Store) *History {
	return &History{store: s, log: s.log, full: make(chan struct{}, 1), moving: make(chan struct{}, 1), tracks: map[string]*track{}}
}

// History is the history in series.db.
func (s *Store) History() *History { return s.history }

// Readings takes in what came at a time; its own times count where they are near to it. It never waits for the disk.
func (h *History) Readings(now time.Time, batch []drivers.Reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var t *track
	for i := range batch {
		if t != nil && t.next != nil && t.next.name == batch[i].Signal { // as it came last time
			t = t.next
		} else {
			found := h.trackLocked(batch[i].Signal)
			if t != nil {
				t.next = found
			}
			t = found
		}
		at := batch[i].Time
		if now.Sub(at).Abs() > nearby { // as of a retained message: what was in between nobody heard
			at = now
		}
		h.addLocked(t, ticks(at), &batch[i])
	}
	if h.entries >= fullAt {
		select {
		case h.full <- struct{}{}:
		default:
		}
	}
}

func (h *History) trackLocked(name string) *track {
	t := h.tracks[name]
	if t == nil {
		t = &track{name: name}
		h.tracks[name] = t
		h.order = append(h.order, t)
	}
	return t
}

func (h *History) addLocked(t *track, at int64, r *drivers.Reading) {
	e := entry{code: codeOf(r), value: r.Value}
	if e.code < codeBad && (math.IsNaN(e.value) || math.IsInf(e.value, 0)) {
		e.code = codeOf(&drivers.Reading{Reason: drivers.Decode})
	}
	if e.code >= codeBad {
		e.value = 0
	}
	if n := len(t.entries); n == 0 {
		t.from = at
	} else {
		last := t.entries[n-1]
		if last.code == e.code && last.value == e.value {
			return
		}
		switch now := t.from + int64(last.at); {
		case at >= now-ticksPerSecond: // a little out of order is the order in which it came
			at = max(at, now)
		default:
			h.endLocked(t, now)
			t.from = at
		}
	}
	if h.entries >= mostChanges {
		h.dropped++
		return
	}
	e.at = int32(min(at-t.from, math.MaxInt32))
	t.entries = append(t.entries, e)
	h.entries++
}

// endLocked sets a track's piece aside until it is written; what goes on begins empty.
func (h *History) endLocked(t *track, until int64) {
	piece := *t
	piece.until = until
	h.late = append(h.late, piece)
	h.entries += 10 // about what a piece takes beside its entries
	t.entries = nil
}

// ticks is a time in the resolution of history.
func ticks(t time.Time) int64 { return t.UnixMilli() / (1000 / ticksPerSecond) }

func fromTicks(n int64) time.Time { return time.UnixMilli(n * (1000 / ticksPerSecond)).UTC() }

// Run writes history until ctx ends, and then what is left.
func (h *History) Run(ctx context.Context) {
	failing := false
	for ctx.Err() == nil {
		now := time.Now()
		next := now.Truncate(flushEvery).Add(flushEvery).Sub(now)
		begun := time.NewTimer(min(flushAtMost, next))
		select {
		case <-ctx.Done():
		case <-begun.C: // not before
			select {
			case <-ctx.Done():
			case <-h.full:
			case <-time.After(max(next-flushAtMost, 0)):
			}
		}
		begun.Stop()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // also at the end
		err := h.Keep(last, time.Now())
		cancel()
		if err != nil && !failing {
			h.log.Error("history not written", "err", err)
		} else if err == nil && failing {
			h.log.Info("history written again")
		}
		failing = err != nil
		h.mu.Lock()
		if h.dropped > 0 {
			h.log.Warn("history incomplete, there were too many changes", "dropped", h.dropped)
			h.dropped = 0
		}
		h.mu.Unlock()
	}
}

// Keep writes what is in memory, makes the minutes of the hours that are over, and drops what is too old, also where the
// disk is full and for that reason nothing was written. Run calls it.
func (h *History) Keep(ctx context.Context, now time.Time) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	p := newPacker() // of half a megabyte, so only for as long as this takes
	err := h.flush(ctx, p, now)
	if err == nil {
		err = h.rollUp(ctx, p, now)
	}
	if err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	return errors.Join(err, h.expire(ctx, now))
}

// flush writes what is in memory in one commit. Each signal goes on with what it holds.
func (h *History) flush(ctx context.Context, p *packer, now time.Time) error {
	if err := h.store.Room(); err != nil {
		return err
	}
	h.moving <- struct{}{}
	defer func() { <-h.moving }()
	pieces := h.takePieces(ticks(now))
	err := h.store.series.write(ctx, func(tx *sql.Tx) error {
		insert, err := tx.Prepare(`INSERT INTO history_raw VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = CAST(body || excluded.body AS BLOB)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for i := range pieces {
			t := &pieces[i]
			t.number = h.number(t.name)
			if err := h.numbered(tx, t); err != nil {
				return err
			}
			if _, err := insert.Exec(rowOfPeriod(t.from/periodTicks, t.number), framed(p.raw(t.chunk))); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	h.settle(pieces, err)
	if err != nil {
		return fmt.Errorf("store: write history of %d signals: %w", len(pieces), err)
	}
	return nil
}

// takePieces takes what is to be written out of memory.
func (h *History) takePieces(now int64) []track {
	h.mu.Lock()
	defer h.mu.Unlock()
	pieces := h.late
	h.late, h.entries = nil, 0
	for _, t := range h.order {
		n := len(t.entries)
		if n == 0 {
			continue
		}
		held := t.entries[n-1]
		piece := *t
		piece.until = max(now, t.from+int64(held.at))
		pieces = append(pieces, piece)
		held.at = 0
		t.entries, t.from = append(make([]entry, 0, n), held), piece.until
		h.entries++
	}
	return pieces
}

// settle keeps the numbers that were given. Where the disk failed, the pieces wait, as far as there is room.
func (h *History) settle(pieces []track, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		for i := range pieces {
			if t := h.tracks[pieces[i].name]; t != nil {
				t.number = pieces[i].number
			}
		}
		return
	}
	waiting := 0
	for i := len(pieces) - 1; i >= 0; i-- {
		if waiting += len(pieces[i].entries); waiting > mostChanges {
			pieces = pieces[i+1:] // the oldest go
			break
		}
	}
	h.late = append(pieces, h.late...)
}

// number is the known number of a signal, 0 where it is not known.
func (h *History) number(name string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.tracks[name]; t != nil {
		return t.number
	}
	return 0
}

// forget makes all numbers be asked again: the file is another.
func (h *History) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.order {
		t.number = 0
	}
}

// numbered gives a track its number in the file.
func (h *History) numbered(tx *sql.Tx, t *track) error {
	if t.number > 0 {
		return nil
	}
	if _, err := tx.Exec(`INSERT INTO history_signals (name) VALUES (?) ON CONFLICT DO NOTHING`, t.name); err != nil {
		return err
	}
	return tx.QueryRow(`SELECT id FROM history_signals WHERE name = ?`, t.name).Scan(&t.number)
}

func rowOfPeriod(period, number int64) int64 { return period<<signalBits | number }

// framed is a chunk with its length before it: a row holds all chunks of its period, one after the other.
func framed(b []byte) []byte { return append(binary.AppendUvarint(nil, uint64(len(b))), b...) }

// chunks are the chunks in a row; what cannot be read is left out.
func (u *unpacker) chunks(body []byte) (chunks []chunk) {
	for r := (&cursor{b: body}); len(r.b) > 0; {
		n := r.count(1)
		if r.failed || n == 0 {
			break
		}
		if c, err := u.raw(r.b[:n]); err == nil {
			chunks = append(chunks, c)
		}
		r.b = r.b[n:]
	}
	return chunks
}
