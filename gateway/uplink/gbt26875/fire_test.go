package gbt26875

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/gateway/alarm"
)

// backlog puts events into the journal that go in packets of their own.
func (j *journal) backlog(u *Uplink, n int) {
	for i := range n {
		a := &alarm.Alarm{ID: fmt.Sprint("door", i), Class: "fault", Level: "fault", State: alarm.Closed, Device: "door", Count: 1}
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

// GB 26875.1-2011, 4.1.2.3: a fire waits behind nothing, however much there is, and is told once.
func TestAFireGoesBeforeABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t, away: true}, &journal{}
		u := newUplink(t, plain, c, nil)
		stop := start(t, u, j, &home{})
		j.backlog(u, 200)
		time.Sleep(time.Millisecond)
		a := *smoke("fire", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &a))
		u.Alarms([]alarm.Alarm{a})
		c.set(func() { c.away = false })
		time.Sleep(time.Minute)
		got := c.take(false)
		if len(got) != 201 || !strings.Contains(got[0], "type 40") || strings.Count(strings.Join(got, "\n"), "type 40") != 1 {
			t.Errorf("the centre hears %d: %q", len(got), got[:min(len(got), 3)])
		}
		stop()
	})
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

// What the centre denied is told again while it holds.
func TestAFireThatTheCentreDeniedIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t}
		u, j, stop := running(t, c)
		c.set(func() { c.answers = answering(deny, partState) })
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
