package gbt26875

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
)

// Row SF16, 6.5: a packet is sent again three times as it is, then the connection is made anew, and nothing is lost.
func TestASilentCentreIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		var log bytes.Buffer
		u := newUplink(t, plain, c, &log)
		c.answers = func(frame) command { return 0 }
		began := time.Now()
		a := gas("1", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, a))
		stop := start(t, u, j, &home{})
		time.Sleep(20*time.Second - time.Millisecond)
		synctest.Wait()
		c.mu.Lock()
		for i, at := range c.at {
			if at.Sub(began) != time.Duration(i)*5*time.Second || c.packets[i].serial != 0 || !bytes.Equal(c.packets[i].unit, c.packets[0].unit) {
				t.Errorf("packet %d after %v: %+v", i, at.Sub(began), c.packets[i])
			}
		}
		if len(c.packets) != 4 || c.dials != 1 {
			t.Errorf("%d packets over %d connections", len(c.packets), c.dials)
		}
		c.mu.Unlock()
		time.Sleep(10 * time.Minute)
		if st := u.Status(); st.Working || !strings.Contains(st.LastError, "does not confirm") {
			t.Errorf("%+v", st)
		}
		if sent, oldest := u.Waiting(); sent != 0 || !oldest.Equal(began) {
			t.Errorf("%d sent, waiting since %v", sent, oldest)
		}
		c.set(func() { c.answers, c.packets = nil, nil })
		time.Sleep(time.Minute)
		if got := c.take(false); len(got) != 1 || !strings.HasPrefix(got[0], "part 1.1 type 10 at 1/1 is 0x3") {
			t.Errorf("then the centre hears %q", got)
		}
		stop()
		if n := strings.Count(log.String(), "uplink lost"); n != 1 || !strings.Contains(log.String(), "uplink restored") {
			t.Errorf("the log has\n%s", &log)
		}
	})
}

// What the centre denies is shown, and holds up nothing.
func TestADeniedPacketIsShownAndTheNextGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t, answers: answering(deny, partState)}, &journal{}
		u := newUplink(t, plain, c, nil)
		stop := start(t, u, j, &home{})
		j.add(u, event(alarm.EventRaised, gas("1", alarm.Unacknowledged)), event(alarm.EventAcknowledged, gas("1", alarm.Acknowledged)))
		synctest.Wait()
		if got := c.take(false); !slices.Equal(got, []string{"act 0x20 by 2 on 1.1"}) {
			t.Errorf("the centre hears %q", got)
		}
		st := u.Status()
		if !st.Working || st.Rejected != 1 || !strings.Contains(st.Refusal, "denied a packet of type 2") || st.RefusedAt.IsZero() {
			t.Errorf("%+v", st)
		}
		stop()
	})
}

// A centre that has no answer to a type of packet, and is there, is sent what comes behind.
func TestATypeThatTheCentreIgnoresHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t, answers: answering(0, systemAct, partValue)}
		u, j, stop := running(t, c)
		acked := *gas("1", alarm.Acknowledged)
		u.Readings(drivers.Device{}, []drivers.Reading{{Signal: "kitchen-gas.lel", Time: time.Now(), Value: 12, Quality: drivers.Good}})
		for range 10 {
			j.add(u, event(alarm.EventAcknowledged, &acked))
		}
		a := *smoke("2", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &a))
		u.Alarms([]alarm.Alarm{a})
		time.Sleep(2 * time.Minute)
		if got := c.take(false); len(got) != 1 || !strings.Contains(got[0], "type 40") {
			t.Errorf("the centre hears %q", got)
		}
		if st := u.Status(); !st.Working || st.Rejected != 11 || !strings.Contains(st.Refusal, "does not confirm a packet of type 3") || c.dials != 1 {
			t.Errorf("%+v after %d dials", st, c.dials)
		}
		if sent, oldest := u.Waiting(); sent != 11 || !oldest.IsZero() {
			t.Errorf("%d sent, waiting since %v", sent, oldest)
		}
		stop()
	})
}

// What the centre said before it left counts.
func TestAConfirmationCountsThoughTheCentreLeaves(t *testing.T) {
	u := newUplink(t, plain, nil, nil)
	for range 50 {
		s := &session{u: u, in: make(chan received, 16)}
		s.gone, s.end = context.WithCancelCause(t.Context())
		s.in <- received{frame{serial: 6, command: confirm}, false}
		s.in <- received{frame{serial: 7, command: confirm}, false}
		s.end(io.EOF)
		if got, err := s.await(t.Context(), 7); got != confirm || err != nil {
			t.Fatalf("%v %v", got, err)
		}
		if got, err := s.await(t.Context(), 8); got != 0 || err != io.EOF {
			t.Fatalf("then %v %v", got, err)
		}
	}
}

