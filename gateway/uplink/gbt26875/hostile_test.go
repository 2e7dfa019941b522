package gbt26875

import (
	"bytes"
	"context"
	"fmt"
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

// backlog puts events into the journal that go in packets of their own.
func (j *journal) backlog(u *Uplink, n int) {
	for i := range n {
		a := &alarm.Alarm{ID: fmt.Sprint("door", i), Class: "fault", Level: "fault", State: alarm.Acknowledged, Device: "door", Count: 1}
		j.add(u, event([]string{alarm.EventFaultRaised, alarm.EventAcknowledged}[i%2], a))
	}
}

// firePackets are the times at which the centre was told of a fire at the smoke detector.
func (c *centre) firePackets() (at []time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.packets {
		if p.command == sendData && kind(p.unit[0]) == partState && p.unit[4] == 40 && p.unit[9]&byte(fire) != 0 {
			at = append(at, c.at[i])
		}
	}
	return at
}

// GB 26875.1-2011, 4.1.2.1 and 4.1.2.3: a fire is with the centre within 10 s, also where each packet of a backlog takes seconds.
func TestAFireGoesIntoTheMidstOfABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t, takes: 4 * time.Second}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		j.backlog(u, 40)
		stop := start(t, u, j, &home{})
		time.Sleep(10 * time.Second)
		a, raised := *smoke("fire", alarm.Unacknowledged), time.Now()
		j.add(u, event(alarm.EventRaised, &a))
		u.Alarms([]alarm.Alarm{a})
		time.Sleep(5 * time.Minute)
		if at := c.firePackets(); len(at) != 1 || at[0].Sub(raised) > 5*time.Second {
			t.Errorf("raised at %v, told at %v", raised, at)
		}
		stop()
	})
}

// A fire goes first also where the clock is behind what waits (no battery, no network), and where it burns again.
func TestAFireGoesFirstWhateverTheClockSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t, away: true}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		for i := range 60 {
			j.Add(func(int64) alarm.Event {
				e := event([]string{alarm.EventFaultRaised, alarm.EventAcknowledged}[i%2], &alarm.Alarm{ID: "d", Class: "fault", Level: "fault", Device: "door", Count: 1})
				e.ID, e.Time = fmt.Sprint(i), time.Now().AddDate(20, 0, 0)
				return e
			})
		}
		stop := start(t, u, j, &home{})
		a := *smoke("fire", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &a))
		over := a
		over.State = alarm.Returned
		j.add(u, event(alarm.EventCleared, &over))
		j.backlog(u, 60)
		a.Count = 2
		j.add(u, event(alarm.EventCounted, &a))
		u.Alarms([]alarm.Alarm{a})
		c.set(func() { c.away = false })
		time.Sleep(time.Minute)
		var told []string
		for i, h := range c.take(false) {
			if strings.Contains(h, "type 40") {
				told = append(told, fmt.Sprint(i, strings.Fields(h)[6:8]))
			}
		}
		if !slices.Equal(told, []string{"0 [is 0x3]", "121 [is 0x3]"}) { // and when it burnt again
			t.Errorf("of the fire the centre hears %q", told)
		}
		stop()
	})
}

// RE07: an alarm that the disk refused from the start is told, however late the centre is reached.
func TestAnAlarmThatNoDiskEverHadIsTold(t *testing.T) {
	for name, fail := range map[string]func(*journal){
		"broken": func(j *journal) { j.Break(true) }, "full": func(j *journal) { j.Fill(true) },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, j := &centre{t: t, away: true}, &journal{}
			var log bytes.Buffer
			u := newUplink(t, plain, c, &log)
			ranBefore(t.Context(), j)
			j.add(u, alarm.Event{Type: "gateway.started"})
			fail(j)
			u.Alarms([]alarm.Alarm{*gas("of an earlier run", alarm.Acknowledged)})
			stop := start(t, u, j, &home{})
			time.Sleep(time.Minute)
			u.Alarms([]alarm.Alarm{*gas("of an earlier run", alarm.Acknowledged), *smoke("1", alarm.Unacknowledged)})
			c.set(func() { c.away = false })
			time.Sleep(time.Minute)
			if got := c.take(false); len(got) != 1 || !strings.Contains(got[0], "type 40 at 2/1 is 0x3") {
				t.Errorf("with a disk that is %s the centre hears %q", name, got)
			}
			stop()
			if n := strings.Count(log.String(), "store"); n > 2 {
				t.Errorf("the log has\n%s", &log)
			}
		})
	}
}

