package notify

import (
	"encoding/json"
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
	switch c := sender.(type) {
	case *wecom:
		limit := wecomMarkdown - wecomColour
		if len(c.mention) > 0 {
			limit = wecomText
		}
		return say(m, c.lang).wide().text(limit)
	case *dingtalk:
		return say(m, c.lang).wide().containing(c.keyword).text(dingtalkText)
	case *feishu:
		return say(m, c.lang).containing(c.keyword).text(feishuText)
	case *ntfy:
		return titled(say(m, c.lang), ntfyTitle, ntfyText)
	case *bark:
		return titled(say(m, c.lang), 300, barkLimit)
	case *telegram:
		return say(m, c.lang).text(telegramText)
	case *email:
		said := say(m, c.lang)
		return said.title(emailSubject) + "\n\n" + said.text(emailText)
	case *aliyunSMS:
		return filled(c.c.variables, c.c.values(m, c.lang))
	case *aliyunVoice:
		return filled(c.c.variables, c.c.values(m, c.lang))
	case *tencentSMS:
		return filled(c.c.variables, c.c.values(m, c.lang))
	case *alertmanager:
		said := say(m, c.lang)
		return titled(said, 1000, 10000)
	case *webhook:
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		e.Encode(m) // it was read from JSON
		return strings.TrimSpace(b.String())
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
