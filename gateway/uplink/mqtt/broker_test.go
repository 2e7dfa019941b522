package mqtt

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/mqttconn"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink"
	"embergate/gateway/uplink/uplinktest"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a broker in this process, behind pipes, that can be away. It keeps what it is told, in order.
type broker struct {
	t      testing.TB
	server *mochi.Server

	mu    sync.Mutex
	away  bool
	conns []net.Conn
	dials []time.Time
	heard []string // topic and body
}

func newBroker(t testing.TB) *broker {
	b := &broker{t: t, server: mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})}
	if err := b.server.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	err := b.server.Subscribe("#", 1, func(_ *mochi.Client, _ packets.Subscription, p packets.Packet) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.heard = append(b.heard, p.TopicName+" "+string(p.Payload))
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// dial connects to the broker, or fails while it is away.
func (b *broker) dial(context.Context, *tls.Config) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials = append(b.dials, time.Now())
	if b.away {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	b.conns = append(b.conns, ours)
	go b.server.EstablishConnection("pipe", theirs)
	return mqttconn.Guard(ours, largestCommand), nil
}

// leave breaks every connection, and lets no other come until come is called.
func (b *broker) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = true
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

func (b *broker) come() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = false
}

// take is what was heard since the last take of topics below "home/" that begin so.
func (b *broker) take(topic string) (bodies []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rest []string
	for _, line := range b.heard {
		if body, ok := strings.CutPrefix(line, "home/"+topic); ok {
			bodies = append(bodies, body)
		} else {
			rest = append(rest, line)
		}
	}
	b.heard = rest
	return bodies
}

// retained is what the broker keeps for whoever comes later.
func (b *broker) retained(topic string) string {
	for _, p := range b.server.Topics.Messages("home/" + topic) {
		return string(p.Payload)
	}
	return ""
}

// journal is a journal in memory whose disk can fail.
type journal struct{ uplinktest.Journal }

// add appends an event of an alarm, and its id is its number.
func (j *journal) add(u *Uplink, kind string) {
	a := alarm.Alarm{ID: "a1", Rule: "gas-high", Class: "gas", Level: "alarm"}
	j.Add(func(seq int64) alarm.Event {
		return alarm.Event{ID: fmt.Sprint(seq), Time: time.Now(), Type: kind, Alarm: &a}
	})
	u.Wake()
}

// newUplink makes an uplink of its keys; b may be nil.
func newUplink(t testing.TB, yaml string, b *broker, log *bytes.Buffer) *Uplink {
	t.Helper()
	s := conf.Parse("uplink.yaml", []byte(yaml), conf.OS())
	o := Options{
		ID: "district", Site: "zb-1", Devices: []string{"kitchen-gas"},
		Unit: func(s drivers.Signal) string { return s.Of().Unit },
		Body: func(e alarm.Event, late bool) []byte {
			if e.Alarm == nil {
				return nil
			}
			return fmt.Appendf(nil, "%s %s late=%v", e.ID, e.Type, late)
		},
	}
	if log != nil {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	u := New(s, o)
	if p := s.Problems(); p != nil {
		t.Fatal(p)
	}
	if b != nil {
		u.dial = b.dial
	}
	return u
}

const plain = `{url: "mqtt://broker.example.org", topic: home}`

// start runs an uplink and answers what stops it and waits.
func start(t testing.TB, u *Uplink, j uplink.Journal, acts Acts) (stop func()) {
	return uplinktest.Start(t, func(ctx context.Context) error { return u.Run(ctx, j, acts) })
}

// kitchen is a device with a number and a state.
var kitchen = drivers.Device{ID: "kitchen-gas", Name: "厨房燃气探测器", Zone: "f1-kitchen", Signals: []drivers.Signal{
	{ID: "lel", Kind: "gas_lel", Scale: 1}, {ID: "valve", Kind: "valve", Scale: 1},
}}

func number(v float64) []drivers.Reading {
	return []drivers.Reading{{Signal: "kitchen-gas.lel", Time: time.Now(), Value: v, Quality: drivers.Good}}
}

func valve(v float64) []drivers.Reading {
	return []drivers.Reading{{Signal: "kitchen-gas.valve", Time: time.Now(), Value: v, Quality: drivers.Good}}
}
