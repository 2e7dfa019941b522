// Package sim is a simulated home behind real sockets: instruments that answer Modbus TCP, detectors that publish through
// an MQTT broker as Zigbee2MQTT does, cameras, a platform that takes series, and the phone of the person on duty.
//
// It serves the demo, the tests of the drivers and of the whole gateway, and measurements under load. It shares no code
// with the drivers it is read by: framing, register maps and payloads are its own, so that a mistake in one shows.
//
//	home, err := sim.Start(sim.Options{Log: log})
//	defer home.Close()
//	os.WriteFile("home.yaml", home.Config(i18n.English, "data", "127.0.0.1:8080"), 0o600)
//	go home.Run(ctx)                 // values drift, detectors report
//	home.Set("kitchen-gas.lel", 30)  // gas escapes; writing the coil of the valve stops it
//
// All methods may be called from any goroutine.
package sim

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"embergate/drivers/i18n"
)

// Options say where a home listens; an empty address is 127.0.0.1:0, a free port of the loopback.
type Options struct {
	Modbus   string // the instruments' bus; further meters listen on the ports after it, or on free ones
	MQTT     string // broker
	Platform string // InfluxDB v2 write endpoint
	Phone    string // webhook receiver
	Cameras  string // stills over HTTP
	Meters   int    // so many meters more, ten on a bus, each with ten registers
	Log      *slog.Logger
}

// Home is a simulated home.
type Home struct {
	log      *slog.Logger
	buses    []*bus // the instruments' first, then the meters'
	broker   *broker
	platform *platform
	phone    *phone
	cameras  *cameras

	mu      sync.Mutex // guards what follows
	values  map[string]*quantity
	silent  map[string]bool // by device
	lang    i18n.Lang       // of the names in the configuration
	console string          // address of the gateway's, as the configuration has it

	publishing sync.Mutex // held from composing a detector's state until it is published, so that the latest is last
}

// quantity is one signal of the home, in the unit of its kind.
type quantity struct {
	value  float64
	target float64 // where it drifts back to
	swing  float64 // how far it drifts; 0 stands still
}

// Start opens the home's sockets. Nothing in it changes by itself until Run.
func Start(o Options) (*Home, error) {
	h := &Home{log: o.Log, values: map[string]*quantity{}, silent: map[string]bool{}}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if err := h.open(o); err != nil {
		h.Close()
		return nil, err
	}
	for _, d := range detectors {
		h.broker.publish(d.topic+"/availability", availability(true), retained)
	}
	h.broker.publish("zigbee2mqtt/bridge/state", availability(true), retained)
	return h, nil
}

func (h *Home) open(o Options) error {
	const anywhere = "127.0.0.1:0"
	for _, d := range detectors {
		for _, f := range d.fields {
			h.values[d.device+"."+f.name] = &quantity{f.rest, f.rest, f.swing}
		}
	}
	blocks := append([][]unit{instruments}, meters(o.Meters)...)
	for i, units := range blocks {
		for _, u := range units {
			for _, c := range u.cells {
				if c.signal != "" {
					h.values[u.device+"."+c.signal] = &quantity{c.rest, c.rest, c.swing}
				}
			}
		}
		address, err := portAfter(cmp.Or(o.Modbus, anywhere), i)
		if err != nil {
			return err
		}
		b, err := h.listen(address, units)
		if err != nil {
			return err
		}
		h.buses = append(h.buses, b)
	}
	var err error
	if h.broker, err = newBroker(cmp.Or(o.MQTT, anywhere)); err != nil {
		return err
	}
	if h.platform, err = newPlatform(cmp.Or(o.Platform, anywhere), h.log); err != nil {
		return err
	}
	if h.phone, err = newPhone(cmp.Or(o.Phone, anywhere), h.log); err != nil {
		return err
	}
	h.cameras, err = newCameras(cmp.Or(o.Cameras, anywhere), h.log, h.burning)
	return err
}

// portAfter is the address n ports after another; a free port stays a free port.
func portAfter(address string, n int) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("sim: address %q: %w", address, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number+uint64(n) > math.MaxUint16 {
		return "", fmt.Errorf("sim: address %q: no port %d after %q", address, n, port)
	}
	if number != 0 {
		number += uint64(n)
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10)), nil
}

// Close closes the home's sockets and returns when everything it started has ended.
func (h *Home) Close() error {
	for _, b := range h.buses {
		b.close()
	}
	if h.broker != nil {
		h.broker.close()
	}
	if h.platform != nil {
		h.platform.close()
	}
	if h.phone != nil {
		h.phone.close()
	}
	if h.cameras != nil {
		h.cameras.close()
	}
	return nil
}

// Buses are the addresses of the Modbus TCP servers: the instruments' first, then the meters'.
func (h *Home) Buses() []string {
	addresses := make([]string, len(h.buses))
	for i, b := range h.buses {
		addresses[i] = b.listener.Addr().String()
	}
	return addresses
}

// Broker is the address of the MQTT broker, and who may use it.
func (h *Home) Broker() (address, username, password string) {
	return h.broker.address, brokerUser, h.broker.password
}

// Value is the present value of a signal, in the unit of its kind.
func (h *Home) Value(signal string) (float64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	q, ok := h.values[signal]
	if !ok {
		return 0, false
	}
	return q.value, true
}

// Set gives a signal a value, about which it drifts from now on; a detector tells it at once.
func (h *Home) Set(signal string, value float64) {
	h.mu.Lock()
	q, ok := h.values[signal]
	if ok {
		q.value, q.target = value, value
		h.followLocked()
	}
	h.mu.Unlock()
	if !ok {
		h.log.Warn("no such signal in the simulated home", "signal", signal)
		return
	}
	device, _, _ := strings.Cut(signal, ".")
	h.report(device)
}

// Silence makes a device fall silent, or speak again: an instrument does not answer, a detector is lost to its bridge.
func (h *Home) Silence(device string, silent bool) {
	h.mu.Lock()
	known := false
	for key := range h.values {
		known = known || strings.HasPrefix(key, device+".")
	}
	if known {
		h.silent[device] = silent
	}
	h.mu.Unlock()
	if !known {
		h.log.Warn("no such device in the simulated home", "device", device)
		return
	}
	if d, ok := detectorOf(device); ok {
		h.broker.publish(d.topic+"/availability", availability(!silent), retained)
	}
	h.report(device)
}

func (h *Home) isSilent(device string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.silent[device]
}

// SetPlatform takes the platform down, so that it breaks off every request, or brings it back.
func (h *Home) SetPlatform(up bool) { h.platform.down.Store(!up) }

// Platform is the base URL of the platform, with the token that may write.
func (h *Home) Platform() (url, token string) { return h.platform.url, h.platform.token }

// Received is how many requests and lines the platform has accepted.
func (h *Home) Received() (requests, lines int64) {
	return h.platform.requests.Load(), h.platform.lines.Load()
}

// Phone is the URL that messages for the person on duty go to, with the secret that signs them.
func (h *Home) Phone() (url, secret string) { return h.phone.url, h.phone.secret }

// Messages are the messages on the phone, the oldest first; the last thousand are kept.
func (h *Home) Messages() []Message { return h.phone.list() }

// Run lets the home live until ctx ends: values drift, gas disperses, detectors report every 20 s.
func (h *Home) Run(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for i := 0; ; i++ {
		h.step()
		for j, d := range detectors {
			if i == 0 || i%reportEvery == j*reportEvery/len(detectors) {
				h.report(d.device)
			}
		}
		select {
		case <-second.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// secret is a password for this run of the home.
func secret() string { return rand.Text() }
