package mqtt

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"embergate/drivers/conf"
)

// template says what the bytes of a payload mean, for sensors whose payload is not text: what LoRaWAN and NB-IoT devices
// send. The values that it finds are given as the keys of object, unscaled: a signal has json: object.battery, and its own
// scale, na, enum and range.
//
//	bytes:
//	  ports: [85]              # LoRaWAN: other ports are not ours
//	  checksum: sum            # the sum of all bytes is 0 modulo 256
//	  fields:                  # at fixed places
//	    - {key: event, at: 1, type: uint8, bits: "0-3"}
//	    - {key: battery, at: 2, type: uint8}
//	bytes:
//	  json: data.raw           # format json: where in the payload the text stands
//	  encoding: hex            # hex or base64; raw with format bytes
//	  order: little            # of values longer than a byte; or big
//	  tlv:                     # two bytes that say what follows, then its value, again and again
//	    "01 75": {key: battery, type: uint8}
//	    "02 67": {type: int16}  # no key: passed over
type template struct {
	JSON     string           `yaml:"json"`
	Encoding string           `yaml:"encoding"`
	Ports    []int64          `yaml:"ports"`
	Checksum string           `yaml:"checksum"`
	Order    string           `yaml:"order"`
	Fields   []field          `yaml:"fields"`
	TLV      map[string]field `yaml:"tlv"`

	tags map[[2]byte]field // of TLV
}

// field is one value among the bytes.
type field struct {
	Key  string `yaml:"key"`
	At   int    `yaml:"at"` // first byte, from 0
	Type string `yaml:"type"`
	Bits string `yaml:"bits"` // "0-3" or "5", of an unsigned value: only these, shifted down

	low, high int // of Bits; high is -1 where all count
}

