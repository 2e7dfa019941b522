package mqtt

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/encoding/protowire"
)

// sparkPayload is a payload as on the wire.
type sparkPayload struct {
	time    time.Time
	seq     uint64
	metrics []metric
}

// metric is one metric; historical ones were stored while the node was not connected.
type metric struct {
	name       string
	alias      uint64
	hasAlias   bool
	datatype   uint64
	historical bool
	value      string // as JSON
}

var errProtobuf = errors.New("payload is not a Sparkplug B payload")

// readSparkplug reads the fields of a payload that matter to us; others are passed over.
//
//	Payload   1 timestamp, ms | 2 metrics, repeated | 3 seq
//	Metric    1 name | 2 alias | 3 timestamp | 4 datatype | 5 is_historical | 7 is_null
//	          10 int | 11 long | 12 float | 13 double | 14 boolean | 15 string
func readSparkplug(b []byte) (p sparkPayload, err error) {
	err = eachField(b, func(field protowire.Number, v wireValue) error {
		switch field {
		case 1:
			if v.bits < 1<<53 {
				p.time = time.UnixMilli(int64(v.bits))
			}
		case 2:
			if len(p.metrics) == maxAliases {
				return errProtobuf
			}
			m, err := readMetric(v.bytes)
			p.metrics = append(p.metrics, m)
			return err
		case 3:
			p.seq = v.bits
		}
		return nil
	})
	return p, err
}

// The types of which the value on the wire is not the value: signed ones are sent as their two's complement.
const (
	typeInt8  = 1
	typeInt16 = 2
	typeInt32 = 3
	typeInt64 = 4
)

func readMetric(b []byte) (metric, error) {
	m := metric{value: "null"}
	var whole uint64
	isWhole, isNull := false, false
	err := eachField(b, func(field protowire.Number, v wireValue) error {
		switch field {
		case 1:
			m.name = string(v.bytes)
		case 2:
			m.alias, m.hasAlias = v.bits, true
		case 4:
			m.datatype = v.bits
		case 5:
			m.historical = v.bits != 0
		case 7:
			isNull = v.bits != 0
		case 10, 11:
			whole, isWhole = v.bits, true
		case 12:
			m.value = jsonNumber(float64(math.Float32frombits(uint32(v.bits))), 32)
		case 13:
			m.value = jsonNumber(math.Float64frombits(v.bits), 64)
		case 14:
			m.value = strconv.FormatBool(v.bits != 0)
		case 15:
			m.value = string(gjson.AppendJSONString(nil, string(v.bytes)))
		}
		return nil
	})
	switch {
	case isNull:
		m.value = "null"
	case isWhole:
		m.value = signed(whole, m.datatype)
	}
	return m, err
}

// signed is a whole number of a type.
func signed(n, datatype uint64) string {
	switch datatype {
	case typeInt8:
		return strconv.FormatInt(int64(int8(n)), 10)
	case typeInt16:
		return strconv.FormatInt(int64(int16(n)), 10)
	case typeInt32:
		return strconv.FormatInt(int64(int32(n)), 10)
	case typeInt64:
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatUint(n, 10)
}

// jsonNumber is a number as JSON; what is none is a word, so that it is found to be no number.
func jsonNumber(v float64, bits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return `"NaN"`
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}

// wireValue is the value of a protobuf field: bits of a number, or bytes.
type wireValue struct {
	bits  uint64
	bytes []byte
}

// eachField calls f for every field of a protobuf message.
func eachField(b []byte, f func(protowire.Number, wireValue) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errProtobuf
		}
		b = b[n:]
		var v wireValue
		switch kind {
		case protowire.VarintType:
			v.bits, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(b)
			v.bits = uint64(bits)
		case protowire.Fixed64Type:
			v.bits, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return errProtobuf
		}
		b = b[n:]
		if err := f(field, v); err != nil {
			return err
		}
	}
	return nil
}

// rebirthCommand is the payload of an NCMD that asks for births: Node Control/Rebirth = true.
func rebirthCommand(now time.Time) []byte {
	var m []byte
	m = protowire.AppendTag(m, 1, protowire.BytesType)
	m = protowire.AppendString(m, "Node Control/Rebirth")
	m = protowire.AppendTag(m, 4, protowire.VarintType)
	m = protowire.AppendVarint(m, 11) // boolean
	m = protowire.AppendTag(m, 14, protowire.VarintType)
	m = protowire.AppendVarint(m, 1)
	var b []byte
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(now.UnixMilli()))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, m)
}
