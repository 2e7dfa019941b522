package modbus

import (
	"encoding/hex"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"embergate/drivers"

	"pgregory.net/rapid"
)

// table reads the lines of a text file in columns; # begins a comment.
func table(t testing.TB, file string) [][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			rows = append(rows, fields)
		}
	}
	return rows
}

func number(t testing.TB, s string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decodeOne is the reading of one signal whose registers, or bits, start at its address.
func decodeOne(sig drivers.Signal, raw []byte) drivers.Reading {
	if sig.Scale == 0 {
		sig.Scale = 1
	}
	return Decode([]drivers.Signal{sig}, func(Table, uint16, int) ([]byte, bool) { return raw, raw != nil }, time.Unix(1, 0))[0]
}

// Rows MB17 and MB18: testdata/values.txt is the table of vectors.
func TestEveryTypeInEveryOrder(t *testing.T) {
	covered := map[string]bool{}
	for _, row := range table(t, "testdata/values.txt") {
		sig := drivers.Signal{ID: "s", Kind: "number", At: "holding:7", Type: row[0], Order: strings.Trim(row[1], "-"), Scale: number(t, row[3]), Offset: number(t, row[4])}
		covered[row[0]+" "+sig.Order] = true
		raw := bytesOf(t, row[2])
		r := decodeOne(sig, raw)
		if row[5] == "bad" {
			if r.Quality != drivers.Bad || string(r.Reason) != row[6] || r.Value != 0 || r.Detail == "" {
				t.Errorf("%v: got %+v", row, r)
			}
			continue
		}
		if want := number(t, row[5]); r.Value != want || r.Quality != drivers.Good || r.Reason != "" || !slices.Equal(r.Raw, raw) {
			t.Errorf("%v: got %+v", row, r)
		}
	}
	for _, typ := range Types() {
		if !covered[typ+" "] && !covered[typ+" ABCD"] && !covered[typ+" ABCDEFGH"] {
			t.Errorf("no value of type %s", typ)
		}
	}
}

// Rows MB20 and MB22: a sentinel and what is out of range give no number.
func TestWhatABadValueIsAndWhatNot(t *testing.T) {
	for _, c := range []struct {
		name   string
		sig    drivers.Signal
		raw    string
		value  float64
		reason drivers.Reason
	}{
		{"a bit of a register", drivers.Signal{At: "holding:11.3"}, "0008", 1, ""},
		{"another bit of it", drivers.Signal{At: "holding:11.4"}, "0008", 0, ""},
		{"a field of four bits", drivers.Signal{At: "holding:11.12-15"}, "A123", 10, ""},
		{"a field over the whole register", drivers.Signal{At: "input:0x10.0-15"}, "A123", 0xA123, ""},
		{"flags of a field", drivers.Signal{At: "holding:0.8-15", Type: "bits", Kind: "status_word", Flags: map[int]string{7: "fault"}}, "8000", 128, ""},
		{"a coil", drivers.Signal{At: "coil:3"}, "01", 1, ""},
		{"a discrete input, inverted: the loop is closed", drivers.Signal{At: "discrete:0", Kind: "contact", Scale: -1, Offset: 1}, "01", 0, ""},
		{"an unsigned sentinel of a signed type", drivers.Signal{Type: "int16", NA: []float64{0x8000}}, "8000", 0, drivers.Sentinel},
		{"a signed sentinel", drivers.Signal{Type: "int16", NA: []float64{-32768}}, "8000", 0, drivers.Sentinel},
		{"a sentinel before scaling", drivers.Signal{Type: "uint16", Scale: 0.1, NA: []float64{0xFFFF, 32765}}, "7FFD", 0, drivers.Sentinel},
		{"a decimal sentinel of a float32", drivers.Signal{Type: "float32", NA: []float64{-99.9}}, "C2C7CCCD", 0, drivers.Sentinel},
		{"next to the sentinel", drivers.Signal{Type: "uint16", NA: []float64{0xFFFF}}, "FFFE", 65534, ""},
		{"at the end of the range", drivers.Signal{Type: "uint16", Range: []float64{0, 100}}, "0064", 100, ""},
		{"beyond the range", drivers.Signal{Type: "uint16", Range: []float64{0, 100}}, "0065", 0, drivers.Range},
		{"below the range", drivers.Signal{Type: "int16", Range: []float64{0, 100}}, "FFFF", 0, drivers.Range},
		{"a state of 2", drivers.Signal{Kind: "smoke", Type: "uint16"}, "0002", 0, drivers.Decode},
		{"a code with a fraction", drivers.Signal{Kind: "status_word", Type: "uint16", Scale: 0.5}, "0003", 0, drivers.Decode},
		{"half a register", drivers.Signal{Type: "uint16"}, "00", 0, drivers.Decode},
		{"one register of two", drivers.Signal{Type: "uint32"}, "0001", 0, drivers.Decode},
		{"no type is uint16", drivers.Signal{}, "0102", 258, ""},
		{"a signal with a mistake", drivers.Signal{Type: "int17"}, "0102", 0, drivers.Decode},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.sig.ID = "s"
			if c.sig.At == "" {
				c.sig.At = "holding:0"
			}
			if c.sig.Kind == "" {
				c.sig.Kind = "number"
			}
			r := decodeOne(c.sig, bytesOf(t, c.raw))
			if r.Value != c.value || r.Reason != c.reason || (r.Quality == drivers.Good) != (c.reason == "") {
				t.Errorf("got %+v, want %v %q", r, c.value, c.reason)
			}
		})
	}
}

