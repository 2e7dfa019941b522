package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"embergate/drivers"
	"embergate/drivers/serial"

	"github.com/goburrow/modbus"
)

// port is a connected wire: a TCP connection or a serial line.
type port interface {
	io.ReadWriteCloser
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
}

// link is the connection of a session and all that is remembered of it from one request to the next. It is the transport below goburrow's
// client, which makes and reads the PDUs; goburrow's own transports are not safe where units share a wire.
type link struct {
	at    place
	line  line
	open  opener
	door  *door           // where the converter dials in, nil where we dial
	delay time.Duration   // after connecting
	ctx   context.Context // its end closes the port

	port    port
	undo    func() bool // stops the closing at the end of ctx
	txid    uint16
	last    time.Time           // when the last exchange ended
	rests   map[uint8]time.Time // no request to the unit before
	silence int                 // exchanges running without a byte back
	owed    map[uint8][]byte    // the request that a unit behind a converter far away may answer yet
	dead    error               // the connection is lost for good
	current *request

	client   modbus.Client // makes and reads the PDUs
	packager modbus.Packager
	slave    *byte // the packager's unit

	another bool // it is not the first exchange of the request
	buffer  [mostReceive]byte
}

const (
	dialTimeout    = 5 * time.Second
	dialInSilence  = 20                      // exchanges without a byte, after which a converter that dialled in is hung up on
	mostSilence    = 3                       // exchanges without a byte, after which a TCP connection is made anew
	slowestSilence = 1750 * time.Microsecond // 3.5 characters above 19200 baud. Source: MODBUS over Serial Line V1.02, 2.5.1.1
	overSilence    = 20 * time.Millisecond   // what passes for silence behind a TCP connection
)

// openWire dials, or opens a serial line.
func openWire(ctx context.Context, at place, l line) (port, error) {
	if at.framing == rtu {
		return serial.Open(at.name, l)
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", at.name)
	if err != nil {
		return nil, err // names operation and address itself
	}
	return conn, nil
}

// connect opens the port.
func (l *link) connect() error {
	p, err := l.open(l.ctx, l.at, l.line)
	if err != nil {
		return fmt.Errorf("modbus: connect: %w", err)
	}
	l.port, l.silence, l.last, l.owed = p, 0, time.Now(), map[uint8][]byte{}
	l.undo = context.AfterFunc(l.ctx, func() { p.Close() })
	return nil
}

// settle gives the device the time that it needs after a connection.
func (l *link) settle() error { return sleep(l.ctx, l.delay) }

// drop closes the port, if there is one.
func (l *link) drop() {
	if l.port == nil {
		return
	}
	l.undo()
	l.port.Close()
	l.port = nil
}

// rested is when the unit may be asked again.
func (l *link) rested(unit uint8) time.Time { return l.rests[unit] }

// serve carries a request out, unless nobody wants it any more.
func (l *link) serve(r *request) answer {
	a := answer{began: time.Now()}
	if err := r.ctx.Err(); err != nil {
		a.err, a.ended = err, a.began
		return a
	}
	l.current, l.another = r, false
	a.data, a.err = l.do(r)
	a.ended = time.Now()
	if r.rest > 0 {
		if l.rests == nil {
			l.rests = map[uint8]time.Time{}
		}
		l.rests[r.unit] = a.ended.Add(r.rest)
	}
	return a
}

// do carries a request out through goburrow's client, or where that has no function for it, as the PDU that the request gives.
func (l *link) do(r *request) ([]byte, error) {
	l.speakTo(r.unit)
	if r.pdu == nil {
		return r.do(l.client)
	}
	adu, err := l.packager.Encode(r.pdu)
	if err != nil {
		return nil, err
	}
	answered, err := l.Send(adu)
	if err != nil {
		return nil, err
	}
	reply, err := l.packager.Decode(answered)
	if err != nil {
		return nil, err
	}
	if reply.FunctionCode&0x80 != 0 && len(reply.Data) > 0 {
		return nil, &modbus.ModbusError{FunctionCode: reply.FunctionCode, ExceptionCode: reply.Data[0]}
	}
	return reply.Data, nil
}

// speakTo makes goburrow's client one for the unit. The transports that its handlers carry are never opened.
func (l *link) speakTo(unit uint8) {
	if l.client == nil {
		if l.at.framing == tcp {
			h := &modbus.TCPClientHandler{}
			l.packager, l.slave = h, &h.SlaveId
		} else {
			h := &modbus.RTUClientHandler{}
			l.packager, l.slave = h, &h.SlaveId
		}
		l.client = modbus.NewClient2(l.packager, l)
	}
	*l.slave = unit
}

// Send is modbus.Transporter: one request and its reply. A connection that broke since the last request is made anew
// within the request, once. Where that fails, or a serial line is gone, the session ends.
func (l *link) Send(adu []byte) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		if l.port == nil {
			if err := l.connect(); err != nil {
				l.dead = err
				return nil, fmt.Errorf("%w: %w", errLost, err)
			}
			l.settle()
		}
		reply, err := l.exchange(adu)
		l.last = time.Now()
		if err == nil {
			l.silence = 0
			return reply, nil
		}
		var frame *frameError
		switch {
		case errors.As(err, &frame):
			l.silence = 0
			if frame.broken || l.at.framing == rtuOver && l.at.listen == "" {
				l.drop() // without transaction ids a stream out of step gives one unit's answer to another
			}
			return nil, err
		case errors.Is(err, errSilent):
			l.silence++
			if l.door != nil && l.at.framing == rtuOver {
				l.owed[adu[0]] = bytes.Clone(adu)
			}
			if most := l.patience(); most > 0 && l.silence >= most {
				l.drop()
			}
			return nil, err
		}
		l.drop()
		if l.at.framing == rtu {
			l.dead = fmt.Errorf("modbus: serial line %s: %w", l.at.name, err)
		}
		if l.dead != nil || attempt > 0 || l.ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", errLost, err)
		}
	}
}

