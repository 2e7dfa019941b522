package modbus

import (
	"bytes"
	"encoding/binary"
	"errors"

	"embergate/drivers"
)

// framing is how a request stands on the wire.
type framing uint8

const (
	tcp     framing = iota // MBAP header with a transaction id. Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3
	rtu                    // unit, PDU, CRC on a serial line. Source: MODBUS over Serial Line V1.02, 2.5.1
	rtuOver                // the same bytes through a TCP connection
)

const (
	mbapSize    = 7   // transaction id 2, protocol id 2, length 2, unit 1
	mostPDU     = 253 // function code and data
	leastRTU    = 4   // unit, function code, CRC: fewer bytes are noise
	mostReceive = 512 // what is kept of an answer while it is looked at
)

// errMore tells that the bytes so far may become the reply.
var errMore = errors.New("more bytes are needed")

// scanTCP looks for the reply to a request, both with MBAP header, in the bytes received so far. It returns the reply and
// how many bytes were looked at for good; a reply to a request given up earlier is known by its transaction id and
// counts among those. Without a reply the error is errMore or a *frameError.
func scanTCP(received, request []byte) (reply []byte, used int, err error) {
	for {
		head := received[used:]
		if len(head) < mbapSize {
			return nil, used, errMore
		}
		size := int(binary.BigEndian.Uint16(head[4:])) + mbapSize - 1
		if binary.BigEndian.Uint16(head[2:]) != 0 || size < mbapSize+2 || size > mbapSize+mostPDU {
			e := framef(drivers.Decode, "no Modbus TCP header: % x", head[:mbapSize])
			e.broken = true
			if speaksRTU(head, request[6:]) {
				e.detail = "RTU frames come from this TCP port: use rtu+tcp://"
			}
			return nil, used, e
		}
		if len(head) < size {
			return nil, used, errMore
		}
		frame := head[:size:size]
		used += size
		if !bytes.Equal(frame[:2], request[:2]) {
			continue // too late: thrown away
		}
		if frame[6] != request[6] {
			return nil, used, framef(drivers.Decode, "unit %d answers instead of %d", frame[6], request[6])
		}
		return frame, used, checkPDU(request[mbapSize:], frame[mbapSize:])
	}
}

// speaksRTU tells whether bytes on a Modbus TCP connection are an RTU frame: one with a right CRC at their start. The
// request is given from its unit on.
func speaksRTU(received, request []byte) bool {
	for n := leastRTU; n <= min(len(received), mostPDU+3); n++ {
		if received[0] == request[0] && received[1]&0x7F == request[1] && checksum(received[:n-2]) == binary.LittleEndian.Uint16(received[n-2:]) {
			return true
		}
	}
	return false
}

// speaksTCP tells whether bytes on an RTU connection are a Modbus TCP frame: one whose header fits its length.
func speaksTCP(received []byte) bool {
	return len(received) >= mbapSize+2 && binary.BigEndian.Uint16(received[2:]) == 0 &&
		int(binary.BigEndian.Uint16(received[4:])) == len(received)-mbapSize+1
}

// checkPDU compares a reply to its request: the function code, or an exception to it, and the number of bytes asked for.
// The client of goburrow does not: it would take a short reply for a whole one.
func checkPDU(request, reply []byte) error {
	if len(reply) == 0 {
		return framef(drivers.Decode, "a reply without a function code")
	}
	if reply[0] != request[0] && reply[0] != request[0]|0x80 {
		return framef(drivers.Decode, "function %d answered instead of %d", reply[0], request[0])
	}
	want := replySize(request, reply)
	if len(reply) != want {
		return framef(drivers.Decode, "%d bytes answered instead of %d", len(reply), want)
	}
	if count, has := byteCount(request); has && reply[0] == request[0] && reply[1] != count {
		return framef(drivers.Decode, "byte count %d instead of %d", reply[1], count)
	}
	return nil
}

// The functions by which a unit says what it is. Source: MODBUS Application Protocol V1.1b3, 6.13 and 6.21.
const (
	reportServerID       = 17
	encapsulated         = 43
	deviceIdentification = 14 // the MEI type behind encapsulated
)

// replySize is the length of the reply PDU that begins with head to a request PDU; where the reply itself tells its length and
// head is too short for that, more than head has.
func replySize(request, head []byte) int {
	if len(head) > 0 && head[0]&0x80 != 0 {
		return 2
	}
	if count, has := byteCount(request); has {
		return 2 + int(count)
	}
	switch request[0] {
	case reportServerID: // function code | byte count | as many bytes
		if len(head) < 2 {
			return 2
		}
		return 2 + int(head[1])
	case encapsulated:
		return identificationSize(head)
	}
	return 5 // a write is confirmed by address and value or quantity
}

