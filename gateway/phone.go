package gateway

import (
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"embergate/gateway/console"
	"embergate/gateway/store"
)

// phone is the duty phone of the console: the latest notifications as they went out, and what became of each.
type phone struct {
	log  *slog.Logger
	mu   sync.Mutex
	list []shown // newest first
}

// shown is one message of one channel on the phone.
type shown struct {
	event string
	console.PhoneMessage
}

// phoneHolds is how many messages the phone shows.
const phoneHolds = 50

// delivered is told every attempt of a channel.
func (p *phone) delivered(m store.Message, outcome string) {
	var body struct {
		Text  string `json:"text"`
		Alarm struct {
			Drill bool `json:"drill"`
		} `json:"alarm"`
	}
	if err := json.Unmarshal(m.Body, &body); err != nil {
		return // not a message of ours
	}
	p.log.Info("notification", "channel", m.Channel, "outcome", outcome, "event", m.Event, "text", body.Text)
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.list, func(s shown) bool { return s.event == m.Event && s.Channel == m.Channel })
	if i < 0 {
		p.list = slices.Insert(p.list, 0, shown{event: m.Event})
		p.list = p.list[:min(len(p.list), phoneHolds)]
		i = 0
	}
	now := time.Now()
	p.list[i].PhoneMessage = console.PhoneMessage{
		Time: now, Channel: m.Channel, Text: body.Text, Outcome: outcome, Event: m.Type,
		Late: now.Sub(m.Created) > lateDelivery, Drill: body.Alarm.Drill,
	}
}

// lateDelivery is the time after which a delivery is shown as late, as in the webhook's body.
const lateDelivery = time.Minute

// messages are copies of what the phone shows.
func (p *phone) messages() []console.PhoneMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]console.PhoneMessage, len(p.list))
	for i, s := range p.list {
		list[i] = s.PhoneMessage
	}
	return list
}
