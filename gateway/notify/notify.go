// Package notify reaches people: it turns events into durable messages, one a channel, and delivers them until the far
// side has taken them.
//
//	event ──Compose──▶ messages, on disk with the event ──Run──▶ channel.Send ──▶ settled, with a line in the ledger
//
// # Delivery
//
// At least once: the event's id is in every message, so a repeat is recognised. What fails is tried again after 1, 2, 4 …
// 60 s for as long as it takes; what the far side refuses for good is settled and makes the channel faulty. One goroutine
// a channel: a dead channel delays no other. Fire goes first, and "cleared" never overtakes "raised".
//
// # Channels
//
// A kind of channel is one file and one line of the table in kinds.go.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/duty"
	"embergate/gateway/store"
	"embergate/rules"
)

// LateAfter is how long after its event a message is marked late.
const LateAfter = 60 * time.Second

// Channel reaches people one way. Send returns no error when the far side accepted, with the far side's id of the message
// where it gives one, for the ledger; and *Refused when it never will. Any other error is tried again; *Later says when.
// Neither receipt nor error holds a secret.
type Channel interface {
	Send(ctx context.Context, m Message) (receipt string, err error)
}

// Address is whom a channel tells of an event.
type Address struct {
	Channel string
	People  []string // ids; empty: whoever reads the channel
}

// Message is what a channel says, in the shape of the contract, section 6.
type Message struct {
	Event string       `json:"event"` // type of the event: alarm.raised
	ID    string       `json:"id"`    // of the event: a repeat is recognised by it
	Time  time.Time    `json:"time"`  // of the event
	Late  bool         `json:"late"`  // sent more than LateAfter after the event
	Site  Site         `json:"site"`
	Alarm *alarm.Alarm `json:"alarm,omitempty"`
	Text  string       `json:"text"`           // one line for people
	By    string       `json:"by,omitempty"`   // who did it
	Note  string       `json:"note,omitempty"` // what they said
	Drill bool         `json:"-"`

	To   []duty.Person `json:"-"` // whom it is for; empty: whoever reads the channel
	Link string        `json:"-"` // the page where a phone acknowledges; "" for none

	// Where the message stands for several, whose first it is in all else:
	Parts []string `json:"-"` // ids of their events
	List  []string `json:"-"` // a line for each of their alarms
}

// Site is who speaks.
type Site struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Region string `json:"region"`
}

// Refused is the answer of a far side that will never take the message.
type Refused struct {
	Detail string
	Gone   bool // nothing at all will be taken there any more: the channel is silent until the next start
}

// Error is what the far side said.
func (r *Refused) Error() string { return r.Detail }

// Later is a failure after which the far side wants to be left alone for a time.
type Later struct {
	After time.Duration
	Err   error
}

// Error is the failure's.
func (l *Later) Error() string { return l.Err.Error() }

// Unwrap is the failure.
func (l *Later) Unwrap() error { return l.Err }

// Options are what the gateway gives its channels besides their configuration.
type Options struct {
	Site     Site
	Lang     i18n.Lang
	Location *time.Location // of the times in texts; nil leaves them as they are
	Log      *slog.Logger
	// Person is somebody of the roster by id; nil where there is none.
	Person func(id string) (duty.Person, bool)
	// Observe is told every attempt: accepted, retry or never, and the time since the event. It may be nil.
	Observe func(channel, outcome string, latency time.Duration)
	// Delivered is told the same with the message. It may be nil.
	Delivered func(m store.Message, outcome string)
	// Failed is told of each message that a channel will never deliver, as soon as that is known, so that another may go
	// another way. It must not block. It may be nil.
	Failed func(m store.Message, why string)
	// Link is the page where whoever gets a message acknowledges it, made when it is sent; "" for none. It may be nil.
	Link func(m store.Message) string
}

// Channels are the channels of a configuration.
type Channels struct {
	o    Options
	list []*line
}

// New reads the channels: section and reports every mistake at its place. It touches neither disk nor network.
func New(s conf.Section, o Options) *Channels {
	c := &Channels{o: o}
	if s.Exists() && s.Items() == nil && len(s.Keys())+len(s.Value()) > 0 {
		s.Problem("must be a list")
	}
	ids := map[string]bool{}
	for _, item := range s.Items() {
		c.read(item, ids)
	}
	return c
}

