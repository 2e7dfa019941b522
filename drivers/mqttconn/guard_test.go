package mqttconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// wire is a connection that takes everything and says what is in memory, three bytes at a time.
type wire struct {
	net.Conn
	says io.Reader
}

func (w wire) Read(p []byte) (int, error)       { return w.says.Read(p[:min(len(p), 3)]) }
func (w wire) Write(p []byte) (int, error)      { return len(p), nil }
func (w wire) SetWriteDeadline(time.Time) error { return nil }

// asked is a guarded connection on which a PUBLISH was sent under identifier 1, and a SUBSCRIBE of two filters under 2.
func asked(t testing.TB, says []byte) net.Conn {
	c := Guard(wire{says: bytes.NewReader(says)}, largest)
	for _, packet := range []string{publication, subscription} {
		if _, err := io.WriteString(c, packet); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

const (
	largest      = 256 << 10
	publication  = "\x32\x09\x00\x04home\x00\x01x"
	subscription = "\x82\x0e\x00\x02\x00\x03a/+\x01\x00\x03b/#\x00"
)

func publishPacket(t testing.TB, topic string, qos byte, payload int) []byte {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID, p.Payload = topic, qos, 7, bytes.Repeat([]byte("x"), payload)
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readPackets(r io.Reader) (all []packets.ControlPacket, err error) {
	for {
		p, err := packets.ReadPacket(r)
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
}

func TestOversizedPublishIsCutShortAndTheNextPacketIsWhole(t *testing.T) {
	for _, qos := range []byte{0, 1} {
		stream := publishPacket(t, "big", qos, 3<<20)
		stream = append(stream, publishPacket(t, "exact", qos, largest)...)
		stream = append(stream, publishPacket(t, strings.Repeat("t", 65535), qos, largest)...)
		stream = append(stream, publishPacket(t, "small", qos, 10)...)
		stream = append(stream, 0xD0, 0x00) // PINGRESP
		got, err := readPackets(asked(t, stream))
		if err != io.EOF || len(got) != 5 {
			t.Fatalf("%d packets, %v", len(got), err)
		}
		for i, want := range []int{largest + 1, largest, largest, 10} {
			p := got[i].(*packets.PublishPacket)
			if len(p.Payload) != want || qos == 1 && p.MessageID != 7 || p.Payload[want-1] != 'x' {
				t.Errorf("packet %d of QoS %d: %d bytes, want %d", i, qos, len(p.Payload), want)
			}
		}
	}
}

func TestPacketsOfABrokerPassAsTheyAre(t *testing.T) {
	for name, says := range map[string]string{
		"what a broker says to a client":  "\x20\x02\x01\x00\x40\x02\x00\x01\x90\x04\x00\x02\x01\x80\x33\x09\x00\x04home\x00\x01x\xd0\x00",
		"a length in more bytes than due": "\xd0\x80\x00",
		"a packet that ends too early":    "\x30\x05abc",
	} {
		if got, err := io.ReadAll(asked(t, []byte(says))); err != nil || string(got) != says {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	const pong = "\xd0\x00"
	if got, err := io.ReadAll(asked(t, []byte(pong+"\xe0\x00"+pong))); err != nil || string(got) != pong {
		t.Errorf("a farewell is no end: %q, %v", got, err)
	}
}

func TestPacketsThatNoBrokerSendsAreRefused(t *testing.T) {
	for name, says := range map[string]string{
		"a length of five bytes":                        "\x30\xff\xff\xff\xff\x01",
		"a PINGRESP of 200 MiB":                         "\xd0\x80\x80\x80\x64",
		"a CONNACK of 200 MiB":                          "\x20\x80\x80\x80\x64",
		"a SUBACK for more filters than we asked":       "\x90\x05\x00\x02\x00\x00\x00",
		"a SUBACK for fewer":                            "\x90\x03\x00\x02\x00",
		"a SUBACK for none":                             "\x90\x02\x00\x02",
		"a SUBACK of a publication":                     "\x90\x04\x00\x01\x00\x00",
		"a PUBACK with a QoS, whose message paho keeps": "\x42\x02\x00\x01",
		"an UNSUBACK":                                   "\xb0\x02\x00\x01",
		"a PUBREC, of QoS 2":                            "\x50\x02\x00\x01",
		"a PUBCOMP, of QoS 2":                           "\x70\x02\x00\x01",
		"a type that only a client sends":               "\xc0\x00",
		"a PUBLISH of QoS 2, which paho would keep":     "\x34\x09\x00\x04home\x00\x01x",
		"a PUBLISH of QoS 3":                            "\x36\x09\x00\x04home\x00\x01x",
		"a type that is none":                           "\x00\x00",
	} {
		if got, err := io.ReadAll(asked(t, []byte(says))); !errors.Is(err, ErrPacket) || len(got) > 0 {
			t.Errorf("%s: %q came through, %v", name, got, err)
		}
	}
	const granted = "\x90\x04\x00\x02\x01\x00"
	if got, err := io.ReadAll(asked(t, []byte(granted+granted))); !errors.Is(err, ErrPacket) || string(got) != granted {
		t.Errorf("twice the same SUBACK: %q came through, %v", got, err)
	}
}

// mochi-mqtt repeats in a kept session what it could not say on the connection before.
func TestAPUBACKThatNobodyWaitsForIsDropped(t *testing.T) {
	const ack, other, ofSubscription, granted = "\x40\x02\x00\x01", "\x40\x02\x00\x03", "\x40\x02\x00\x02", "\x90\x04\x00\x02\x01\x00"
	got, err := io.ReadAll(asked(t, []byte(other+ofSubscription+ack+ack+granted+other)))
	if want := ack + granted; err != nil || string(got) != want {
		t.Errorf("%q came through, %v", got, err)
	}
}

// An acknowledgement of what is just failing to be written makes paho complete the same token twice at a time, and panic.
func TestAnAcknowledgementWaitsForTheWriteAndPassesIfItSucceeds(t *testing.T) {
	for _, packet := range []string{publication, subscription} {
		ack := "\x40\x02\x00\x01"
		if packet == subscription {
			ack = "\x90\x04\x00\x02\x01\x01"
		}
		for takes := range len(packet) + 1 {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				c := Guard(ours, largest)
				go func() {
					io.CopyN(io.Discard, theirs, int64(takes))
					io.WriteString(theirs, ack)
					theirs.Close()
				}()
				written := make(chan error, 1)
				go func() {
					_, err := io.WriteString(c, packet)
					written <- err
				}()
				got, err := io.ReadAll(c)
				if failed := <-written; (failed != nil) != (takes < len(packet)) {
					t.Errorf("writing %q to one who takes %d bytes: %v", packet, takes, failed)
				}
				switch {
				case takes == len(packet) && (err != nil || string(got) != ack):
					t.Errorf("the acknowledgement came through as %q, %v", got, err)
				case takes < len(packet) && (packet == subscription && !errors.Is(err, ErrPacket) || len(got) > 0):
					t.Errorf("after %d bytes %q came through, %v", takes, got, err)
				}
			})
		}
	}
}

func TestWriteToAStalledBrokerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		began := time.Now()
		_, err := Guard(ours, largest).Write([]byte{0xC0, 0})
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != writeTimeout {
			t.Errorf("%v after %s", err, took)
		}
	})
}

// What is sent may be anything, too: only what is a PUBLISH or SUBSCRIBE as a whole can be acknowledged.
func FuzzConn(f *testing.F) {
	f.Add([]byte(publication), publishPacket(f, "a/b", 1, 10))
	f.Add([]byte(publication), []byte("\x20\x02\x00\x00\x40\x02\x00\x01\xd0\x00"))
	f.Add([]byte(subscription), []byte("\x90\x04\x00\x02\x80\x01\xd0\x00"))
	f.Add([]byte("\x82\x80\x00"), []byte("\x30\x80\x00"))
	f.Add([]byte("\x32\xff\xff\x7f\xff\xff"), []byte("\x32\xff\xff\x7f\x00\x01a\x00\x01x"))
	f.Add([]byte{}, []byte("\x30\x20\x00\x01a0123456789012345678901234567890\xd0\x00"))
	f.Fuzz(func(t *testing.T, sends, says []byte) {
		const short = 16
		for _, bound := range []int{short, largest} {
			c := Guard(wire{says: bytes.NewReader(says)}, bound).(*conn)
			if n, err := c.Write(sends); n != len(sends) || err != nil {
				t.Fatal(n, err)
			}
			passed, _ := io.ReadAll(c)
			if len(says) <= bound && c.skip == 0 && !bytes.Contains(says, []byte{typePuback << 4}) && !bytes.HasPrefix(says, passed) {
				t.Errorf("%x became %x", says, passed) // only what is cut short or nobody waits for may change
			}
			all, _ := readPackets(bytes.NewReader(passed))
			for _, p := range all {
				if p, ok := p.(*packets.PublishPacket); ok && len(p.Payload) > bound+1 {
					t.Errorf("a payload of %d bytes came through", len(p.Payload))
				}
			}
		}
	})
}
