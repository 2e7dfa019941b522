package gateway

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"embergate/gateway/console"
)

// fireCentre is a monitoring centre after GB/T 26875.3 on a real socket: it confirms what it is sent, and keeps the type and
// the bytes of each packet.
type fireCentre struct {
	mu    sync.Mutex
	conn  net.Conn
	heard []string // type, and the unit as hexadecimal
	said  []byte   // commands of what was no data
}

func (c *fireCentre) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.conn = conn
		c.mu.Unlock()
		go c.hear(conn)
	}
}

func (c *fireCentre) hear(conn net.Conn) {
	defer conn.Close()
	var held []byte
	buffer := make([]byte, 4096)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		for held = append(held, buffer[:n]...); len(held) >= 30; {
			end := 30 + int(binary.LittleEndian.Uint16(held[24:]))
			if len(held) < end {
				break
			}
			packet := held[:end]
			held = held[end:]
			c.mu.Lock()
			if packet[26] == 2 {
				c.heard = append(c.heard, fmt.Sprintf("%d %x", packet[27], packet[27:end-3]))
			} else {
				c.said = append(c.said, packet[26])
			}
			c.mu.Unlock()
			if packet[26] == 2 {
				conn.Write(fromCentre(packet[2:4], 3))
			}
		}
	}
}

// fromCentre is a packet of the centre: a serial number as on the wire, a command and what it is about.
func fromCentre(serial []byte, command byte, unit ...byte) []byte {
	p := append([]byte("@@"), serial...)
	p = append(p, 1, 1, 0, 0, 12, 22, 11, 26, 1, 0, 0, 0, 0, 0, 7, 0, 5, 3, 0x70, 0x03, byte(len(unit)), 0, command)
	p = append(p, unit...)
	var sum byte
	for _, b := range p[2:] {
		sum += b
	}
	return append(p, sum, '#', '#')
}

// has tells how many packets were heard that begin with these bytes after their type.
func (c *fireCentre) has(prefix string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.heard {
		if strings.HasPrefix(h, prefix) {
			n++
		}
	}
	return n
}

// Rows SF16 and SF17 over the whole chain: an alarm reaches the centre as the state of its part, who took it is told, a restart
// repeats nothing; a duty check that the centre calls for is asked of the people, and their answer goes back.
func TestAFireCentreHearsOfAnAlarmAndCallsForADutyCheck(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &fireCentre{}
	go c.serve(l)
	dir, s := t.TempDir(), newScript()
	config := fmt.Sprintf(scriptedHome, dir, "", "0s") + `
duty:
  people: [{id: zhang, name: Zhang}, {id: li, name: Li}]
  shifts: [{name: always, from: "00:00", to: "24:00", people: [zhang, li]}]
` + fmt.Sprintf("uplinks: [{id: fire-centre, gbt26875: {address: %q, source: \"37030500-0007\"}}]\n", l.Addr())
	h := startConfig(t, s, dir, config)
	eventually(t, "the gateway says that all is well", func() bool { return c.has("21 150101") > 0 && c.has("1 0102") > 0 })
	s.reads("gas.lel", 31)
	// Type 2, one object: system 1, building 1, combustible gas detector, zone 1, number 1, normal operation and fire, "gas Kitchen".
	eventually(t, "the alarm is told", func() bool { return c.has("2 020101010a010001000300676173204b69746368656e00") == 1 })
	eventually(t, "the system and the gateway have a fire", func() bool { return c.has("1 010101010300") == 1 && c.has("21 150103") == 1 })
	h.stop()
	h = startConfig(t, newScript(), dir, config)
	h.act("high", "ack")
	eventually(t, "who took it is told", func() bool { return c.has("4 040101012000") == 1 })
	if n := c.has("2 02"); n != 1 {
		t.Errorf("the alarm was told %d times", n)
	}
	c.mu.Lock()
	c.conn.Write(fromCentre([]byte{9, 0}, 1, 91, 1, 10))
	c.mu.Unlock()
	var st struct {
		Check *console.DutyCheck `json:"check"`
	}
	eventually(t, "the people are asked", func() bool {
		h.get("/api/v1/duty", &st)
		return st.Check != nil
	})
	if left := st.Check.Until.Sub(st.Check.Asked).Minutes(); left != 10 {
		t.Errorf("there are %v minutes to answer", left)
	}
	h.post("/api/v1/duty/check/"+st.Check.ID, `{"by": "Li"}`, 200)
	eventually(t, "the centre has its confirmation and the answer", func() bool { return c.has("24 18012002") == 1 && string(c.said) == "\x03" })
}
