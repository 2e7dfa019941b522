package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/photo"
	"embergate/gateway/store"
)

// Note adds what somebody says about an alarm, an open or a closed one.
func (h *hub) Note(ctx context.Context, id string, a alarm.Act) error {
	_, err := h.noted(ctx, id, a, nil)
	return err
}

// AddPhoto adds a picture to an alarm, without what it says beside its pixels. The picture is on disk before the journal
// says that it is there.
func (h *hub) AddPhoto(ctx context.Context, id string, data []byte, a alarm.Act) (alarm.Photo, error) {
	if _, _, err := h.Alarm(ctx, id); err != nil {
		return alarm.Photo{}, err
	}
	clean, err := cleaned(data)
	if err != nil {
		return alarm.Photo{}, err
	}
	var kept alarm.Photo
	err = h.keepPhoto(id, clean, func(p alarm.Photo) (err error) {
		kept, err = h.noted(ctx, id, a, &p)
		return err
	})
	return kept, err
}

// cleanPhoto is a picture without what it says beside its pixels.
type cleanPhoto struct {
	kind string // image/jpeg or image/png
	data []byte
}

func cleaned(data []byte) (cleanPhoto, error) {
	clean, kind, err := photo.Clean(data)
	if err != nil {
		return cleanPhoto{}, unfit(err)
	}
	return cleanPhoto{kind, clean}, nil
}

// keepPhoto puts a picture of an alarm or hazard on disk, and then has it written down; where that fails it is taken away
// again.
func (h *hub) keepPhoto(id string, clean cleanPhoto, write func(alarm.Photo) error) error {
	hash, fresh, err := h.store.PutPhoto(id, clean.data)
	if err != nil {
		return noRoom(err)
	}
	err = write(alarm.Photo{Type: clean.kind, Bytes: len(clean.data), SHA256: hash})
	if err != nil && fresh {
		h.store.DropPhoto(id, hash)
	}
	return err
}

// noRoom says to whoever sent a picture that it cannot be kept, where it is for want of room.
func noRoom(err error) error {
	if errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrPhotosFull) {
		return refuse(alarm.ErrState, "there is no more room for pictures; what stands in photos/ of the data directory may be moved elsewhere")
	}
	return err
}

// unfit says to whoever sent it why a picture is not taken.
func unfit(err error) error {
	why := i18n.T("the picture cannot be read; take it again")
	switch {
	case errors.Is(err, photo.ErrKind):
		why = i18n.T("a picture is a JPEG or a PNG")
	case errors.Is(err, photo.ErrLarge):
		why = i18n.T("a picture has at most 2 MB and 50 million pixels")
	}
	return &alarm.Refused{Cause: alarm.ErrInput, Text: why}
}

// noted puts a note into the journal.
func (h *hub) noted(ctx context.Context, id string, a alarm.Act, p *alarm.Photo) (kept alarm.Photo, err error) {
	err = h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		events, err := h.board.Note(now, id, a, p)
		if errors.Is(err, alarm.ErrNotFound) { // closed, and the board has forgotten it
			old, _, missing := h.Alarm(ctx, id)
			if missing != nil {
				return nil, missing
			}
			var e alarm.Event
			e, err = alarm.Noted(now, &old, a, p)
			events = []alarm.Event{e}
		}
		if err != nil {
			return nil, err
		}
		if p := events[0].Photo; p != nil {
			kept = *p
		}
		return events, nil
	})
	return kept, err
}

// Photo is a picture of an alarm by its number. The error wraps fs.ErrNotExist where there is none, or none any more.
func (h *hub) Photo(ctx context.Context, id string, n int) (alarm.Photo, []byte, error) {
	_, events, err := h.Alarm(ctx, id)
	if err != nil {
		return alarm.Photo{}, nil, err
	}
	for _, e := range events {
		if e.Photo == nil || e.Photo.N != n {
			continue
		}
		data, err := h.store.Photo(id, e.Photo.SHA256)
		return *e.Photo, data, missing(err)
	}
	return alarm.Photo{}, nil, fmt.Errorf("picture %d of alarm %s: %w", n, id, fs.ErrNotExist)
}

// Attempts are the attempts to tell people of an alarm, oldest first.
func (h *hub) Attempts(ctx context.Context, id string) ([]console.Attempt, error) {
	ledger, err := h.store.Deliveries(ctx, store.Ledger{Alarm: id})
	list := make([]console.Attempt, 0, len(ledger))
	for _, d := range slices.Backward(ledger) {
		list = append(list, console.Attempt{
			Time: d.Time.In(h.g.location), Channel: d.Channel, To: d.To, Type: d.Type, Outcome: string(d.Outcome), Detail: d.Detail,
		})
	}
	return list, err
}

// missing makes what the store does not find what the console does not.
func missing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errors.Join(fs.ErrNotExist, err)
	}
	return err
}
