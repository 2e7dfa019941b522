package modbus

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"

	"github.com/goburrow/modbus"
)

// converter is one that dialled in, and that may die without a word.
type converter struct {
	net.Conn
	dead atomic.Bool
}

// dtu dials in as a converter does: it says who it is, and answers for its units; before each answer it may say more.
func dtu(t *testing.T, port string, framing framing, register, heartbeat string) *converter {
	t.Helper()
	conn := &converter{}
	eventually(t, "the port is open", func() (err error) {
		conn.Conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%s", port))
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
			if conn.dead.Load() {
				continue
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
			endpoint := `{modbus: {url: "%s://127.0.0.1:%s", register: "%s", heartbeat: "hex:FE 00", timeout: 500ms}, devices: [{id: %s, unit: 7, every: 20ms, signals: [{id: s, kind: number, at: "holding:%d"}]}]}`
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
			one.dead.Store(true)
			again := dtu(t, port, framing, "ST-001", "\xfe\x00")
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

// openDoor is a port for one registration, A.
func openDoor(t *testing.T) *door {
	t.Helper()
	d := &door{address: "127.0.0.1:" + freePort(t), names: []string{"A"}}
	if err := d.keepOpen(); err != nil {
		t.Fatal(err)
	}
	return d
}

func dial(t *testing.T, d *door, says string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, says)
	return conn
}

// Row MB32: of two converters with one registration the one that answers stays; readings do not come from both in turn.
func TestASecondConverterOfOneRegistrationWaits(t *testing.T) {
	d := openDoor(t)
	defer d.leave()
	first := dial(t, d, "A")
	used, err := d.take(t.Context(), place{register: "A"})
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	dial(t, d, "A")
	eventually(t, "the second waits", func() error {
		if !d.waits("A") {
			return errNobody
		}
		return nil
	})
	io.WriteString(first, "B")
	if n, err := used.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Errorf("the first was hung up on: %v", err)
	}
}

// Row MB32: whoever connects and says nothing, or never comes to an end, shuts no converter out.
func TestStrangersShutNoConverterOut(t *testing.T) {
	d := openDoor(t)
	defer d.leave()
	for range mostStrange {
		dial(t, d, "GET /")
	}
	dial(t, d, "A")
	used, err := d.take(t.Context(), place{register: "A"})
	if err != nil {
		t.Fatal(err)
	}
	used.Close()
}

// Whoever leaves a door does not wait for those who open it again meanwhile.
func TestADoorOpensAgainWhileItCloses(t *testing.T) {
	d := openDoor(t)
	hold, left := make(chan bool), make(chan bool)
	d.running.Go(func() { <-hold }) // one that is just being met
	go func() { d.leave(); close(left) }()
	eventually(t, "the port is closed", func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.users > 0 {
			return errors.New("it is open")
		}
		return nil
	})
	if err := d.keepOpen(); err != nil {
		t.Fatal(err)
	}
	close(hold)
	select {
	case <-left:
	case <-time.After(20 * time.Second):
		t.Error("it waits for the others")
	}
	d.leave()
}

// A converter that dials in can be looked behind without a configuration.
func TestAWireThatDialsInIsOpenedForOnePerson(t *testing.T) {
	port := freePort(t)
	go dtu(t, port, rtuOver, "A", "")
	b, err := Open(t.Context(), conf.Parse("url", []byte(fmt.Sprintf(`{url: "rtu+listen://127.0.0.1:%s", register: A}`, port)), conf.OS()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if data, err := b.Read(t.Context(), 7, Holding, 5, 1); err != nil || len(data) != 2 || data[1] != 5 {
		t.Errorf("% x, %v", data, err)
	}
}

// Row MB21: over RTU a late reply looks like that to any request of its length, so it is waited for before such a one.
func TestALateReplyOfAConverterIsNotTakenForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		p := &peer{framing: rtuOver, answer: func(unit byte, pdu []byte) reply {
			r := echo(unit, pdu)
			if n++; n == 1 {
				r.after = 1500 * time.Millisecond
			}
			return r
		}}
		l := &link{at: place{framing: rtuOver, listen: "h"}, door: &door{}, open: p.dial, ctx: t.Context()}
		defer l.drop()
		ask := func(first uint16) answer {
			r := &request{unit: 1, timeout: time.Second, trace: &trace{}, ctx: t.Context()}
			r.do = func(c modbus.Client) ([]byte, error) { return c.ReadHoldingRegisters(first, 1) }
			return l.serve(r)
		}
		if a := ask(1); a.err == nil {
			t.Fatal("it was not late")
		}
		if a := ask(200); a.err != nil || a.data[1] != 200 {
			t.Errorf("% x, %v", a.data, a.err)
		}
	})
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
