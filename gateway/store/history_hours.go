package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"
)

// rollUp makes the minutes of the hours that are over. It goes on after the newest hour that has minutes, however long ago
// that was: changes go only when their minutes are made.
func (h *History) rollUp(ctx context.Context, p *packer, now time.Time) error {
	current := ticks(now) / hourTicks
	rolled, err := h.rolled(ctx)
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
		numbers, err := h.allNumbers(ctx)
		if err != nil {
			return fmt.Errorf("store: hours of history: %w", err)
		}
		// The last signal is written last, so a hour that was interrupted is made again as a whole.
		for n := 0; n < len(numbers); n += signalsAtOnce {
			if err := h.rollUpSome(ctx, p, hour, numbers[n:min(n+signalsAtOnce, len(numbers))]); err != nil {
				return fmt.Errorf("store: roll up history: %w", err)
			}
		}
		if err := h.rolledUp(ctx, hour); err != nil {
			return fmt.Errorf("store: roll up history: %w", err)
		}
	}
}

// rolled answers the newest hour that has its minutes.
func (h *History) rolled(ctx context.Context) (hour int64, err error) {
	err = h.store.series.read(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT COALESCE(MAX(hour), 0) FROM history_rolled`).Scan(&hour)
	})
	return hour, err
}

// allNumbers are the numbers of all signals.
func (h *History) allNumbers(ctx context.Context) (numbers []int64, err error) {
	err = h.store.series.read(ctx, func(db *sql.DB) error {
		numbers, err = collect(ctx, db, func(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) }, `SELECT id FROM history_signals ORDER BY id`)
		return err
	})
	return numbers, err
}

// hourWithChanges is the first hour, this one or after it, that may have changes; what began a little before an hour may
// reach into it.
func (h *History) hourWithChanges(ctx context.Context, hour int64) (int64, error) {
	first := int64(math.MaxInt64)
	err := h.store.series.read(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT COALESCE(MIN(id), ?) FROM history_raw WHERE id >= ?`, first, rowOfSlot(hour*hourTicks/slotTicks-lookBack, 0)).Scan(&first)
	})
	return max(hour, (first>>numberBits)*slotTicks/hourTicks), err
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
		defer raw.find.Close()
		sums := map[int64]*hourSums{}
		err = raw.each(ctx, numbers[0], numbers[len(numbers)-1], at*hourTicks, (at+1)*hourTicks, func(number int64, c chunk) {
			if sums[number] == nil {
				sums[number] = &hourSums{}
			}
			sums[number].add(at*hourTicks, c)
		})
		if err != nil {
			return err
		}
		for _, number := range numbers {
			if s := sums[number]; s != nil {
				if minutes, any := s.minutes(); any {
					rows = append(rows, row{rowOfHour(at, number), slices.Clone(p.pack(&minutes))})
				}
			}
		}
		return nil
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := h.store.roomBeside(leftToQueues); err != nil {
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
	rolled, err := h.rolled(ctx)
	if err != nil {
		return fmt.Errorf("store: hours of history: %w", err)
	}
	made := (rolled+1)*hourTicks/slotTicks - lookBack // what is later may reach into the hour after
	for table, before := range map[string]int64{
		"history_raw":     rowOfSlot(min(ticks(now.Add(-rawFor-time.Hour))/slotTicks, made), 0),
		"history_minutes": rowOfHour(ticks(now.Add(-minutesFor-time.Hour))/hourTicks, 0),
	} {
		for more := true; more; {
			err := h.store.series.write(ctx, func(tx *sql.Tx) error {
				done, err := tx.Exec(`DELETE FROM `+table+` WHERE id IN (SELECT id FROM `+table+` WHERE id < ? LIMIT ?)`, before, deleteAtOnce)
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

// rawChunks reads chunks of changes, with its statement prepared.
type rawChunks struct {
	find *sql.Stmt
	u    *unpacker
}

func rawReader(ctx context.Context, db *sql.DB) (r rawChunks, err error) {
	r.u = newUnpacker()
	r.find, err = db.PrepareContext(ctx, `WITH RECURSIVE slots (id) AS (SELECT ? UNION ALL SELECT id + ? FROM slots WHERE id < ?)
SELECT r.id, r.body FROM slots CROSS JOIN history_raw AS r ON r.id BETWEEN slots.id + ? AND slots.id + ?`)
	return r, err
}

// each hands over the chunks of signals, from number first to last, that say something of a stretch of time, each signal's in
// the order of time.
func (r rawChunks) each(ctx context.Context, first, last, from, to int64, do func(number int64, c chunk)) error {
	rows, err := r.find.QueryContext(ctx, rowOfSlot(from/slotTicks-lookBack, 0), 1<<numberBits, rowOfSlot((to-1)/slotTicks, 0), first, last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var body sql.RawBytes
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		for _, c := range r.u.chunks(body) {
			if c.until > from && c.from < to || c.from == c.until && c.from == from {
				do(id&(1<<numberBits-1), c)
			}
		}
	}
	return rows.Err()
}
