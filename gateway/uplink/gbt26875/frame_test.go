package gbt26875

import (
	"bytes"
	"encoding/hex"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// published are the packets in testdata, by what they say.
func published(t testing.TB) map[string][]byte {
	text, err := os.ReadFile("testdata/published.txt")
	if err != nil {
		t.Fatal(err)
	}
	packets := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, packet, ok := strings.Cut(line, " | ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if packets[name], err = hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(packet), " ", "")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return packets
}

var (
	beijing = time.FixedZone("", 8*3600)
	noon    = time.Date(2012, 9, 26, 9, 58, 2, 0, beijing)
)

// Row SF16: packets of others are read, and written again as they are.
func TestPublishedPackets(t *testing.T) {
	packets := published(t)
	if len(packets) < 16 {
		t.Fatalf("only %d packets", len(packets))
	}
	for name, packet := range packets {
		f, n, err := decode(packet)
		if err != nil || n != len(packet) {
			t.Errorf("%s: %d of %d bytes: %v", name, n, len(packet), err)
			continue
		}
		if got := f.encode(); !bytes.Equal(got, packet) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, packet)
		}
	}
	f, _, _ := decode(packets["the centre calls for a duty check, 10 minutes"])
	if f.source != 88888 || f.destination != 889 || f.command != control || f.serial != 1 || kind(f.unit[0]) != callDuty || f.unit[2] != 10 {
		t.Errorf("a duty check is %+v", f)
	}
}

// Row SF16: what we say has the bytes that others say it with.
func TestUnitsAreAsOthersWriteThem(t *testing.T) {
	packets := published(t)
	smoke := part{system{1, 1}, 40, 10, 2}
	corridor := part{system{1, 3}, 0, 0xd9, 6}
	spoken := time.Date(2020, 8, 1, 19, 18, 48, 0, beijing)
	fireOnly := smoke.object(fire, strings.Repeat(" ", 30), noon)
	for name, want := range map[string][]byte{
		"smoke in zone 10, number 2: fire":          unit(partState, fireOnly),
		"a part of a real home: fire":               unit(partState, corridor.object(fire, "Ａ区１层呷哺走廊", spoken)),
		"the device has lost its mains":             unit(deviceState, stamp([]byte{ownMains}, noon)),
		"operator 1 answered a duty check":          unit(deviceAct, stamp([]byte{byte(present), 1}, noon)),
		"the device has its time":                   unit(deviceTime, stamp(nil, noon)),
		"the device answers that its mains is lost": unit(deviceState, stamp([]byte{ownMains}, noon)),
	} {
		if f, _, err := decode(packets[name]); err != nil || !bytes.Equal(f.unit, want) {
			t.Errorf("%s: %v\n got %x\nwant %x", name, err, want, f.unit)
		}
	}
}

func TestDescriptionsAreCutBetweenCharacters(t *testing.T) {
	for text, want := range map[string]string{
		"":     "",
		"A区":   "41c7f8",
		"a\nb": "612062",
		"一二三四五六七八九十一二三四五六":  "d2bbb6fec8fdcbc4cee5c1f9c6dfb0cbbec5caaed2bbb6fec8fdcbc4cee5", // 15 of 16, in 30 bytes
		"x一二三四五六七八九十一二三四五六": "78d2bbb6fec8fdcbc4cee5c1f9c6dfb0cbbec5caaed2bbb6fec8fdcbc4cee5",
		"🔥":    "9439e637", // four bytes
		"\xff": "8431a437", // no text: the mark of what cannot be read
	} {
		got := describe(text)
		if len(got) != describeBytes || hex.EncodeToString(bytes.TrimRight(got, "\x00")) != want {
			t.Errorf("%q: %x", text, got)
		}
	}
}

