package gbt26875

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// command is the last byte of the control unit. Source: GB/T 26875.3-2011, table 2.
type command uint8

const (
	control  command = 1 // from the centre: do something
	sendData command = 2
	confirm  command = 3
	request  command = 4 // from the centre: tell something
	reply    command = 5
	deny     command = 6
)

// frame is one packet. Source: GB/T 26875.3-2011, 6.6; numbers are little endian.
//
//	0   "@@"                                  12  source address 6 bytes          24  length n of unit, at most 1024
//	2   serial number 2 bytes                 18  destination address 6 bytes     26  command
//	4   version: 1, then the user's                                               27  unit, n bytes
//	6   time of sending, see label                                                    checksum, "##"
//
// The checksum is the sum of everything from the serial number to the end of the unit, modulo 256.
type frame struct {
	serial      uint16
	user        uint8 // version that the two sides agreed on
	time        [6]byte
	source      address
	destination address
	command     command
	unit        []byte // application data: type, number of objects, objects; empty in a confirmation
}

const (
	headBytes = 27
	tailBytes = 3
	mostUnit  = 1024
	mostFrame = headBytes + mostUnit + tailBytes
)

func (f frame) encode() []byte {
	b := make([]byte, 0, headBytes+len(f.unit)+tailBytes)
	b = append(b, "@@"...)
	b = binary.LittleEndian.AppendUint16(b, f.serial)
	b = append(b, 1, f.user)
	b = append(b, f.time[:]...)
	b = f.source.append(b)
	b = f.destination.append(b)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(f.unit)))
	b = append(b, byte(f.command))
	b = append(b, f.unit...)
	return append(b, sum(b[2:]), '#', '#')
}

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// Why bytes are no frame: there are too few of them, they are not one, or one was damaged on its way. The last has a serial
// number that may be answered.
var (
	errShort    = errors.New("the frame is not whole")
	errNoFrame  = errors.New("no frame begins here")
	errChecksum = errors.New("the checksum is wrong")
)

// decode reads the frame at the beginning of b, and tells how long it is. unit points into b.
func decode(b []byte) (f frame, n int, err error) {
	if !bytes.HasPrefix(b, []byte("@@")[:min(len(b), 2)]) {
		return f, 0, errNoFrame
	}
	if len(b) < headBytes {
		return f, 0, errShort
	}
	length := int(binary.LittleEndian.Uint16(b[24:]))
	if length > mostUnit {
		return f, 0, errNoFrame
	}
	n = headBytes + length + tailBytes
	if len(b) < n {
		return f, 0, errShort
	}
	if b[n-2] != '#' || b[n-1] != '#' {
		return f, 0, errNoFrame
	}
	f = frame{
		serial: binary.LittleEndian.Uint16(b[2:]), user: b[5], time: [6]byte(b[6:12]),
		source: readAddress(b[12:]), destination: readAddress(b[18:]), command: command(b[26]), unit: b[headBytes : n-tailBytes],
	}
	if sum(b[2:n-tailBytes]) != b[n-tailBytes] {
		err = errChecksum
	}
	return f, n, err
}

// scanner takes frames out of a stream, whatever else is in it. What it holds is never longer than one frame.
type scanner struct{ held []byte }

// take takes more bytes of the stream and hands the frames in them to found, which must not keep them; damaged tells those
// with a wrong checksum.
func (s *scanner) take(p []byte, found func(f frame, damaged bool)) {
	s.held = append(s.held, p...)
	b := s.held
	for len(b) > 0 {
		f, n, err := decode(b)
		switch err {
		case nil, errChecksum:
			found(f, err != nil)
			b = b[n:]
			continue
		case errShort:
			// What begins like a frame and does not end may have a whole one inside: then it is none.
			if skip := within(b); skip > 0 {
				b = b[skip:]
				continue
			}
		default:
			b = b[next(b[1:])+1:]
			continue
		}
		break
	}
	s.held = append(s.held[:0], b...)
}

// next is where the next frame may begin.
func next(b []byte) int {
	if i := bytes.Index(b, []byte("@@")); i >= 0 {
		return i
	}
	if bytes.HasSuffix(b, []byte("@")) {
		return len(b) - 1
	}
	return len(b)
}

// within is where in b behind its beginning a whole frame begins, 0 where there is none.
func within(b []byte) int {
	for i := 1 + next(b[1:]); i < len(b); i += 1 + next(b[i+1:]) {
		if _, _, err := decode(b[i:]); err == nil {
			return i
		}
	}
	return 0
}

// address is that of a device or a centre, six bytes on the wire.
type address uint64

func (a address) append(b []byte) []byte {
	return append(b, binary.LittleEndian.AppendUint64(nil, uint64(a))[:6]...)
}

func readAddress(b []byte) (a address) {
	for i, c := range b[:6] {
		a |= address(c) << (8 * i)
	}
	return a
}

// parseAddress reads decimal digits, which may be grouped with a hyphen, or 0x and hexadecimal ones where a centre writes
// its addresses so.
func parseAddress(text string) (address, error) {
	digits, base := strings.ReplaceAll(text, "-", ""), 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 48)
	if err != nil {
		return 0, fmt.Errorf("address %q: %w", text, err)
	}
	return address(n), nil
}

// label is a time as on the wire: second, minute, hour, day, month, year less 2000, in the zone of t. Before that, of a clock
// that was never set, it is the first day. Source: GB/T 26875.3-2011, 8.2.2.
func label(t time.Time) [6]byte {
	if t.Year() < 2000 {
		return [6]byte{0, 0, 0, 1, 1, 0}
	}
	return [6]byte{byte(t.Second()), byte(t.Minute()), byte(t.Hour()), byte(t.Day()), byte(t.Month()), byte(t.Year() % 100)}
}

// readLabel is the time of a label; ok is false of one that no calendar has.
func readLabel(b []byte, zone *time.Location) (t time.Time, ok bool) {
	if len(b) < 6 {
		return t, false
	}
	t = time.Date(2000+int(b[5]), time.Month(b[4]), int(b[3]), int(b[2]), int(b[1]), int(b[0]), 0, zone)
	return t, [6]byte(b[:6]) == label(t)
}
