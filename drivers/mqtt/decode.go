package mqtt

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"embergate/drivers"

	"github.com/tidwall/gjson"
)

// Limits of a payload. A sensor's is a few hundred bytes; nobody's needs more than these.
const (
	maxPayload = 256 << 10
	maxDepth   = 64 // of nested JSON
)

var (
	errTooLarge = fmt.Errorf("payload longer than %d KiB", maxPayload>>10)
	errNotJSON  = errors.New("payload is not JSON")
	errTooDeep  = fmt.Errorf("JSON nested deeper than %d", maxDepth)
	errNoObject = errors.New("payload is a single JSON value, not an object")

	errNull = errors.New("null: the device says that it has no value")
)

// words are what devices write for the two values of a state, in any case.
var words = map[string]float64{
	"on": 1, "true": 1, "online": 1, "alarm": 1,
	"off": 0, "false": 0, "offline": 0, "normal": 0,
}

// Decode makes the readings of one message: of the signals at its sub-topic, those whose keys the payload holds. A key
// whose value does not mean what its signal says gives a Bad reading of that signal alone. The error says that the payload
// as a whole is malformed. Reading.Signal is the signal's id, without a device; below is "" for the device's own topic.
//
//	{"smoke":true,"battery":null}   → smoke 1 good, battery bad/sentinel; all other signals: nothing
//	58.1, "58.1", ON                → the value of a signal with a path and no json
func Decode(signals []drivers.Signal, below string, payload []byte, now time.Time) ([]drivers.Reading, error) {
	if len(payload) > maxPayload {
		return nil, errTooLarge
	}
	return decode(signals, sample{below: below, text: trim(payload)}, now)
}

// decode makes the readings of one sample, at a time.
func decode(signals []drivers.Signal, s sample, at time.Time) ([]drivers.Reading, error) {
	if s.text == "" {
		return nil, nil // how a retained message is deleted; it says nothing
	}
	var readings []drivers.Reading
	var malformed error
	checked := false
	for _, sig := range signals {
		if sig.Path != s.below {
			continue
		}
		if sig.JSON == "" {
			readings = append(readings, s.reading(sig, scalar(s.text), at))
			continue
		}
		if !checked {
			malformed, checked = checkJSON(s.text), true
		}
		if malformed != nil {
			continue
		}
		if v := s.find(sig); v.Exists() {
			readings = append(readings, s.reading(sig, v, at))
		}
	}
	return readings, malformed
}

// find is the value of a signal, by its json path. A key that the model says is left out where it is zero is zero, if the
// object is there in which it would stand.
func (s sample) find(sig drivers.Signal) gjson.Result {
	v := gjson.Get(s.text, sig.JSON)
	if v.Exists() || !slices.Contains(s.omitted, sig.ID) {
		return v
	}
	parent := gjson.Parse(s.text)
	if dot := strings.LastIndexByte(sig.JSON, '.'); dot >= 0 {
		parent = parent.Get(sig.JSON[:dot])
	}
	if !parent.IsObject() {
		return v
	}
	return gjson.Result{Type: gjson.Number, Raw: "0"}
}

// checkJSON tells whether the text may be searched: gjson finds values in broken JSON too, and recurses as deep as it is.
func checkJSON(text string) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return errTooDeep
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	switch {
	case !gjson.Valid(text):
		return errNotJSON
	case text[0] != '{' && text[0] != '[':
		return errNoObject
	}
	return nil
}

// scalar is a bare payload: a JSON value, or a word without quotes.
func scalar(text string) gjson.Result {
	if c := text[0]; c != '{' && c != '[' && gjson.Valid(text) {
		return gjson.Parse(text)
	}
	return gjson.Result{Type: gjson.String, Raw: text, Str: text}
}

