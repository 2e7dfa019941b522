package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// confirmTimeout is how long a device may take to report the value that it was told.
const confirmTimeout = 10 * time.Second

var errNotConnected = errors.New("the endpoint is not connected")

// waiter is a write whose value the device has not yet reported.
type waiter struct {
	signal string
	value  float64
	since  time.Time // what arrived before is not the answer
	done   chan struct{}

	// Guarded by driver.mu.
	last      string // what the device reported
	confirmed bool
}

// checkOutput reports why a signal cannot be written.
func checkOutput(s conf.Section, dev *device, sig drivers.Signal) {
	if dev.setTopic == "" {
		s.Problem("signal %q is writable, but the device has no set_topic", sig.ID)
	}
	if !plainKey(sig.JSON) {
		s.Problem("signal %q is writable: its json must be one plain key, which is sent and reported", sig.ID)
	}
	codes := map[int]bool{}
	for _, code := range sig.Enum {
		if codes[code] {
			s.Problem("signal %q is writable: two words of its enum mean %d", sig.ID, code)
			return
		}
		codes[code] = true
	}
}

// plainKey tells whether a gjson path is just a key: no path, query or wildcard.
func plainKey(path string) bool {
	for _, c := range path {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return path != ""
}

// Write publishes {"key": value} to the device's command topic and waits until the device reports the value.
func (d *driver) Write(ctx context.Context, signal string, value float64) (confirmed float64, err error) {
	dev, sig, ok := d.output(signal)
	if !ok {
		return 0, fmt.Errorf("mqtt write %s: no such writable signal", signal)
	}
	payload, err := command(sig, value)
	if err != nil {
		return 0, fmt.Errorf("mqtt write %s: %w", signal, err)
	}
	w := &waiter{signal: signal, value: value, since: time.Now(), done: make(chan struct{})}
	s := d.await(w)
	defer d.forget(w)
	if s == nil {
		return 0, fmt.Errorf("mqtt write %s: %w", signal, errNotConnected)
	}
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	if err := s.publish(ctx, dev.setTopic, false, payload); err != nil {
		return 0, fmt.Errorf("mqtt write %s to %s: %w", signal, dev.setTopic, err)
	}
	select {
	case <-w.done:
		return value, nil
	case <-s.gone.Done():
		return 0, fmt.Errorf("mqtt write %s: sent, but the connection was lost before the device reported it: %w", signal, context.Cause(s.gone))
	case <-ctx.Done():
		d.mu.Lock()
		defer d.mu.Unlock()
		if w.last != "" {
			return 0, fmt.Errorf("mqtt write %s: sent %v, but the device reports %s", signal, value, w.last)
		}
		return 0, fmt.Errorf("mqtt write %s: sent, but the device reports nothing: %w", signal, ctx.Err())
	}
}

func (d *driver) output(signal string) (*device, drivers.Signal, bool) {
	for _, dev := range d.devices {
		for _, sig := range dev.Signals {
			if sig.Writable && !dev.Disabled && dev.Key(sig) == signal {
				return dev, sig, true
			}
		}
	}
	return nil, drivers.Signal{}, false
}

// command is the payload that sets a signal: its word where it has an enum, true or false for a state, else a number.
func command(sig drivers.Signal, value float64) ([]byte, error) {
	scale := sig.Scale
	if scale == 0 {
		scale = 1
	}
	raw := (value - sig.Offset) / scale
	if err := fits(sig.Of().Form, value); err != nil {
		return nil, err
	}
	var said any = raw
	if sig.Of().Form == drivers.State {
		said = raw == 1
	}
	if sig.Enum != nil {
		said = nil
		for word, code := range sig.Enum {
			if float64(code) == math.Round(raw) {
				said = word
			}
		}
		if said == nil {
			return nil, fmt.Errorf("no word of the enum means %v", value)
		}
	}
	return json.Marshal(map[string]any{sig.JSON: said})
}

// await registers a write before it is sent, and gives the connection to send it on; nil where there is none.
func (d *driver) await(w *waiter) *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, w)
	return d.live
}

func (d *driver) forget(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = slices.DeleteFunc(d.waiting, func(other *waiter) bool { return other == w })
}

// confirm ends the writes whose value a device has reported live, in a message that arrived at a time.
func (d *driver) confirm(readings []drivers.Reading, arrived time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.waiting {
		for _, r := range readings {
			if r.Signal != w.signal || !arrived.After(w.since) {
				continue
			}
			w.last = fmt.Sprintf("%v", r.Value)
			if r.Quality == drivers.Bad {
				w.last = r.Detail
			} else if math.Abs(r.Value-w.value) <= 1e-9*max(1, math.Abs(w.value)) && !w.confirmed {
				w.confirmed = true
				close(w.done)
			}
		}
	}
}

// setLive says on which connection to write.
func (d *driver) setLive(s *session) {
	d.mu.Lock()
	d.live = s
	d.mu.Unlock()
}
