package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
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
		ws, err := paho.NewWebsocket(c.broker.String(), t, connectTimeout, nil, nil)
		if err != nil {
			return nil, err
		}
		return newConn(ws), nil
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

// conn is a connection that neither a stalled broker nor a packet that claims to be huge can hurt: paho writes pings
// without a deadline, and allocates what a packet's length says, up to 256 MiB.
type conn struct {
	net.Conn
	in    *bufio.Reader
	head  []byte     // of the packet at hand, not yet passed on
	body  int        // bytes of it that follow
	write sync.Mutex // a deadline and its write belong together
}

func newConn(raw net.Conn) *conn { return &conn{Conn: raw, in: bufio.NewReaderSize(raw, 1024)} }

var errPacket = errors.New("the broker sent a packet that is malformed or too large")

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
			return nil
		}
	}
}

// Write writes within the timeout.
func (c *conn) Write(p []byte) (int, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline does nothing: each Write has its own.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is for reading.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }
