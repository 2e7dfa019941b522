package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"time"

	"embergate/drivers"
)

// Past is the history in a data directory, read beside the process that writes it: it changes nothing. What that process
// has not yet written, the last five minutes, is not in it.
type Past struct {
	db    *sql.DB
	path  string
	names map[int64]string
	exact int64 // the first hour of which every change is known
	held  map[int64]Said
	u     *unpacker
}

// Said is what a signal said for some time.
type Said struct {
	Signal      string
	From, Until time.Time
	Value       float64
	Quality     drivers.Quality
	Reason      drivers.Reason
}

// OpenPast opens the history in dir. The error wraps fs.ErrNotExist where there is none, and ErrNewer for that of a later
// version.
func OpenPast(ctx context.Context, dir string) (*Past, error) {
	dir, err := filepath.Abs(dir) // SQLite takes the first word of a relative file: URI for a host
	if err != nil {
		return nil, err
	}
	p := &Past{path: filepath.Join(dir, SeriesFile), names: map[int64]string{}, held: map[int64]Said{}, u: newUnpacker()}
	if !hasContent(p.path) {
		return nil, &fs.PathError{Op: "open", Path: p.path, Err: fs.ErrNotExist}
	}
	if p.db, err = openReadOnly(p.path); err == nil {
		err = p.open(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", p.path, err), p.Close())
	}
	return p, nil
}

func (p *Past) open(ctx context.Context) error {
	version, err := seriesSchema.version(ctx, p.db)
	if err != nil {
		return err
	}
	if version < 2 {
		return fmt.Errorf("it has no history yet: %w", fs.ErrNotExist)
	}
	var first sql.NullInt64
	if err := p.db.QueryRowContext(ctx, `SELECT MIN(id) FROM history_raw`).Scan(&first); err != nil {
		return err
	}
	p.exact = math.MaxInt64
	if first.Valid {
		p.exact = ((first.Int64>>numberBits)*slotTicks + hourTicks - 1) / hourTicks
	}
	_, err = collect(ctx, p.db, func(rows *sql.Rows) (none struct{}, err error) {
		var number int64
		var name string
		err = rows.Scan(&number, &name)
		p.names[number] = name
		return none, err
	}, `SELECT id, name FROM history_signals`)
	return err
}

// Close ends the reading.
func (p *Past) Close() error {
	if p.db == nil {
		return nil
	}
	return p.db.Close()
}

// Knows tells whether there is anything of a signal.
func (p *Past) Knows(signal string) bool {
	for _, name := range p.names {
		if name == signal {
			return true
		}
	}
	return false
}

// Stretch is what all signals said from a time on, in the order of From, up to the time it answers: five minutes where
// every change is known, an hour where only the minutes are; rough tells which. Of a minute nobody knows in which order it
// had its least, greatest and last value: the last is taken for what it is, and of the two others the one that is nearer to
// what was before to have come first.
func (p *Past) Stretch(ctx context.Context, from time.Time) (said []Said, until time.Time, rough bool, err error) {
	at := ticks(from)
	if hour := at / hourTicks; hour < p.exact {
		said, rough, err = p.minutes(ctx, hour, at)
		until = fromTicks((hour + 1) * hourTicks)
	}
	if err == nil && !rough {
		period := at / periodTicks
		until = fromTicks((period + 1) * periodTicks)
		said, err = p.changes(ctx, period, at)
	}
	if err != nil {
		return nil, until, rough, fmt.Errorf("read history of %s: %w", p.path, err)
	}
	slices.SortStableFunc(said, func(a, b Said) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Signal, b.Signal)) })
	return said, until, rough, nil
}

// pastRow is a row of raw chunks or of minutes.
type pastRow struct {
	number int64
	body   []byte
}

