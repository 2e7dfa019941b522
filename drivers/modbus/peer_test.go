package modbus

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"embergate/drivers"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// peer is a bus with its units at the other end of a net.Pipe.
type peer struct {
	framing framing

	mu       sync.Mutex // guards what follows
	answer   func(unit byte, pdu []byte) reply
	refuse   bool // new connections
	opened   int
	open     int // connections now
	waiting  int // requests that are not answered yet
	mostAt   int // the most of them at once
	requests []asked
	conns    []net.Conn
}

// asked is one request as the peer saw it.
type asked struct {
	at    time.Time
	unit  byte
	pdu   []byte
	first int
	count int
}

// reply is what a unit does with a request.
type reply struct {
	pdu   []byte        // nil: silence
	raw   []byte        // sent as it is, instead of the PDU
	after time.Duration // the unit takes its time
	hang  bool          // the connection is closed
}

func (p *peer) dial(context.Context, place, line) (port, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	p.opened++
	p.open++
	p.conns = append(p.conns, far)
	go p.serve(far)
	return near, nil
}

// become changes how the units answer.
func (p *peer) become(answer func(byte, []byte) reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// hangUp closes all connections.
func (p *peer) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *peer) serve(conn net.Conn) {
	replies, gone := make(chan reply, 1000), make(chan bool)
	var writer sync.WaitGroup
	writer.Go(func() {
		for r := range replies {
			select {
			case <-time.After(r.after):
			case <-gone:
			}
			p.mu.Lock()
			p.waiting--
			p.mu.Unlock()
			if r.hang {
				conn.Close()
			} else if len(r.raw) > 0 {
				conn.Write(r.raw)
			}
		}
	})
	buffer := make([]byte, 300)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			break
		}
		replies <- p.take(slices.Clone(buffer[:n]))
	}
	close(gone)
	close(replies)
	writer.Wait()
	conn.Close()
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
}

// take notes a request and frames its reply.
func (p *peer) take(adu []byte) reply {
	unit, pdu := adu[0], adu[1:len(adu)-2]
	if p.framing == tcp {
		unit, pdu = adu[6], adu[7:]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.answer(unit, pdu)
	whole := append(slices.Clone(pdu), 0, 0, 0, 0) // some requests are shorter
	p.requests = append(p.requests, asked{time.Now(), unit, pdu, int(binary.BigEndian.Uint16(whole[1:])), int(binary.BigEndian.Uint16(whole[3:]))})
	p.waiting++
	p.mostAt = max(p.mostAt, p.waiting)
	if r.raw == nil && r.pdu != nil {
		r.raw = frameOf(p.framing, adu, r.pdu)
	}
	return r
}

// frameOf frames a reply to a request.
func frameOf(f framing, request, pdu []byte) []byte {
	if f == tcp {
		head := slices.Clone(request[:7])
		binary.BigEndian.PutUint16(head[4:], uint16(len(pdu)+1))
		return append(head, pdu...)
	}
	return withCRC(append([]byte{request[0]}, pdu...))
}

func withCRC(frame []byte) []byte { return binary.LittleEndian.AppendUint16(frame, checksum(frame)) }

// seen are the requests so far.
func (p *peer) seen() []asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// echo is a unit whose registers hold their own addresses, and whose bits are set at odd ones. Writes succeed and are
// forgotten.
func echo(_ byte, pdu []byte) reply {
	first, count := int(binary.BigEndian.Uint16(pdu[1:])), int(binary.BigEndian.Uint16(pdu[3:]))
	switch pdu[0] {
	case 1, 2:
		out := make([]byte, 2+(count+7)/8)
		out[0], out[1] = pdu[0], byte(len(out)-2)
		for i := range count {
			out[2+i/8] |= byte((first+i)&1) << (i % 8)
		}
		return reply{pdu: out}
	case 3, 4:
		out := []byte{pdu[0], byte(2 * count)}
		for i := range count {
			out = binary.BigEndian.AppendUint16(out, uint16(first+i))
		}
		return reply{pdu: out}
	}
	return reply{pdu: pdu[:5]}
}

func exception(pdu []byte, code byte) reply { return reply{pdu: []byte{pdu[0] | 0x80, code}} }

// running is a driver under test with what it said.
type running struct {
	*driver
	monitor *monitor
	mu      sync.Mutex // guards batches
	batches [][]drivers.Reading
	stop    context.CancelFunc
	ended   chan error
}

// start runs a driver until stop or the end of the test.
func start(t testing.TB, d *driver) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{driver: d, monitor: &monitor{}, stop: cancel, ended: make(chan error, 1)}
	d.Monitor = r.monitor
	go func() {
		r.ended <- d.Run(ctx, func(batch []drivers.Reading) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.batches = append(r.batches, batch)
		})
	}()
	return r
}

// end stops the driver and waits for it.
func (r *running) end() error {
	r.stop()
	return <-r.ended
}

// all are the readings so far, by signal.
func (r *running) all() map[string][]drivers.Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]drivers.Reading{}
	for _, batch := range r.batches {
		for _, reading := range batch {
			all[reading.Signal] = append(all[reading.Signal], reading)
		}
	}
	return all
}

// last is the newest reading of a signal; zero if there is none.
func (r *running) last(signal string) drivers.Reading {
	all := r.all()[signal]
	if len(all) == 0 {
		return drivers.Reading{}
	}
	return all[len(all)-1]
}

// monitor counts what a driver tells.
type monitor struct {
	drivers.Discard
	mu        sync.Mutex // guards the rest
	polls     []time.Duration
	overruns  map[string]int
	busy      []float64
	malformed []string
}

func (m *monitor) Polled(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.polls = append(m.polls, took)
}

func (m *monitor) Overrun(device string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.overruns == nil {
		m.overruns = map[string]int{}
	}
	m.overruns[device]++
}

func (m *monitor) Busy(ratio float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.busy = append(m.busy, ratio)
}

func (m *monitor) Malformed(device string, reason drivers.Reason, detail string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.malformed = append(m.malformed, device+" "+string(reason)+" "+detail)
}
