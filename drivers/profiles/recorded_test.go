package profiles

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/modbus"
)

// expectation is a reading that a recording must give, as its index says.
type expectation struct {
	FC    int
	Addr  int
	Key   string
	Type  string
	Scale float64
	NA    []float64
	Value any // null: no reading
}

// signal is the expectation as a signal of ours.
func (e expectation) signal() drivers.Signal {
	s := drivers.Signal{ID: "s", Kind: "number", Scale: 1, NA: e.NA}
	if e.Scale != 0 {
		s.Scale = e.Scale
	}
	table := map[int]string{1: "coil", 2: "discrete", 3: "holding", 4: "input"}[e.FC]
	s.At = fmt.Sprintf("%s:%d", table, e.Addr)
	bits, isBits := strings.CutPrefix(e.Type, "bits")
	switch {
	case isBits:
		s.At, s.Type = s.At+"."+bits, "uint16"
	case e.Type == "bit":
		s.Type = "bool"
	default:
		s.Type = map[byte]string{'u': "uint", 'i': "int", 'f': "float"}[e.Type[0]] + e.Type[1:]
	}
	return s
}

// Row MB20: every recorded frame of every device, if the recordings are there, gives what its index says; the vectors of the
// models hold the same facts for a tree without the recordings.
func TestEveryRecordingOfADevice(t *testing.T) {
	const folder = "../../../shared/realinput/"
	data, err := os.ReadFile(folder + "modbus/expected.json")
	if err != nil {
		t.Skip("no recordings here")
	}
	index := map[string][]expectation{}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(folder + "modbus/*.hex")
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "faults_") {
			continue // of the wire, not of a device: inputs of drivers/modbus
		}
		t.Run(name, func(t *testing.T) {
			wanted := index["modbus/"+name]
			if len(wanted) == 0 {
				t.Fatal("the index has nothing to say of it")
			}
			replies := readReplies(t, file)
			for _, e := range wanted {
				e.check(t, replies)
			}
		})
	}
}

// Every recording is an input of a test, and a new one fails here until it is.
func TestEveryRecordingIsAnInputOfATest(t *testing.T) {
	const folder = "../../../shared/realinput"
	readers := map[string]string{
		"modbus/*.hex": "here; faults_*.hex in drivers/modbus", "modbus/expected.json": "here",
		"mqtt/*.jsonl": "drivers/mqtt", "mqtt/milesight_raw.json": "drivers/profiles/proof", "serial/gst9000_printer.hex": "drivers/printer", "index.md": "says what must come out",
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skip("no recordings here")
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		for pattern := range readers {
			if ok, _ := filepath.Match(pattern, name); ok {
				return err
			}
		}
		t.Errorf("%s is no input of any test", name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// check finds the reading in one of the replies.
func (e expectation) check(t *testing.T, replies []Vector) {
	var got []string
	for _, v := range replies {
		r := modbus.Decode([]drivers.Signal{e.signal()}, func(table modbus.Table, first uint16, n int) ([]byte, bool) {
			return v.Wire(table.String(), first, n)
		}, time.Time{})[0]
		if r.Reason == drivers.Offline {
			continue // another reply
		}
		switch want := e.Value.(type) {
		case nil:
			if r.Reason == drivers.Sentinel {
				return
			}
		case bool:
			if r.Quality == drivers.Good && (r.Value == 1) == want {
				return
			}
		case float64:
			if r.Quality == drivers.Good && math.Abs(r.Value-want) <= 1e-6*math.Abs(want)+1e-9 {
				return
			}
		}
		got = append(got, fmt.Sprint(say(r)))
	}
	t.Errorf("%s at %s: %q, want %v", e.Key, e.signal().At, got, e.Value)
}

// readReplies are the replies of a recording, each by itself.
func readReplies(t *testing.T, file string) (all []Vector) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	request := ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if r, ok := strings.CutPrefix(line, "> "); ok {
			request = r
		}
		reply, ok := strings.CutPrefix(line, "< ")
		if !ok {
			continue
		}
		if asked, _ := pdu(request); len(asked) != 5 || asked[0] > readInputRegisters {
			continue // a write, or a vendor's own frame
		}
		v := Vector{Holding: map[uint16]uint16{}, Input: map[uint16]uint16{}, Coil: map[uint16]bool{}, Discrete: map[uint16]bool{}}
		if mistake, ok := v.add(frame{request, reply}); !ok {
			t.Fatalf("%s: %s", request, mistake)
		}
		all = append(all, v)
	}
	return all
}
