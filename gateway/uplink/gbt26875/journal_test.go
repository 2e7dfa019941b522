package gbt26875

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/gateway/alarm"
)

// Rows SF16 and SF17: a cut connection, an end of the process, a centre that is away: each event once, in order.
func TestAfterACutAndARestartNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		stop := start(t, u, j, &home{})
		for i := range 60 {
			switch i {
			case 20:
				c.set(func() { c.away = true; c.conn.Close() })
			case 30:
				stop()
				u = newUplink(t, plain, c, nil) // the process starts anew, while the centre is away
				stop = start(t, u, j, &home{})
			case 40:
				c.set(func() { c.away = false })
			}
			a := *smoke(fmt.Sprint(i), alarm.Unacknowledged)
			j.add(u, event(alarm.EventRaised, &a))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		var want []string
		for i := range 60 {
			want = append(want, fmt.Sprintf("part 1.1 type 40 at 2/1 is 0x3 (201烟感 二层 / 201室) 2000-01-01 08:00:%02d", i))
		}
		if got := c.take(false); !slices.Equal(got, want) {
			t.Errorf("the centre hears %d: %q", len(got), got)
		}
		stop()
	})
}

// A restart tells nothing anew of alarms that the centre knows.
func TestARestartRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		a := *gas("1", alarm.Unacknowledged)
		for life := range 2 {
			u := newUplink(t, plain, c, nil)
			if life == 0 {
				j.add(u, event(alarm.EventRaised, &a))
			}
			u.Alarms([]alarm.Alarm{a})
			stop := start(t, u, j, &home{})
			time.Sleep(10 * time.Second)
			stop()
		}
		if got := c.take(false); len(got) != 1 {
			t.Errorf("the centre hears %q", got)
		}
	})
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

// RE07: what the disk refuses is told from the list of alarms; and once it has the disk back.
func TestTheCentreIsToldWhileTheDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t}
		u, j, stop := running(t, c)
		j.Break(true)
		a := *gas("1", alarm.Unacknowledged)
		u.Alarms([]alarm.Alarm{a})
		time.Sleep(4 * time.Second)
		if got := c.take(false); len(got) != 1 || !strings.HasPrefix(got[0], "part 1.1 type 10 at 1/1 is 0x3 (厨房燃气") {
			t.Errorf("the centre hears %q", got)
		}
		u.Alarms(nil)
		time.Sleep(4 * time.Second)
		if got := c.take(false); len(got) != 1 || !strings.HasPrefix(got[0], "part 1.1 type 10 at 1/1 is 0x1") {
			t.Errorf("after the end the centre hears %q", got)
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
