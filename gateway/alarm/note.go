package alarm

import (
	"fmt"
	"strings"
	"time"
)

// Photo is a picture that somebody added to an alarm. Its bytes are a file; the journal has their hash.
type Photo struct {
	N      int    `json:"n"`    // which of the alarm's, from 1
	Type   string `json:"type"` // image/jpeg or image/png
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"` // in hex
}

// Bounds of what people add to one alarm.
const (
	mostNotes  = 200
	mostPhotos = 20
)

// Note adds what somebody says about an alarm, in act.Note, or shows of it: comments and pictures (AL16). It changes
// nothing else. Of a closed alarm that the board has forgotten use Noted.
func (b *Board) Note(now time.Time, id string, act Act, photo *Photo) ([]Event, error) {
	b.now = now
	s, a := b.find(id)
	if s == nil {
		return nil, refuse(ErrNotFound, "there is no alarm %s", id)
	}
	e, err := Noted(now, a, act, photo)
	if err != nil {
		return nil, err
	}
	b.changed[s.key] = true
	return []Event{e}, nil
}

// Noted is Note for an alarm from the store. The picture gets its number.
func Noted(now time.Time, a *Alarm, act Act, photo *Photo) (Event, error) {
	switch {
	case strings.TrimSpace(act.By) == "":
		return Event{}, refuse(ErrInput, "say who does this")
	case strings.TrimSpace(act.Note) == "" && photo == nil:
		return Event{}, refuse(ErrInput, "a note needs words or a picture")
	case a.Notes >= mostNotes:
		return Event{}, refuse(ErrState, "alarm %s has %d notes; no more are kept with it", a.ID, mostNotes)
	case photo != nil && a.Photos >= mostPhotos:
		return Event{}, refuse(ErrState, "alarm %s has %d pictures; no more are kept with it", a.ID, mostPhotos)
	}
	a.Notes++
	a.Revision++
	e := Event{Time: now.UTC(), Type: EventNoted, By: act.By, Via: act.Via, From: act.From, Note: act.Note}
	if photo != nil {
		a.Photos++
		kept := *photo
		kept.N = a.Photos
		e.Photo = &kept
	}
	as := *a
	e.ID, e.Alarm = fmt.Sprintf("%s/%d", a.ID, a.Revision), &as
	return e, nil
}
