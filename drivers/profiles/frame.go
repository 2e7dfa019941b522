package profiles

import (
	"encoding/binary"
	"encoding/hex"
	"strings"

	"embergate/drivers/i18n"
)

// frame is one recorded exchange, bytes in hex with spaces: an RTU frame with its CRC, or a TCP frame with its MBAP
// header.
type frame struct {
	Request string `yaml:"request"`
	Reply   string `yaml:"reply"`
}

// The function codes that read. Source: MODBUS Application Protocol V1.1b3, 6.1 to 6.4.
const (
	readCoils            = 1
	readDiscreteInputs   = 2
	readHoldingRegisters = 3
	readInputRegisters   = 4
)

// add puts what a recorded reply says into the images.
//
//	request   function code 1 byte | starting address 2 bytes | quantity 2 bytes
//	reply     function code 1 byte | byte count 1 byte | values
func (v *Vector) add(f frame) (mistake i18n.Text, ok bool) {
	request, ok := pdu(f.Request)
	reply, replied := pdu(f.Reply)
	if !ok || !replied {
		return i18n.T("a frame is hexadecimal bytes, RTU with a right CRC or TCP with its MBAP header"), false
	}
	if len(request) != 5 || request[0] < readCoils || request[0] > readInputRegisters {
		return i18n.T("the request reads neither registers nor bits"), false
	}
	function, start, quantity := request[0], binary.BigEndian.Uint16(request[1:]), int(binary.BigEndian.Uint16(request[3:]))
	size := 2 * quantity
	if function <= readDiscreteInputs {
		size = (quantity + 7) / 8
	}
	if len(reply) != 2+size || reply[0] != function || int(reply[1]) != size {
		return i18n.T("the reply has not the %d bytes that were asked for", size), false
	}
	values := reply[2:]
	for i := range quantity {
		address := start + uint16(i)
		switch function {
		case readCoils:
			v.Coil[address] = values[i/8]>>(i%8)&1 == 1
		case readDiscreteInputs:
			v.Discrete[address] = values[i/8]>>(i%8)&1 == 1
		case readHoldingRegisters:
			v.Holding[address] = binary.BigEndian.Uint16(values[2*i:])
		case readInputRegisters:
			v.Input[address] = binary.BigEndian.Uint16(values[2*i:])
		}
	}
	return mistake, true
}

// pdu is what a frame carries: function code and data.
func pdu(text string) ([]byte, bool) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, false
	}
	if n := len(b); n >= 4 && crc(b[:n-2]) == binary.LittleEndian.Uint16(b[n-2:]) {
		return b[1 : n-2], true
	}
	// MBAP: transaction 2 bytes | protocol 2 bytes, 0 | length 2 bytes, of what follows | unit 1 byte
	if len(b) >= 8 && b[2] == 0 && b[3] == 0 && int(binary.BigEndian.Uint16(b[4:])) == len(b)-6 {
		return b[7:], true
	}
	return nil, false
}

// crc is the CRC-16 of Modbus over Serial Line V1.02, 6.2.2.
func crc(b []byte) uint16 {
	sum := uint16(0xFFFF)
	for _, c := range b {
		sum ^= uint16(c)
		for range 8 {
			carry := sum & 1
			sum >>= 1
			if carry == 1 {
				sum ^= 0xA001
			}
		}
	}
	return sum
}
