package modbus

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
)

// dtu dials in as a converter does: it says who it is, and answers for its units; before each answer it may say more.
func dtu(t *testing.T, port string, framing framing, register, heartbeat string) net.Conn {
	t.Helper()
	var conn net.Conn
	eventually(t, "the port is open", func() (err error) {
		conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%s", port))
		return err
	})
	io.WriteString(conn, register+heartbeat)
	go func() {
		request := make([]byte, 300)
		for {
			n, err := conn.Read(request)
			if err != nil {
				conn.Close()
				return
			}
			pdu := request[1 : n-2]
			if framing == tcp {
				pdu = request[7:n]
			}
			io.WriteString(conn, heartbeat)
			conn.Write(append([]byte(heartbeat), frameOf(framing, request[:n], echo(0, pdu).pdu)...))
			io.WriteString(conn, heartbeat)
		}
	}()
	return conn
}

func eventually(t *testing.T, what string, is func() error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := is()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// comes waits for a good reading that is new.
func (r *running) comes(t *testing.T, signal string, want float64) {
	t.Helper()
	n := len(r.all()[signal])
	eventually(t, signal, func() error {
		for _, reading := range r.all()[signal][n:] {
			if reading.Quality == drivers.Good && reading.Value == want {
				return nil
			}
		}
		return fmt.Errorf("no reading of %g: %+v", want, r.last(signal))
	})
}

// Row MB32: converters dial in at one port, each is known by its registration packet, and their heartbeats are left out; one
// that dials anew takes the place of its dead connection.
func TestConvertersDialIn(t *testing.T) {
	for name, framing := range map[string]framing{"rtu+listen": rtuOver, "tcp+listen": tcp} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			endpoint := `{modbus: {url: "%s://127.0.0.1:%s", register: "%s", heartbeat: "hex:FE 00", timeout: 1s}, devices: [{id: %s, unit: 7, every: 20ms, signals: [{id: s, kind: number, at: "holding:%d"}]}]}`
			all := configure(t, nil, "endpoints: ["+
				fmt.Sprintf(endpoint, name, port, "ST-001", "a", 11)+","+fmt.Sprintf(endpoint, name, port, "hex:01 03 AA", "b", 22)+"]")
			first, second := start(t, all[0]), start(t, all[1])
			stranger, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%s", port))
			for ; err != nil; stranger, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%s", port)) {
				time.Sleep(10 * time.Millisecond)
			}
			defer stranger.Close()
			io.WriteString(stranger, "GET / HTTP/1.1\r\n\r\n")
			one := dtu(t, port, framing, "ST-001", "\xfe\x00")
			dtu(t, port, framing, "\x01\x03\xaa", "\xfe\x00")
			first.comes(t, "a.s", 11)
			second.comes(t, "b.s", 22)
			again := dtu(t, port, framing, "ST-001", "\xfe\x00") // the first one died without a word
			first.comes(t, "a.s", 11)
			if _, err := one.Read(make([]byte, 1)); err == nil {
				t.Error("the dead connection stays open")
			}
			if err := second.end(); err != nil {
				t.Error(err)
			}
			first.comes(t, "a.s", 11)
			if err := first.end(); err != nil {
				t.Error(err)
			}
			again.Close()
			if _, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%s", port), time.Second); err == nil {
				t.Error("the port stays open after its last user")
			}
		})
	}
}

// Row MB32: one endpoint without a registration takes whoever comes; a converter that hangs up ends Run, and the next one serves.
func TestAConverterThatHangsUpIsWaitedFor(t *testing.T) {
	port := freePort(t)
	d := configure(t, nil, fmt.Sprintf(`endpoints: [{modbus: {url: "rtu+listen://127.0.0.1:%s"}, devices: [{id: a, unit: 7, every: 20ms, signals: [{id: s, kind: number, at: "holding:3"}]}]}]`, port))[0]
	r := start(t, d)
	conn := dtu(t, port, rtuOver, "", "")
	r.comes(t, "a.s", 3)
	conn.Close()
	dtu(t, port, rtuOver, "", "")
	r.comes(t, "a.s", 3)
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestHeartbeatsAreLeftOut(t *testing.T) {
	for _, c := range []struct{ name, heartbeat, chunks, want string }{
		{"none", "", "abc", "abc"},
		{"by itself", "HB", "HB|abc", "abc"},
		{"before an answer", "HB", "HBHBabc", "abc"},
		{"by itself within an answer", "HB", "ab|HB|c", "abc"},
		{"as a part of an answer", "HB", "aHBc", "aHBc"},
		{"read with the registration", "HB", "HB", ""},
	} {
		near, far := net.Pipe()
		go func() {
			for chunk := range strings.SplitSeq(c.chunks, "|") {
				io.WriteString(far, chunk)
			}
			far.Close()
		}()
		got, err := io.ReadAll(&caller{Conn: near, heartbeat: []byte(c.heartbeat), header: true})
		if string(got) != c.want || err != nil {
			t.Errorf("%s: %q, want %q, %v", c.name, got, c.want, err)
		}
	}
}
