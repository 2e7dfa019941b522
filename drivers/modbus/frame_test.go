package modbus

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"

	"github.com/goburrow/modbus"
)

// exchange is one case of a file of faults.
type exchange struct {
	name, request, answer, want string
}

func exchanges(t testing.TB, file string) (all []exchange) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch what {
		case "case":
			all = append(all, exchange{name: rest})
		case ">":
			all[len(all)-1].request = rest
		case "<":
			all[len(all)-1].answer = rest
		case "=":
			all[len(all)-1].want = rest
		}
	}
	return all
}

// play is a peer that wants one request and gives one answer.
func play(t testing.TB, conn net.Conn, e exchange) {
	got := make([]byte, 300)
	n, err := conn.Read(got)
	if want := bytesOf(t, e.request); err != nil || !bytes.Equal(got[:n], want) {
		t.Errorf("asked % x %v, want % x", got[:n], err, want)
	}
	for i, piece := range strings.Split(e.answer, "|") {
		if i > 0 {
			time.Sleep(30 * time.Millisecond)
		}
		if data := bytesOf(t, piece); len(data) > 0 {
			conn.Write(data)
		}
	}
	io.Copy(io.Discard, conn)
}

// Rows MB08 and MB10: testdata/faults-*.txt holds what a line may answer, an exception in 4+1 bytes too, and what is made
// of it.
func TestEveryAnswerThatALineMayGive(t *testing.T) {
	for _, c := range []struct {
		framing framing
		file    string
	}{{rtu, "faults-rtu"}, {rtuOver, "faults-rtu"}, {tcp, "faults-tcp"}} {
		for _, e := range exchanges(t, "testdata/"+c.file+".txt") {
			t.Run(fmt.Sprint([]string{"tcp", "rtu", "rtu+tcp"}[c.framing], " ", e.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					got, frames := made(t, c.framing, 0, e)
					if got != e.want {
						t.Errorf("got  %s\nwant %s", got, e.want)
					}
					if len(frames) == 0 || !frames[0].Sent {
						t.Errorf("the trace begins with %+v", frames)
					}
				})
			})
		}
	}
}

// made is what the driver makes of an exchange: the registers, or reason: detail; and its trace. txid is the transaction
// before it.
func made(t *testing.T, f framing, txid uint16, e exchange) (string, []drivers.Frame) {
	near, far := net.Pipe()
	defer near.Close()
	go play(t, far, e)
	l := &link{at: place{framing: f, name: "x"}, line: line{Baud: 9600, DataBits: 8, StopBits: 1, Parity: "none"}, txid: txid, ctx: t.Context(), open: func(context.Context, place, line) (port, error) { return near, nil }}
	defer l.drop()
	count, unit := 2, byte(1)
	if f == tcp {
		count, unit = 1, 0x11
	}
	b := &block{spans: []span{{Holding, 0, count, nil}}}
	var frames trace
	r := &request{unit: unit, timeout: 500 * time.Millisecond, trace: &frames, ctx: t.Context(),
		do: func(client modbus.Client) ([]byte, error) { return b.read(client) }}
	a := l.serve(r)
	if a.err != nil {
		f := explain(a.err, b.String())
		return string(f.reason) + ": " + f.detail, frames.last()
	}
	return strings.ToUpper(hex.EncodeToString(a.data)), frames.last()
}

// TestRecordedFaults gives every fault of the shared recordings to the driver, where they are present: no reading and the
// class of the fault, or the reading where the answer can be told from what stands around it. The same faults in words of our
// own are in testdata/faults-rtu.txt and faults-tcp.txt.
func TestRecordedFaults(t *testing.T) {
	for _, c := range []struct {
		file    string
		framing framing
		want    []string // of each case, in order
	}{
		{"faults_rtu", rtu, []string{"exception: ", "exception: ", "device_fault: ", "crc: ", "crc: ", "decode: unit 2", "decode: function 4", "decode: byte count", "0292", "0292", "0292", "timeout: "}},
		{"faults_tcp", tcp, []string{"offline: ", "offline: ", "timeout: ", "decode: no Modbus TCP header", "decode: no Modbus TCP header", "decode: RTU frames"}},
	} {
		text, err := os.ReadFile("../../../shared/realinput/modbus/" + c.file + ".hex")
		if err != nil {
			t.Skip("no recordings here")
		}
		var cases []exchange
		for line := range strings.Lines(string(text)) {
			what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case what == "#":
				cases = append(cases, exchange{name: rest})
			case what == ">":
				cases[len(cases)-1].request = rest
			case what == "<":
				cases[len(cases)-1].answer = rest
			}
		}
		cases = cases[2:] // what the file is, and its form
		if len(cases) != len(c.want) {
			t.Fatalf("%s: %d cases, want %d", c.file, len(cases), len(c.want))
		}
		for i, e := range cases {
			t.Run(e.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					got, _ := made(t, c.framing, 0x2000, e)
					for what := range strings.SplitSeq(c.want[i], ": ") {
						if !strings.Contains(got, what) {
							t.Errorf("got %s, want %s", got, c.want[i])
						}
					}
				})
			})
		}
	}
}

