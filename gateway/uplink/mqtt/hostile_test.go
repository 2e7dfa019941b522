package mqtt

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers/mqttconn"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// scripted is a broker that says what it was told to say, whatever it hears, and then hangs or hangs up.
type scripted struct {
	says  []byte
	hangs bool
}

func (b *scripted) dial(context.Context, *tls.Config) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		if _, err := theirs.Write(b.says); err != nil || !b.hangs {
			theirs.Close()
		}
	}()
	go io.Copy(io.Discard, theirs)
	return mqttconn.Guard(ours, largestCommand), nil
}

// The packets of a broker, MQTT 3.1.1: CONNACK, PUBACK and SUBACK.
const (
	welcome = "\x20\x02\x00\x00"
	acks    = "\x40\x02\x00\x01\x40\x02\x00\x02"
	granted = "\x90\x03\x00\x02\x01"
)

// Whatever a broker sends costs the connection and no more. Of itself paho panics at a SUBACK that grants more than was asked
// for, and at an acknowledgement of what it is just failing to write, and with it the daemon.
func FuzzBroker(f *testing.F) {
	for _, says := range []string{
		"", welcome, "\x20\x02\x00\x4d", welcome + acks + granted, welcome + "\x40\x02\x00\x01\x40\x02\x02\x03", welcome + "\x40\x02\x00\x01\x90\x05\x00\x02\x00\x00\x00",
		welcome + acks + "\x90\x02\x00\x02", welcome + "\x30\x05\x00\x09home", welcome + "\x34\x09\x00\x04home\x00\x01x", "\xd0\x00", welcome + "\xe0\x00\x00\x00",
	} {
		f.Add([]byte(says))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		synctest.Test(t, func(t *testing.T) {
			u := newUplink(t, `{url: "mqtt://broker.example.org", topic: home, commands: true}`, nil, nil)
			u.dial = (&scripted{says: says}).dial
			if err := u.converse(t.Context(), &journal{}, &acts{}); err == nil {
				t.Error("a broker that hung up is no error")
			}
		})
	})
}

// registry is a context that counts what waits for its end.
type registry struct {
	context.Context
	mu      sync.Mutex
	waiting int
}

// Value hides what kind of context is behind.
func (r *registry) Value(any) any { return nil }

func (r *registry) AfterFunc(f func()) (stop func() bool) {
	r.add(1)
	registered := context.AfterFunc(r.Context, f)
	return func() bool {
		r.add(-1)
		return registered()
	}
}

func (r *registry) add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting += n
}

// Row RE10: a broker that refuses us for days leaves nothing of each attempt behind; one that hangs is left too.
func TestAttemptsLeaveNothingBehind(t *testing.T) {
	for name, b := range map[string]*scripted{
		"refuses the login": {says: []byte("\x20\x02\x00\x05")}, "hangs before CONNACK": {hangs: true}, "hangs behind it": {says: []byte(welcome), hangs: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := newUplink(t, plain, nil, nil)
			u.dial = b.dial
			r := &registry{Context: t.Context()}
			for range 20 {
				if err := u.converse(r, &journal{}, nil); err == nil {
					t.Errorf("a broker that %s is no error", name)
				}
			}
			r.mu.Lock()
			if r.waiting > 0 {
				t.Errorf("of a broker that %s %d attempts are left", name, r.waiting)
			}
			r.mu.Unlock()
		})
	}
}

// stalling is a broker that confirms the first publication, takes so many bytes more, and then nothing.
type stalling int64

func (b stalling) dial(context.Context, *tls.Config) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		for _, answer := range []string{welcome, "\x40\x02\x00\x01"} {
			packets.ReadPacket(theirs)
			io.WriteString(theirs, answer)
		}
		io.CopyN(io.Discard, theirs, int64(b))
	}()
	return mqttconn.Guard(ours, largestCommand), nil
}

// A broker that takes no more holds up a stop, and so a reload, for some seconds only: for one packet that paho does not take,
// seldom (once in some thousand stops) for a second one.
func TestABrokerThatTakesNothingHoldsUpNoReload(t *testing.T) {
	for takes := range stalling(200) {
		synctest.Test(t, func(t *testing.T) {
			j := &journal{}
			u := newUplink(t, plain, nil, nil)
			u.dial = takes.dial
			for range 50 {
				j.add(u, "alarm.raised")
			}
			stop := start(t, u, j, nil)
			time.Sleep(time.Second)
			if !u.Status().Working {
				t.Error("the broker is not reached")
			}
			began := time.Now()
			stop()
			if took := time.Since(began); took > 2*enqueueTimeout {
				t.Errorf("after %d bytes the stop took %v", takes, took)
			}
			time.Sleep(time.Minute)
		})
	}
}
