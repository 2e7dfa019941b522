package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"embergate/drivers/mqttconn"
	"embergate/gateway/uplink"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	replyTimeout   = 20 * time.Second // PUBACK and SUBACK
	enqueueTimeout = 5 * time.Second  // until paho takes a packet: it does not notice there that the connection is lost
	inFlight       = 20               // publications that wait for their acknowledgement
	eventsLoad     = 100
	lateAfter      = time.Minute
)

// session is one connection to the broker. Each has a client of its own, so that nothing of an earlier one is sent again
// out of order: what was not acknowledged is still in the journal.
type session struct {
	u        *Uplink
	client   *mqttconn.Client
	j        uplink.Journal
	acts     Acts
	commands chan paho.Message
	gone     context.Context // ends with the connection, for a cause
	end      context.CancelCauseFunc
	stuck    bool // paho took no more
}

// converse connects and sends until ctx ends, or the connection does.
func (u *Uplink) converse(ctx context.Context, j uplink.Journal, acts Acts) error {
	s, err := u.connect(ctx)
	if err != nil {
		return fmt.Errorf("mqtt %s: %w", u.settings.broker.Host, err)
	}
	defer uplink.Leave(ctx, s.client)()
	defer s.client.Disconnect(500)
	s.j, s.acts = j, acts
	err = s.greet(ctx)
	if err == nil {
		u.stand.Works(time.Now())
		err = uplink.Talk(ctx, s.gone, s, u.Bell, s.commands)
	}
	if err != nil && (s.stuck || !errors.Is(err, context.Canceled)) {
		s.client.Close() // without a word, so that the broker says offline for us
		return fmt.Errorf("mqtt %s: %w", u.settings.broker.Host, err)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := s.say(last, "status", "offline"); err != nil {
		u.o.Log.Warn("cannot say offline", "err", err)
	}
	return nil
}

// connect opens a connection. No session is kept at the broker: a command that waited for us is not one to obey, and an
// acknowledgement of the last connection, repeated, would be taken for that of an event which has its number now.
func (u *Uplink) connect(ctx context.Context) (*session, error) {
	c := u.settings
	t, _, err := c.TLS.Config(c.broker) // the files are read anew for each connection
	if err != nil {
		return nil, err
	}
	s := &session{u: u, commands: make(chan paho.Message, inFlight)}
	s.gone, s.end = context.WithCancelCause(context.Background())
	o := paho.NewClientOptions().
		AddBroker(c.broker.String()).
		SetClientID(c.ClientID).SetUsername(c.Username).SetPassword(c.Password.Reveal()).
		SetCleanSession(true).SetKeepAlive(c.KeepAlive).SetWriteTimeout(enqueueTimeout).
		SetDefaultPublishHandler(s.receive).
		SetConnectionLostHandler(func(_ paho.Client, err error) { s.end(fmt.Errorf("the connection is lost: %w", err)) })
	if !c.visit {
		o.SetWill(c.Topic+"/status", "offline", 1, true)
	}
	s.client = mqttconn.NewClient(ctx, o, func() (net.Conn, error) { return u.dial(ctx, t) })
	if err := s.client.Connect(); err != nil {
		return nil, err
	}
	return s, nil
}

// greet says that we are there, and clears what an earlier configuration left.
func (s *session) greet(ctx context.Context) error {
	if err := s.say(ctx, "status", "online"); err != nil {
		return err
	}
	if s.u.settings.Commands {
		filter := s.u.settings.Topic + "/command/+"
		token := s.client.Subscribe(filter, 1, nil)
		if err := s.wait(ctx, token); err != nil {
			return fmt.Errorf("subscribe %s: %w", filter, err)
		}
		if code := token.(*paho.SubscribeToken).Result()[filter]; code > 2 { // MQTT 3.1.1, 3.9.3
			return fmt.Errorf("the broker refused the subscription to %s", filter)
		}
	}
	s.u.states.renew()
	return s.sweep(ctx)
}

// sweep empties the retained states of devices that are no longer in the configuration.
func (s *session) sweep(ctx context.Context) error {
	key := "uplink/" + s.u.o.ID + "/states"
	var left []string
	text, err := s.j.Get(ctx, key)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &left)
	}
	if err != nil {
		s.u.feed.Disk(err)
		return nil
	}
	here := s.u.o.Devices
	for _, id := range left {
		if !slices.Contains(here, id) {
			if err := s.wait(ctx, s.publish("state/"+id, true, nil)); err != nil {
				return err
			}
		}
	}
	if slices.Equal(left, here) {
		return nil
	}
	data, err := json.Marshal(here)
	if err == nil {
		err = s.j.Set(ctx, key, string(data))
	}
	s.u.feed.Disk(err)
	return nil
}

// Events sends what the journal has after our place.
func (s *session) Events(ctx context.Context) (done bool, err error) {
	u := s.u
	for {
		events, ok := u.feed.Next(ctx, s.j, eventsLoad)
		if !ok || len(events) == 0 {
			return ok, nil
		}
		for len(events) > 0 {
			if err := s.retain(ctx, u.states.takeList()); err != nil { // what is open now waits behind no backlog
				return false, err
			}
			n := min(len(events), inFlight)
			tokens := make([]paho.Token, n)
			for i, e := range events[:n] {
				if body := u.o.Body(e, time.Since(e.Time) > lateAfter); body != nil {
					tokens[i] = s.publish("event", false, body)
				}
				if s.stuck {
					break // what is behind waits no longer than this one
				}
			}
			for i, token := range tokens {
				if token != nil {
					if err := s.settle(ctx, token); err != nil {
						u.feed.Save(ctx, s.j)
						return false, err
					}
				}
				u.feed.Pass(events[i])
			}
			u.feed.Save(ctx, s.j)
			events = events[n:]
		}
	}
}

// Latest sends states that are due.
func (s *session) Latest(ctx context.Context) (more bool, err error) {
	due := s.u.states.due(time.Now(), s.u.settings.Every, inFlight, s.u.o.Unit)
	return len(due) >= inFlight, s.retain(ctx, due)
}

// retain publishes what is to be retained.
func (s *session) retain(ctx context.Context, messages []message) error {
	tokens := make([]paho.Token, len(messages))
	for i, m := range messages {
		if tokens[i] = s.publish(m.topic, true, m.body); s.stuck {
			break
		}
	}
	for _, token := range tokens {
		if err := s.settle(ctx, token); err != nil {
			return err
		}
	}
	return nil
}

// settle waits for the acknowledgement of a publication.
func (s *session) settle(ctx context.Context, token paho.Token) error {
	if err := s.wait(ctx, token); err != nil {
		s.u.o.Observe("retry")
		return err
	}
	s.u.o.Observe("accepted")
	s.u.stand.Works(time.Now())
	return nil
}

// say publishes a retained word and waits for the acknowledgement.
func (s *session) say(ctx context.Context, topic, word string) error {
	if err := s.wait(ctx, s.publish(topic, true, []byte(word))); err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}

// publish sends at QoS 1 below the uplink's topic.
func (s *session) publish(topic string, retained bool, body []byte) paho.Token {
	token := s.client.Publish(s.u.settings.Topic+"/"+topic, 1, retained, body)
	s.stuck = s.stuck || token.Error() != nil
	return token
}

// wait waits for the broker's answer.
func (s *session) wait(ctx context.Context, token paho.Token) error {
	return mqttconn.Wait(ctx, s.gone, token, replyTimeout)
}