// reading is the reading of one value: value = raw × scale + offset.
func (from sample) reading(s drivers.Signal, v gjson.Result, at time.Time) drivers.Reading {
	r := drivers.Reading{Signal: s.ID, Time: at, Raw: []byte(shorten(v.Raw, 256))}
	if s.Of().Form == drivers.Text && v.Type != gjson.Null && !v.IsObject() && !v.IsArray() {
		r.Detail, r.Quality = plain(v.String()), drivers.Good
		return r
	}
	raw, err := from.rawValue(s, v)
	if err != nil {
		r.Reason, r.Detail = drivers.Decode, err.Error()
		if errors.Is(err, errNull) {
			r.Reason = drivers.Sentinel
		}
		return r
	}
	if slices.Contains(s.NA, raw) {
		r.Reason, r.Detail = drivers.Sentinel, fmt.Sprintf("%v: the device says that it has no value", raw)
		return r
	}
	if from.fahrenheit && s.Of().Unit == "°C" {
		raw = (raw - 32) / 1.8
	}
	scale := s.Scale
	if scale == 0 {
		scale = 1 // a signal that was not read from a configuration: never a quiet 0
	}
	value := raw*scale + s.Offset
	if err := fits(s.Of().Form, value); err != nil {
		r.Reason, r.Detail = drivers.Decode, err.Error()
		return r
	}
	if s.Range != nil && (value < s.Range[0] || value > s.Range[1]) {
		r.Reason, r.Detail = drivers.Range, fmt.Sprintf("%v is not between %v and %v", value, s.Range[0], s.Range[1])
		return r
	}
	r.Value, r.Quality = value, drivers.Good
	return r
}

// rawValue is the number that a payload's value stands for.
func (from sample) rawValue(s drivers.Signal, v gjson.Result) (float64, error) {
	form := s.Of().Form
	if code, ok := s.Enum[v.String()]; ok && !v.IsObject() && !v.IsArray() {
		return float64(code), nil
	}
	if from.exact && form == drivers.State && s.Enum == nil && !v.IsBool() {
		return 0, fmt.Errorf("%s is neither true nor false", quote(v.Raw))
	}
	switch v.Type {
	case gjson.Null:
		return 0, errNull
	case gjson.True, gjson.False:
		if form != drivers.State {
			return 0, fmt.Errorf("%s is a boolean, not a number", v.Raw)
		}
		if v.Type == gjson.True {
			return 1, nil
		}
		return 0, nil
	case gjson.Number:
		if s.Enum != nil && numbered(s.Enum) {
			return 0, fmt.Errorf("%s is no number of the enum", v.Raw)
		}
		return number(v.Raw)
	case gjson.String:
		word := strings.TrimSpace(v.Str)
		if state, ok := words[strings.ToLower(word)]; ok && form == drivers.State && s.Enum == nil {
			return state, nil
		}
		n, err := number(word)
		if err != nil && s.Enum != nil {
			return 0, fmt.Errorf("%s is no word of the enum", quote(word))
		}
		return n, err
	default:
		return 0, fmt.Errorf("%s is not a single value", quote(v.Raw))
	}
}

// numbered tells whether an enum names numbers: then it names all of them.
func numbered(enum map[string]int) bool {
	for word := range enum {
		if _, err := number(word); err == nil {
			return true
		}
	}
	return false
}

// number reads a decimal number. What else strconv takes, such as inf, nan and 0x1p-2, no device means.
func number(text string) (float64, error) {
	if strings.Trim(text, "0123456789+-.eE") == "" {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s is not a number", quote(text))
}

// fits tells whether the value is one of the form's.
func fits(form drivers.Form, value float64) error {
	const exact = 1 << 53 // beyond it a float64 has no units
	switch {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return errors.New("the value is beyond all numbers")
	case form == drivers.State && value != 0 && value != 1:
		return fmt.Errorf("%v is neither 0 nor 1", value)
	case form == drivers.Code && (value != math.Trunc(value) || math.Abs(value) > exact):
		return fmt.Errorf("%v is not a whole number", value)
	}
	return nil
}

// plain is a text without what could speak to a terminal, at most 64 bytes.
func plain(text string) string {
	return shorten(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, ""))), 64)
}

// quote shows at most 80 bytes of what came, with control characters escaped.
func quote(text string) string { return strconv.Quote(shorten(text, 80)) }

func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
