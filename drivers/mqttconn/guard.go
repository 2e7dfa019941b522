package mqttconn

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// ErrPacket is a packet that no broker may send to a client of ours.
var ErrPacket = errors.New("the broker sent a packet that is malformed or was not asked for")

// Packet types, MQTT 3.1.1, table 2.1.
const (
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typeSubscribe  = 8
	typeSuback     = 9
	typePingresp   = 13
	typeDisconnect = 14
)

// Guard puts itself between a connection and paho. Of itself paho writes pings and acknowledgements without a deadline,
// allocates what a packet's length says, up to 256 MiB, panics at a SUBACK that grants more than was asked for and at an
// acknowledgement of what it is just failing to write, and keeps each PUBLISH of QoS 2 until the broker releases it.
//
// A payload beyond maxPayload, at least 2, is cut to maxPayload+1 bytes: enough to know it as too large and to acknowledge it,
// so that it does not come again. A read fails with ErrPacket at what no broker may send. Subscriptions may ask for QoS 1 at
// most; each write is one packet, as paho's are.
func Guard(raw net.Conn, maxPayload int) net.Conn {
	return &conn{Conn: raw, in: bufio.NewReader(raw), maxPayload: maxPayload, sent: map[uint16]*request{}}
}

type conn struct {
	net.Conn
	in         *bufio.Reader
	maxPayload int
	head       []byte // of the packet at hand, not yet passed on
	body       int    // bytes of it that follow
	skip       int    // bytes behind them to drop

	write sync.Mutex // a deadline and its write belong together

	mu   sync.Mutex
	sent map[uint16]*request // what the broker may acknowledge, by packet identifier; guarded by mu
}

// request is a packet that wants an acknowledgement.
type request struct {
	reply   int           // bytes of the acknowledgement behind its fixed header
	written chan struct{} // closed when the request is written, or failed to be
	err     error         // of that; to be read afterwards
}

// Read reads from the packet at hand.
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

// next reads as much of the next packet as it takes to know what to pass on.
func (c *conn) next() error {
	for {
		if _, err := c.in.Discard(c.skip); err != nil {
			return err
		}
		c.skip = 0
		head, length, err := readHeader(c.in)
		if err != nil {
			return err
		}
		if c.skip, err = c.surplus(head[0], length); err != nil {
			return err
		}
		c.body = length - c.skip
		if c.skip == 0 {
			c.head = head
			return nil
		}
		if c.body > 0 {
			c.head = binary.AppendUvarint(head[:1], uint64(c.body)) // the encoding is the same
			return nil
		}
	}
}

// readHeader reads a fixed header, and gives it as it was encoded too.
//
//	type 4 bits | flags 4 bits (PUBLISH: DUP, QoS 2 bits, RETAIN) | remaining length 1–4 bytes, 7 bits each, low first
//
// Source: MQTT 3.1.1, 2.2.
func readHeader(r io.ByteReader) (head []byte, length int, err error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, 0, err
	}
	head = []byte{first}
	for shift := 0; shift < 28; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return nil, 0, err
		}
		head = append(head, b)
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			return head, length, nil
		}
	}
	return nil, 0, fmt.Errorf("%w: remaining length of more than four bytes", ErrPacket)
}

// surplus is how many bytes of a packet are to be dropped at its end: all of a PUBACK that nobody waits for, which some brokers
// repeat from a connection before. An error says what no broker may send.
func (c *conn) surplus(first byte, length int) (int, error) {
	kind, plain := first>>4, first&0x0f == 0 // [MQTT-2.2.2-2]
	switch {
	case kind == typePublish && first&0x04 == 0: // neither QoS 2 nor 3
		return c.tooLong(first, length)
	case kind == typeConnack && plain && length == 2, kind == typePingresp && plain && length == 0:
		return 0, nil
	case kind == typePuback && plain && length == 2, kind == typeSuback && plain && length > 2:
		id, err := c.in.Peek(2)
		switch {
		case err != nil:
			return 0, err
		case c.acknowledged(binary.BigEndian.Uint16(id), length):
			return 0, nil
		case kind == typePuback:
			return length, nil
		}
	case kind == typeDisconnect:
		return 0, io.EOF // of MQTT 5, but some say it to us too before they hang up
	}
	return 0, fmt.Errorf("%w: type %d, flags %#x, %d bytes", ErrPacket, kind, first&0x0f, length)
}

// tooLong is how many bytes of a PUBLISH are too many.
//
//	topic length 2 bytes | topic | packet identifier 2 bytes if QoS > 0 | payload      MQTT 3.1.1, 3.3
func (c *conn) tooLong(first byte, length int) (int, error) {
	if length <= c.maxPayload {
		return 0, nil
	}
	size, err := c.in.Peek(2)
	if err != nil {
		return 0, err
	}
	before := 2 + int(binary.BigEndian.Uint16(size))
	if first&0x06 != 0 {
		before += 2
	}
	return max(0, length-before-(c.maxPayload+1)), nil
}

// acknowledged tells whether a packet was sent that wants this reply, once. Where it is just being written it waits for the
// end of that, which needs nothing more of a broker that has it all.
func (c *conn) acknowledged(id uint16, reply int) bool {
	c.mu.Lock()
	r := c.sent[id]
	wanted := r != nil && r.reply == reply
	if wanted {
		delete(c.sent, id)
	}
	c.mu.Unlock()
	if !wanted {
		return false
	}
	<-r.written
	return r.err == nil
}

// Write writes one packet within the timeout.
func (c *conn) Write(p []byte) (int, error) {
	c.write.Lock()
	defer c.write.Unlock()
	if err := c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	id, reply := awaits(p)
	if reply == 0 {
		return c.Conn.Write(p)
	}
	r := &request{reply: reply, written: make(chan struct{})}
	c.mu.Lock()
	c.sent[id] = r
	c.mu.Unlock()
	n, err := c.Conn.Write(p)
	r.err = err
	close(r.written)
	return n, err
}

// awaits tells by which identifier a packet will be acknowledged, and in how many bytes: those of the identifier, and one
// for each filter of a SUBSCRIBE. It is 0 of what wants no acknowledgement.
//
//	PUBLISH      fixed header | topic length 2 bytes | topic | packet identifier 2 bytes if QoS > 0 | payload
//	SUBSCRIBE    fixed header | packet identifier 2 bytes | filters: length 2 bytes, filter, QoS 1 byte
//
// Source: MQTT 3.1.1, 3.3 and 3.8.
func awaits(packet []byte) (id uint16, reply int) {
	if len(packet) == 0 {
		return 0, 0
	}
	_, n := binary.Uvarint(packet[1:])
	first, body := packet[0], packet[1+max(0, n):]
	if first>>4 == typePublish && first&0x06 != 0 {
		body = behind(body)
		if len(body) < 2 {
			return 0, 0
		}
		return binary.BigEndian.Uint16(body), 2
	}
	if first>>4 != typeSubscribe || len(body) < 2 {
		return 0, 0
	}
	id, reply = binary.BigEndian.Uint16(body), 2
	for body = body[2:]; len(body) > 0; reply++ {
		body = behind(body)
		body = body[min(1, len(body)):]
	}
	return id, reply
}

// behind is what follows a string that begins with its length in two bytes.
func behind(b []byte) []byte {
	if len(b) < 2 {
		return nil
	}
	return b[min(len(b), 2+int(binary.BigEndian.Uint16(b))):]
}

// SetWriteDeadline does nothing: each Write has its own.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is for reading.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetReadDeadline(t) }
