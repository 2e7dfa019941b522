package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"embergate/drivers"
	"embergate/drivers/mqttconn"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	enqueueTimeout = 2 * time.Second  // until paho takes a packet: it does not notice there that the connection is lost
	replyTimeout   = 10 * time.Second // SUBACK and PUBACK
)

// session is one connection to the broker, from CONNECT to DISCONNECT or loss.
type session struct {
	d          *driver
	client     *mqttconn.Client
	ends       ends // of certificates
	queue      *queue
	subscribed chan []string   // the refused filters, once
	gone       context.Context // ends when the session cannot go on, for a cause
	fail       context.CancelCauseFunc
	ended      chan struct{} // setup has returned
	connected  time.Time     // zero where it never was; written before ended is closed, and read after
}

// Run connects, subscribes, and hands on what the devices publish, until ctx ends or the connection does.
func (d *driver) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	ctx, cancel := context.WithCancel(ctx)
	s, err := d.newSession(ctx)
	if err != nil {
		cancel()
		return fmt.Errorf("mqtt %s: %w", d.settings.broker, err)
	}
	defer s.close() // after a panic of emit too
	defer cancel()
	go s.setup(ctx)
	err = s.loop(ctx, emit)
	s.queue.close()
	for s.process(emit) {
	}
	cancel()
	<-s.ended
	if err != nil {
		return fmt.Errorf("mqtt %s: %w", d.settings.broker, d.explain(err, s.connected, time.Now()))
	}
	return nil
}

// newSession prepares a connection. Order is kept and the handler only enqueues: paho does not acknowledge by itself.
func (d *driver) newSession(ctx context.Context) (*session, error) {
	t, ends, err := d.settings.tlsConfig()
	if err != nil {
		return nil, err
	}
	s := &session{d: d, ends: ends, queue: newQueue(), subscribed: make(chan []string, 1), ended: make(chan struct{})}
	s.gone, s.fail = context.WithCancelCause(context.Background())
	c := d.settings
	o := paho.NewClientOptions().
		AddBroker(c.broker.String()).
		SetClientID(c.ClientID).SetUsername(c.Username).SetPassword(c.Password.Reveal()).
		SetCleanSession(c.visit).SetKeepAlive(c.KeepAlive).SetWriteTimeout(enqueueTimeout).
		SetOrderMatters(true).SetAutoAckDisabled(true).SetDefaultPublishHandler(s.receive).
		SetConnectionLostHandler(func(_ paho.Client, err error) { s.fail(err) })
	if !c.visit {
		o.SetWill(c.StatusTopic, "offline", 1, true)
	}
	s.client = mqttconn.NewClient(ctx, o, func() (net.Conn, error) { return d.dial(ctx, t) })
	return s, nil
}

// receive is called by paho for each message, in order, and may not wait: keep-alive comes through the same door.
func (s *session) receive(_ paho.Client, m paho.Message) {
	droppable := m.Qos() == 0 && !slices.ContainsFunc(s.d.routes.of(m.Topic()), func(r route) bool {
		return r.availability || slices.ContainsFunc(r.device.Signals, func(sig drivers.Signal) bool { return sig.Of().Form != drivers.Number })
	})
	if !s.queue.put(message{Message: m, at: time.Now(), droppable: droppable}) {
		s.fail(errFull)
	}
}

var errFull = fmt.Errorf("more than %d messages or %d MiB wait for the gateway; unacknowledged ones come again", maxQueued, maxQueuedBytes>>20)

// setup connects, subscribes and tells the world that we are there; what arrives meanwhile waits in the queue.
func (s *session) setup(ctx context.Context) {
	defer close(s.ended)
	c := s.d.settings
	if err := s.client.Connect(); err != nil {
		s.fail(fmt.Errorf("connect: %w", err))
		return
	}
	s.connected = time.Now()
	refused, err := s.subscribe(ctx)
	if err != nil {
		s.failed(ctx, fmt.Errorf("subscribe: %w", err))
		return
	}
	s.subscribed <- refused
	if c.visit {
		return
	}
	if err := s.publish(ctx, c.StatusTopic, true, []byte("online")); err != nil {
		s.failed(ctx, fmt.Errorf("publish %s: %w", c.StatusTopic, err))
	}
}