func TestNothingReadIsNoValue(t *testing.T) {
	r := decodeOne(drivers.Signal{ID: "s", Kind: "number", At: "holding:4"}, nil)
	if r.Quality != drivers.Bad || r.Reason != drivers.Offline || r.Detail != "nothing was read at holding:4" {
		t.Errorf("%+v", r)
	}
}

// anySignal draws a writable signal without mistakes.
func anySignal(t *rapid.T) point {
	sig := drivers.Signal{ID: "s", Kind: "number", Scale: 1, Writable: true}
	switch sig.At = rapid.SampledFrom([]string{"coil:1", "holding:5", "holding:5.3", "holding:5.4-11"}).Draw(t, "at"); sig.At {
	case "holding:5":
		sig.Type = rapid.SampledFrom(Types()).Draw(t, "type")
		if orders := Orders(sig.Type); orders != nil {
			sig.Order = rapid.SampledFrom(orders).Draw(t, "order")
		}
	}
	p, mistakes := compile(&sig)
	if mistakes != nil {
		t.Fatal(mistakes)
	}
	return p
}

func TestWhatIsWrittenReadsBackTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anySignal(t)
		if p.Type != "bits" && rapid.Bool().Draw(t, "scaled") {
			p.Scale, p.Offset, p.inverse = 0.5, 3, 2
		}
		raw := []byte{rapid.Byte().Draw(t, "bit") & 1}
		if !p.at.Table.Bits() {
			raw = rapid.SliceOfN(rapid.Byte(), p.size(), p.size()).Draw(t, "raw")
		}
		r := p.reading(raw, time.Time{})
		if r.Quality != drivers.Good || math.Abs(r.Value) > 1<<50 {
			t.Skip("no value, or beyond what a float64 holds")
		}
		back, err := p.encode(r.Value)
		if err != nil {
			t.Fatalf("%+v of %v: %v", p.Signal, r.Value, err)
		}
		if again := p.reading(back, time.Time{}); again.Value != r.Value {
			t.Fatalf("%+v: % x is %v, written as % x, which is %v", p.Signal, raw, r.Value, back, again.Value)
		}
	})
}

func TestWhatDoesNotFitIsNotWritten(t *testing.T) {
	for _, c := range []struct {
		sig   drivers.Signal
		value float64
		want  string
	}{
		{drivers.Signal{Kind: "relay", At: "coil:0"}, 2, "2 is neither 0 nor 1"},
		{drivers.Signal{Kind: "number", At: "holding:0", Type: "uint16"}, -1, "-1 does not fit into uint16 of 16 bits"},
		{drivers.Signal{Kind: "number", At: "holding:0", Type: "int16"}, 32768, "32768 does not fit into int16 of 16 bits"},
		{drivers.Signal{Kind: "number", At: "holding:0.4-7"}, 16, "16 does not fit into uint16 of 4 bits"},
		{drivers.Signal{Kind: "number", At: "holding:0", Type: "bcd16"}, 10000, "10000 does not fit into bcd16 of 16 bits"},
		{drivers.Signal{Kind: "number", At: "holding:0", Type: "float32"}, 1e300, "1e+300 does not fit into float32 of 32 bits"},
		{drivers.Signal{Kind: "number", At: "holding:0", Range: []float64{0, 5}}, 6, "6 is outside 0 to 5"},
		{drivers.Signal{Kind: "number", At: "holding:0"}, math.NaN(), "NaN is no number"},
	} {
		c.sig.ID, c.sig.Scale, c.sig.Writable = "s", 1, true
		p, mistakes := compile(&c.sig)
		if mistakes != nil {
			t.Fatal(mistakes)
		}
		if raw, err := p.encode(c.value); err == nil || err.Error() != c.want {
			t.Errorf("%v: % x, %v, want %s", c.value, raw, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("holding:3", "float32", "CDAB", 0.1, 5.0, 65535.0, []byte{0x7F, 0xC0, 0, 0})
	f.Add("coil:65535", "", "", -1.0, 1.0, 0.0, []byte{1})
	f.Add("input:9.4-7", "bits", "", 1.0, 0.0, 7.0, []byte{0xFF, 0xF0})
	f.Add("holding:65533", "uint64", "GHEFCDAB", 1e300, 0.0, 1.0, []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, at, typ, order string, scale, offset, na float64, raw []byte) {
		r := decodeOne(drivers.Signal{ID: "s", Kind: "number", At: at, Type: typ, Order: order, Scale: scale, Offset: offset, NA: []float64{na}, Writable: true}, raw)
		if r.Quality == drivers.Bad && (r.Value != 0 || r.Reason == "" || r.Detail == "") {
			t.Errorf("a bad reading says why, and has no value: %+v", r)
		}
		if r.Quality == drivers.Good && (math.IsNaN(r.Value) || math.IsInf(r.Value, 0)) {
			t.Errorf("a good reading is a number: %+v", r)
		}
	})
}

func BenchmarkDecodeBlockOf50Registers(b *testing.B) {
	var points []point
	for i := range 50 {
		p, _ := compile(&drivers.Signal{ID: "s", Kind: "number", At: "holding:" + strconv.Itoa(i), Type: "int16", Scale: 0.1, NA: []float64{0x7FFF}, Range: []float64{-5000, 5000}})
		points = append(points, p)
	}
	blocks := plan(points, limits{registers: 125, bits: 2000})
	if len(blocks) != 1 {
		b.Fatal(len(blocks))
	}
	data, now := make([]byte, 100), time.Now()
	readings := make([]drivers.Reading, len(points))
	b.ReportAllocs()
	for b.Loop() {
		for _, s := range blocks[0].spans {
			raw := blocks[0].slice(data, s)
			for _, i := range s.points {
				readings[i] = points[i].reading(raw, now)
			}
		}
	}
}