func (c *Channels) read(s conf.Section, ids map[string]bool) {
	var own struct {
		ID string `yaml:"id"`
	}
	found := map[string]conf.Section{}
	for name := range kinds {
		found[name] = conf.Section{}
	}
	s.Decode(&own, found)
	maps.DeleteFunc(found, func(_ string, at conf.Section) bool { return !at.Exists() })
	if !drivers.IDPattern.MatchString(own.ID) {
		s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", own.ID)
	}
	if ids[own.ID] {
		s.At("id").Problem("the channel %q is there twice", own.ID)
	}
	ids[own.ID] = true
	if len(found) != 1 {
		s.Problem("a channel has exactly one kind: %s", strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		return
	}
	for kind, at := range found {
		c.list = append(c.list, newLine(own.ID, kind, kinds[kind].read(at, c.o), c.o))
	}
}

// IDs are the channels in their order in the file.
func (c *Channels) IDs() []string {
	ids := make([]string, len(c.list))
	for i, l := range c.list {
		ids[i] = l.id
	}
	return ids
}

// Compose makes the messages of an event for those addresses; nil is every channel, for whoever reads it. A channel that
// reaches one person at a time has a message for each, so that each is delivered, tried again and settled apart; any
// other has one. An event that is not for people makes none, and an address of a channel that is not there none either.
func (c *Channels) Compose(e alarm.Event, now time.Time, to []Address) []store.Message {
	if !forPeople(e) || len(c.list) == 0 {
		return nil
	}
	if to == nil {
		for _, l := range c.list {
			to = append(to, Address{Channel: l.id})
		}
	}
	stored := c.body(e, now)
	var messages []store.Message
	for _, a := range to {
		i := slices.IndexFunc(c.list, func(l *line) bool { return l.id == a.Channel })
		if i < 0 {
			continue
		}
		stored.Channel, stored.To = a.Channel, strings.Join(a.People, ",")
		if len(a.People) == 0 || !kinds[c.list[i].kind].personal {
			messages = append(messages, stored)
			continue
		}
		for _, person := range a.People {
			stored.To = person
			messages = append(messages, stored)
		}
	}
	return messages
}

// body is what every message of an event has, whomever it is for.
func (c *Channels) body(e alarm.Event, now time.Time) store.Message {
	if c.o.Location != nil {
		e.Time = e.Time.In(c.o.Location)
	}
	m := Message{Event: announcedAs(e), ID: e.ID, Time: e.Time, Site: c.o.Site, Alarm: e.Alarm, Text: Text(e, c.o.Lang), By: e.By, Note: e.Note}
	stored := store.Message{Event: e.ID, Type: m.Event, Created: now}
	if a := e.Alarm; a != nil {
		stored.Alarm, stored.Class = a.ID, a.Class
		stored.Urgent = a.Class == rules.Classes[0] || a.Level == rules.LevelAlarm
		if v := a.Value; v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) { // JSON has no word for it
			plain := *a
			plain.Value = nil
			m.Alarm = &plain
		}
	}
	stored.Body = m.encode()
	return stored
}

// announcedAs is the type of the event in the words of the contract: an alarm that comes back, or becomes more urgent, is
// raised again for whoever heard that it had cleared.
func announcedAs(e alarm.Event) string {
	switch {
	case e.Type == alarm.EventUnshelved:
		return alarm.EventReminder
	case e.Type != alarm.EventCounted:
		return e.Type
	case e.Alarm.Level == rules.LevelFault:
		return alarm.EventFaultRaised
	default:
		return alarm.EventRaised
	}
}

// encode is the body of the contract. It fails for nothing that Compose or Said made.
func (m Message) encode() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		m.Alarm = nil // the line of text says the most of it
		b.Reset()
		e.Encode(m)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Said is what a stored message says. One that cannot be read says so.
func Said(stored store.Message) Message {
	var m Message
	if err := json.Unmarshal(stored.Body, &m); err != nil {
		return Message{Event: stored.Type, ID: stored.Event, Time: stored.Created, Text: fmt.Sprintf("%s %s", stored.Type, stored.Event)}
	}
	m.Drill = m.Alarm != nil && m.Alarm.Drill || strings.HasPrefix(m.Event, "drill.")
	return m
}
