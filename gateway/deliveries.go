package gateway

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/notify"
	"embergate/gateway/store"
)

// Deliveries are attempts to tell people, the newest first.
func (h *hub) Deliveries(ctx context.Context, q console.DeliveryQuery) ([]console.Delivery, error) {
	ledger, err := h.store.Deliveries(ctx, store.Ledger{Alarm: q.Alarm, Channel: q.Channel, Limit: q.Limit})
	list := make([]console.Delivery, 0, len(ledger))
	for _, d := range ledger {
		list = append(list, h.g.pageDelivery(d))
	}
	return list, err
}

func (g *Gateway) pageDelivery(d store.Delivery) console.Delivery {
	return console.Delivery{
		Time: d.Time.In(g.location), Channel: d.Channel, To: d.To, Event: d.Event, Type: d.Type, Alarm: d.Alarm,
		Outcome: string(d.Outcome), Detail: d.Detail, Latency: d.Latency.Seconds(),
	}
}

// TestChannel sends a test message by a channel, and writes down who had it sent and what became of it.
func (h *hub) TestChannel(ctx context.Context, channel, to string, a alarm.Act) (console.Delivery, error) {
	d, err := h.g.TestChannel(ctx, channel, to, time.Now())
	if err != nil {
		return console.Delivery{}, err
	}
	if err := h.store.RecordDelivery(context.WithoutCancel(ctx), d); err != nil {
		h.log.Error("test of a channel not in the ledger", "channel", channel, "err", err)
	}
	h.g.metrics.notified(channel, string(d.Outcome), d.Latency)
	h.post(func(now time.Time) {
		h.events = append(h.events, alarm.Event{
			ID: eventID("channel.tested", now), Time: now.UTC(), Type: "channel.tested", By: a.By, Via: a.Via, From: a.From, Note: channel + ": " + string(d.Outcome),
		})
		h.commit(now)
	})
	return h.g.pageDelivery(d), nil
}

// TestChannel sends a test message by a channel: to a person of the roster by id, where the channel reaches one at a time.
// What became of it is the outcome. The error wraps fs.ErrNotExist where there is no such channel, and is *alarm.Refused
// where somebody must be named.
func (g *Gateway) TestChannel(ctx context.Context, channel, to string, now time.Time) (store.Delivery, error) {
	if !slices.Contains(g.channels.IDs(), channel) {
		return store.Delivery{}, fmt.Errorf("channel %s: %w", channel, fs.ErrNotExist)
	}
	var people []string
	if to != "" {
		if _, ok := g.Person(to); !ok {
			return store.Delivery{}, refuse(alarm.ErrInput, "there is nobody with the id %q in duty.people", to)
		}
		people = []string{to}
	} else if g.channels.Personal(channel) && g.plan != nil {
		return store.Delivery{}, refuse(alarm.ErrInput, "%s reaches one person at a time: say whom, by the id in duty.people", channel)
	}
	return g.channels.Test(ctx, channel, people, now)
}

// around keeps the news that a channel is broken off that channel alone: it goes by those that were meant, or else by the
// others, of which one that rings is the last.
func (h *hub) around(e alarm.Event, to []notify.Address) []notify.Address {
	if e.Alarm == nil || e.Alarm.Rule != channelFailed.ID || len(to) == 0 {
		return to
	}
	broken := func(a notify.Address) bool { return a.Channel == e.Alarm.Device }
	if left := slices.DeleteFunc(slices.Clone(to), broken); len(left) > 0 {
		return left
	}
	var quiet, loud []notify.Address
	for _, c := range h.g.channels.Status() {
		a := notify.Address{Channel: c.ID}
		if h.g.channels.Personal(c.ID) {
			a.People = to[0].People
		}
		switch {
		case broken(a) || h.g.channels.Personal(c.ID) && len(a.People) == 0:
		case strings.HasSuffix(c.Kind, "_voice"):
			loud = append(loud, a)
		default:
			quiet = append(quiet, a)
		}
	}
	switch {
	case quiet != nil:
		return quiet
	case loud != nil:
		return loud
	}
	return to // there is no other
}