// failed ends the session for what failed; where the connection was lost before, for why it was, which paho says a moment later.
func (s *session) failed(ctx context.Context, err error) {
	if !s.client.IsConnectionOpen() {
		select {
		case <-s.gone.Done():
		case <-ctx.Done():
		case <-time.After(enqueueTimeout):
		}
	}
	s.fail(err)
}

// subscriptions are the filters with their QoS: of our devices as configured, of those that are only looked for, 0.
func (d *driver) subscriptions() map[string]byte {
	all := map[string]byte{}
	for _, f := range d.strangers.filters {
		all[f] = 0
	}
	for _, f := range d.routes.filters {
		all[f] = byte(d.settings.QoS)
	}
	return all
}

// subscribe subscribes every filter once, and returns those that the broker refused. It is an error if no device can be
// heard; otherwise one refused filter does not silence the devices of the others.
func (s *session) subscribe(ctx context.Context) (refused []string, err error) {
	filters := s.d.subscriptions()
	if len(filters) == 0 {
		return nil, nil
	}
	granted, err := s.askFor(ctx, filters)
	if err != nil {
		return nil, err
	}
	for _, f := range slices.Concat(s.d.routes.filters, s.d.strangers.filters) {
		if granted[f] == subackFailure && !slices.Contains(refused, f) {
			refused = append(refused, f)
		}
	}
	if len(s.d.devices) == 0 {
		return refused, nil
	}
	for _, dev := range s.d.devices {
		if dev.refused(refused) == "" {
			return refused, nil
		}
	}
	return nil, fmt.Errorf("the broker refused %s; see its access list for user %q", strings.Join(refused, ", "), s.d.settings.Username)
}

// Return codes of SUBACK beside the granted QoS, and how often we ask where a broker answers with another.
const (
	subackFailure = 0x80 // MQTT 3.1.1, 3.9.3
	subscribeMost = 64
)

// askFor sends one SUBSCRIBE and gives the answer for each filter. A broker on mochi-mqtt answers 0x91 while a message of
// its own waits under our packet identifier (MQTT 5.0: packet identifier in use); the next identifier may be free.
func (s *session) askFor(ctx context.Context, filters map[string]byte) (map[string]byte, error) {
	var odd byte
	for range subscribeMost {
		token := s.client.SubscribeMultiple(filters, nil)
		if err := s.wait(ctx, token); err != nil {
			return nil, err
		}
		granted := token.(*paho.SubscribeToken).Result()
		odd = 0
		for _, code := range granted {
			if code > 2 && code != subackFailure {
				odd = code
			}
		}
		if odd == 0 && len(granted) == len(filters) {
			return granted, nil
		}
	}
	return nil, fmt.Errorf("the broker answers SUBACK with %#02x", odd)
}

// publish sends at QoS 1 and waits for the acknowledgement.
func (s *session) publish(ctx context.Context, topic string, retained bool, payload []byte) error {
	return s.wait(ctx, s.client.Publish(topic, 1, retained, payload))
}

// wait waits for the broker's answer.
func (s *session) wait(ctx context.Context, token paho.Token) error {
	return mqttconn.Wait(ctx, s.gone, token, replyTimeout)
}

// loop is the session's one place where readings are made and told.
func (s *session) loop(ctx context.Context, emit func([]drivers.Reading)) error {
	var ready <-chan struct{} // what comes before SUBACK waits: first the link, then what it brings
	var expiry <-chan time.Time
	daily := time.NewTicker(tellDaily)
	defer daily.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.gone.Done():
			if ctx.Err() != nil {
				return nil // our own end is no loss
			}
			return context.Cause(s.gone)
		case refused := <-s.subscribed:
			s.up(refused, emit)
			ready = s.queue.ready
			if slices.ContainsFunc(s.d.devices, func(dev *device) bool { return dev.expire > 0 }) {
				ticker := time.NewTicker(time.Second)
				defer ticker.Stop()
				expiry = ticker.C
			}
		case <-ready:
			s.process(emit)
		case now := <-daily.C:
			s.d.tellEnds(s.ends, now)
		case now := <-expiry:
			for _, dev := range s.d.devices {
				tell(emit, dev.expireAt(now))
			}
		}
	}
}