// mostReply is the longest that the reply PDU to a request PDU can be.
func mostReply(request []byte) int {
	if request[0] >= reportServerID {
		return mostPDU
	}
	return replySize(request, nil)
}

// identificationSize is replySize of a reply to 43/14: function code | MEI type | code | conformity | more follows | next object |
// number of objects, and each object's id, length and bytes.
func identificationSize(head []byte) int {
	size := 7
	if len(head) < size {
		return size
	}
	for range head[6] {
		if len(head) < size+2 {
			return size + 2
		}
		size += 2 + int(head[size+1])
	}
	return size
}

// byteCount is the byte count of the reply to a read request; false for a write, whose reply has none.
func byteCount(request []byte) (count byte, has bool) {
	if len(request) < 5 || request[0] > 4 {
		return 0, false
	}
	quantity := int(binary.BigEndian.Uint16(request[3:]))
	if request[0] <= 2 {
		return byte((quantity + 7) / 8), true
	}
	return byte(2 * quantity), true
}

// scanRTU looks for the reply to a request, both with unit and CRC, in the bytes received so far. Noise, the request's own
// echo and frames of others may stand before it. Without a reply the error is errMore while the bytes may become one, else a
// *frameError that says what came instead.
func scanRTU(received, request []byte) (reply []byte, err error) {
	heard := afterEcho(received, request)
	partial, damaged := false, false
	for i := range heard {
		rest := heard[i:]
		size, fits := rtuSize(rest, request)
		switch {
		case !fits:
		case len(rest) < size:
			partial = true
		case checksum(rest[:size-2]) == binary.LittleEndian.Uint16(rest[size-2:]):
			return rest[:size:size], nil
		default:
			damaged = true
		}
	}
	if partial || len(heard) < leastRTU {
		return nil, errMore
	}
	return nil, wrongRTU(heard, request, damaged)
}

// silentRTU says what the bytes were after which nothing more came: errSilent where they are less than a frame.
func silentRTU(received, request []byte) error {
	heard := afterEcho(received, request)
	if len(heard) < leastRTU {
		return errSilent
	}
	return wrongRTU(heard, request, false)
}

// afterEcho is what came behind the request itself, which a half-duplex adapter may hear. The reply to a write looks the
// same as its echo and is left alone: a write is read back.
func afterEcho(received, request []byte) []byte {
	if _, isRead := byteCount(request[1:]); (isRead || request[1] >= reportServerID) && bytes.HasPrefix(received, request) {
		return received[len(request):]
	}
	return received
}

// rtuSize is how long the reply that starts with the given bytes is; fits is false where they cannot start one. While
// the function code is not there yet it is the shortest, an exception.
func rtuSize(head, request []byte) (size int, fits bool) {
	const exception = 5
	switch {
	case head[0] != request[0]:
		return 0, false
	case len(head) == 1 || head[1] == request[1]|0x80:
		return exception, true
	case head[1] != request[1]:
		return 0, false
	}
	if count, has := byteCount(request[1:]); has && len(head) > 2 && head[2] != count {
		return 0, false
	}
	return 1 + replySize(request[1:], head[1:]) + 2, true
}

// wrongRTU says what came instead of the reply.
func wrongRTU(heard, request []byte, damaged bool) error {
	whole := checksum(heard[:len(heard)-2]) == binary.LittleEndian.Uint16(heard[len(heard)-2:])
	switch {
	case damaged:
		return framef(drivers.CRC, "wrong CRC: % x", heard)
	case speaksTCP(heard):
		e := framef(drivers.Decode, "Modbus TCP frames come from this RTU port: use tcp://")
		e.broken = true
		return e
	case !whole:
		return framef(drivers.CRC, "noise or half a frame: % x", heard)
	case heard[0] != request[0]:
		return framef(drivers.Decode, "unit %d answers instead of %d", heard[0], request[0])
	case heard[1] != request[1]:
		return framef(drivers.Decode, "function %d answered instead of %d", heard[1], request[1])
	}
	return framef(drivers.Decode, "byte count %d is not what was asked for", heard[2])
}

// checksum is the CRC-16 of an RTU frame, sent low byte first. Source: MODBUS over Serial Line V1.02, 6.2.2.
func checksum(frame []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, b := range frame {
		crc ^= uint16(b)
		for range 8 {
			odd := crc & 1
			crc >>= 1
			crc ^= 0xA001 & -odd
		}
	}
	return crc
}
