package notify

import (
	"errors"
	"time"

	"embergate/gateway/store"
)

// ChannelStatus is how a channel stands. A channel works until it is refused something or panics, or has failed for 10 s
// without a success: one answer that got lost is not a fault.
type ChannelStatus struct {
	ID, Kind    string
	Working     bool
	Since       time.Time // of Working
	LastSuccess time.Time // zero: the ledger has none
	LastError   string    // "" after a success
	Pending     int       // messages that wait
	// ClockOff is by how much our clock is behind that of the far side, ahead where it is less than 0: where it refuses
	// messages for their time. 0 where the clocks agree, or it does not care.
	ClockOff time.Duration
}

// patience is for how long a channel may fail before it counts as faulty.
const patience = 10 * time.Second

// Status is how the channels stand, in their order in the file.
func (c *Channels) Status() []ChannelStatus {
	all := make([]ChannelStatus, len(c.list))
	for i, l := range c.list {
		all[i] = l.stand(time.Now())
	}
	return all
}

// stand is how the channel stands now.
func (l *line) stand(now time.Time) ChannelStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.status
	if c, ok := l.sender.(interface{ clockOff() time.Duration }); ok {
		s.ClockOff = c.clockOff()
	}
	switch {
	case !l.refused.IsZero():
		s.Working, s.Since = false, l.refused
	case !l.failing.IsZero() && now.Sub(l.failing) >= patience:
		s.Working, s.Since = false, l.failing
	}
	return s
}

// lost tells whether the channel has failed for so long that it is a fault.
func (l *line) lost(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.failing.IsZero() && now.Sub(l.failing) >= patience
}

// works notes a success. After failures all that waits is due, so that nobody waits a minute for an alarm because the
// network was away; at most once a minute, for the sake of one message that alone fails.
func (l *line) works(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := l.failing; !since.IsZero() {
		if now.Sub(since) >= patience {
			l.log.Info("channel restored", "after", now.Sub(since).Round(time.Second))
		}
		if now.Sub(l.freed) >= freeEvery && !now.Before(l.asked) {
			l.freed, l.early = now, longestWait
		}
	}
	if !l.refused.IsZero() || !l.failing.IsZero() {
		l.status.Since = now
	}
	l.failing, l.refused = time.Time{}, time.Time{}
	l.status.LastSuccess, l.status.LastError = now, ""
}

// fails notes a failure that may pass; the first is logged. A panic does not pass by itself: it counts as a fault at once.
func (l *line) fails(now time.Time, err error) {
	l.early = 0
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failing.IsZero() {
		l.failing = now
		l.log.Warn("channel lost", "err", err)
	}
	if errors.Is(err, errPanic) && l.refused.IsZero() {
		l.refused = now
	}
	l.status.LastError = err.Error()
}

// refuses notes a refusal: each is a message that will not arrive, so each is logged.
func (l *line) refuses(now time.Time, err error, m store.Message) {
	l.log.Error("message refused", "err", err, "event", m.Event, "type", m.Type)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused.IsZero() {
		l.refused = now
	}
	l.status.LastError = err.Error()
	if l.gone {
		l.status.LastError += "; silent until the next start"
	}
}