// exchange writes one request and reads its reply. An error is errSilent, a *frameError, or that of a lost connection.
func (l *link) exchange(adu []byte) ([]byte, error) {
	r, gap := l.current, l.current.gap
	if l.another {
		gap = max(gap, r.rest)
	}
	l.another = true
	if l.at.framing == tcp {
		if err := sleep(l.ctx, gap-time.Since(l.last)); err != nil {
			return nil, err
		}
		l.txid++ // one counter for the connection, whatever the unit
		binary.BigEndian.PutUint16(adu, l.txid)
	} else if err := l.listen(max(gap, l.overdue(adu))); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(r.timeout)
	l.port.SetDeadline(deadline) // of both: one timer
	r.trace.keep(drivers.Frame{Time: time.Now(), Sent: true, Bytes: adu})
	if _, err := l.port.Write(adu); err != nil {
		return nil, err
	}
	if l.at.framing == tcp {
		return l.receiveTCP(adu, deadline)
	}
	return l.receiveRTU(adu, deadline)
}

// listen throws away what arrives before a request, and returns when the gap is over and the line is silent.
func (l *link) listen(gap time.Duration) error {
	if l.at.framing == rtu {
		gap = max(gap, l.quiet())
	}
	until, giveUp := l.last.Add(gap), time.Now().Add(max(l.current.timeout, gap))
	for {
		until = later(until, time.Now().Add(time.Millisecond))
		l.port.SetReadDeadline(until)
		n, err := l.port.Read(l.buffer[:])
		switch {
		case n > 0 && time.Now().After(giveUp):
			return framef(drivers.CRC, "the line is never silent: noise, or another master")
		case n > 0:
			l.note(l.buffer[:n], "before the request: thrown away")
			until = later(until, time.Now().Add(l.quiet()))
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err == nil:
			return io.EOF
		default:
			return err
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// quiet is how long a line is silent between two frames: 3.5 characters.
func (l *link) quiet() time.Duration {
	if l.at.framing == rtuOver {
		return overSilence
	}
	if l.line.Baud > 19200 {
		return slowestSilence
	}
	return l.characters(7) / 2
}

// characters is how long n characters take on the serial line.
func (l *link) characters(n int) time.Duration {
	bits := 1 + l.line.DataBits + l.line.StopBits
	if l.line.Parity != "none" {
		bits++
	}
	return time.Duration(n*bits) * time.Second / time.Duration(l.line.Baud)
}

func (l *link) receiveTCP(request []byte, deadline time.Time) ([]byte, error) {
	received := l.buffer[:0]
	for {
		n, err := l.port.Read(l.buffer[len(received):])
		received = l.buffer[:len(received)+n]
		reply, used, scanned := scanTCP(received, request)
		if used > 0 && (reply == nil || used > len(reply)) {
			l.note(received[:used-len(reply)], "a late reply: thrown away")
		}
		if reply != nil && len(l.at.withoutHeartbeats(received[used:])) > 0 {
			l.drop() // what follows the reply may be the beginning of another frame
		}
		if reply != nil && scanned == nil {
			return l.kept(reply, ""), nil
		}
		if !errors.Is(scanned, errMore) {
			l.note(received, scanned.Error())
			return nil, scanned
		}
		received = l.buffer[:copy(l.buffer[:], received[used:])]
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && len(received) == 0:
			return nil, errSilent
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, l.cutShort(received, request)
		case err != nil:
			return nil, err
		case n == 0:
			return nil, io.EOF
		}
	}
}

// cutShort explains the beginning of a Modbus TCP frame after which nothing more came.
func (l *link) cutShort(received, request []byte) error {
	e := framef(drivers.Decode, "%d bytes of a reply, then nothing", len(received))
	if speaksRTU(received, request[6:]) {
		e.detail = "RTU frames come from this TCP port: use rtu+tcp://"
	}
	e.broken = true
	l.note(received, e.detail)
	return e
}

// receiveRTU reads until the reply is whole. After something else it reads on until the line is silent. A reply that
// has begun is given the time that its characters take.
func (l *link) receiveRTU(request []byte, deadline time.Time) ([]byte, error) {
	received := l.buffer[:0]
	var wrong error
	until := deadline
	for {
		l.port.SetReadDeadline(until)
		n, err := l.port.Read(l.buffer[len(received):])
		if n > 0 && len(received) == 0 && l.at.framing == rtu {
			deadline = deadline.Add(l.characters(mostReply(request[1:]) + 3))
		}
		received = l.buffer[:len(received)+n]
		if n > 0 {
			reply, scanned := scanRTU(received, request)
			if scanned == nil {
				return l.kept(reply, ""), nil
			}
			until = deadline
			if !errors.Is(scanned, errMore) {
				wrong, until = scanned, earlier(deadline, time.Now().Add(l.quiet()))
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, l.unanswered(received, request, wrong)
		case err != nil:
			return nil, err
		case n == 0:
			return nil, io.EOF
		case len(received) == mostReceive:
			return nil, l.unanswered(received, request, framef(drivers.CRC, "%d bytes and no reply in them", mostReceive))
		}
	}
}

// unanswered says what was heard on an RTU line instead of the reply.
func (l *link) unanswered(received, request []byte, wrong error) error {
	if wrong == nil {
		wrong = silentRTU(received, request)
	}
	if len(received) > 0 {
		l.note(received, wrong.Error())
	}
	return wrong
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// kept copies a frame out of the buffer and into the trace.
func (l *link) kept(frame []byte, note string) []byte {
	own := bytes.Clone(frame)
	l.current.trace.keep(drivers.Frame{Time: time.Now(), Bytes: own, Note: note})
	return own
}

// note keeps what came instead of a reply.
func (l *link) note(received []byte, why string) { l.kept(received, why) }
