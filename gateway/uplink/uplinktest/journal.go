// Package uplinktest has what the tests of every kind of uplink need.
package uplinktest

import (
	"context"
	"errors"
	"sync"

	"embergate/gateway/alarm"
)

// Journal is a journal in memory whose disk can fail. The zero value is an empty one.
type Journal struct {
	mu       sync.Mutex
	events   []alarm.Event
	settings map[string]string
	broken   bool
	full     bool
}

// Add appends the event that is made for its number, from 1.
func (j *Journal) Add(make func(seq int64) alarm.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	seq := int64(len(j.events) + 1)
	e := make(seq)
	e.Seq = seq
	j.events = append(j.events, e)
}

// Break makes every access fail, or work again.
func (j *Journal) Break(broken bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.broken = broken
}

// Fill makes every Set fail, or work again, as a disk that is full.
func (j *Journal) Fill(full bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.full = full
}

// Lose forgets the events, as a journal that was set aside for damage.
func (j *Journal) Lose() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = nil
}

var errDisk = errors.New("disk I/O error")

// Events are those after a number, at most limit.
func (j *Journal) Events(_ context.Context, after int64, limit int) ([]alarm.Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return nil, errDisk
	}
	from := min(max(after, 0), int64(len(j.events)))
	return append([]alarm.Event(nil), j.events[from:min(from+int64(limit), int64(len(j.events)))]...), nil
}

// Get is what Set kept.
func (j *Journal) Get(_ context.Context, key string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken {
		return "", errDisk
	}
	return j.settings[key], nil
}

// Set keeps a setting.
func (j *Journal) Set(_ context.Context, key, value string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken || j.full {
		return errDisk
	}
	if j.settings == nil {
		j.settings = map[string]string{}
	}
	j.settings[key] = value
	return nil
}
