package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	connectTimeout = 10 * time.Second
	writeTimeout   = 10 * time.Second
	largestPacket  = 64 << 10 // that a broker may send us; a command is some hundred bytes
)

// dial opens the connection to the broker, until ctx ends. Names are resolved anew each time.
func (c settings) dial(ctx context.Context, t *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if c.broker.Scheme == "ws" || c.broker.Scheme == "wss" {
		return c.dialWebsocket(ctx, t)
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", c.broker.Host)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return newConn(raw), nil
	}
	encrypted := tls.Client(raw, t)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return newConn(encrypted), nil
}

// dialWebsocket is dial over a websocket, which paho opens within the timeout but for no context.
func (c settings) dialWebsocket(ctx context.Context, t *tls.Config) (net.Conn, error) {
	type opened struct {
		net.Conn
		err error
	}
	done := make(chan opened, 1)
	go func() {
		ws, err := paho.NewWebsocket(c.broker.String(), t, connectTimeout, nil, nil)
		done <- opened{ws, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, o.err
		}
		return newConn(o.Conn), nil
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				o.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// conn is a connection that neither a stalled broker nor a hostile packet can hurt: paho writes pings without a deadline,
// allocates what a packet's length says, up to 256 MiB, panics at a SUBACK that grants more than was asked for and at an
// acknowledgement of what it is just failing to write, and keeps each PUBLISH of QoS 2 until the broker releases it.
type conn struct {
	net.Conn
	in   *bufio.Reader
	head []byte // of the packet at hand, not yet passed on
	body int    // bytes of it that follow

	write sync.Mutex // a deadline and its write belong together

	mu      sync.Mutex
	sent    map[uint16]bool // what the broker may acknowledge; guarded by mu
	writing uint16          // what is being written, 0: nothing that wants an acknowledgement; guarded by mu
	written chan struct{}   // closed when it is; guarded by mu
}

func newConn(raw net.Conn) *conn {
	return &conn{Conn: raw, in: bufio.NewReaderSize(raw, 1024), sent: map[uint16]bool{}}
}

var errPacket = errors.New("the broker sent a packet that is malformed or too large")

// Packet types, MQTT 3.1.1, table 2.1.
const (
	typeConnack   = 2
	typePublish   = 3
	typePuback    = 4
	typeSubscribe = 8
	typeSuback    = 9
	typePingresp  = 13
)

// Read reads from the packet at hand.
//
//	fixed header   type and flags 1 byte | remaining length 1–4 bytes, 7 bits each, low first      MQTT 3.1.1, 2.2
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.head) == 0 && c.body == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	n, err := c.in.Read(p[:min(len(p), c.body)])
	c.body -= n
	return n, err
}

// next reads the fixed header of the next packet.
func (c *conn) next() error {
	c.head = c.head[:0]
	for shift := 0; ; shift += 7 {
		b, err := c.in.ReadByte()
		if err != nil {
			return err
		}
		c.head = append(c.head, b)
		if len(c.head) == 1 {
			shift -= 7 // the type comes before the length
			continue
		}
		c.body |= int(b&0x7f) << shift
		if c.body > largestPacket || len(c.head) > 5 {
			c.head, c.body = nil, 0
			return errPacket
		}
		if b < 0x80 {
			break
		}
	}
	return c.check(c.head[0])
}

// check tells what is wrong with a packet that begins so.
func (c *conn) check(first byte) error {
	wrong := false
	switch first >> 4 {
	case typeConnack, typePingresp:
	case typePublish:
		wrong = first&0x04 != 0 // we ask for QoS 1
	case typePuback:
		wrong = c.body != 2
	case typeSuback:
		wrong = c.body != 3 // we ask for one filter
	default:
		wrong = true
	}
	if kind := first >> 4; !wrong && (kind == typePuback || kind == typeSuback) {
		id, err := c.in.Peek(2)
		if err != nil {
			return err
		}
		wrong = !c.acknowledged(binary.BigEndian.Uint16(id))
	}
	if wrong {
		c.head, c.body = nil, 0
		return errPacket
	}
	return nil
}

// acknowledged tells whether a packet was sent, once. Of the one that is being written it waits for the end of that, which needs
// nothing more of a broker that has it all.
func (c *conn) acknowledged(id uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == c.writing && id != 0 {
		written := c.written
		c.mu.Unlock()
		<-written
		c.mu.Lock()
	}
	was := c.sent[id]
	delete(c.sent, id)
	return was
}

func (c *conn) begin(id uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing, c.written = id, make(chan struct{})
}

func (c *conn) finish(id uint16, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id != 0 && err == nil {
		c.sent[id] = true
	}
	c.writing = 0
	close(c.written)
}

// identifier is that of a packet which wants an acknowledgement, 0 of another. All that we publish is QoS 1.
func identifier(packet []byte) uint16 {
	body := packet[min(1, len(packet)):]
	for len(body) > 0 && body[0] >= 0x80 {
		body = body[1:]
	}
	at := 1 // behind the length
	switch {
	case len(body) < 3:
		return 0
	case packet[0]>>4 == typePublish:
		at += 2 + int(binary.BigEndian.Uint16(body[1:]))
	case packet[0]>>4 != typeSubscribe:
		return 0
	}
	if len(body) < at+2 {
		return 0
	}
	return binary.BigEndian.Uint16(body[at:])
}

// Write writes one packet within the timeout.
func (c *conn) Write(p []byte) (int, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	id := identifier(p)
	c.begin(id)
	n, err := c.Conn.Write(p)
	c.finish(id, err)
	return n, err
}

// SetWriteDeadline does nothing: each Write has its own.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is for reading.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }
