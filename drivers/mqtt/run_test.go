package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"embergate/drivers"

	paho "github.com/eclipse/paho.mqtt.golang"
	pahopackets "github.com/eclipse/paho.mqtt.golang/packets"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// ward is a configuration with a broker's address to put in.
const ward = `
mqtt: {url: "mqtt://%s", client_id: gateway, keep_alive: 2s}
devices:
  - {id: smoke-201, topic: "zigbee2mqtt/smoke-201", profile: zigbee}
  - id: hydrant
    topic: "plant/hydrant/state"
    signals:
      - {id: pressure, kind: water_pressure, json: data.pressure_kpa, scale: 0.001}
      - {id: battery, kind: battery, json: data.bat}
  - id: any-hydrant
    topic: "plant/+/state"
    signals: [{id: battery, kind: battery, json: data.bat}]
  - id: shelly
    topic: "shellies/a"
    signals: [{id: smoke, kind: smoke, path: sensor/smoke}, {id: temperature, kind: temperature, path: sensor/temperature}]
  - id: valve
    topic: "zigbee2mqtt/valve"
    set_topic: "zigbee2mqtt/valve/set"
    signals: [{id: valve, kind: valve, json: state, enum: {"ON": 1, "OFF": 0}, writable: true}, {id: level, kind: number, json: level, scale: 0.1, writable: true}]
`

func openWard(t testing.TB, address string) *driver { return open(t, fmt.Sprintf(ward, address)) }

func TestMessagesBecomeReadings(t *testing.T) {
	server, address := embedded(t)
	if err := server.Publish("zigbee2mqtt/smoke-201", []byte(`{"smoke":false}`), true, 1); err != nil {
		t.Fatal(err)
	}
	r := start(t, openWard(t, address)).up(t)
	r.tells(t, "smoke-201.smoke=0(r)")
	c := other(t, address, nil)
	publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":true,"linkquality":61}`)
	publish(t, c, "plant/hydrant/state", false, `{"data":{"pressure_kpa":420,"bat":{}}}`)
	publish(t, c, "shellies/a/sensor/temperature", false, "58.1")
	publish(t, c, "shellies/a/sensor/smoke", false, "true")
	r.tells(t, "smoke-201.smoke=1 hydrant.pressure=0.42 hydrant.battery=decode any-hydrant.battery=decode shelly.temperature=58.1 shelly.smoke=1")
}