// sizes are the types of a field with their lengths in bytes.
var sizes = map[string]int{"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "float32": 4}

// newTemplate reads a template and reports what is wrong with it.
func newTemplate(s conf.Section, format string) *template {
	if !s.Exists() {
		return nil
	}
	t := &template{tags: map[[2]byte]field{}}
	s.Decode(t)
	encodings := []string{"base64", "hex"}
	if format == "bytes" {
		encodings = append(encodings, "raw")
	}
	switch {
	case !slices.Contains([]string{"json", "bytes", "chirpstack", "tts"}, format):
		s.Problem("the payload of format %s is no bytes", format)
	case format == "json" && t.JSON == "":
		s.Problem("bytes needs json, the key in the payload under which they stand")
	case (format == "json" || format == "bytes" && t.Encoding != "") && !slices.Contains(encodings, t.Encoding):
		s.At("encoding").NotOneOf(t.Encoding, encodings)
	}
	if t.Checksum != "" && t.Checksum != "sum" {
		s.At("checksum").NotOneOf(t.Checksum, []string{"sum"})
	}
	if t.Order != "" && t.Order != "little" && t.Order != "big" {
		s.At("order").NotOneOf(t.Order, []string{"big", "little"})
	}
	if (len(t.Fields) == 0) == (len(t.TLV) == 0) {
		s.Problem("bytes has fields or tlv, and not both")
	}
	for i, at := range s.At("fields").Items() {
		t.Fields[i].check(at)
		if t.Fields[i].Key == "" {
			at.Problem("the field has no key")
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(t.TLV)) {
		f, at := t.TLV[tag], s.At("tlv").At(tag)
		b, err := hex.DecodeString(strings.ReplaceAll(tag, " ", ""))
		if err != nil || len(b) != 2 {
			at.Problem("%q is not two bytes in hexadecimal", tag)
			continue
		}
		f.check(at)
		t.tags[[2]byte(b)] = f
	}
	return t
}

// check reports what is wrong with a field, and reads its bits.
func (f *field) check(s conf.Section) {
	if sizes[f.Type] == 0 {
		s.At("type").NotOneOf(f.Type, slices.Sorted(maps.Keys(sizes)))
	}
	if f.At < 0 || f.At > maxPayload {
		s.At("at").Problem("there is no byte %d", f.At)
	}
	f.high = -1
	if f.Bits == "" {
		return
	}
	low, high, isRange := strings.Cut(f.Bits, "-")
	if !isRange {
		high = low
	}
	var errLow, errHigh error
	f.low, errLow = strconv.Atoi(low)
	f.high, errHigh = strconv.Atoi(high)
	if errLow != nil || errHigh != nil || f.low < 0 || f.high < f.low || f.high >= 8*sizes[f.Type] || !strings.HasPrefix(f.Type, "uint") {
		s.At("bits").Problem("%q is not bits of the field, such as 5 or 0-3", f.Bits)
	}
}

var (
	errChecksum = errors.New("checksum: the sum of all bytes is not 0 modulo 256")
	errEncoded  = errors.New("the bytes are not in the encoding that the device model says")
)

// unwrapBytes reads a payload that is nothing but bytes, as they are or written in hex or base64.
func unwrapBytes(w *wrapping, p *publication, _ string) ([]sample, error) {
	if len(p.payload) == 0 || w.template == nil {
		return nil, nil
	}
	object, err := "", error(nil)
	if w.template.Encoding == "" || w.template.Encoding == "raw" {
		object, err = w.template.decode(p.payload)
	} else {
		object, err = w.template.decodeText(trim(p.payload))
	}
	if object == "" {
		return nil, err
	}
	return []sample{{text: `{"object":` + object + `}`}}, err
}

// has tells whether an uplink on a port is the template's.
func (t *template) has(port int64) bool { return len(t.Ports) == 0 || slices.Contains(t.Ports, port) }

// decodeText is decode of bytes written in hex or base64.
func (t *template) decodeText(text string) (string, error) {
	var data []byte
	var err error
	if t.Encoding == "hex" {
		data, err = hex.DecodeString(strings.Join(strings.Fields(text), ""))
	} else {
		data, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		return "", errEncoded
	}
	return t.decode(data)
}

// decode gives the values as a JSON object, "" if there are none. What stands before bytes that nobody knows is given
// together with the error.
func (t *template) decode(data []byte) (string, error) {
	var sum byte
	for _, b := range data {
		sum += b
	}
	if t.Checksum == "sum" && sum != 0 {
		return "", errChecksum
	}
	var b []byte
	for _, f := range t.Fields {
		if f.At+sizes[f.Type] > len(data) {
			return finish(b), fmt.Errorf("the payload has %d bytes and no %s", len(data), f.Key)
		}
		b = t.add(b, f, data[f.At:])
	}
	for rest := data; len(t.tags) > 0 && len(rest) > 0; {
		if len(rest) < 2 {
			return finish(b), fmt.Errorf("the payload ends inside a tag, at byte %d", len(data)-len(rest))
		}
		f, ok := t.tags[[2]byte(rest)]
		if !ok {
			return finish(b), fmt.Errorf("the tag % X at byte %d is not of the device model", rest[:2], len(data)-len(rest))
		}
		rest = rest[2:]
		if len(rest) < sizes[f.Type] {
			return finish(b), fmt.Errorf("the payload ends inside %s", f.Key)
		}
		if f.Key != "" {
			b = t.add(b, f, rest)
		}
		rest = rest[sizes[f.Type]:]
	}
	return finish(b), nil
}

func finish(b []byte) string {
	if b == nil {
		return ""
	}
	return string(b) + "}"
}

// add writes the key and value of a field whose bytes stand first.
func (t *template) add(b []byte, f field, data []byte) []byte {
	b = appendKey(b, f.Key)
	raw := make([]byte, 8)
	if size := sizes[f.Type]; t.Order == "big" {
		copy(raw[8-size:], data[:size])
	} else {
		for i, c := range data[:size] {
			raw[7-i] = c
		}
	}
	n := binary.BigEndian.Uint64(raw)
	switch f.Type {
	case "int8":
		return strconv.AppendInt(b, int64(int8(n)), 10)
	case "int16":
		return strconv.AppendInt(b, int64(int16(n)), 10)
	case "int32":
		return strconv.AppendInt(b, int64(int32(n)), 10)
	case "float32":
		v := float64(math.Float32frombits(uint32(n)))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(b, "null"...)
		}
		return strconv.AppendFloat(b, v, 'g', -1, 32)
	}
	if f.high >= 0 {
		n = n >> f.low & (1<<(f.high-f.low+1) - 1)
	}
	return strconv.AppendUint(b, n, 10)
}
