// Package mqtt reads devices that publish to an MQTT broker: sensors behind Zigbee2MQTT, Shelly and Tasmota devices,
// panels and plant controllers with JSON or bare values.
//
// One endpoint is one connection, MQTT 3.1.1, with a stable client identifier and a session that the broker keeps: what
// is published at QoS 1 while the gateway is away arrives when it is back. A message is acknowledged after the gateway
// holds its readings. Reconnecting is the caller's: a lost connection ends Run.
//
//	broker ── paho ── queue (bounded) ── Run: Decode, device state ── emit ── PUBACK
//
// The receiving side only ever puts into the queue, so a slow gateway stops neither keep-alive nor acknowledgements.
package mqtt

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/mqttconn"
)

// New makes the protocol for one configuration.
func New() drivers.Protocol {
	clients := map[string]string{} // by broker and client identifier: the endpoint that has it
	return func(e drivers.Endpoint) drivers.Driver {
		d := &driver{
			endpoint: e.ID,
			settings: readSettings(e),
			log:      e.Log,
			monitor:  e.Monitor,
			edges:    &edges{},
		}
		d.dial = func(ctx context.Context, t *tls.Config) (net.Conn, error) {
			return mqttconn.Dial(ctx, d.settings.broker, t, maxPayload)
		}
		if broker := d.settings.broker; broker != nil {
			client := broker.Host + " " + d.settings.ClientID
			if other, taken := clients[client]; taken {
				e.Settings.At("client_id").Problem("endpoint %q has the client identifier %q at this broker; they would drive each other out", other, d.settings.ClientID)
			}
			clients[client] = e.ID
		}
		for _, s := range e.Devices {
			dev := readDevice(e, s, d.settings)
			dev.wrapping.edges = d.edges
			d.devices = append(d.devices, dev)
		}
		d.routes = newRoutes(d.devices)
		d.strangers = newStrangers(e.Profiles, d.devices, d.settings)
		return d
	}
}

// driver is one endpoint: one broker and the devices that publish there. It outlives its connections, so what is known
// of a device's life is not forgotten while the broker is away.
type driver struct {
	endpoint string
	settings settings
	dial     func(context.Context, *tls.Config) (net.Conn, error)
	devices  []*device
	routes   routes
	log      *slog.Logger
	monitor  drivers.Monitor

	edges     *edges     // Run's goroutine only
	strangers *strangers // Run's goroutine only

	malformed map[string]*tally // by device; Run's goroutine only
	kicks     []time.Time       // when the broker closed the connection soon after it was made; Run's goroutine only

	mu      sync.Mutex // guards what follows
	live    *session   // nil while the endpoint is not connected
	waiting []*waiter  // writes whose confirmation is awaited
}

// Devices are the devices behind the broker, as configured.
func (d *driver) Devices() []drivers.Device {
	all := make([]drivers.Device, len(d.devices))
	for i, dev := range d.devices {
		all[i] = dev.Device
	}
	return all
}