func TestValuesInTheStepsOfTheirType(t *testing.T) {
	for _, c := range []struct {
		kind  string
		value float64
		want  value
		ok    bool
	}{
		{"temperature", 23.46, value{3, 235}, true},
		{"cable_temperature", -12.3, value{3, -123}, true},
		{"temperature", -300, value{}, false},
		{"gas_lel", 25, value{6, 250}, true},
		{"gas_lel", 101, value{}, false},
		{"water_pressure", 0.352, value{5, 3520}, true},
		{"water_pressure", 4, value{}, false},
		{"water_level", 2.345, value{2, 235}, true},
		{"voltage", 229.96, value{8, 2300}, true},
		{"current", 12.34, value{9, 123}, true},
		{"flow", 36, value{10, 100}, true},
		{"voltage", math.NaN(), value{}, false},
		{"voltage", math.Inf(1), value{}, false},
		{"gas_lel", -1, value{}, false},
	} {
		if got, ok := scales[c.kind].steps(c.value); got != c.want || ok != c.ok {
			t.Errorf("%s %v: %+v %v", c.kind, c.value, got, ok)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]address{"889": 889, "37030500-0007": 370305000007, "0x37-03-05-00-00-07": 0x370305000007, "281474976710655": 1<<48 - 1} {
		got, err := parseAddress(text)
		if err != nil || got != want || readAddress(got.append(nil)) != want {
			t.Errorf("%s: %d %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-", "281474976710656", "37A", "0x", "+5"} {
		if got, err := parseAddress(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestTimesOfNoCalendarAreRefused(t *testing.T) {
	l := label(noon)
	if got, ok := readLabel(l[:], beijing); !ok || !got.Equal(noon) {
		t.Errorf("%v %v", got, ok)
	}
	for _, bad := range [][]byte{nil, {1, 2, 3}, {60, 0, 0, 1, 1, 20}, {0, 0, 0, 31, 2, 20}, {0, 0, 0, 0, 0, 0}, {0x59, 0x59, 0x23, 1, 1, 20}} {
		if got, ok := readLabel(bad, beijing); ok {
			t.Errorf("%v is %v", bad, got)
		}
	}
}

// scanned are the serial numbers of the frames in a stream that comes in pieces; damaged ones are negative.
func scanned(stream []byte, piece int) (serials []int) {
	var s scanner
	for chunk := range slices.Chunk(stream, max(piece, 1)) {
		s.take(chunk, func(f frame, damaged bool) {
			n := int(f.serial)
			if damaged {
				n = -n
			}
			serials = append(serials, n)
		})
	}
	return serials
}

func TestFramesAreFoundInWhateverComes(t *testing.T) {
	one, two := frame{serial: 1, command: confirm}.encode(), frame{serial: 2, command: request, unit: []byte{81, 1, 0}}.encode()
	damaged := frame{serial: 3, command: control, unit: []byte{91, 1, 5}}.encode()
	damaged[29]++
	long := slices.Clone(one)
	long[24], long[25] = 0xff, 0xff
	unending := slices.Clone(one)
	unending[24], unending[25] = 0x00, 0x04 // 1024 bytes follow, it says
	noTail := slices.Clone(one)
	noTail[29] = '!'
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		stream []byte
		want   []int
	}{
		"one after the other":              {join(one, two), []int{1, 2}},
		"garbage before, between, behind":  {join([]byte("GET / HTTP/1.1\r\n@"), one, []byte("@@@##"), two, []byte("@@")), []int{1, 2}},
		"a wrong checksum is told":         {join(damaged, one), []int{-3, 1}},
		"a length beyond the most":         {join(long, two), []int{2}},
		"a length that never comes":        {join(unending, two), []int{2}},
		"without an end":                   {join(noTail, two), []int{2}},
		"the first half of one, then two":  {join(one[:20], one, two), []int{1, 2}},
		"nothing but marks of a beginning": {bytes.Repeat([]byte("@"), 5000), nil},
	} {
		for _, piece := range []int{1, 7, 5000} {
			if got := scanned(c.stream, piece); !slices.Equal(got, c.want) {
				t.Errorf("%s, in pieces of %d: %v", name, piece, got)
			}
		}
	}
}

// FuzzFrame: whatever comes, nothing panics, the scanner holds no more than a frame, what is found can be said again, and so many
// frames as one could hide are enough to be heard behind it.
func FuzzFrame(f *testing.F) {
	for _, packet := range published(f) {
		f.Add(packet, uint8(3))
		f.Add(append([]byte("@@@"), packet...), uint8(200))
	}
	u := newUplink(f, plain, nil, nil)
	u.Alarms(nil)
	whole := frame{serial: 4711, command: confirm}.encode()
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		var s scanner
		for chunk := range slices.Chunk(stream, int(piece)+1) {
			s.take(chunk, func(f frame, damaged bool) {
				again, _, err := decode(f.encode())
				if err != nil || again.serial != f.serial || !bytes.Equal(again.unit, f.unit) {
					t.Errorf("%+v is %+v when said again: %v", f, again, err)
				}
				if len(f.unit) < 2 || damaged {
					return
				}
				if data := u.read(noon, kind(f.unit[0]), int(f.unit[1]), f.unit[2:]); len(data) > mostUnit {
					t.Errorf("an answer of %d bytes", len(data))
				}
			})
			if len(s.held) >= mostFrame {
				t.Errorf("%d bytes are held", len(s.held))
			}
		}
		heard := false
		s.take(bytes.Repeat(whole, mostFrame/len(whole)+2), func(f frame, damaged bool) {
			heard = heard || f.serial == 4711 && !damaged
		})
		if !heard {
			t.Error("no frame is heard any more")
		}
	})
}