// up tells that the endpoint is connected, and of the devices that it cannot hear.
func (s *session) up(refused []string, emit func([]drivers.Reading)) {
	now := time.Now()
	s.d.setLive(s)
	emit(drivers.LinkUp(s.d.endpoint, now))
	s.d.tellEnds(s.ends, now)
	for _, f := range refused {
		s.d.log.Error("subscription refused", "filter", f, "user", s.d.settings.Username)
	}
	s.askRebirths(now)
	for _, dev := range s.d.devices {
		dev.connected(now)
		if f := dev.refused(refused); f != "" {
			tell(emit, dev.allBad("the broker refused the subscription to "+f, false, now))
		}
	}
}

// process reads the oldest message that waits, tells its readings and acknowledges it; false if there is none.
func (s *session) process(emit func([]drivers.Reading)) bool {
	m, ok := s.queue.next()
	if !ok {
		return false
	}
	if n := s.queue.lost(); n > 0 {
		s.d.log.Warn("telemetry dropped, the gateway is slow", "messages", n)
	}
	p := &publication{topic: m.Topic(), payload: m.Payload(), retained: m.Retained()}
	told := s.d.take(p, m.at)
	for _, batch := range told.readings {
		if !p.retained {
			s.d.confirm(batch, m.at) // first: emit keeps the slice
		}
		tell(emit, batch)
	}
	for _, one := range told.held {
		one.device.handle(one.id)
	}
	m.Ack()
	s.askRebirth(p.spark, m.at)
	return true
}

// tell hands on a batch that holds something.
func tell(emit func([]drivers.Reading), readings []drivers.Reading) {
	if len(readings) > 0 {
		emit(readings)
	}
}

// close says offline if it still can, and waits until nothing of the connection is left.
func (s *session) close() {
	s.d.setLive(nil)
	s.queue.close()
	<-s.ended
	if s.connected.IsZero() {
		return
	}
	if s.client.IsConnectionOpen() && !s.d.settings.visit {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := s.publish(ctx, s.d.settings.StatusTopic, true, []byte("offline")); err != nil {
			s.d.log.Warn("cannot say offline", "topic", s.d.settings.StatusTopic, "err", err)
		}
	}
	s.client.Disconnect(1000)
}

// A broker gives no reason when another client takes over our identifier: it closes the connection, again and again soon
// after it was made. MQTT 3.1.1 [MQTT-3.1.4-2].
const (
	kickedWithin = time.Minute     // of connecting
	kickWindow   = 5 * time.Minute // the caller's pauses grow to 30 s
	kicksToTell  = 3
)

// closings are what reading and writing say of a connection that the broker closed.
var closings = []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE}

// explain adds to the loss of a connection what the losses before tell. Who was taken over can always connect again.
func (d *driver) explain(err error, connected, now time.Time) error {
	if connected.IsZero() {
		d.kicks = nil
		return err
	}
	if !slices.ContainsFunc(closings, func(closing error) bool { return errors.Is(err, closing) }) {
		return err
	}
	if now.Sub(connected) > kickedWithin {
		d.kicks = nil
		return fmt.Errorf("the broker closed the connection: %w", err)
	}
	d.kicks = slices.DeleteFunc(append(d.kicks, now), func(t time.Time) bool { return now.Sub(t) > kickWindow })
	if len(d.kicks) < kicksToTell {
		return fmt.Errorf("the broker closed the connection: %w", err)
	}
	return fmt.Errorf("client identifier %q taken over %d times in %s: another client probably connects with it: %w",
		d.settings.ClientID, len(d.kicks), now.Sub(d.kicks[0]).Round(time.Second), err)
}
