package sim

import (
	"encoding/hex"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, o Options) *Home {
	t.Helper()
	h, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// exchange sends bytes and reads the reply, both in hex with spaces.
func exchange(t testing.TB, conn net.Conn, request, reply string) {
	t.Helper()
	if _, err := conn.Write(unhex(t, request)); err != nil {
		t.Fatal(err)
	}
	want := unhex(t, reply)
	got := make([]byte, len(want))
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := io.ReadFull(conn, got); err != nil {
		t.Fatalf("%s: got % x, then %v; want %s", request, got[:n], err, reply)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got % x, want %s", request, got, reply)
	}
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Frames by hand: transaction, protocol, length, unit, PDU.
func TestInstrumentsAnswerByteByByte(t *testing.T) {
	h := start(t, Options{})
	h.Set("main-meter.voltage_l1", 230.1)
	h.Set("pump-climate.humidity", 65.8)
	h.Set("pump-climate.temperature", -10.1)
	h.Set("hydrant.pressure", -0.005)
	h.Set("residual.residual_4", 415)
	h.Set("kitchen-gas.lel", 12.3)
	h.Set("kitchen-gas.temperature", 25.5)
	conn := dial(t, h.Buses()[0])
	for _, x := range []struct{ name, request, reply string }{
		{"a float that is still scaled", "0001 0000 0006 01 03 2006 0002", "0001 0000 0007 01 03 04 450F D000"},
		{"humidity, then frost", "0002 0000 0006 03 03 0000 0002", "0002 0000 0007 03 03 04 0292 FF9B"},
		{"unit, decimals and a slightly negative pressure", "0003 0000 0006 04 03 0002 0003", "0003 0000 0009 04 03 06 0000 0003 FFFB"},
		{"a residual current, of a residual current monitor", "0004 0000 0006 02 03 004D 0001", "0004 0000 0005 02 03 02 019F"},
		{"the type of the monitor", "0005 0000 0006 02 03 000B 0002", "0005 0000 0007 02 03 04 1000 0000"},
		{"gas over its low limit sets the low alarm", "0006 0000 0006 07 03 0000 0002", "0006 0000 0007 07 03 04 007B 0002"},
		{"a float with its low word first", "0007 0000 0006 07 04 0004 0002", "0007 0000 0007 07 04 04 0000 41CC"},
		{"half a float", "0008 0000 0006 07 04 0005 0001", "0008 0000 0005 07 04 02 41CC"},
		{"an open valve", "0009 0000 0006 07 01 0000 0001", "0009 0000 0004 07 01 01 00"},
		{"closing it", "000A 0000 0006 07 05 0000 FF00", "000A 0000 0006 07 05 0000 FF00"},
		{"a closed valve", "000B 0000 0006 07 01 0000 0001", "000B 0000 0004 07 01 01 01"},
		{"relays 1 and 7 at once", "000C 0000 0008 06 0F 0000 0008 01 41", "000C 0000 0006 06 0F 0000 0008"},
		{"relays 1 and 7 are on", "000D 0000 0006 06 01 0000 0008", "000D 0000 0004 06 01 01 41"},
		{"relays 7 and 8 alone", "000E 0000 0006 06 01 0006 0002", "000E 0000 0004 06 01 01 01"},
		{"no such register", "0010 0000 0006 03 03 0001 0002", "0010 0000 0003 03 83 02"},
		{"no coils at all", "0011 0000 0006 03 01 0000 0001", "0011 0000 0003 03 81 02"},
		{"too many registers", "0012 0000 0006 01 03 2006 007E", "0012 0000 0003 01 83 03"},
		{"none", "0013 0000 0006 01 03 2006 0000", "0013 0000 0003 01 83 03"},
		{"beyond the last address", "0014 0000 0006 01 03 FFFF 0002", "0014 0000 0003 01 83 02"},
		{"a coil value that is none", "0015 0000 0006 06 05 0000 1234", "0015 0000 0003 06 85 03"},
		{"a coil that is not there", "0016 0000 0006 06 05 0008 FF00", "0016 0000 0003 06 85 02"},
		{"a byte count that does not fit", "0017 0000 0008 06 0F 0000 0009 01 41", "0017 0000 0003 06 8F 03"},
		{"an instrument's registers are not written", "0018 0000 0006 01 06 2006 0001", "0018 0000 0003 01 86 01"},
		{"a request that ends early", "0019 0000 0004 01 03 20 06", "0019 0000 0003 01 83 03"},
		{"a unit that is not there", "001A 0000 0006 63 03 0000 0001", "001A 0000 0003 63 83 0B"},
	} {
		t.Run(x.name, func(t *testing.T) { exchange(t, conn, x.request, x.reply) })
	}
	if v, _ := h.Value("relays.relay_7"); v != 1 {
		t.Errorf("relay 7 is %v after it was written", v)
	}
}

func TestASilentInstrumentDoesNotAnswerAndTheOthersDo(t *testing.T) {
	h := start(t, Options{})
	h.Set("pump-climate.humidity", 65.8)
	h.Silence("hydrant", true)
	conn := dial(t, h.Buses()[0])
	if _, err := conn.Write(unhex(t, "0001 0000 0006 04 03 0004 0001")); err != nil {
		t.Fatal(err)
	}
	// The next reply on the wire is the next request's.
	exchange(t, conn, "0002 0000 0006 03 03 0000 0001", "0002 0000 0005 03 03 02 0292")
	h.Silence("hydrant", false)
	h.Set("hydrant.pressure", 0.3)
	exchange(t, conn, "0003 0000 0006 04 03 0004 0001", "0003 0000 0005 04 03 02 012C")
}

func TestWhatIsNotModbusEndsTheConnection(t *testing.T) {
	h := start(t, Options{})
	for _, bytes := range []string{"0001 0007 0006 01 03 0000 0001", "0001 0000 0001 01", "0001 0000 FFFF 01", "16 03 01 02 00 01 00"} {
		conn := dial(t, h.Buses()[0])
		if _, err := conn.Write(unhex(t, bytes)); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
			t.Errorf("%s: read %d bytes, %v", bytes, n, err)
		}
	}
}

func TestFurtherMetersStandOnBusesOfTen(t *testing.T) {
	h := start(t, Options{Meters: 12})
	if got := len(h.Buses()); got != 3 {
		t.Fatalf("%d buses, want 3", got)
	}
	h.Set("meter-012.residual", 77)
	exchange(t, dial(t, h.Buses()[2]), "0001 0000 0006 02 03 0007 0001", "0001 0000 0005 02 03 02 004D")
	exchange(t, dial(t, h.Buses()[2]), "0001 0000 0006 03 03 0007 0001", "0001 0000 0003 03 83 0B")
}

// A client that is not ours reads the same values.
func TestMbpollReadsTheMeter(t *testing.T) {
	mbpoll := debian(t, "mbpoll")
	h := start(t, Options{})
	h.Set("residual.residual_1", 31)
	h.Set("residual.residual_2", 32)
	host, port, err := net.SplitHostPort(h.Buses()[0])
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(mbpoll, "-m", "tcp", "-p", port, "-a", "2", "-0", "-r", "74", "-c", "2", "-1", host).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := strings.Join(strings.Fields(string(out)), " "); !strings.Contains(got, "[74]: 31 [75]: 32") {
		t.Errorf("mbpoll printed\n%s", out)
	}
	if out, err := exec.Command(mbpoll, "-m", "tcp", "-p", port, "-a", "7", "-t", "0", "-0", "-r", "0", "-1", host, "1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if v, _ := h.Value("kitchen-gas.valve"); v != 1 {
		t.Errorf("the valve is %v after mbpoll closed it", v)
	}
}

// debian is the path of a tool that Debian has.
func debian(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("needs %s", tool)
	}
	t.Skipf("needs %s (a Debian package)", tool)
	return ""
}

