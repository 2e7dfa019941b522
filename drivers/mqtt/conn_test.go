package mqtt

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

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

func FuzzPackets(f *testing.F) {
	f.Add(publishPacket(f, "a/b", 1, 10))
	f.Add([]byte{0x90, 0x03, 0, 1, 0x80, 0xD0, 0})
	f.Add(append(publishPacket(f, "a/b", 0, maxPayload+10), 0xD0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readPackets(data, 1)
		if err == nil {
			t.Error("the stream never ends")
		}
		for _, p := range got {
			if m, ok := p.(*packets.PublishPacket); ok && len(m.Payload) > maxPayload+1 {
				t.Errorf("%d bytes passed", len(m.Payload))
			}
		}
		// What is not too long passes unchanged.
		want, _ := readAll(data)
		for i := range min(len(want), len(got)) {
			if m, ok := want[i].(*packets.PublishPacket); (!ok || len(m.Payload) <= maxPayload) && want[i].String() != got[i].String() {
				t.Errorf("packet %d: %s, want %s", i, got[i], want[i])
			}
		}
	})
}

func readAll(data []byte) (all []packets.ControlPacket, err error) {
	if len(data) > 1<<20 {
		return nil, nil
	}
	r := bytes.NewReader(data)
	for {
		if length, lengthErr := readLength(bytes.NewReader(data[min(len(data), len(data)-r.Len()+1):])); lengthErr != nil || length > 1<<20 {
			return all, lengthErr
		}
		p, err := packets.ReadPacket(r)
		if err != nil {
			return all, err
		}
		all = append(all, p)
	}
}
