package sim

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

const brokerUser = "gateway"

// retention says whether a broker keeps a message for those who subscribe later.
type retention bool

const (
	passing  retention = false
	retained retention = true
)

// broker is an MQTT broker with one user.
type broker struct {
	server   *mochi.Server
	address  string
	password string
}

func newBroker(address string) (*broker, error) {
	limits := mochi.NewDefaultServerCapabilities()
	limits.MaximumClients = 256
	limits.MaximumPacketSize = 64 << 10
	b := &broker{password: secret(), server: mochi.New(&mochi.Options{
		InlineClient: true,
		Capabilities: limits,
		Logger:       slog.New(slog.DiscardHandler), // it warns of every client that goes
	})}
	if err := b.server.AddHook(&door{password: b.password}, nil); err != nil {
		return nil, fmt.Errorf("sim: broker: %w", err)
	}
	listener := listeners.NewTCP(listeners.Config{ID: "home", Address: address})
	if err := b.server.AddListener(listener); err != nil {
		return nil, fmt.Errorf("sim: broker: %w", err)
	}
	b.address = listener.Address()
	if err := b.server.Serve(); err != nil {
		return nil, fmt.Errorf("sim: broker: %w", err)
	}
	return b, nil
}

// publish fails only for a topic or payload that is not allowed, and ours are.
func (b *broker) publish(topic string, payload []byte, keep retention) {
	_ = b.server.Publish(topic, payload, bool(keep), 1)
}

func (b *broker) close() { _ = b.server.Close() }

// door lets in who knows the password.
type door struct {
	mochi.HookBase
	password string
}

// ID names the hook.
func (d *door) ID() string { return "door" }

// Provides tells which moments the hook takes part in.
func (d *door) Provides(b byte) bool {
	return bytes.Contains([]byte{mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnSessionEstablish}, []byte{b})
}

// OnConnectAuthenticate lets a client in or not.
func (d *door) OnConnectAuthenticate(_ *mochi.Client, connect packets.Packet) bool {
	return string(connect.Connect.Username) == brokerUser &&
		subtle.ConstantTimeCompare(connect.Connect.Password, []byte(d.password)) == 1
}

// OnACLCheck lets who is in read and write everything.
func (d *door) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// OnSessionEstablish lets the broker's packet identifiers to the client start in the upper half. Each side of a session has
// identifiers of its own (MQTT 3.1.1, 2.3.1), but this broker refuses a SUBSCRIBE whose identifier is that of a message
// it has not had acknowledged; clients start at 1.
func (d *door) OnSessionEstablish(client *mochi.Client, _ packets.Packet) {
	for {
		if id, err := client.NextPacketID(); err != nil || id >= 1<<15 {
			return
		}
	}
}

// report publishes what a detector has to say; other devices and silent ones say nothing.
func (h *Home) report(device string) {
	d, ok := detectorOf(device)
	if !ok {
		return
	}
	h.publishing.Lock()
	defer h.publishing.Unlock()
	if payload, ok := h.state(d); ok {
		h.broker.publish(d.topic, payload, passing)
	}
}

// state is a detector's payload, as Zigbee2MQTT writes it; false while it is silent.
func (h *Home) state(d detector) ([]byte, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	said := map[string]any{}
	for _, f := range d.fields {
		value := h.values[d.device+"."+f.name].value
		if f.flag {
			said[f.name] = value != 0
		} else {
			said[f.name] = math.Round(value)
		}
	}
	payload, err := json.Marshal(said)
	return payload, err == nil && !h.silent[d.device] // an infinite value cannot be said
}

// availability is what Zigbee2MQTT 2 publishes of a device and of its bridge.
func availability(online bool) []byte {
	if online {
		return []byte(`{"state":"online"}`)
	}
	return []byte(`{"state":"offline"}`)
}
