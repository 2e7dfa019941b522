package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"
)

// Function codes and exception codes of the MODBUS Application Protocol V1.1b3, 6 and 7.
const (
	readCoils            = 1
	readDiscreteInputs   = 2
	readHoldingRegisters = 3
	readInputRegisters   = 4
	writeSingleCoil      = 5
	writeMultipleCoils   = 15

	illegalFunction    = 1
	illegalDataAddress = 2
	illegalDataValue   = 3
	targetDevice       = 11 // gateway target device failed to respond
)

// Limits of a bus: an idle client is let go, so that clients that died do not use up the places.
const (
	maxClients   = 64
	idleTime     = 5 * time.Minute
	writeTimeout = 5 * time.Second
)

// bus is a Modbus TCP server with its units.
type bus struct {
	home     *Home
	units    map[uint8]unit
	listener net.Listener
	ended    sync.WaitGroup

	mu      sync.Mutex // guards clients
	clients map[net.Conn]bool
	closed  bool
}

func (h *Home) listen(address string, units []unit) (*bus, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("sim: modbus: %w", err)
	}
	b := &bus{home: h, units: map[uint8]unit{}, listener: listener, clients: map[net.Conn]bool{}}
	for _, u := range units {
		b.units[u.id] = u
	}
	b.ended.Go(b.accept)
	return b, nil
}

func (b *bus) accept() {
	for {
		conn, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of file descriptors: passes
			continue
		}
		if !b.enter(conn) {
			conn.Close()
			continue
		}
		b.ended.Go(func() {
			b.serve(conn)
			b.leave(conn)
		})
	}
}

func (b *bus) enter(conn net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || len(b.clients) >= maxClients {
		return false
	}
	b.clients[conn] = true
	return true
}

func (b *bus) leave(conn net.Conn) {
	b.mu.Lock()
	delete(b.clients, conn)
	b.mu.Unlock()
	conn.Close()
}

func (b *bus) close() {
	b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for conn := range b.clients {
		conn.Close()
	}
	b.mu.Unlock()
	b.ended.Wait()
}

// serve answers one client's requests in their order. Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3.
//
//	MBAP header   transaction 2 bytes | protocol 2 bytes, 0 | length 2 bytes, of what follows | unit 1 byte
//	PDU           function code 1 byte | data
func (b *bus) serve(conn net.Conn) {
	header := make([]byte, 7)
	for {
		conn.SetReadDeadline(time.Now().Add(idleTime))
		if _, err := io.ReadFull(conn, header); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(header[4:]))
		if binary.BigEndian.Uint16(header[2:]) != 0 || length < 2 || length > 254 {
			return // not Modbus: where the next frame starts cannot be known
		}
		request := make([]byte, length-1)
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		reply := b.answer(header[6], request)
		if reply == nil {
			continue
		}
		frame := binary.BigEndian.AppendUint16(header[:4:4], uint16(len(reply)+1))
		frame = append(append(frame, header[6]), reply...)
		conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
}

// answer is the reply PDU of a unit, nil where it is silent.
func (b *bus) answer(id uint8, request []byte) []byte {
	u, ok := b.units[id]
	if !ok {
		return []byte{request[0] | 0x80, targetDevice}
	}
	if b.home.isSilent(u.device) {
		return nil
	}
	reply, exception := b.home.execute(u, request)
	if exception != 0 {
		return []byte{request[0] | 0x80, exception}
	}
	return reply
}

// execute reads or writes a unit; the second result is an exception code, 0 for none.
func (h *Home) execute(u unit, request []byte) ([]byte, byte) {
	function := request[0]
	switch function {
	case readCoils, readDiscreteInputs, readHoldingRegisters, readInputRegisters, writeSingleCoil, writeMultipleCoils:
	default:
		return nil, illegalFunction // instruments: nothing but coils is written
	}
	if len(request) < 5 {
		return nil, illegalDataValue
	}
	address, quantity := binary.BigEndian.Uint16(request[1:]), int(binary.BigEndian.Uint16(request[3:]))
	h.mu.Lock()
	defer h.mu.Unlock()
	switch function {
	case readCoils:
		return h.readBitsLocked(u, coils, function, address, quantity)
	case readDiscreteInputs:
		return h.readBitsLocked(u, discreteInputs, function, address, quantity)
	case readHoldingRegisters:
		return h.readRegistersLocked(u, holdingRegisters, function, address, quantity)
	case readInputRegisters:
		return h.readRegistersLocked(u, inputRegisters, function, address, quantity)
	case writeSingleCoil:
		if quantity != 0xFF00 && quantity != 0 {
			return nil, illegalDataValue
		}
		return h.writeCoilsLocked(u, request[:5], address, []bool{quantity != 0})
	default:
		return h.writeMultipleLocked(u, request, address, quantity)
	}
}

