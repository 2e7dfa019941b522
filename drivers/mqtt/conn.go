package mqtt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Timeouts of a connection. Names are resolved anew for each.
const (
	connectTimeout = 10 * time.Second
	writeTimeout   = 10 * time.Second
	enqueueTimeout = 2 * time.Second // until paho takes a packet: it does not notice there that the connection is lost
	pingTimeout    = 10 * time.Second
	replyTimeout   = 10 * time.Second // SUBACK and PUBACK
)

// dial opens the connection to the broker, until ctx ends. topics is how many topics will be subscribed.
func (c settings) dial(ctx context.Context, t *tls.Config, topics int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if c.broker.Scheme == "ws" || c.broker.Scheme == "wss" {
		ws, err := paho.NewWebsocket(c.broker.String(), t, connectTimeout, nil, nil)
		if err != nil {
			return nil, err
		}
		return newConn(ws, topics), nil
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", c.broker.Host)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return newConn(raw, topics), nil
	}
	encrypted := tls.Client(raw, t)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return newConn(encrypted, topics), nil
}

// conn is a connection that neither a stalled broker nor an oversized packet can hurt: paho writes acknowledgements and
// pings without a deadline, allocates what a packet's length says (up to 256 MiB), and indexes by a SUBACK's length.
type conn struct {
	net.Conn
	packets packetReader
	write   sync.Mutex // a deadline and its write belong together
}

func newConn(raw net.Conn, topics int) *conn {
	return &conn{Conn: raw, packets: packetReader{r: bufio.NewReader(raw), topics: topics}}
}

func (c *conn) Read(p []byte) (int, error) { return c.packets.Read(p) }

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

// packetReader passes MQTT control packets on. Of a PUBLISH with a payload beyond maxPayload it passes maxPayload+1 bytes,
// enough to know it as too large and to acknowledge it, and skips the rest. Source: MQTT 3.1.1, 2.2 and 3.3.
//
//	fixed header     type 4 bits | flags 4 bits (DUP, QoS 2 bits, RETAIN) | remaining length 1–4 bytes, 7 bits each, low first
//	PUBLISH          topic length 2 bytes | topic | packet identifier 2 bytes if QoS > 0 | payload
type packetReader struct {
	r      *bufio.Reader
	topics int          // of our one SUBSCRIBE
	head   bytes.Buffer // to be passed before body
	body   int          // bytes to pass
	skip   int          // bytes to drop after body
}

// Packet types, MQTT 3.1.1, table 2.1.
const (
	typePublish = 3
	typeSuback  = 9
)

var errPacket = errors.New("malformed packet from the broker")

// Read reads from the current packet.
func (p *packetReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if p.head.Len() == 0 && p.body == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	if p.head.Len() > 0 {
		return p.head.Read(b)
	}
	n, err := p.r.Read(b[:min(len(b), p.body)])
	p.body -= n
	return n, err
}

// next reads a fixed header, and as much as it takes to know what to pass.
func (p *packetReader) next() error {
	if _, err := p.r.Discard(p.skip); err != nil {
		return err
	}
	p.skip = 0
	first, err := p.r.ReadByte()
	if err != nil {
		return err
	}
	length, encoded, err := readLength(p.r)
	if err != nil {
		return err
	}
	p.body = length
	switch {
	case first>>4 == typeSuback && length != 2+p.topics:
		return fmt.Errorf("%w: SUBACK of %d bytes for %d topics", errPacket, length, p.topics)
	case first>>4 != typePublish && length > 64<<10:
		return fmt.Errorf("%w: type %d of %d bytes", errPacket, first>>4, length)
	case first>>4 != typePublish || length <= maxPayload:
		p.head.WriteByte(first)
		p.head.Write(encoded)
		return nil
	}
	return p.publish(first, encoded, length)
}

// publish passes a PUBLISH of more than maxPayload bytes, whose payload may still be short enough.
func (p *packetReader) publish(first byte, encoded []byte, length int) error {
	var size [2]byte
	if _, err := io.ReadFull(p.r, size[:]); err != nil {
		return err
	}
	before := 2 + int(binary.BigEndian.Uint16(size[:])) // the payload; less than maxPayload
	if first&0x06 != 0 {
		before += 2
	}
	if over := length - before - (maxPayload + 1); over > 0 {
		p.skip, length = over, length-over
		encoded = appendLength(nil, length)
	}
	p.body = length - len(size)
	p.head.WriteByte(first)
	p.head.Write(encoded)
	p.head.Write(size[:])
	return nil
}

// readLength reads a remaining length, and gives it as it was encoded too; MQTT 3.1.1, 2.2.3.
func readLength(r io.ByteReader) (length int, encoded []byte, err error) {
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		encoded = append(encoded, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			return length, encoded, nil
		}
	}
	return 0, nil, fmt.Errorf("%w: remaining length of more than four bytes", errPacket)
}

func appendLength(b []byte, length int) []byte {
	for length > 0x7f {
		b = append(b, byte(length)|0x80)
		length >>= 7
	}
	return append(b, byte(length))
}
