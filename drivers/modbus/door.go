package modbus

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/drivers/conf"
)

// door is a TCP port at which converters (DTUs, mostly on a mobile network) dial in. Each says first who it is, the registration
// packet, and belongs to the wire with that registration; in between it may send heartbeats, which are no part of any reply.
// The port is open while a session of one of its wires runs.
type door struct {
	address string
	names   []string // registrations of its wires; "" where one wire takes whoever comes

	mu       sync.Mutex
	users    int // guarded by mu, as is what follows
	listener net.Listener
	ready    map[string]*caller       // by registration: it waits to be used
	waiting  map[string]chan struct{} // by registration: closed when there is one
	strange  []net.Conn               // have not said who they are, the oldest first
	running  *sync.WaitGroup          // since the port was opened
}

// Bounds of what strangers may cost.
const (
	registerTime = 10 * time.Second // until a converter has said who it is
	mostStrange  = 64
	lateAfter    = 10 * time.Second // after which a wire says that nobody has dialled in
)

// errNobody tells that no converter has dialled in yet.
var errNobody = errors.New("no converter has dialled in")

// dialIn completes a place at which a converter dials in, from the endpoint's keys.
func (at *place) dialIn(s conf.Section, set settings) {
	if at.listen == "" {
		for _, key := range []string{"register", "heartbeat"} {
			if s.At(key).Exists() {
				s.At(key).Problem("this key is for a converter that dials in, rtu+listen://:PORT")
			}
		}
		return
	}
	at.register, at.heartbeat = packet(s.At("register"), set.Register), packet(s.At("heartbeat"), set.Heartbeat)
	if at.register != "" {
		at.name += " " + set.Register
	}
}

// packet is bytes written as they are, or in hexadecimal after hex:.
func packet(s conf.Section, text string) string {
	digits, isHex := strings.CutPrefix(text, "hex:")
	if !isHex {
		return text
	}
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil || len(b) == 0 {
		s.Problem("%q is no hexadecimal: write it as hex:01 02 0A", text)
	}
	return string(b)
}

// enter makes the wire one of the door at its address, and reports what would leave open whose a converter is.
func (w *wire) enter(doors map[string]*door, s conf.Section) {
	if w.at.listen == "" {
		return
	}
	d := doors[w.at.listen]
	if d == nil {
		d = &door{address: w.at.listen}
		doors[w.at.listen] = d
	}
	for _, name := range d.names {
		if strings.HasPrefix(name, w.at.register) || strings.HasPrefix(w.at.register, name) {
			s.At("register").Problem("converters that dial in at %s must be told apart: give each endpoint a register of its own, none the beginning of another", w.at.listen)
			break
		}
	}
	d.names = append(d.names, w.at.register)
	w.door = d
	w.open = func(ctx context.Context, at place, _ line) (port, error) { return d.take(ctx, at) }
}

// lateness is when the wire says that nobody has dialled in; never where we dial.
func (w *wire) lateness() <-chan time.Time {
	if w.door == nil {
		return nil
	}
	return time.After(lateAfter)
}

// keepOpen opens the port, or counts one more who needs it.
func (d *door) keepOpen() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users == 0 {
		l, err := net.Listen("tcp", d.address)
		if err != nil {
			return fmt.Errorf("modbus: wait for converters: %w", err)
		}
		d.listener = l
		d.ready, d.waiting = map[string]*caller{}, map[string]chan struct{}{}
		d.strange, d.running = nil, &sync.WaitGroup{}
		d.running.Go(func() { d.welcome(l) })
	}
	d.users++
	return nil
}

// leave closes the port after its last user, with all who have come and are not used.
func (d *door) leave() {
	d.mu.Lock()
	d.users--
	last, running := d.users == 0, d.running // when that has ended, another may have opened the port again
	if last {
		d.listener.Close()
		for _, conn := range d.strange {
			conn.Close()
		}
		for _, c := range d.ready {
			c.Close()
		}
	}
	d.mu.Unlock()
	if last {
		running.Wait()
	}
}

// welcome accepts converters until the listener is closed. Where many have not said who they are, the oldest of them is hung up
// on: a converter speaks at once, and whoever keeps silent shuts nobody out.
func (d *door) welcome(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, or it is gone already
			time.Sleep(10 * time.Millisecond)
			continue
		}
		d.mu.Lock()
		if d.listener != l || d.users == 0 {
			conn.Close()
			d.mu.Unlock()
			return
		}
		if len(d.strange) == mostStrange {
			d.strange[0].Close()
			d.strange = d.strange[1:]
		}
		d.strange = append(d.strange, conn)
		d.running.Go(func() { d.meet(conn) })
		d.mu.Unlock()
	}
}