func TestOverWebsockets(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	server := serve(t, listeners.NewWebsocket(listeners.Config{ID: "home", Address: address}))
	eventually(t, "the broker listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	r := start(t, open(t, strings.Replace(fmt.Sprintf(ward, address), "mqtt://", "ws://", 1))).up(t)
	if err := server.Publish("zigbee2mqtt/smoke-201", []byte(`{"smoke":true,"pad":"`+strings.Repeat("x", 100_000)+`"}`), false, 1); err != nil {
		t.Fatal(err)
	}
	r.tells(t, "smoke-201.smoke=1")
}

func TestOneSubscribeAConnectionAndOneConnectionForAllDevices(t *testing.T) {
	_, address := embedded(t)
	w := newWire(t, address)
	r := start(t, openWard(t, w.Addr().String())).up(t)
	r.stop()
	if err := r.ended(t); err != nil {
		t.Error(err)
	}
	defer func() { // where it fails, what came instead
		if t.Failed() {
			t.Logf("%d connections, %d CONNECT, %d SUBSCRIBE, %d DISCONNECT", w.connections(), w.sent(1), w.sent(8), w.sent(14))
		}
	}()
	eventually(t, "one CONNECT, SUBSCRIBE and DISCONNECT", func() bool { // a stranger to the port says no CONNECT
		return w.sent(1) == 1 && w.sent(8) == 1 && w.sent(14) == 1
	})
}

func TestAvailabilityOfADeviceAndOfItsBridge(t *testing.T) {
	_, address := embedded(t)
	r := start(t, openWard(t, address)).up(t)
	c := other(t, address, nil)
	publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":false}`)
	publish(t, c, "zigbee2mqtt/smoke-201/availability", true, `{"state":"offline"}`)
	r.tells(t, "smoke-201.smoke=0 smoke-201.smoke=offline")
	publish(t, c, "zigbee2mqtt/smoke-201/availability", true, "online")
	publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":false}`)
	publish(t, c, "zigbee2mqtt/bridge/state", true, "offline")
	r.tells(t, "smoke-201.smoke=offline smoke-201.smoke=0 smoke-201.smoke=offline")
}

func TestStatusTopicSaysOnlineAndOffline(t *testing.T) {
	_, address := embedded(t)
	statusTopic(t, address)
}

func statusTopic(t *testing.T, address string) {
	c := other(t, address, nil)
	heard := listen(t, c, "embergate/+/status")
	w := newWire(t, address)
	d := openWard(t, w.Addr().String())
	r := start(t, d).up(t)
	const online, offline = "embergate/gateway/status=online", "embergate/gateway/status=offline"
	eventually(t, "online", func() bool { return strings.HasSuffix(heard(), online) }) // the broker may tell it twice, retained too
	w.cut()
	if err := r.ended(t); err == nil || !strings.Contains(err.Error(), "the broker closed the connection") {
		t.Errorf("a lost connection ends with %v", err)
	}
	eventually(t, "the will", func() bool { return strings.HasSuffix(heard(), online+" "+offline) })
	r = start(t, d).up(t)
	eventually(t, "online again", func() bool { return strings.HasSuffix(heard(), online) })
	r.stop()
	if err := r.ended(t); err != nil {
		t.Error(err)
	}
	eventually(t, "offline at a clean stop", func() bool { return strings.HasSuffix(heard(), offline) })
	late := listen(t, other(t, address, func(o *paho.ClientOptions) { o.SetClientID("late") }), "embergate/+/status")
	eventually(t, "kept for those who come later", func() bool { return late() == offline })
}

// Row MQ03.
func TestTenThousandMalformedPayloadsAreCountedSampledAndAcknowledged(t *testing.T) {
	server, address := embedded(t)
	w := newWire(t, address)
	e, _ := endpoint("home.yaml", fmt.Sprintf(ward, w.Addr().String()))
	log, monitor := &lines{}, &counts{}
	e.Log, e.Monitor = slog.New(slog.NewTextHandler(log, nil)), monitor
	r := start(t, New()(e).(*driver)).up(t)
	const n = 10_000
	for i := range n {
		if err := server.Publish("zigbee2mqtt/smoke-201", []byte("{\"smoke\":\x1b"+strings.Repeat("烟", 60)), false, 1); err != nil {
			t.Fatal(err)
		}
		if i == n/2 {
			if err := server.Publish("zigbee2mqtt/smoke-201", []byte(`{"smoke":true}`), false, 1); err != nil {
				t.Fatal(err)
			}
		}
		if i%1000 == 999 {
			eventually(t, "acknowledged", func() bool { return w.sent(4) > i })
		}
	}
	eventually(t, "all acknowledged", func() bool { return w.sent(4) == n+1 })
	details := monitor.all()
	if len(details) != n || r.all() != "zigbee.link=1 smoke-201.smoke=1" {
		t.Errorf("%d counted; told %s", len(details), r.all())
	}
	if d := details[0]; !strings.HasPrefix(d, `smoke-201 decode zigbee2mqtt/smoke-201: payload is not JSON: "{\"smoke\":\x1b烟`) || len(d) > 200 {
		t.Errorf("detail %q", d)
	}
	if n := strings.Count(log.String(), "malformed payload"); n < 1 || n > 5 {
		t.Errorf("%d log lines", n)
	}
}

func TestOversizedPayloadIsMalformedAndAcknowledged(t *testing.T) {
	_, address := embedded(t)
	w := newWire(t, address)
	e, _ := endpoint("home.yaml", fmt.Sprintf(ward, w.Addr().String()))
	monitor := &counts{}
	e.Monitor = monitor
	r := start(t, New()(e).(*driver)).up(t)
	c := other(t, address, nil)
	publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":true,"pad":"`+strings.Repeat("x", 8<<20)+`"}`)
	publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":false}`)
	r.tells(t, "zigbee.link=1 smoke-201.smoke=0")
	eventually(t, "both acknowledged", func() bool { return w.sent(4) == 2 })
	if d := monitor.all(); len(d) != 1 || !strings.Contains(d[0], "longer than 256 KiB") {
		t.Error(d)
	}
}

// Row MQ12.
func TestBlockedEmitKeepsTheConnectionAlive(t *testing.T) {
	_, address := embedded(t)
	w := newWire(t, address)
	gate := make(chan struct{})
	r := startGated(t, openWard(t, w.Addr().String()), gate).up(t)
	c := other(t, address, nil)
	for range 100 {
		publish(t, c, "zigbee2mqtt/smoke-201", false, `{"smoke":true}`)
	}
	r.tells(t, "smoke-201.smoke=1")
	pings := w.sent(12)
	eventually(t, "two more pings", func() bool { return w.sent(12) >= pings+2 })
	if w.sent(4) != 0 {
		t.Error("acknowledged before the gateway held it")
	}
	close(gate)
	eventually(t, "all told", func() bool { return strings.Count(r.all(), "smoke=1") == 100 })
	eventually(t, "all acknowledged", func() bool { return w.sent(4) == 100 })
	if n := w.connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestMoreThanTheQueueHoldsEndsTheSessionAndLosesNothingThatCame(t *testing.T) {
	server, address := embedded(t)
	gate := make(chan struct{})
	r := startGated(t, openWard(t, address), gate).up(t)
	if err := server.Publish("zigbee2mqtt/smoke-201", []byte(`{"smoke":true}`), false, 0); err != nil {
		t.Fatal(err)
	}
	r.tells(t, "smoke-201.smoke=1") // and the gateway is slow now
	for sent := 0; ; sent++ {
		if c, ok := server.Clients.Get("gateway"); !ok || c.Closed() || sent > 1_000_000 {
			t.Fatalf("after %d messages: closed before the gateway took them", sent)
		}
		if err := server.Publish("zigbee2mqtt/smoke-201", []byte(`{"smoke":true}`), false, 0); err != nil {
			t.Fatal(err)
		}
		r.driver.mu.Lock()
		lost := r.driver.live.gone.Done()
		r.driver.mu.Unlock()
		select {
		case <-lost:
		default:
			continue
		}
		break
	}
	close(gate)
	if err := r.ended(t); err == nil || !strings.Contains(err.Error(), "more than 4096 messages or 16 MiB wait for the gateway") {
		t.Error(err)
	}
	if n := strings.Count(r.all(), "smoke=1"); n < 1+maxQueued { // what comes between the loss and the end is told too
		t.Errorf("%d told, want at least %d", n, 1+maxQueued)
	}
}

// refusing lets everybody in and refuses some filters.
type refusing struct {
	mochi.HookBase
	filters string
}

func (h *refusing) ID() string { return "refusing" }
func (h *refusing) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (h *refusing) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (h *refusing) OnACLCheck(_ *mochi.Client, topic string, write bool) bool {
	return write || !strings.Contains(h.filters, topic)
}

func TestOneRefusedSubscriptionSilencesNobodyElse(t *testing.T) {
	_, address := embedded(t, &refusing{filters: "zigbee2mqtt/smoke-201"})
	log := &lines{}
	e, _ := endpoint("home.yaml", fmt.Sprintf(ward, address))
	e.Log = slog.New(slog.NewTextHandler(log, nil))
	r := start(t, New()(e).(*driver)).up(t)
	r.tells(t, "smoke-201.smoke=offline")
	r.mu.Lock()
	detail := r.told[1].Detail
	r.mu.Unlock()
	if detail != "the broker refused the subscription to zigbee2mqtt/smoke-201" || !strings.Contains(log.String(), "filter=zigbee2mqtt/smoke-201") {
		t.Errorf("detail %q, log %s", detail, log.String())
	}
	publish(t, other(t, address, nil), "shellies/a/sensor/smoke", false, "true")
	r.tells(t, "shelly.smoke=1")
}

func TestRefusedSubscriptionsOfAllDevicesEndRun(t *testing.T) {
	_, address := embedded(t, &refusing{filters: "zigbee2mqtt/smoke-201 plant/hydrant/state plant/+/state shellies/a/sensor/smoke shellies/a/sensor/temperature zigbee2mqtt/valve"})
	r := start(t, openWard(t, address))
	if err := r.ended(t); err == nil || !strings.Contains(err.Error(), "the broker refused zigbee2mqtt/smoke-201, plant/hydrant/state") {
		t.Error(err)
	}
}

func TestTakeoverByAnotherClientIsNamed(t *testing.T) {
	_, address := embedded(t)
	d := openWard(t, address)
	for i := 1; ; i++ {
		r := start(t, d).up(t)
		rival := other(t, address, func(o *paho.ClientOptions) {
			o.SetClientID("gateway").SetCleanSession(false) // where a clean one ends, mochi may forget whoever came after it
		})
		err := r.ended(t)
		rival.Disconnect(100)
		if err == nil {
			t.Fatal("no error")
		}
		named := strings.Contains(err.Error(), `client identifier "gateway" taken over 3 times in`)
		if named != (i == 3) {
			t.Errorf("loss %d: %v", i, err)
		}
		if i == 3 {
			return
		}
	}
}

func TestExplainForgetsLossesThatWereNoTakeover(t *testing.T) {
	d := open(t, `mqtt: {url: "mqtt://h", client_id: gateway}`)
	lose := func(after, lasted time.Duration, err error) string {
		now := noon.Add(after)
		connected := now.Add(-lasted)
		if lasted < 0 {
			connected = time.Time{}
		}
		return d.explain(err, connected, now).Error()
	}
	for i, c := range []struct {
		after, lasted time.Duration
		err           error
		named         bool
	}{
		{0, time.Second, io.EOF, false},
		{time.Minute, time.Second, io.EOF, false},
		{2 * time.Minute, time.Second, errors.New("pingresp not received, disconnecting"), false},
		{8 * time.Minute, time.Second, io.EOF, false}, // the first two are too long ago
		{9 * time.Minute, time.Second, io.EOF, false},
		{10 * time.Minute, time.Second, io.EOF, true},
		{11 * time.Minute, 2 * time.Minute, io.EOF, false}, // this one lasted
		{12 * time.Minute, time.Second, io.EOF, false},
		{13 * time.Minute, time.Second, syscall.ECONNRESET, false},
		{14 * time.Minute, time.Second, syscall.EPIPE, true},
		{15 * time.Minute, -1, errors.New("connection refused"), false}, // whoever is taken over can connect
		{16 * time.Minute, time.Second, io.EOF, false},
	} {
		if got := lose(c.after, c.lasted, c.err); strings.Contains(got, "taken over") != c.named {
			t.Errorf("loss %d: %s", i+1, got)
		}
	}
	if err := d.explain(io.EOF, time.Time{}, noon); err != io.EOF {
		t.Error(err)
	}
}

// Row MQ10: the gateway tries again at most 30 s later, for as long as it takes.
func TestNobodyListensIsAnError(t *testing.T) {
	_, address := embedded(t)
	w := newWire(t, address)
	w.Close()
	err := start(t, openWard(t, w.Addr().String())).ended(t)
	if err == nil || !strings.Contains(err.Error(), "mqtt mqtt://"+w.Addr().String()+": connect: ") || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

func TestStopWhileTheBrokerSaysNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	r := start(t, openWard(t, silent.Addr().String()))
	c, err := silent.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r.stop()
	if err := r.ended(t); err != nil {
		t.Error(err)
	}
}

// Rows MQ08 and MQ15.
func TestConnectIsMQTT311WithAKeptSessionAndNeverOlder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := start(t, openWard(t, l.Addr().String()))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	connect, err := pahopackets.ReadPacket(c)
	if err != nil {
		t.Fatal(err)
	}
	p := connect.(*pahopackets.ConnectPacket)
	if p.ProtocolName != "MQTT" || p.ProtocolVersion != 4 || p.CleanSession || p.ClientIdentifier != "gateway" || p.Keepalive != 2 {
		t.Errorf("%s", p)
	}
	if !p.WillFlag || !p.WillRetain || p.WillQos != 1 || p.WillTopic != "embergate/gateway/status" || string(p.WillMessage) != "offline" {
		t.Errorf("will: %s", p)
	}
	if _, err := c.Write([]byte{0x20, 2, 0, 1}); err != nil { // CONNACK: unacceptable protocol version
		t.Fatal(err)
	}
	// A second try at an older level would wait for an answer in vain, and end with that.
	if err := r.ended(t); err == nil || !errors.Is(err, pahopackets.ErrorRefusedBadProtocolVersion) {
		t.Error(err)
	}
}

func TestPanicOfTheGatewayLeavesNothingBehind(t *testing.T) {
	server, address := embedded(t)
	d := openWard(t, address)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = d.Run(context.Background(), func(batch []drivers.Reading) { panic("hub") })
	}()
	eventually(t, "disconnected", func() bool {
		c, ok := server.Clients.Get("gateway")
		return ok && c.Closed()
	})
	start(t, d).up(t)
}

