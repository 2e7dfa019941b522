package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"embergate/drivers"

	"github.com/tidwall/gjson"
)

// device is one device behind the broker, and what its messages have told of its life.
type device struct {
	drivers.Device
	topic        string
	availability []string // filters
	expire       time.Duration
	setTopic     string
	wrapping     wrapping

	seen    map[string]bool // signals by id that came at least once
	offline map[string]bool // who says that it is offline: availability topics, a gateway
	held    []held          // what came live while the device was said to be offline
	last    time.Time       // of the last live message, or when the connection was made
	expired bool            // Expire has passed since
	handled []string        // ids of its latest messages that the gateway holds
}

// held is a reading that waits for the device to be online, and when it arrived.
type held struct {
	drivers.Reading
	at time.Time
}

// holdFor bounds how long before "online" a value may have come to count: a bridge may tell the value first.
const holdFor = 10 * time.Second

// routes are the filters that lead to the device; none where it is out of service.
func (dev *device) routes() []route {
	if dev.Disabled {
		return nil
	}
	var all []route
	add := func(r route) {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	own := dev.wrapping.topics
	if dev.wrapping.filters != nil {
		own = nil
		for _, filter := range dev.wrapping.filters(dev.topic) {
			add(route{filter: filter, device: dev})
		}
	}
	for _, s := range dev.Signals {
		below := own
		if s.Path != "" {
			below = []string{s.Path}
		}
		for _, topic := range below {
			add(route{filter: under(dev.topic, topic), device: dev})
		}
	}
	for _, filter := range dev.availability {
		add(route{filter: filter, device: dev, availability: true})
	}
	return all
}

// under is a topic below another; "" is the topic itself.
func under(topic, below string) string {
	if below == "" {
		return topic
	}
	return topic + "/" + below
}

// below is the part of a topic name below the device's own; "" is the topic itself, and whatever a topic that ends in #
// matches.
func (dev *device) below(name string) string {
	for rest := topicOf(dev.topic); ; {
		level, more, deeper := strings.Cut(rest, "/")
		if level == "#" {
			return ""
		}
		_, tail, left := strings.Cut(name, "/")
		if !left {
			return ""
		}
		rest, name = more, tail
		if !deeper {
			return name
		}
	}
}

// receive takes the readings of one message and returns those to be told, under their full names.
//
// While the device is said to be offline its values are not believed: Zigbee2MQTT repeats the last state of every
// device when it starts, the dead ones included. Only an alarm passes, because an alarm may not be lost.
func (dev *device) receive(readings []drivers.Reading, retained bool, now time.Time) []drivers.Reading {
	if len(readings) == 0 {
		return nil
	}
	if !retained {
		dev.last, dev.expired = now, false
	}
	var told []drivers.Reading
	for _, r := range readings {
		s := dev.Signals[slices.IndexFunc(dev.Signals, func(s drivers.Signal) bool { return s.ID == r.Signal })]
		if s.Optional && !dev.seen[s.ID] && r.Reason == drivers.Sentinel {
			continue // the model has the key, this unit does not
		}
		dev.see(s.ID)
		r.Signal, r.Retained = dev.Key(s), retained
		if len(dev.offline) == 0 && !dev.expired || !retained && r.Value == 1 && alarming[s.Kind] {
			told = append(told, r)
			continue
		}
		if !retained {
			dev.hold(r, now)
		}
		told = append(told, offline(r, dev.whyOffline()))
	}
	return told
}

// alarming are the kinds whose 1 calls for somebody.
var alarming = map[string]bool{
	"smoke": true, "heat": true, "flame": true, "call_point": true, "fire_panel_alarm": true, "gas_alarm": true,
	"co_alarm": true, "arc_fault": true, "leak": true, "sos": true, "tamper": true, "fault": true,
}

func (dev *device) see(signal string) {
	if dev.seen == nil {
		dev.seen = map[string]bool{}
	}
	dev.seen[signal] = true
}

func (dev *device) hold(r drivers.Reading, now time.Time) {
	dev.held = slices.DeleteFunc(dev.held, func(h held) bool { return h.Signal == r.Signal })
	dev.held = append(dev.held, held{r, now})
}

// idsKept is how many messages back a repeated delivery is known.
const idsKept = 16

// handle notes that the gateway holds what the message with the id said.
func (dev *device) handle(id string) {
	if len(dev.handled) == idsKept {
		dev.handled = slices.Delete(dev.handled, 0, 1)
	}
	dev.handled = append(dev.handled, shorten(id, 64))
}

// repeats tells whether the gateway holds the message with the id already.
func (dev *device) repeats(id string) bool {
	return id != "" && slices.Contains(dev.handled, shorten(id, 64))
}

// available takes what an availability topic, or whoever else knows, says. Offline makes every signal Bad; online by itself makes none good: a
// value must come, or have come just before.
func (dev *device) available(by string, online, retained bool, now time.Time) []drivers.Reading {
	if !online {
		if dev.offline == nil {
			dev.offline = map[string]bool{}
		}
		dev.offline[by] = true
		dev.held = nil
		return dev.allOffline(retained, now)
	}
	delete(dev.offline, by)
	if len(dev.offline) > 0 {
		return nil
	}
	var told []drivers.Reading
	for _, h := range dev.held {
		if now.Sub(h.at) <= holdFor {
			told = append(told, h.Reading)
		}
	}
	dev.held = nil
	return told
}

// refused is the first of the refused filters by which values of the device come, "" if there is none.
func (dev *device) refused(filters []string) string {
	for _, r := range dev.routes() {
		if !r.availability && slices.Contains(filters, r.filter) {
			return r.filter
		}
	}
	return ""
}

// connected starts the time in which a device must be heard anew: our own absence is not its silence.
func (dev *device) connected(now time.Time) { dev.last = now }

// due is when the device will have been silent for too long; ok is false where it cannot be, or was told already.
func (dev *device) due() (at time.Time, ok bool) {
	return dev.last.Add(dev.expire), dev.expire > 0 && !dev.expired && !dev.Disabled
}

// expireAt makes every signal Bad if the device has been silent for too long.
func (dev *device) expireAt(now time.Time) []drivers.Reading {
	if at, ok := dev.due(); !ok || now.Before(at) {
		return nil
	}
	dev.expired = true
	return dev.allOffline(false, now)
}

// allOffline makes every signal Bad that the device is known to have.
func (dev *device) allOffline(retained bool, now time.Time) []drivers.Reading {
	return dev.allBad(dev.whyOffline(), retained, now)
}

func (dev *device) allBad(detail string, retained bool, now time.Time) []drivers.Reading {
	var told []drivers.Reading
	for _, s := range dev.Signals {
		if !s.Optional || dev.seen[s.ID] {
			told = append(told, offline(drivers.Reading{Signal: dev.Key(s), Time: now, Retained: retained}, detail))
		}
	}
	return told
}

func offline(r drivers.Reading, detail string) drivers.Reading {
	r.Value, r.Quality, r.Reason, r.Detail = 0, drivers.Bad, drivers.Offline, detail
	return r
}

func (dev *device) whyOffline() string {
	for by := range dev.offline {
		return by + " says offline"
	}
	return fmt.Sprintf("no message for %s", dev.expire)
}

// readAvailability reads what an availability topic says: a word, or {"state": word}. The words are those of
// Zigbee2MQTT, Tasmota, Shelly and Homie; a Homie device that sleeps or starts is not lost.
func readAvailability(payload []byte) (online bool, err error) {
	word := strings.TrimSpace(string(payload))
	if strings.HasPrefix(word, "{") && checkJSON(word) == nil {
		word = gjson.Get(word, "state").String()
	}
	switch strings.ToLower(strings.Trim(word, `"`)) {
	case "online", "true", "1", "connected", "ready", "init", "sleeping", "alert":
		return true, nil
	case "offline", "false", "0", "disconnected", "lost":
		return false, nil
	}
	return false, errNoAvailability
}

var errNoAvailability = errors.New("neither online nor offline")

// tally keeps the log of malformed payloads short: the first of a device, then one line a minute.
type tally struct {
	logged time.Time
	since  int // not logged since
}

const sampleEvery = time.Minute

// malformedPayload counts a payload that gave no reading, or whose time cannot be (then the reason is drivers.Range).
func (d *driver) malformedPayload(dev *device, p *publication, reason drivers.Reason, err error, now time.Time) {
	detail := fmt.Sprintf("%s: %s: %s", p.topic, err, quote(string(p.payload[:min(len(p.payload), 84)])))
	d.monitor.Malformed(dev.ID, reason, detail)
	if d.malformed == nil {
		d.malformed = map[string]*tally{}
	}
	s := d.malformed[dev.ID]
	if s == nil {
		s = &tally{}
		d.malformed[dev.ID] = s
	}
	s.since++
	if !s.logged.IsZero() && now.Sub(s.logged) < sampleEvery {
		return
	}
	what := "malformed payload"
	if reason == drivers.Range {
		what = "device clock wrong"
	}
	d.log.Warn(what, slog.String("device", dev.ID), slog.Int("count", s.since), slog.String("sample", detail))
	s.logged, s.since = now, 0
}
