package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
)

// History keeps what every signal said, for charts that need no platform: every change for a day, and least, mean, greatest
// and last of every minute for a month. A gap, a zero and a stale signal stay different things.
//
// Changes are in memory for five minutes, or less where they are many; then each signal's go to disk as a row of its own, all
// in one commit, and are not written again: a power cut takes at most these five minutes (alarms are elsewhere, and on disk at
// once). When an hour is over its minutes are made of what is on disk, so that there is one way to them, before a restart and
// after.
type History struct {
	store *Store
	log   *slog.Logger
	full  chan struct{} // capacity 1: memory wants to be written before its time

	writing sync.Mutex    // who keeps
	moving  chan struct{} // capacity 1: held while memory goes to disk, and by who looks, so that all is in one of the two, once

	mu      sync.Mutex
	index   map[string]int32 // where a signal is in tracks and names
	tracks  []track
	names   []string
	now     stretch   // what goes on
	waiting []stretch // what ended, and is not yet written
	heard   time.Time // when the latest readings came
	dropped int       // changes that had no room

	numbers []int64 // of signals in history_signals, as many as are on disk for certain; guarded by the writer of series
}

// track is what one signal said last: what a reading is held against, in one line of a processor's cache.
type track struct {
	name  string
	value float64
	at    int64 // ticks
	next  int32 // the signal that came after it, last time
	code  uint8
}

const codeNone = math.MaxUint8 // of a track: it said nothing yet, or nobody knows what it says now

const (
	rawFor     = 24 * time.Hour
	minutesFor = 30 * 24 * time.Hour

	flushEvery  = 5 * time.Minute
	flushAtMost = 40 * time.Second // however much there is; more than a slot, so that it is in a row of its own
	fullAt      = 100_000          // changes in memory that are written before their time, 5 to 20 bytes each
	mostChanges = 225_000          // and so many make a stretch that waits
	mostWaiting = 225_000          // changes that wait for a disk that refuses them; then the oldest go

	periodTicks   = int64(flushEvery/time.Second) * ticksPerSecond
	slotTicks     = periodTicks / 8 // by which rows of changes are found
	longestChunk  = 2 * periodTicks
	lookBack      = longestChunk / slotTicks // slots that a chunk reaches over at the most
	mostHeld      = int64(rawFor/time.Second) * ticksPerSecond
	hourTicks     = minutesOfHour * ticksPerMinute
	numberBits    = 17 // a row of changes is the slot, and below it the signal
	signalBits    = 20 // a row of minutes is the hour, and below it the signal
	signalsAtOnce = 250
	deleteAtOnce  = 2000
	nearby        = time.Minute
	leftToQueues  = 48 << 20 // bytes of the disk that history leaves to what platforms have not yet taken
)

func newHistory(s *Store) *History {
	return &History{store: s, log: s.log, full: make(chan struct{}, 1), moving: make(chan struct{}, 1), index: map[string]int32{}}
}

// History is the history in series.db.
func (s *Store) History() *History { return s.history }

// Readings takes in what came at a time; its own times count where they are near to it. It never waits for the disk.
func (h *History) Readings(now time.Time, batch []drivers.Reading) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clockLocked(now)
	came := ticks(now)
	last := int32(-1)
	for i := range batch {
		r := &batch[i]
		this := int32(-1)
		if last >= 0 {
			this = h.tracks[last].next
		}
		if this < 0 || h.tracks[this].name != r.Signal { // it does not come as it came last time
			if this = h.trackLocked(r.Signal); this < 0 {
				continue
			}
			if last >= 0 {
				h.tracks[last].next = this
			}
		}
		last = this
		t := &h.tracks[this]
		code, value := said(r)
		if t.code == code && t.value == value {
			continue
		}
		when := came
		if now.Sub(r.Time).Abs() <= nearby { // else as of a retained message: what was in between nobody heard
			when = ticks(r.Time)
		}
		h.addLocked(this, when, code, value)
	}
	if h.now.n >= fullAt {
		select {
		case h.full <- struct{}{}:
		default:
		}
	}
}

// clockLocked sees whether the clock was set since the latest readings.
func (h *History) clockLocked(now time.Time) {
	if !h.heard.IsZero() && (now.Round(0).Sub(h.heard.Round(0))-now.Sub(h.heard)).Abs() > nearby {
		h.partLocked(ticks(h.heard))
	}
	h.heard = now
}

// partLocked ends what goes on; nothing is held over to what comes, as the time between is none that passed.
func (h *History) partLocked(at int64) {
	h.endLocked(at)
	for i := range h.tracks {
		h.tracks[i].code = codeNone
	}
}

// trackLocked is where a signal is; -1 where there are more than rows can tell apart.
func (h *History) trackLocked(name string) int32 {
	if i, ok := h.index[name]; ok {
		return i
	}
	i := int32(len(h.tracks))
	if i == 1<<numberBits {
		return -1
	}
	h.index[name] = i
	h.tracks = append(h.tracks, track{name: name, next: -1, code: codeNone})
	h.names = append(h.names, name)
	return i
}

// said is what a reading says, as history keeps it.
func said(r *drivers.Reading) (code uint8, value float64) {
	if code = codeOf(r); code >= codeBad {
		return code, 0
	}
	if math.IsNaN(r.Value) || math.IsInf(r.Value, 0) {
		return codeOf(&drivers.Reading{Reason: drivers.Decode}), 0
	}
	return code, r.Value
}