func FuzzScanTCP(f *testing.F) {
	for _, e := range exchanges(f, "testdata/faults-tcp.txt") {
		f.Add(bytesOf(f, strings.ReplaceAll(e.answer, "|", " ")), bytesOf(f, e.request))
	}
	f.Fuzz(func(t *testing.T, received, request []byte) {
		if len(request) < 12 || request[7] == 0 || request[7] > 4 && request[7] != reportServerID && request[7] != encapsulated {
			return
		}
		reply, used, err := scanTCP(received, request)
		if used > len(received) {
			t.Fatalf("%d of %d bytes used", used, len(received))
		}
		if (reply == nil) != (err != nil) && !errors.As(err, new(*frameError)) {
			t.Fatalf("% x with %v", reply, err)
		}
		if err == nil && (!bytes.Equal(reply[:2], request[:2]) || reply[6] != request[6] || reply[7]&0x7F != request[7]) {
			t.Fatalf("% x is no reply to % x", reply, request)
		}
	})
}

func FuzzScanRTU(f *testing.F) {
	for _, e := range exchanges(f, "testdata/faults-rtu.txt") {
		f.Add(bytesOf(f, strings.ReplaceAll(e.answer, "|", " ")), bytesOf(f, e.request))
	}
	f.Add(withCRC([]byte{1, 43, 14, 2, 0x83, 0, 0, 2, 0, 1, 'A', 1, 2, 'B', 'C'}), withCRC([]byte{1, 43, 14, 2, 0, 0}))
	f.Add(withCRC([]byte{1, 17, 3, 7, 0xFF, 'A'}), withCRC([]byte{1, 17, 0, 0, 0, 0}))
	f.Add([]byte{1, 5, 0, 0, 0xFF, 0, 0x8C, 0x3A}, []byte{1, 5, 0, 0, 0xFF, 0, 0x8C, 0x3A})
	f.Fuzz(func(t *testing.T, received, request []byte) {
		if len(request) != 8 || request[1] == 0 || request[1] > 6 && request[1] != reportServerID && request[1] != encapsulated {
			return
		}
		reply, err := scanRTU(received, request)
		if err == nil && (reply[0] != request[0] || reply[1]&0x7F != request[1] || checksum(reply[:len(reply)-2]) != binary.LittleEndian.Uint16(reply[len(reply)-2:])) {
			t.Fatalf("% x is no reply to % x", reply, request)
		}
		if errors.Is(err, errMore) {
			err = silentRTU(received, request)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("no word on what came instead")
		}
	})
}

// TestRecordedExchanges finds the reply in every exchange of the shared recordings, where they are present.
func TestRecordedExchanges(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/realinput/modbus/*.hex")
	if len(files) == 0 {
		t.Skip("no recordings here")
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.Contains(file, "faults") {
			continue
		}
		isTCP := strings.Contains(string(text), "transport: tcp")
		var request []byte
		for line := range strings.Lines(string(text)) {
			what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			if what == ">" {
				request = bytesOf(t, rest)
			}
			if what != "<" || len(request) < 8 {
				continue
			}
			if isTCP {
				_, _, err = scanTCP(bytesOf(t, rest), request)
			} else {
				_, err = scanRTU(bytesOf(t, rest), request)
			}
			if err != nil {
				t.Errorf("%s: > % x %s: %v", filepath.Base(file), request, line, err)
			}
			found++
		}
	}
	t.Logf("%d replies in %d files", found, len(files))
}
