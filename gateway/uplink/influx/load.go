package influx

import (
	"context"
	"slices"
	"time"

	"embergate/gateway/store"
	"embergate/gateway/uplink"
)

// loadEvents reads what the journal has after the place of the uplink.
func (s *sender) loadEvents(ctx context.Context) (*parcel, error) {
	if !s.newEvents {
		return nil, nil
	}
	events, err := s.place.After(ctx, s.j, s.u.o.ID, eventsLoad, s.u.o.Log)
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
	s.place = uplink.At(events[len(events)-1])
	settled := s.place
	p := &parcel{key: -settled.Seq(), settle: func(ctx context.Context) error {
		return settled.Save(ctx, s.j, s.u.o.ID)
	}}
	if len(lines) > 0 {
		p.pieces = [][]byte{s.compress(lines)}
	}
	return p, nil
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
