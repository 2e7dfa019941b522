// Package uplink is what the ways to platforms have in common: how one stands, its place in the journal, which is the queue
// of the events of alarms, and what is said over a connection, in which order. Each kind of platform is a package below this
// one.
package uplink

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"embergate/gateway/alarm"
)

// Status is how an uplink stands. It works while the platform takes what is sent; before the first answer it does not.
type Status struct {
	Working     bool
	Since       time.Time // of Working
	LastError   string    // in the platform's words where it said any; "" while it works
	LastSuccess time.Time
	Dropped     int64     // lines lost since the start, because neither the disk nor the memory had room
	Rejected    int64     // lines that the platform refused since the start; they are in the dead letters
	Refusal     string    // the platform's words for the latest of them
	RefusedAt   time.Time // when that was
}

// Journal has the events of alarms, and keeps how far they were sent; *store.Store is one.
type Journal interface {
	Events(ctx context.Context, after int64, limit int) ([]alarm.Event, error)
	Get(ctx context.Context, key string) (string, error)
	Set(ctx context.Context, key, value string) error
}

// Place is how far an uplink has sent the journal. The id of the event there tells whether a journal that was set aside for
// damage, and has grown again, is still the one that was read.
type Place struct {
	seq   int64
	id    string // "" as an earlier version left it
	known bool   // it was read from the journal
}

// At is the place of an event.
func At(e alarm.Event) Place { return Place{e.Seq, e.ID, true} }

// Seq is the number of the event there, 0 before the first.
func (p Place) Seq() int64 { return p.seq }

// After are the events after the place, at most limit; from the first where the journal is another. The place is read
// from the journal first, where it is not yet known.
func (p *Place) After(ctx context.Context, j Journal, uplink string, limit int, log *slog.Logger) ([]alarm.Event, error) {
	if err := p.read(ctx, j, uplink); err != nil {
		return nil, err
	}
	if p.seq <= 0 {
		return j.Events(ctx, 0, limit)
	}
	events, err := j.Events(ctx, p.seq-1, limit+1)
	if err != nil {
		return nil, err
	}
	if len(events) > 0 && events[0].Seq == p.seq && (p.id == "" || events[0].ID == p.id) {
		return events[1:], nil
	}
	log.Warn("the journal begins anew, its events are sent from the first", "cursor", p.seq)
	*p = Place{known: true}
	return j.Events(ctx, 0, limit)
}

func (p *Place) read(ctx context.Context, j Journal, uplink string) error {
	if p.known {
		return nil
	}
	text, err := j.Get(ctx, key(uplink))
	if err != nil {
		return err
	}
	seq, id, _ := strings.Cut(text, " ")
	p.seq, _ = strconv.ParseInt(seq, 10, 64) // "" at the first start
	p.id, p.known = id, true
	return nil
}

// Save keeps the place.
func (p Place) Save(ctx context.Context, j Journal, uplink string) error {
	return j.Set(ctx, key(uplink), strconv.FormatInt(p.seq, 10)+" "+p.id)
}

func key(uplink string) string { return "uplink/" + uplink + "/events" }
