package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// rollUp makes the minutes of the hours that are over. It goes on after the newest hour that has minutes, however long ago
// that was: changes go only when their minutes are made.
func (h *History) rollUp(ctx context.Context, p *packer, now time.Time) error {
	current := ticks(now) / hourTicks
	rolled, numbers, err := h.rolled(ctx)
	if err != nil {
		return fmt.Errorf("store: hours of history: %w", err)
	}
	if rolled >= current { // by a clock that has been set back
		rolled = ticks(now.Add(-rawFor))/hourTicks - 1
	}
	for hour := max(rolled, ticks(now.Add(-minutesFor))/hourTicks) + 1; ; hour++ {
		if hour, err = h.hourWithChanges(ctx, hour); err != nil {
			return fmt.Errorf("store: hours of history: %w", err)
		}
		if hour >= current {
			return nil
		}
		// The last signal is written last, so a hour that was interrupted is made again as a whole.
		for n := 0; n < len(numbers); n += rowsInACall {
			if err := h.rollUpSome(ctx, p, hour, numbers[n:min(n+rowsInACall, len(numbers))]); err != nil {
				return fmt.Errorf("store: roll up history: %w", err)
			}
		}
		if err := h.rolledUp(ctx, hour); err != nil {
			return fmt.Errorf("store: roll up history: %w", err)
		}
	}
}

// rolled answers the newest hour that has its minutes, and the numbers of all signals.
func (h *History) rolled(ctx context.Context) (hour int64, numbers []int64, err error) {
	err = h.store.series.read(ctx, func(db *sql.DB) error {
		err := db.QueryRowContext(ctx, `SELECT hour FROM history_rolled`).Scan(&hour)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		numbers, err = collect(ctx, db, func(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) }, `SELECT id FROM history_signals ORDER BY id`)
		return err
	})
	return hour, numbers, err
}

// hourWithChanges is the first hour, this one or after it, that may have changes; what is written with the period before an
// hour may reach into it.
func (h *History) hourWithChanges(ctx context.Context, hour int64) (int64, error) {
	first := int64(math.MaxInt64)
	err := h.store.series.read(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT COALESCE(MIN(id), ?) FROM history_raw WHERE id >= ?`, first, rowOfPeriod(hour*hourTicks/periodTicks-1, 0)).Scan(&first)
	})
	return max(hour, (first>>signalBits)*periodTicks/hourTicks), err
}

func (h *History) rolledUp(ctx context.Context, hour int64) error {
	return h.store.series.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO history_rolled VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET hour = excluded.hour`, hour)
		return err
	}, nil)
}

// rollUpSome makes the minutes of one hour for some signals, and writes them in one commit.
func (h *History) rollUpSome(ctx context.Context, p *packer, at int64, numbers []int64) error {
	type row struct {
		id   int64
		body []byte
	}
	var rows []row
	err := h.store.series.read(ctx, func(db *sql.DB) error {
		rows = rows[:0]
		raw, err := rawReader(ctx, db)
		if err != nil {
			return err
		}
		defer raw.close()
		for _, number := range numbers {
			chunks, err := raw.chunks(ctx, number, at*hourTicks, (at+1)*hourTicks)
			if err != nil {
				return err
			}
			if minutes, any := rollUp(at*hourTicks, chunks); any {
				rows = append(rows, row{rowOfPeriod(at, number), append([]byte(nil), p.pack(&minutes)...)})
			}
		}
		return nil
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := h.store.Room(); err != nil {
		return err
	}
	return h.store.series.write(ctx, func(tx *sql.Tx) error {
		insert, err := tx.Prepare(`INSERT OR REPLACE INTO history_minutes VALUES (?, ?)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, r := range rows {
			if _, err := insert.Exec(r.id, r.body); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// expire drops what is too old, some at a time; changes only where their hour has its minutes.
func (h *History) expire(ctx context.Context, now time.Time) error {
	rolled, _, err := h.rolled(ctx)
	if err != nil {
		return fmt.Errorf("store: hours of history: %w", err)
	}
	made := ((rolled+1)*hourTicks - 1) / periodTicks // the last period may reach into the hour after
	for table, before := range map[string]int64{
		"history_raw":     min(ticks(now.Add(-rawFor-time.Hour))/periodTicks, made),
		"history_minutes": ticks(now.Add(-minutesFor-time.Hour)) / hourTicks,
	} {
		for more := true; more; {
			err := h.store.series.write(ctx, func(tx *sql.Tx) error {
				done, err := tx.Exec(`DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+` WHERE id < ? LIMIT ?)`, before<<signalBits, deleteAtOnce)
				if err != nil {
					return err
				}
				n, err := done.RowsAffected()
				more = n == deleteAtOnce
				return err
			}, nil)
			if err != nil {
				return fmt.Errorf("store: drop old history: %w", err)
			}
		}
	}
	return nil
}

// reader of raw chunks, with its statement prepared.
type rawChunks struct {
	find *sql.Stmt
	u    *unpacker
}

func rawReader(ctx context.Context, db *sql.DB) (r rawChunks, err error) {
	r.u = newUnpacker()
	r.find, err = db.PrepareContext(ctx, `SELECT body FROM history_raw WHERE id = ?`)
	return r, err
}

func (r rawChunks) close() { r.find.Close() }

// chunks are those of a signal that say something of a stretch of time. A chunk may begin a period before it.
func (r rawChunks) chunks(ctx context.Context, number, from, to int64) (all []chunk, err error) {
	for period := from/periodTicks - 1; period <= (to-1)/periodTicks; period++ {
		var body []byte
		err := r.find.QueryRowContext(ctx, rowOfPeriod(period, number)).Scan(&body)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, c := range r.u.chunks(body) {
			if c.until > from && c.from < to || c.from == c.until && c.from == from {
				all = append(all, c)
			}
		}
	}
	return all, nil
}
