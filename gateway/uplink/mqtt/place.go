package mqtt

import (
	"context"
	"time"

	"embergate/gateway/uplink"
)

// note notes the first event that waits; the zero time where none does.
func (u *Uplink) note(oldest time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sent, u.waiting = u.place.Seq(), oldest
}

// look finds out what waits while there is no connection.
func (u *Uplink) look(ctx context.Context, j uplink.Journal) {
	events, err := u.place.After(ctx, j, u.o.ID, 1, u.o.Log)
	u.disk(err)
	if err != nil {
		return
	}
	oldest := time.Time{}
	if len(events) > 0 {
		oldest = events[0].Time
	}
	u.note(oldest)
}

// save keeps our place. Where the store fails it is kept in memory, and nothing is sent twice for it.
func (u *Uplink) save(ctx context.Context, j uplink.Journal) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords) // also at the end
	defer cancel()
	err := u.place.Save(ctx, j, u.o.ID)
	u.unsaved = err != nil
	u.disk(err)
	u.mu.Lock()
	u.sent = u.place.Seq()
	u.mu.Unlock()
}

// disk notes whether the store works; only a change is logged.
func (u *Uplink) disk(err error) {
	if failing := err != nil; failing != u.diskErr {
		u.diskErr = failing
		if failing {
			u.o.Log.Error("uplink cannot use its store", "err", err)
		} else {
			u.o.Log.Info("uplink can use its store again")
		}
	}
}
