package mqtt

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for what another process or goroutine does.
const patience = 30 * time.Second

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// embedded is a broker in this process.
func embedded(t testing.TB, hooks ...mochi.Hook) (*mochi.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, listeners.NewNet("home", l), hooks...), l.Addr().String()
}

func serve(t testing.TB, l listeners.Listener, hooks ...mochi.Hook) *mochi.Server {
	t.Helper()
	server := mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if len(hooks) == 0 {
		hooks = []mochi.Hook{new(auth.AllowHook)}
	}
	for _, h := range hooks {
		if err := server.AddHook(h, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.AddListener(l); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server
}

// running is a driver whose Run was started.
type running struct {
	*driver
	stop context.CancelFunc
	done chan error

	mu   sync.Mutex
	told []drivers.Reading
	gate chan struct{} // where set, emit of anything but the link waits for it
}

// start runs a driver until the test ends or stop is called.
func start(t testing.TB, d *driver) *running { return startGated(t, d, nil) }

func startGated(t testing.TB, d *driver, gate chan struct{}) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{driver: d, stop: cancel, done: make(chan error, 1), gate: gate}
	go func() { r.done <- d.Run(ctx, r.emit) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.done:
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	return r
}

func (r *running) emit(batch []drivers.Reading) {
	r.mu.Lock()
	r.told = append(r.told, batch...)
	r.mu.Unlock()
	if r.gate != nil && !strings.HasSuffix(batch[0].Signal, "."+drivers.LinkSignal) {
		<-r.gate
	}
}

// ended waits for the end of Run and gives its error.
func (r *running) ended(t testing.TB) error {
	t.Helper()
	select {
	case err := <-r.done:
		r.done <- err // for the clean-up
		return err
	case <-time.After(patience):
		t.Fatal("Run does not end")
		return nil
	}
}

// up waits until the endpoint is connected.
func (r *running) up(t testing.TB) *running {
	t.Helper()
	eventually(t, "connected", func() bool {
		select {
		case err := <-r.done:
			r.done <- err
			t.Fatalf("Run ended: %v", err)
		default:
		}
		return strings.Contains(r.all(), "zigbee.link=1")
	})
	return r
}

// all is everything told so far, device.signal=value in order.
func (r *running) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	words := make([]string, len(r.told))
	for i, reading := range r.told {
		device, _, _ := strings.Cut(reading.Signal, ".")
		words[i] = device + "." + say([]drivers.Reading{reading})
	}
	return strings.Join(words, " ")
}

// tells waits until something was told.
func (r *running) tells(t testing.TB, words string) {
	t.Helper()
	eventually(t, words+" is told; told: "+r.all(), func() bool { return strings.Contains(r.all(), words) })
}

// counts is a Monitor that counts malformed payloads.
type counts struct {
	drivers.Discard
	mu        sync.Mutex
	details   []string
	unclaimed []string             // topics, with the model that would fit
	expiring  map[string]time.Time // certificates
}

func (c *counts) Unclaimed(topic, profile string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unclaimed = append(c.unclaimed, strings.TrimSpace(topic+" "+profile))
}

func (c *counts) Expiring(certificate string, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expiring == nil {
		c.expiring = map[string]time.Time{}
	}
	c.expiring[certificate] = until
}

func (c *counts) Malformed(device string, reason drivers.Reason, detail string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.details = append(c.details, device+" "+string(reason)+" "+detail)
}

func (c *counts) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.details)
}

// lines is a log that keeps its lines.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wire is a TCP proxy that can be cut, and that counts the MQTT packets of the client by their first byte.
type wire struct {
	net.Listener
	mu      sync.Mutex
	to      string
	open    []net.Conn
	made    int
	packets map[byte]int
	all     sync.WaitGroup
}

func newWire(t testing.TB, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, to: to, packets: map[byte]int{}}
	w.all.Add(1)
	go w.serve()
	t.Cleanup(func() {
		l.Close()
		w.cut()
		w.all.Wait()
	})
	return w
}

func (w *wire) serve() {
	defer w.all.Done()
	for {
		client, err := w.Accept()
		if err != nil {
			return
		}
		broker, err := net.Dial("tcp", w.to)
		if err != nil {
			client.Close()
			continue
		}
		w.mu.Lock()
		w.open = append(w.open, client, broker)
		w.made++
		w.mu.Unlock()
		w.all.Add(2)
		go func() {
			defer w.all.Done()
			defer client.Close()
			_, _ = io.Copy(client, broker)
		}()
		go func() {
			defer w.all.Done()
			defer broker.Close()
			w.count(client, broker)
		}()
	}
}

func (w *wire) count(client io.Reader, broker io.Writer) {
	r := bufio.NewReader(client)
	for {
		first, err := r.ReadByte()
		if err != nil {
			return
		}
		length, err := binary.ReadUvarint(r) // the encoding is the same
		if err != nil {
			return
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		w.mu.Lock()
		w.packets[first>>4]++
		w.mu.Unlock()
		if _, err := broker.Write(append(binary.AppendUvarint([]byte{first}, length), body...)); err != nil {
			return
		}
	}
}

// cut drops every connection without a word.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		c.Close()
	}
	w.open = nil
}

// sent is how many packets of a type the clients sent: 4 is PUBACK, 12 is PINGREQ.
func (w *wire) sent(kind byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.packets[kind]
}

// connections is how many were made.
func (w *wire) connections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.made
}

// other is a client that is not ours.
func other(t testing.TB, address string, options func(*paho.ClientOptions)) paho.Client {
	t.Helper()
	o := paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("other-" + hex.EncodeToString([]byte(t.Name()))[:8]).SetAutoReconnect(false)
	if options != nil {
		options(o)
	}
	c := paho.NewClient(o)
	if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal("connect: ", token.Error())
	}
	t.Cleanup(func() { c.Disconnect(100) })
	return c
}

// listen collects what arrives under a filter, as topic=payload.
func listen(t testing.TB, c paho.Client, filter string) func() string {
	t.Helper()
	var mu sync.Mutex
	var got []string
	token := c.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, m.Topic()+"="+string(m.Payload()))
	})
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal("subscribe: ", token.Error())
	}
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(got, " ")
	}
}

// publish publishes at QoS 1.
func publish(t testing.TB, c paho.Client, topic string, retained bool, payload string) {
	t.Helper()
	if token := c.Publish(topic, 1, retained, payload); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal("publish: ", token.Error())
	}
}