// meet lets a converter say who it is, and gives it to who waits for it. While another is in use under its name it waits: it has
// dialled anew because that connection is dead, which shows at the next exchange, or two converters have one registration, and
// then readings must not come from now the one and now the other.
func (d *door) meet(conn net.Conn) {
	name, rest, known := d.ask(conn)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.strange = slices.DeleteFunc(d.strange, func(c net.Conn) bool { return c == conn })
	if !known || d.users == 0 {
		conn.Close()
		return
	}
	if old := d.ready[name]; old != nil {
		old.Close()
	}
	d.ready[name] = &caller{Conn: conn, pending: rest}
	if c := d.waiting[name]; c != nil {
		close(c)
		delete(d.waiting, name)
	}
}

// ask reads until one of the registrations is there.
func (d *door) ask(conn net.Conn) (name string, rest []byte, known bool) {
	if len(d.names) == 1 && d.names[0] == "" {
		return "", nil, true
	}
	conn.SetReadDeadline(time.Now().Add(registerTime))
	defer conn.SetReadDeadline(time.Time{})
	var said []byte
	chunk := make([]byte, 256)
	for len(said) < 512 {
		n, err := conn.Read(chunk)
		said = append(said, chunk[:n]...)
		for _, name := range d.names {
			if bytes.HasPrefix(said, []byte(name)) {
				return name, said[len(name):], true
			}
		}
		if err != nil {
			break
		}
	}
	return "", nil, false
}

// waits tells whether a converter of that registration has dialled in and is not used.
func (d *door) waits(register string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ready[register] != nil
}

// take is the converter of a wire, which may have to be waited for; the error wraps errNobody where it does not come.
func (d *door) take(ctx context.Context, at place) (port, error) {
	timer := time.NewTimer(dialTimeout)
	defer timer.Stop()
	for {
		d.mu.Lock()
		if c := d.ready[at.register]; c != nil {
			delete(d.ready, at.register)
			d.mu.Unlock()
			c.heartbeat, c.header = []byte(at.heartbeat), at.framing == tcp
			return c, nil
		}
		come := d.waiting[at.register]
		if come == nil {
			come = make(chan struct{})
			d.waiting[at.register] = come
		}
		d.mu.Unlock()
		select {
		case <-come:
		case <-timer.C:
			return nil, fmt.Errorf("%w at %s", errNobody, at.name)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// patience is how many exchanges without a byte back end a connection; 0 where none does. Who dials us comes back when it likes,
// so its connection is kept for long, unless it is there anew already.
func (l *link) patience() int {
	switch {
	case l.at.framing == rtu:
		return 0
	case l.door != nil && l.door.waits(l.at.register):
		return 1
	case l.door != nil:
		return dialInSilence
	case l.at.framing == rtuOver:
		return 1
	}
	return mostSilence
}

// overdue is how long to wait for a late reply before a request that it could be taken for: the same unit was asked for something
// else and was silent. Over RTU nothing but unit, function and length tells one reply from another.
func (l *link) overdue(adu []byte) time.Duration {
	owed := l.owed[adu[0]]
	if owed == nil || bytes.Equal(owed, adu) {
		return 0
	}
	delete(l.owed, adu[0])
	return l.current.timeout
}

// caller is the connection of a converter that dialled in. Its heartbeats are left out: one that comes by itself, and with a
// Modbus TCP header before what answers a request. Before an RTU frame they are noise, which the frame's CRC is found behind.
type caller struct {
	net.Conn
	heartbeat []byte
	header    bool   // Modbus TCP
	pending   []byte // was read with the registration
	within    bool   // an answer has begun
}

// Write sends a request: what comes next begins an answer.
func (c *caller) Write(p []byte) (int, error) {
	c.within = false
	return c.Conn.Write(p)
}

// Read reads what is no heartbeat.
func (c *caller) Read(p []byte) (int, error) {
	for {
		n, err := copy(p, c.pending), error(nil)
		c.pending = c.pending[n:]
		if n == 0 {
			n, err = c.Conn.Read(p)
		}
		kept := c.strip(p[:n])
		if len(kept) > 0 || n == 0 || err != nil {
			return copy(p, kept), err
		}
	}
}

func (c *caller) strip(b []byte) []byte {
	switch {
	case len(c.heartbeat) == 0:
		return b
	case bytes.Equal(b, c.heartbeat):
		return nil
	case c.within || !c.header:
		return b
	}
	b = withoutPrefix(b, c.heartbeat)
	c.within = len(b) > 0
	return b
}

func withoutPrefix(b, prefix []byte) []byte {
	for len(prefix) > 0 && bytes.HasPrefix(b, prefix) {
		b = b[len(prefix):]
	}
	return b
}

// withoutHeartbeats is what a converter said besides being alive.
func (at place) withoutHeartbeats(b []byte) []byte { return withoutPrefix(b, []byte(at.heartbeat)) }