func (u unit) has(b bank, address uint16, quantity int) bool {
	for _, s := range u.spans {
		if s.bank == b && address >= s.first && int(address)+quantity-1 <= int(s.last) {
			return true
		}
	}
	return false
}

func (h *Home) valueLocked(u unit, c cell) float64 {
	if c.signal == "" {
		return c.rest
	}
	return h.values[u.device+"."+c.signal].value
}

func (h *Home) readBitsLocked(u unit, b bank, function byte, address uint16, quantity int) ([]byte, byte) {
	if quantity < 1 || quantity > 2000 {
		return nil, illegalDataValue
	}
	if !u.has(b, address, quantity) {
		return nil, illegalDataAddress
	}
	bits := make([]byte, (quantity+7)/8)
	for _, c := range u.cells {
		if i := int(c.address) - int(address); c.bank == b && i >= 0 && i < quantity && h.valueLocked(u, c) != 0 {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return append([]byte{function, byte(len(bits))}, bits...), 0
}

func (h *Home) readRegistersLocked(u unit, b bank, function byte, address uint16, quantity int) ([]byte, byte) {
	if quantity < 1 || quantity > 125 {
		return nil, illegalDataValue
	}
	if !u.has(b, address, quantity) {
		return nil, illegalDataAddress
	}
	registers := make([]byte, 2*quantity)
	for _, c := range u.cells {
		if c.bank != b {
			continue
		}
		for i, word := range c.words(h.valueLocked(u, c)) {
			if at := int(c.address) + i - int(address); at >= 0 && at < quantity {
				binary.BigEndian.PutUint16(registers[2*at:], word)
			}
		}
	}
	return append([]byte{function, byte(len(registers))}, registers...), 0
}

// words is a value as it stands in registers; what does not fit stands at the limit.
func (c cell) words(value float64) []uint16 {
	raw := value / c.scale
	switch c.form {
	case i16:
		return []uint16{uint16(int16(min(max(math.Round(raw), math.MinInt16), math.MaxInt16)))}
	case f32, f32low:
		bits := math.Float32bits(float32(raw))
		high, low := uint16(bits>>16), uint16(bits)
		if c.form == f32low {
			return []uint16{low, high}
		}
		return []uint16{high, low}
	default:
		return []uint16{uint16(min(max(math.Round(raw), 0), math.MaxUint16))}
	}
}

// writeMultipleLocked is function code 15.
//
//	request   function code 1 byte | starting address 2 bytes | quantity 2 bytes | byte count 1 byte | values
//	reply     function code 1 byte | starting address 2 bytes | quantity 2 bytes
func (h *Home) writeMultipleLocked(u unit, request []byte, address uint16, quantity int) ([]byte, byte) {
	size := (quantity + 7) / 8
	if quantity < 1 || quantity > 1968 || len(request) != 6+size || int(request[5]) != size {
		return nil, illegalDataValue
	}
	values := make([]bool, quantity)
	for i := range values {
		values[i] = request[6+i/8]>>(i%8)&1 == 1
	}
	return h.writeCoilsLocked(u, request[:5], address, values)
}

func (h *Home) writeCoilsLocked(u unit, reply []byte, address uint16, values []bool) ([]byte, byte) {
	if !u.has(coils, address, len(values)) {
		return nil, illegalDataAddress
	}
	for _, c := range u.cells {
		if i := int(c.address) - int(address); c.bank == coils && i >= 0 && i < len(values) {
			value := 0.0
			if values[i] {
				value = 1
			}
			q := h.values[u.device+"."+c.signal]
			q.value, q.target = value, value
		}
	}
	return reply, 0
}
