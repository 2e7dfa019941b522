package profiles

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// Vector is one fact about a model: what the device said, and what it means. What a Modbus device said stands in the four
// images, register or bit by zero-based address, whether the file gave registers or recorded frames; what an MQTT device
// said stands in Messages, in their order.
type Vector struct {
	Name     string // a sentence: loops 6 and 7 are broken
	Holding  map[uint16]uint16
	Input    map[uint16]uint16
	Coil     map[uint16]bool
	Discrete map[uint16]bool
	Messages []Message
	Readings map[string]Want // by signal id
}

// Message is one MQTT publication. Topic is below the device's topic, "" for the device's own; with format sparkplug-b it is
// the whole topic.
type Message struct {
	Topic     string `yaml:"topic"`
	Payload   string `yaml:"payload"`
	Hex       string `yaml:"hex"`    // in place of a payload that is not text
	Member    string `yaml:"member"` // the device's, where a message carries several
	Retained  bool   `yaml:"retained"`
	Malformed bool   `yaml:"malformed"` // the message must be refused
}

// Bytes is the payload as published; false where Hex is not hexadecimal.
func (m Message) Bytes() ([]byte, bool) {
	if m.Hex == "" {
		return []byte(m.Payload), true
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(m.Hex), ""))
	return b, err == nil && m.Payload == ""
}

// Want is the reading that a vector expects: a value in the unit of the signal's kind, or none for a reason.
type Want struct {
	Value  float64
	Reason drivers.Reason // "" where the reading is good
}

// Wire is what the device holds at n addresses of a table (coil, discrete, input, holding), as in a reply: two bytes a
// register, bits packed with the least significant first; false where the vector says nothing of one of them.
func (v Vector) Wire(table string, first uint16, n int) ([]byte, bool) {
	registers, bits := v.Holding, v.Coil
	if table == "input" {
		registers = v.Input
	}
	if table == "discrete" {
		bits = v.Discrete
	}
	var wire []byte
	for i := range n {
		address := first + uint16(i)
		if table == "coil" || table == "discrete" {
			bit, ok := bits[address]
			if !ok {
				return nil, false
			}
			if i%8 == 0 {
				wire = append(wire, 0)
			}
			if bit {
				wire[i/8] |= 1 << (i % 8)
			}
			continue
		}
		register, ok := registers[address]
		if !ok {
			return nil, false
		}
		wire = binary.BigEndian.AppendUint16(wire, register)
	}
	return wire, true
}

// Check compares readings, named by the ids of the signals, with the vector's and says what differs, one line a signal; nil
// if it holds. Of several readings of a signal the last counts. A value may differ by what a float32 rounds.
func (v Vector) Check(readings []drivers.Reading) []i18n.Text {
	got := map[string]drivers.Reading{}
	for _, r := range readings {
		got[r.Signal] = r
	}
	var wrong []i18n.Text
	for _, id := range slices.Sorted(maps.Keys(v.Readings)) {
		want := v.Readings[id]
		r, there := got[id]
		switch {
		case !there:
			wrong = append(wrong, i18n.T("%s: no reading, want %s", id, want.say()))
		case want.Reason != "" && (r.Quality != drivers.Bad || r.Reason != want.Reason),
			want.Reason == "" && (r.Quality != drivers.Good || math.Abs(r.Value-want.Value) > 5e-6*math.Abs(want.Value)+1e-9):
			wrong = append(wrong, i18n.T("%s: %s, want %s", id, say(r), want.say()))
		}
	}
	return wrong
}

// say is the value, or bad and the reason.
func (w Want) say() any {
	if w.Reason != "" {
		return i18n.T("bad: %s", w.Reason)
	}
	return fmt.Sprint(w.Value)
}

// say is the value of a reading, or why there is none.
func say(r drivers.Reading) any {
	switch {
	case r.Quality == drivers.Bad && r.Detail != "":
		return i18n.T("bad: %s (%s)", r.Reason, r.Detail)
	case r.Quality == drivers.Bad:
		return i18n.T("bad: %s", r.Reason)
	case r.Quality == drivers.Uncertain:
		return i18n.T("%v, uncertain: %s", r.Value, r.Reason)
	}
	return fmt.Sprint(r.Value)
}