func (h *History) addLocked(i int32, at int64, code uint8, value float64) {
	t := &h.tracks[i]
	if t.code != codeNone && at < t.at && at >= t.at-ticksPerSecond {
		at = t.at // a little out of order is the order in which it came
	}
	if h.now.n >= mostChanges {
		h.continueLocked(at)
	}
	if h.now.n == 0 {
		h.now.from = at
	}
	t.at, t.code, t.value = at, code, value
	h.now.add(i, at, code, value)
}

// endLocked ends what goes on; it waits to be written. Where too much waits, the oldest go.
func (h *History) endLocked(until int64) {
	if h.now.n == 0 {
		return
	}
	h.now.until = until
	h.waiting = append(h.waiting, h.now)
	h.now = stretch{}
	h.boundLocked()
}

// continueLocked ends what goes on, and begins anew with what each signal holds.
func (h *History) continueLocked(at int64) {
	h.endLocked(at)
	h.now.from = at
	for i := range h.tracks {
		if t := &h.tracks[i]; t.code != codeNone {
			t.at = max(t.at, at)
			h.now.add(int32(i), t.at, t.code, t.value)
		}
	}
}

func (h *History) boundLocked() {
	n := 0
	for i := len(h.waiting) - 1; i >= 0; i-- {
		if n += h.waiting[i].n; n > mostWaiting {
			for _, gone := range h.waiting[:i+1] {
				h.dropped += gone.n
			}
			h.waiting = slices.Clone(h.waiting[i+1:])
			return
		}
	}
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
	p := &packer{} // it may grow large, so only for as long as this takes
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
	if err := h.store.roomBeside(leftToQueues); err != nil {
		return err
	}
	h.moving <- struct{}{}
	defer func() { <-h.moving }()
	taken, names := h.take(ticks(now))
	var numbers []int64
	err := h.store.series.write(ctx, func(tx *sql.Tx) error {
		// More than one chunk has the same row where the clock was set back, and where the gateway was started again.
		insert, err := tx.Prepare(`INSERT INTO history_raw VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = CAST(body || excluded.body AS BLOB)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		if numbers, err = h.numbersOf(tx, names); err != nil {
			return err
		}
		for i := range taken {
			if err := taken[i].write(insert, p, numbers); err != nil {
				return err
			}
		}
		return nil
	}, func() { h.numbers = numbers })
	if err == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(taken, h.waiting...)
	h.boundLocked()
	return fmt.Errorf("store: write history: %w", err)
}

// take takes what is to be written out of memory, with the names of the signals in it.
func (h *History) take(now int64) (taken []stretch, names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.continueLocked(now)
	taken, h.waiting = h.waiting, nil
	return taken, h.names
}

// numbersOf answers the numbers of signals in the file, and gives one to each that has none.
func (h *History) numbersOf(tx *sql.Tx, names []string) ([]int64, error) {
	if len(names) == len(h.numbers) {
		return h.numbers, nil
	}
	numbers := append(slices.Clone(h.numbers), make([]int64, len(names)-len(h.numbers))...)
	place := map[string]int{}
	for some := range slices.Chunk(names[len(h.numbers):], signalsAtOnce) {
		values := make([]any, len(some))
		for i, name := range some {
			values[i], place[name] = name, len(h.numbers)+len(place)
		}
		if _, err := tx.Exec(`INSERT OR IGNORE INTO history_signals (name) VALUES (?)`+strings.Repeat(`, (?)`, len(some)-1), values...); err != nil {
			return nil, err
		}
	}
	rows, err := tx.Query(`SELECT id, name FROM history_signals`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var number int64
		var name sql.RawBytes
		if err := rows.Scan(&number, &name); err != nil {
			return nil, err
		}
		if i, ok := place[string(name)]; ok {
			numbers[i] = number
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if i := slices.Index(numbers, 0); i >= 0 {
		return nil, fmt.Errorf("%w: signal %s is in the index of history_signals and not in its rows", errDamaged, names[i])
	}
	return numbers, nil
}

// forget makes all numbers be asked again: the file is another. The caller is the writer of series.
func (h *History) forget() { h.numbers = nil }

// write writes what signals with these numbers said.
func (s *stretch) write(insert *sql.Stmt, p *packer, numbers []int64) error {
	var row []byte
	return s.each(len(numbers), func(i int, list []entry) error {
		if numbers[i] >= 1<<numberBits { // so many names the site never had at once
			return nil
		}
		for _, c := range s.pieces(list) {
			row = framed(row[:0], p.raw(c))
			if _, err := insert.Exec(rowOfSlot(c.from/slotTicks, numbers[i]), row); err != nil {
				return err
			}
		}
		return nil
	})
}

// rowOfSlot is the row of a signal's changes. Eight slots are a period of five minutes; an earlier version had one row of a
// period, as period << 20 | signal: that of its first slot.
func rowOfSlot(slot, number int64) int64 { return slot<<numberBits | number }

func rowOfHour(hour, number int64) int64 { return hour<<signalBits | number }

// framed appends a chunk with its length before it: a row holds all chunks of its period, one after the other.
func framed(row, b []byte) []byte { return append(binary.AppendUvarint(row, uint64(len(b))), b...) }

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
