package influx

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
)

// loadEvents reads what the journal has after the cursor.
func (s *sender) loadEvents(ctx context.Context) (*parcel, error) {
	if !s.newEvents {
		return nil, nil
	}
	if err := s.loadCursor(ctx); err != nil {
		return nil, err
	}
	events, err := s.after(ctx)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		s.newEvents = false
		return nil, nil
	}
	var lines []byte
	for _, e := range events {
		lines = appendEvent(lines, s.u.o.Site, s.u.o.Region, e)
	}
	last := events[len(events)-1]
	s.cursor = cursor{last.Seq, last.ID}
	settled := s.cursor.String()
	p := &parcel{key: -last.Seq, settle: func(ctx context.Context) error {
		return s.j.Set(ctx, s.cursorKey(), settled)
	}}
	if len(lines) > 0 {
		p.pieces = [][]byte{s.compress(lines)}
	}
	return p, nil
}

func (s *sender) cursorKey() string { return "uplink/" + s.u.o.ID + "/events" }

// cursor is an event of the journal. Its id tells whether a journal that was set aside for damage, and has grown again, is
// still the one that was read.
type cursor struct {
	seq int64
	id  string // "" as an earlier version left it
}

func (c cursor) String() string { return strconv.FormatInt(c.seq, 10) + " " + c.id }

func parseCursor(text string) (c cursor) {
	seq, id, _ := strings.Cut(text, " ")
	c.seq, _ = strconv.ParseInt(seq, 10, 64) // "" at the first start
	c.id = id
	return c
}

// after are the events after the cursor, or from the first where the journal is another.
func (s *sender) after(ctx context.Context) ([]alarm.Event, error) {
	if s.cursor.seq <= 0 {
		return s.j.Events(ctx, 0, eventsLoad)
	}
	events, err := s.j.Events(ctx, s.cursor.seq-1, eventsLoad+1)
	if err != nil {
		return nil, err
	}
	if len(events) > 0 && events[0].Seq == s.cursor.seq && (s.cursor.id == "" || events[0].ID == s.cursor.id) {
		return events[1:], nil
	}
	s.u.o.Log.Warn("the journal begins anew, its events are sent from the first", "cursor", s.cursor.seq)
	s.cursor = cursor{}
	return s.j.Events(ctx, 0, eventsLoad)
}

// loadCursor reads how far events were sent.
func (s *sender) loadCursor(ctx context.Context) error {
	if s.known {
		return nil
	}
	v, err := s.j.Get(ctx, s.cursorKey())
	if err != nil {
		return err
	}
	s.cursor, s.known = parseCursor(v), true
	return nil
}

// loadLive reads the newest batch, if it was not sent yet.
func (s *sender) loadLive(ctx context.Context) (*parcel, error) {
	if b := s.u.memory.newest(); b != nil {
		return s.heldParcel(b), nil
	}
	if !s.newBatch {
		return nil, nil
	}
	b, ok, err := s.q.Newest(ctx)
	if err != nil {
		return nil, err
	}
	if !ok || b.ID <= s.lastLive {
		s.newBatch, s.live.backoff = false, 0 // what had failed was dropped for the limit: the backlog goes on
		return nil, nil
	}
	return s.queuedParcel(b), nil
}

// loadBacklog reads the oldest batch that was not set aside.
func (s *sender) loadBacklog(ctx context.Context) (*parcel, error) {
	if len(s.sent) >= mostSent {
		return nil, nil
	}
	batches, err := s.q.Oldest(ctx, len(s.aside)+len(s.sent)+1)
	if err != nil {
		return nil, err
	}
	if b, ok := s.unsent(batches); ok && len(s.aside) < mostAside {
		return s.queuedParcel(b), nil
	}
	if len(s.aside) > 0 {
		s.aside = nil
		s.backlog.until = time.Now().Add(longestWait)
	}
	return nil, nil
}

// unsent is the first batch that was neither sent nor set aside.
func (s *sender) unsent(batches []store.Batch) (store.Batch, bool) {
	for _, b := range batches {
		if !slices.Contains(s.aside, b.ID) && !slices.ContainsFunc(s.sent, func(p *parcel) bool { return p.key == b.ID }) {
			return b, true
		}
	}
	return store.Batch{}, false
}

// heldParcel is a batch that the disk had no room for.
func (s *sender) heldParcel(b *store.Batch) *parcel {
	return &parcel{pieces: [][]byte{b.Body}, settle: func(context.Context) error {
		s.u.memory.release(b)
		return nil
	}}
}

func (s *sender) queuedParcel(b store.Batch) *parcel {
	return &parcel{key: b.ID, pieces: [][]byte{b.Body}, settle: func(ctx context.Context) error {
		return s.q.Remove(ctx, b.ID)
	}}
}