// A disk that is full at the first start can be read, which is no end of it.
func TestADiskThatIsFullAtTheFirstStartIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		j.Fill(true)
		var log bytes.Buffer
		u := newUplink(t, plain, c, &log)
		u.Alarms(nil)
		stop := startFirst(t, u, j, &home{})
		time.Sleep(time.Minute)
		j.Fill(false)
		time.Sleep(time.Minute)
		stop()
		if n := strings.Count(log.String(), "use its store"); n != 2 || !strings.Contains(log.String(), "uplink can use its store again") {
			t.Errorf("the log has\n%s", &log)
		}
	})
}

// A part has the number of the store also where that could not be read at the start.
func TestNumbersComeFromTheStoreAsSoonAsItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		if err := j.Set(t.Context(), "uplink/fire-centre/parts", `{"zones":{"room":7},"devices":{"smoke-201":[7,9]}}`); err != nil {
			t.Fatal(err)
		}
		j.Break(true)
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		stop := start(t, u, j, &home{})
		time.Sleep(5 * time.Second)
		j.Break(false)
		time.Sleep(5 * time.Second)
		j.add(u, event(alarm.EventRaised, smoke("1", alarm.Unacknowledged)))
		synctest.Wait()
		if got := c.take(false); len(got) != 1 || !strings.Contains(got[0], "type 40 at 7/9 is 0x3") {
			t.Errorf("the centre hears %q", got)
		}
		stop()
	})
}

// A centre that has no answer to a type of packet, and is there, is sent what comes behind.
func TestATypeThatTheCentreIgnoresHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		c.answers = func(f frame) command {
			if k := kind(f.unit[0]); k == systemAct || k == partValue {
				return 0
			}
			return confirm
		}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		stop := start(t, u, j, &home{})
		synctest.Wait()
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

// What the centre denied is told again while it holds.
func TestAFireThatTheCentreDeniedIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		stop := start(t, u, j, &home{})
		synctest.Wait()
		c.set(func() {
			c.answers = func(f frame) command {
				if kind(f.unit[0]) == partState {
					return deny
				}
				return confirm
			}
		})
		a := *smoke("1", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &a))
		u.Alarms([]alarm.Alarm{a})
		time.Sleep(150 * time.Second)
		if n := len(c.firePackets()); n != 3*tries {
			t.Errorf("in 150 s the fire was told %d times", n)
		}
		c.set(func() { c.answers = nil })
		time.Sleep(time.Minute)
		if got := c.take(false); len(got) != 1 || !strings.Contains(got[0], "type 40 at 2/1 is 0x3") {
			t.Errorf("the centre hears %q", got)
		}
		stop()
	})
}

// A fire that was denied when it went ahead of a backlog is told in its turn, though it is over by then.
func TestAFireThatWasDeniedAheadKeepsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t, takes: 100 * time.Millisecond}, &journal{}
		began := time.Now()
		c.answers = func(f frame) command {
			if time.Since(began) < time.Second && kind(f.unit[0]) == partState && f.unit[4] == 40 {
				return deny
			}
			return confirm
		}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		j.backlog(u, 60)
		a := *smoke("fire", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &a))
		u.Alarms([]alarm.Alarm{a})
		stop := start(t, u, j, &home{})
		time.Sleep(2 * time.Second)
		over := a
		over.State = alarm.Latched
		j.add(u, event(alarm.EventCleared, &over))
		u.Alarms(nil)
		time.Sleep(5 * time.Minute)
		var told []string
		for _, h := range c.take(false) {
			if strings.Contains(h, "type 40") {
				told = append(told, fmt.Sprint(strings.Fields(h)[6:8]))
			}
		}
		if !slices.Equal(told, []string{"[is 0x3]", "[is 0x1]"}) {
			t.Errorf("of the fire the centre hears %q", told)
		}
		stop()
	})
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