// DecodeConf reads a number, or {bad: reason}.
func (w *Want) DecodeConf(s conf.Section) {
	if len(s.Keys()) == 0 {
		value, err := strconv.ParseFloat(s.Value(), 64)
		if err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			s.Problem("%q is not a number", s.Value())
		}
		w.Value = value
		return
	}
	var bad struct {
		Bad string `yaml:"bad"`
	}
	s.Decode(&bad)
	w.Reason = drivers.Reason(bad.Bad)
	if !slices.Contains(drivers.Reasons, w.Reason) {
		names := make([]string, len(drivers.Reasons))
		for i, r := range drivers.Reasons {
			names[i] = string(r)
		}
		s.At("bad").NotOneOf(bad.Bad, names)
	}
}

// vectorFile is a vector as written: Modbus registers by their first address, bits likewise, or recorded frames.
type vectorFile struct {
	Name     string              `yaml:"name"`
	Frames   []frame             `yaml:"frames"`
	Holding  map[uint16][]uint16 `yaml:"holding"`
	Input    map[uint16][]uint16 `yaml:"input"`
	Coil     map[uint16][]int    `yaml:"coil"`
	Discrete map[uint16][]int    `yaml:"discrete"`
	Messages []Message           `yaml:"messages"`
	Readings map[string]Want     `yaml:"readings"`
	place    conf.Section
}

// DecodeConf reads a vector and keeps its place for mistakes.
func (f *vectorFile) DecodeConf(s conf.Section) {
	type plain vectorFile // without this method
	s.Decode((*plain)(f))
	f.place = s
}

// vector is what the file says, with all registers and bits in their images.
func (f vectorFile) vector(m Model) Vector {
	v := Vector{
		Name: f.Name, Messages: f.Messages, Readings: f.Readings,
		Holding: map[uint16]uint16{}, Input: map[uint16]uint16{}, Coil: map[uint16]bool{}, Discrete: map[uint16]bool{},
	}
	spread(v.Holding, f.Holding)
	spread(v.Input, f.Input)
	spreadBits(v.Coil, f.Coil)
	spreadBits(v.Discrete, f.Discrete)
	for i, fr := range f.Frames {
		if mistake, ok := v.add(fr); !ok {
			f.place.At("frames").Items()[i].Problem(mistake.Format, mistake.Args...)
		}
	}
	refused := false
	for i, m := range f.Messages {
		refused = refused || m.Malformed
		if _, ok := m.Bytes(); !ok {
			f.place.At("messages").Items()[i].Problem("a message has a payload, or its bytes in hexadecimal under hex")
		}
	}
	said := len(f.Frames) + len(v.Holding) + len(v.Input) + len(v.Coil) + len(v.Discrete)
	if m.Protocol == "mqtt" {
		said = len(v.Messages)
	}
	switch {
	case f.Name == "":
		f.place.Problem("a vector has a name that says what it shows")
	case said == 0:
		f.place.Problem("a vector says what the device sent: frames or registers for modbus, messages for mqtt")
	case len(v.Readings) == 0 && !refused:
		f.place.Problem("a vector says which readings it expects")
	}
	for _, id := range slices.Sorted(maps.Keys(v.Readings)) {
		if !slices.ContainsFunc(m.Signals, func(s drivers.Signal) bool { return s.ID == id }) {
			names := make([]string, len(m.Signals))
			for i, s := range m.Signals {
				names[i] = s.ID
			}
			f.place.At("readings").At(id).NotOneOf(id, names)
		}
	}
	return v
}

func spread(image map[uint16]uint16, blocks map[uint16][]uint16) {
	for start, block := range blocks {
		for i, register := range block {
			image[start+uint16(i)] = register
		}
	}
}

func spreadBits(image map[uint16]bool, blocks map[uint16][]int) {
	for start, block := range blocks {
		for i, bit := range block {
			image[start+uint16(i)] = bit != 0
		}
	}
}
