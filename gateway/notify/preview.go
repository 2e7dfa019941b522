package notify

import (
	"strings"
	"time"

	"embergate/gateway/alarm"
)

// Preview is how a message reads in a channel.
type Preview struct{ Channel, Kind, Text string }

// Preview says how the messages of an event read, in each channel, without sending any.
func (c *Channels) Preview(e alarm.Event, now time.Time) (all []Preview) {
	stored := c.body(e, now)
	m := Said(stored)
	m.Late = now.Sub(m.Time) > LateAfter
	for _, l := range c.list {
		all = append(all, Preview{l.id, l.kind, asRead(l.sender, m)})
	}
	return all
}

// asRead is a message as people read it in the channel of a sender; where a machine reads it, as that gets it.
func asRead(sender Channel, m Message) string {
	if c, ok := sender.(interface{ preview(Message) string }); ok {
		return c.preview(m)
	}
	return m.Text
}

// titled is a text whose first line stands apart.
func titled(said words, title, body int) string {
	return said.title(title) + "\n\n" + said.body(body)
}

// filled are the variables of a template with their values: what stands around them is the vendor's to approve.
func filled(v variables, values []string) string {
	lines := make([]string, len(values))
	for i, value := range values {
		lines[i] = v.Names[i] + " = " + value
	}
	return strings.Join(lines, "\n")
}