// rows are those of a table from one row to before another; bits of them say the signal.
func (p *Past) rows(ctx context.Context, table string, from, to int64, bits int) ([]pastRow, error) {
	return collect(ctx, p.db, func(rows *sql.Rows) (r pastRow, err error) {
		err = rows.Scan(&r.number, &r.body)
		r.number &= 1<<bits - 1
		return r, err
	}, `SELECT id, body FROM `+table+` WHERE id >= ? AND id < ? ORDER BY id`, from, to)
}

// changes are those of a period, from a tick on. A chunk may have begun before.
func (p *Past) changes(ctx context.Context, period, from int64) (said []Said, err error) {
	end := (period + 1) * periodTicks
	rows, err := p.rows(ctx, "history_raw", rowOfSlot(period*periodTicks/slotTicks-lookBack, 0), rowOfSlot(end/slotTicks, 0), numberBits)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		for _, c := range p.u.chunks(r.body) {
			if c.until <= from || c.from >= end {
				continue
			}
			c = c.cut(from, end)
			for i, e := range c.entries {
				until := c.until
				if i+1 < len(c.entries) {
					until = c.from + int64(c.entries[i+1].at)
				}
				said = append(said, p.keep(r.number, pieceOf(p.names[r.number], c.from+int64(e.at), until, e)))
			}
		}
	}
	return said, nil
}

// keep remembers what a signal said last, by which the order within a minute is guessed.
func (p *Past) keep(number int64, s Said) Said {
	p.held[number] = s
	return s
}

func pieceOf(signal string, from, until int64, e entry) Said {
	s := Said{Signal: signal, From: fromTicks(from), Until: fromTicks(until), Value: e.value, Quality: drivers.Good}
	switch {
	case e.code >= codeBad:
		s.Quality, s.Reason = drivers.Bad, reasonOf(e.code)
	case e.code == codeUncertain:
		s.Quality = drivers.Uncertain
	}
	return s
}

// minutes are those of an hour, from a tick on; false where there are none.
func (p *Past) minutes(ctx context.Context, at, from int64) (said []Said, some bool, err error) {
	rows, err := p.rows(ctx, "history_minutes", rowOfHour(at, 0), rowOfHour(at+1, 0), signalBits)
	if err != nil {
		return nil, false, err
	}
	for _, r := range rows {
		h, err := p.u.hour(r.body)
		if err != nil {
			continue // what cannot be read is left out
		}
		for i := range h {
			if begin := at*hourTicks + int64(i)*ticksPerMinute; begin+ticksPerMinute > from {
				said = append(said, p.minute(r.number, begin, &h[i])...)
			}
		}
	}
	return said, len(rows) > 0, nil
}

// minute guesses the course of a minute: what had no value goes where it continues what was before.
func (p *Past) minute(number, begin int64, m *minute) (said []Said) {
	good, bad := int64(m.good), int64(m.bad)
	before, goesOn := p.held[number]
	goesOn = goesOn && ticks(before.Until) >= begin
	at := begin
	if !goesOn {
		at += ticksPerMinute - good - bad // nothing was known at first
	}
	add := func(long int64, e entry) {
		if long > 0 {
			said = append(said, p.keep(number, pieceOf(p.names[number], at, at+long, e)))
			at += long
		}
	}
	none := entry{code: max(m.code, codeBad)}
	late := !goesOn || before.Quality != drivers.Bad
	if !late {
		add(bad, none)
	}
	near, far := m.min, m.max
	switch closer := goesOn && before.Quality != drivers.Bad && math.Abs(before.Value-m.max) < math.Abs(before.Value-m.min); {
	case m.last == m.min, m.last != m.max && closer:
		near, far = far, near
	}
	switch {
	case good == 0:
	case near == far:
		add(good, entry{value: near})
	case m.last == far:
		add(good/2, entry{value: near})
		add(good-good/2, entry{value: far})
	default:
		add(good/3, entry{value: near})
		add(good/3, entry{value: far})
		add(good-2*(good/3), entry{value: m.last})
	}
	if late {
		add(bad, none)
	}
	return said
}
