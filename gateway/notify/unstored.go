package notify

import (
	"slices"
	"strings"
	"time"

	"embergate/gateway/store"
	"embergate/rules"
)

// mostUnstored is how many messages a channel keeps in memory while the disk fails.
const mostUnstored = 1000

// SendUnstored delivers messages that the disk had no room for, from memory: people are told of an alarm whether or not
// it can be written down. They are tried again like any other until the gateway stops; once the disk works and the same
// event is committed, it may arrive a second time, with the same id.
func (c *Channels) SendUnstored(messages []store.Message) {
	for _, l := range c.list {
		for _, m := range messages {
			if m.Channel == l.id {
				m.ID = 0
				l.keep(m)
			}
		}
	}
	c.Wake()
}

// keep puts a message behind those in memory. Where there are too many the oldest that is not of a fire leaves.
func (l *line) keep(m store.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unstored) >= mostUnstored {
		i := max(0, slices.IndexFunc(l.unstored, func(m store.Message) bool { return m.Class != rules.Classes[0] }))
		l.log.Error("message lost, the disk fails and the memory is full", "event", l.unstored[i].Event)
		l.unstored = slices.Delete(l.unstored, i, i+1)
	}
	l.unstored = append(l.unstored, m)
}

// takeUnstored takes the message in memory that is to be sent now: fire first, then in their order. What ends an alarm
// waits for what came before it.
func (l *line) takeUnstored(now time.Time) (store.Message, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	best := -1
	before := map[string]bool{}
	for i, m := range l.unstored {
		held := before[m.Alarm] && (strings.HasSuffix(m.Type, ".cleared") || strings.HasSuffix(m.Type, ".reset") || strings.HasSuffix(m.Type, ".closed"))
		before[m.Alarm] = m.Alarm != ""
		if held || m.NotBefore.After(now) {
			continue
		}
		if best < 0 || m.Class == rules.Classes[0] && l.unstored[best].Class != rules.Classes[0] {
			best = i
		}
	}
	if best < 0 {
		return store.Message{}, false
	}
	m := l.unstored[best]
	l.unstored = slices.Delete(l.unstored, best, best+1)
	return m, true
}

// putBack keeps a message that failed, in its place.
func (l *line) putBack(m store.Message, next time.Time) {
	m.NotBefore = next
	m.Attempts++
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.unstored, func(other store.Message) bool { return other.Created.After(m.Created) || other.Alarm == m.Alarm })
	if i < 0 {
		i = len(l.unstored)
	}
	l.unstored = slices.Insert(l.unstored, i, m)
}

// unstoredWait is how long until the next of the messages in memory is due, at most limit.
func (l *line) unstoredWait(now time.Time, limit time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.unstored {
		limit = min(limit, max(m.NotBefore.Sub(now), time.Millisecond))
	}
	return limit
}
