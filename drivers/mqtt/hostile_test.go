package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"embergate/drivers"
	"embergate/drivers/mqttconn"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// scripted is a broker that says what it was told to say, whatever it hears, and hangs up.
type scripted string

func (says scripted) dial(context.Context, *tls.Config) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		io.WriteString(theirs, string(says))
	}()
	go io.Copy(io.Discard, theirs)
	return mqttconn.Guard(ours, maxPayload), nil
}

// converse runs an endpoint of two devices.
func converse(t *testing.T, dial func(context.Context, *tls.Config) (net.Conn, error)) error {
	d := open(t, `
mqtt: {url: "mqtt://broker.example.org", client_id: gateway}
devices:
  - {id: lobby, topic: home/lobby, signals: [{id: smoke, kind: smoke, json: smoke}]}
  - {id: attic, topic: home/attic, signals: [{id: smoke, kind: smoke, json: smoke}]}
`)
	d.dial = dial
	return d.Run(t.Context(), func([]drivers.Reading) {})
}

// The packets of a broker, MQTT 3.1.1: CONNACK, SUBACK and PUBACK.
const (
	welcome = "\x20\x02\x00\x00"
	granted = "\x90\x04\x00\x01\x01\x01"
	acked   = "\x40\x02\x00\x02"
)

// Whatever a broker sends costs the connection and no more. Of itself paho panics at a SUBACK that grants more than was asked
// for, and at an acknowledgement of what it is just failing to write, and with it the daemon.
func FuzzBroker(f *testing.F) {
	for _, says := range []string{
		"", welcome, "\x20\x02\x00\x4d", welcome + granted, welcome + granted + acked, welcome + acked + granted, welcome + granted + granted,
		welcome + "\x90\x05\x00\x01\x01\x01\x01", welcome + "\x90\x03\x00\x01\x01", welcome + granted + acked + "\x32\x1a\x00\x0ahome/lobby\x00\x05{\"smoke\":1}",
		welcome + "\x30\x05\x00\x09home", welcome + "\x34\x09\x00\x04home\x00\x01x", "\xd0\x00", welcome + "\xe0\x00\x00\x00",
	} {
		f.Add(says)
	}
	f.Fuzz(func(t *testing.T, says string) {
		synctest.Test(t, func(t *testing.T) {
			if err := converse(t, scripted(says).dial); err == nil {
				t.Error("a broker that hung up is no error")
			}
		})
	})
}

// polite is a broker that answers CONNECT, SUBSCRIBE and our birth as it should, and then says something and hangs.
type polite string

func (then polite) dial(context.Context, *tls.Config) (net.Conn, error) {
	return answers(welcome, granted, acked+string(then))
}

// hasty is one that says it before it has heard our birth.
type hasty string

func (then hasty) dial(context.Context, *tls.Config) (net.Conn, error) {
	return answers(welcome, granted+string(then))
}

func answers(all ...string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		for _, answer := range all {
			packets.ReadPacket(theirs)
			io.WriteString(theirs, answer)
		}
		io.Copy(io.Discard, theirs)
	}()
	return mqttconn.Guard(ours, maxPayload), nil
}

func TestWhatNoBrokerSendsEndsTheConnection(t *testing.T) {
	for name, says := range map[string]polite{
		"a second SUBACK":    granted,
		"a PUBCOMP":          "\x70\x02\x00\x02",
		"a PUBLISH of QoS 2": "\x34\x09\x00\x04home\x00\x01x",
	} {
		synctest.Test(t, func(t *testing.T) {
			if err := converse(t, says.dial); !errors.Is(err, mqttconn.ErrPacket) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// What ends the connection while we say that we are online is told, not that we could not say it.
func TestWhyAConnectionWasLostIsToldWhereABirthFails(t *testing.T) {
	for says, want := range map[hasty]error{"\x34\x09\x00\x04home\x00\x01x": mqttconn.ErrPacket, "\xe0\x00": io.EOF} {
		for range 50 {
			synctest.Test(t, func(t *testing.T) {
				if err := converse(t, says.dial); !errors.Is(err, want) {
					t.Errorf("%q: %v", says, err)
				}
			})
		}
	}
}