// Before the clock was ever set the centre gets no time from its future.
func TestTimesOfAClockThatWasNeverSet(t *testing.T) {
	if got := label(time.Date(1970, 1, 2, 3, 4, 5, 0, beijing)); got != [6]byte{0, 0, 0, 1, 1, 0} {
		t.Errorf("1970 is %v", got)
	}
	u := newUplink(t, plain, nil, nil)
	e := event(alarm.EventRaised, smoke("1", alarm.Unacknowledged))
	e.Time = time.Unix(100, 0)
	before := time.Now().Add(-time.Second)
	w, ok := u.told(e)
	if at, valid := readLabel(w.object[40:], beijing); !ok || !valid || at.Before(before) {
		t.Errorf("an event of 1970 is told with %v", at)
	}
}

// Notices are not for the centre, nor is who has seen them.
func TestNoticesAreNotTold(t *testing.T) {
	u := newUplink(t, plain, nil, nil)
	a := &alarm.Alarm{ID: "1", Class: "notice", Level: "notice", State: alarm.Acknowledged, Device: "door", Count: 1}
	for _, kind := range []string{alarm.EventRaised, alarm.EventAcknowledged, alarm.EventSilenced, alarm.EventReset} {
		if w, ok := u.told(event(kind, a)); ok {
			t.Errorf("%s is told as %x", kind, w.object)
		}
	}
}

// Who asks for a value gets none that is past: its sensor may be dead.
func TestAValueThatIsPastIsNotTold(t *testing.T) {
	u := newUplink(t, plain, nil, nil)
	lel := drivers.Reading{Signal: "kitchen-gas.lel", Time: noon, Value: 12, Quality: drivers.Good}
	ask := []byte{1, 1, 1, 0, 1, 0}
	u.Readings(drivers.Device{}, []drivers.Reading{lel})
	if u.read(noon, readPartValue, 1, ask) == nil {
		t.Error("a good value is not told")
	}
	lel.Quality, lel.Reason = drivers.Bad, drivers.Stale
	u.Readings(drivers.Device{}, []drivers.Reading{lel})
	if got := u.read(noon, readPartValue, 1, ask); got != nil {
		t.Errorf("a stale one is told as %x", got)
	}
}

// Two parts never have one number, also behind the last there is.
func TestNumbersBehindTheLast(t *testing.T) {
	zone, last := uint16(1), uint16(65535)
	n := numbers{}
	d := []drivers.Device{{ID: "a", Zone: "z"}, {ID: "b", Zone: "z"}, {ID: "c", Zone: "z"}}
	n.give([]Zone{{"z", ""}}, d, map[string]partKey{"c": {Zone: &zone, Number: &last}})
	if n.Devices["a"] != [2]uint16{1, 1} || n.Devices["b"] != [2]uint16{1, 2} {
		t.Errorf("%v", n.Devices)
	}
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
					go func() {
						for b := make([]byte, 100); ; {
							if _, err := theirs.Read(b); err != nil {
								return
							}
						}
					}()
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

// A centre that is new to the home is told what is open, and not what was: an old fire would be a fire to it.
func TestANewCentreIsNotToldOfThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t, away: true}, &journal{}
		u := newUplink(t, plain, c, nil)
		open := *gas("open", alarm.Acknowledged)
		for i := range 1200 {
			j.add(u, event(alarm.EventRaised, smoke(fmt.Sprint(i), alarm.Unacknowledged)))
		}
		j.add(u, event(alarm.EventRaised, &open))
		u.Alarms([]alarm.Alarm{open})
		stop := startFirst(t, u, j, &home{})
		synctest.Wait()
		later := *smoke("later", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &later))
		u.Alarms([]alarm.Alarm{open, later})
		for range 2 { // the first life ends before the centre is reached
			stop()
			u = newUplink(t, plain, c, nil)
			u.Alarms([]alarm.Alarm{open, later})
			stop = startFirst(t, u, j, &home{})
			c.set(func() { c.away = false })
			time.Sleep(time.Minute)
		}
		stop()
		got := c.take(false)
		if len(got) != 2 || !strings.Contains(got[0], "type 40 at 2/1 is 0x3") || !strings.Contains(got[1], "type 10 at 1/1 is 0x3") {
			t.Errorf("the centre hears %q", got)
		}
	})
}