func TestExpireMakesASilentDeviceOffline(t *testing.T) {
	_, address := embedded(t)
	d := open(t, `
mqtt: {url: "mqtt://`+address+`"}
devices: [{id: a, topic: a, expire: 1s, signals: [{id: s, kind: smoke, json: s}]}]
`)
	start(t, d).up(t).tells(t, "a.s=offline")
}

func TestWriteIsConfirmedByTheDevice(t *testing.T) {
	_, address := embedded(t)
	d := openWard(t, address)
	if _, err := d.Write(t.Context(), "valve.valve", 1); !errors.Is(err, errNotConnected) {
		t.Errorf("before Run: %v", err)
	}
	r := start(t, d).up(t)
	c := other(t, address, nil)
	heard := listen(t, c, "zigbee2mqtt/valve/set")
	answer := make(chan string, 1)
	go func() {
		eventually(t, "the command", func() bool { return heard() != "" })
		publish(t, c, "zigbee2mqtt/valve", false, `{"state":"OFF"}`)
		publish(t, c, "zigbee2mqtt/valve", false, `{"state":"ON"}`)
		answer <- heard()
	}()
	if _, err := d.Write(t.Context(), "valve.valve", 1); err != nil {
		t.Error(err)
	}
	if got := <-answer; got != `zigbee2mqtt/valve/set={"state":"ON"}` {
		t.Error(got)
	}
	r.tells(t, "valve.valve=0 valve.valve=1")

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := d.Write(ctx, "valve.valve", 0); err == nil || !strings.Contains(err.Error(), "sent, but the device reports nothing") {
		t.Errorf("unconfirmed: %v", err)
	}
	for signal, value := range map[string]float64{"valve.state": 1, "smoke-201.smoke": 0, "valve.valve": 0.5} {
		if _, err := d.Write(t.Context(), signal, value); err == nil || !strings.Contains(err.Error(), "mqtt write "+signal) {
			t.Errorf("%s = %v: %v", signal, value, err)
		}
	}
	r.stop()
	_ = r.ended(t)
	if _, err := d.Write(t.Context(), "valve.valve", 1); !errors.Is(err, errNotConnected) {
		t.Errorf("after Run: %v", err)
	}
}

func TestCommandIsTheRawValue(t *testing.T) {
	d := openWard(t, "h")
	_, valve, _ := d.output("valve.valve")
	_, level, _ := d.output("valve.level")
	inverted := drivers.Signal{Kind: "relay", JSON: "on", Scale: -1, Offset: 1}
	for _, c := range []struct {
		sig   drivers.Signal
		value float64
		want  string
	}{
		{valve, 1, `{"state":"ON"}`}, {valve, 0, `{"state":"OFF"}`}, {level, 4, `{"level":40}`}, {inverted, 1, `{"on":false}`}, {inverted, 0, `{"on":true}`},
	} {
		got, err := command(c.sig, c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%v: %s, %v; want %s", c.value, got, err, c.want)
		}
		back, err := Decode([]drivers.Signal{c.sig}, "", got, noon)
		if err != nil || len(back) != 1 || back[0].Value != c.value {
			t.Errorf("%s reads back as %v, %v", got, back, err)
		}
	}
}
