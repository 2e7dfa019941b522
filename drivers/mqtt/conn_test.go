package mqtt

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
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

func readPackets(data []byte, topics int) (all []packets.ControlPacket, err error) {
	r := &packetReader{r: bufio.NewReader(iotest.HalfReader(bytes.NewReader(data))), topics: topics}
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
		stream = append(stream, publishPacket(t, "exact", qos, maxPayload)...)
		stream = append(stream, publishPacket(t, strings.Repeat("t", 65535), qos, maxPayload)...)
		stream = append(stream, publishPacket(t, "small", qos, 10)...)
		stream = append(stream, 0xD0, 0x00) // PINGRESP
		got, err := readPackets(stream, 0)
		if err != io.EOF || len(got) != 5 {
			t.Fatalf("%d packets, %v", len(got), err)
		}
		for i, want := range []int{maxPayload + 1, maxPayload, maxPayload, 10} {
			p := got[i].(*packets.PublishPacket)
			if len(p.Payload) != want || qos == 1 && p.MessageID != 7 || p.Payload[want-1] != 'x' {
				t.Errorf("packet %d of QoS %d: %d bytes, want %d", i, qos, len(p.Payload), want)
			}
		}
	}
}

func TestMalformedPacketsEndTheConnectionBeforeTheyHarm(t *testing.T) {
	for name, data := range map[string][]byte{
		"a SUBACK for more topics than we asked": {0x90, 0x05, 0, 1, 0, 0, 0},
		"a length of five bytes":                 {0x30, 0xff, 0xff, 0xff, 0xff, 0x01},
		"a PINGRESP of 200 MiB":                  {0xD0, 0x80, 0x80, 0x80, 0x64},
	} {
		if _, err := readPackets(data, 2); !errors.Is(err, errPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWriteToAStalledBrokerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		defer theirs.Close()
		began := time.Now()
		_, err := newConn(ours, 0).Write([]byte{0xC0, 0})
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took != writeTimeout {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func FuzzPackets(f *testing.F) {
	f.Add(publishPacket(f, "a/b", 1, 10))
	f.Add([]byte{0x90, 0x03, 0, 1, 0x80, 0xD0, 0})
	f.Add([]byte{0x30, 0x80, 0x00})
	f.Add([]byte{0x32, 0xff, 0xff, 0x7f, 0, 1, 'a', 0, 1, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &packetReader{r: bufio.NewReader(bytes.NewReader(data)), topics: 1}
		passed, _ := io.ReadAll(r)
		if len(data) <= maxPayload && r.skip == 0 && !bytes.HasPrefix(data, passed) {
			t.Errorf("%x became %x", data, passed) // only what is cut short may change
		}
		_, _ = readPackets(data, 1)
	})
}