// A centre that calls for duty checks without end fills neither the log nor the hub.
func TestCallsForDutyChecksAreFewAlsoWhereNobodyIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j, h := &centre{t: t}, &journal{}, &home{empty: true}
		var log bytes.Buffer
		u := newUplink(t, plain, c, &log)
		stop := start(t, u, j, h)
		synctest.Wait()
		for i := range 300 {
			c.sends(frame{serial: uint16(i), command: control, unit: []byte{91, 1, 10}}.encode())
			time.Sleep(200 * time.Millisecond)
		}
		if n := strings.Count(log.String(), "duty check"); n != 1 {
			t.Errorf("%d lines in a minute", n)
		}
		stop()
	})
}

// A hostile centre costs its connection, and nothing else.
func TestACentreThatFloodsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t}
		u, j, stop := running(t, c)
		c.sends(bytes.Repeat([]byte("@garbage##"), 1000))
		synctest.Wait()
		if !u.Status().Working {
			t.Error("garbage has cost the connection")
		}
		c.sends(bytes.Repeat(frame{serial: 9, command: confirm}.encode(), 30))
		synctest.Wait()
		if st := u.Status(); st.Working || !strings.Contains(st.LastError, "sends too much") {
			t.Errorf("%+v", st)
		}
		j.add(u, event(alarm.EventRaised, gas("1", alarm.Unacknowledged)))
		time.Sleep(2 * time.Second)
		if got := c.take(false); len(got) != 1 {
			t.Errorf("afterwards the centre hears %q", got)
		}
		stop()
	})
}

// hostile answers nothing that counts, in one way or another.
var hostile = map[string]func(net.Conn){
	"hangs":              func(net.Conn) {},
	"sends half a frame": func(c net.Conn) { c.Write(frame{serial: 0, command: confirm}.encode()[:20]) },
	"says that much will follow": func(c net.Conn) {
		f := frame{serial: 0, command: confirm, unit: make([]byte, mostUnit)}.encode()
		for _, err := c.Write(f[:len(f)-1]); err == nil; _, err = c.Write([]byte("@@")) {
			time.Sleep(time.Second)
		}
	},
	"sends garbage without end": func(c net.Conn) {
		for i := 0; ; i++ {
			if _, err := c.Write(bytes.Repeat([]byte{byte(i), '@', '#'}, 300)); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	},
	"confirms another packet": func(c net.Conn) {
		for i := uint16(100); ; i++ {
			if _, err := c.Write(frame{serial: i, command: confirm}.encode()); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	},
	"confirms with a wrong checksum": func(c net.Conn) {
		f := frame{serial: 0, command: confirm}.encode()
		f[len(f)-3]++
		for {
			if _, err := c.Write(f); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	},
	"asks and never reads": func(c net.Conn) {
		for {
			if _, err := c.Write(frame{serial: 1, command: request, unit: []byte{81, 1, 0}}.encode()); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	},
}

// Whatever a centre does, the place stays, people are told, memory is bounded, and a stop takes seconds; nothing runs on.
func TestHostileCentres(t *testing.T) {
	for name, act := range hostile {
		synctest.Test(t, func(t *testing.T) {
			j := &journal{}
			u := newUplink(t, plain, nil, nil)
			u.dial = func(context.Context) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go act(theirs)
				if name != "asks and never reads" {
					go io.Copy(io.Discard, theirs)
				}
				return ours, nil
			}
			u.Alarms(nil)
			a := *gas("1", alarm.Unacknowledged)
			j.add(u, event(alarm.EventRaised, &a))
			began := time.Now()
			stop := start(t, u, j, &home{})
			for at := 25; at < 300; at += 25 {
				time.Sleep(25 * time.Second)
				if st := u.Status(); st.Working || st.LastError == "" {
					t.Errorf("a centre that %s after %d s: %+v", name, at, st)
				}
				if sent, oldest := u.Waiting(); sent != 0 || oldest.Sub(began) > time.Second {
					t.Errorf("a centre that %s: %d sent, waiting since %v", name, sent, oldest)
				}
			}
			asked := time.Now()
			stop()
			if took := time.Since(asked); took > 5*time.Second {
				t.Errorf("a centre that %s holds up the stop for %v", name, took)
			}
			time.Sleep(time.Second) // the centre notices
		})
	}
}