func FuzzRequestsOfAnyBytesAreAnsweredOrRefused(f *testing.F) {
	for _, seed := range []string{"03 2006 0002", "01 0000 0008", "05 0000 FF00", "0F 0000 0008 01 41", "0F 0000 FFFF FF", "10 0000", "FF"} {
		f.Add(uint8(7), unhex(f, seed))
	}
	h := start(f, Options{})
	f.Fuzz(func(t *testing.T, id uint8, request []byte) {
		if len(request) == 0 || len(request) > 253 {
			t.Skip("not a PDU")
		}
		reply := h.buses[0].answer(id, request)
		switch {
		case len(reply) < 2 || len(reply) > 253:
			t.Errorf("a reply of %d bytes", len(reply))
		case reply[0] != request[0] && (reply[0] != request[0]|0x80 || len(reply) != 2):
			t.Errorf("% x is answered by % x", request, reply)
		}
	})
}

func BenchmarkABusAnswersReadsOfTenRegisters(b *testing.B) {
	h := start(b, Options{Meters: 1})
	conn := dial(b, h.Buses()[1])
	request := unhex(b, "0001 0000 0006 01 03 0000 000A")
	reply := make([]byte, 7+2+20)
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, reply); err != nil {
			b.Fatal(err)
		}
	}
}
