package gbt26875

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
)

// Row SF16: an alarm from its beginning to its end, and who did what.
func TestWhatBecomesOfAnAlarmIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t}
		u, j, stop := running(t, c)
		if got := c.take(true); !slices.Equal(got, []string{"system 0.1 is 0x1", "system 1.1 is 0x1", "gateway is 0x1"}) {
			t.Errorf("at first the centre hears %q", got)
		}
		a := *smoke("7", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &a))
		u.Alarms([]alarm.Alarm{a})
		synctest.Wait()
		if got, want := c.take(true), []string{
			"part 1.1 type 40 at 2/1 is 0x3 (201烟感 二层 / 201室) 2000-01-01 08:00:00", "system 1.1 is 0x3", "gateway is 0x3",
		}; !slices.Equal(got, want) {
			t.Errorf("raised: %q", got)
		}
		acked, returned := a, a
		acked.State, returned.State = alarm.Acknowledged, alarm.Latched
		time.Sleep(95500 * time.Millisecond) // between two heartbeats, and two ticks
		c.take(true)
		j.add(u, event(alarm.EventAcknowledged, &acked), event(alarm.EventSilenced, &acked), event(alarm.EventCleared, &returned), event(alarm.EventReset, &returned))
		u.Alarms(nil)
		synctest.Wait()
		if got, want := c.take(true), []string{
			"act 0x20 by 2 on 1.1", "operator 2: 0x2", "part 1.1 type 40 at 2/1 is 0x1 (201烟感 二层 / 201室) 2000-01-01 08:01:35", "operator 2: 0x1",
			"system 1.1 is 0x1", "gateway is 0x1",
		}; !slices.Equal(got, want) {
			t.Errorf("the end: %q", got)
		}
		if st := u.Status(); !st.Working || st.LastError != "" {
			t.Errorf("%+v", st)
		}
		if sent, oldest := u.Waiting(); sent != 5 || !oldest.IsZero() {
			t.Errorf("%d sent, waiting since %v", sent, oldest)
		}
		f := c.packets[0]
		if f.source != 370305000007 || f.destination != 88888 || f.serial != 0 || f.user != 1 {
			t.Errorf("the first packet is %+v", f)
		}
		stop()
	})
}

// Before the gateway has said which alarms are open, nothing is called normal; an alarm is told all the same.
func TestNothingIsNormalBeforeItIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		stop := start(t, u, j, &home{})
		j.add(u, event(alarm.EventRaised, smoke("1", alarm.Unacknowledged)))
		time.Sleep(time.Minute)
		c.sends(frame{serial: 5, command: request, unit: []byte{81, 1, 0}}.encode())
		synctest.Wait()
		if f, ok := c.answered(5); !ok || f.command != deny {
			t.Errorf("asked how the gateway is, it says %+v", f)
		}
		if got := c.take(true); len(got) != 1 || !strings.Contains(got[0], "type 40 at 2/1 is 0x3") {
			t.Errorf("the centre hears %q", got)
		}
		stop()
	})
}

// An event that was read before the list of alarms has it is told once.
func TestTheListOfAlarmsMayComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t}
		u, j, stop := running(t, c)
		a := *gas("1", alarm.Unacknowledged)
		j.add(u, event(alarm.EventRaised, &a))
		time.Sleep(doubtFor / 2)
		u.Alarms([]alarm.Alarm{a})
		time.Sleep(time.Minute)
		if got := c.take(false); len(got) != 1 {
			t.Errorf("the centre hears %q", got)
		}
		stop()
	})
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

// Row SF16: analog values, at most one of each type of a part, and the heartbeat.
func TestValuesAndHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &centre{t: t}
		u, _, stop := running(t, c)
		good := func(signal string, v float64) drivers.Reading {
			return drivers.Reading{Signal: signal, Time: time.Now(), Value: v, Quality: drivers.Good}
		}
		c.take(true)
		u.Readings(drivers.Device{}, []drivers.Reading{
			good("kitchen-gas.lel", 3.25), good("kitchen-gas.temperature", 21.44), good("meter.ua", 230.1), good("meter.ub", 1), good("meter.ia", 99999),
			good("meter.leak", 30), {Signal: "nobody.x"},
		})
		u.Readings(drivers.Device{}, []drivers.Reading{good("kitchen-gas.lel", 3.5), {Signal: "kitchen-gas.temperature", Quality: drivers.Bad}})
		time.Sleep(61 * time.Second)
		if got, want := c.take(true), []string{
			"gateway is 0x1", "gateway is 0x1", "value of 1.1 type 10 at 1/1: type 6, 35, 2000-01-01 08:00:00",
			"value of 1.1 type 17 at 2/2: type 8, 2301, 2000-01-01 08:00:00",
		}; !slices.Equal(got, want) {
			t.Errorf("in a minute the centre hears %q", got)
		}
		time.Sleep(time.Minute)
		if got := c.take(true); !slices.Equal(got, []string{"gateway is 0x1", "gateway is 0x1"}) {
			t.Errorf("and without readings %q", got)
		}
		stop()
	})
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

// Row SF16: what a centre asks and orders.
func TestCommandsOfTheCentre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j, h := &centre{t: t}, &journal{}, &home{}
		var log bytes.Buffer
		u := newUplink(t, plain, c, &log)
		u.Alarms([]alarm.Alarm{*gas("1", alarm.Acknowledged)})
		stop := start(t, u, j, h)
		time.Sleep(time.Hour)
		u.Readings(drivers.Device{}, []drivers.Reading{{Signal: "kitchen-gas.lel", Time: time.Now(), Value: 12, Quality: drivers.Good}})
		ask := func(serial uint16, cmd command, unit ...byte) string {
			c.sends(frame{serial: serial, source: 88888, destination: 370305000007, command: cmd, unit: unit}.encode())
			synctest.Wait()
			f, ok := c.answered(serial)
			switch {
			case !ok:
				return "silence"
			case f.destination != 88888 || f.source != 370305000007:
				return fmt.Sprintf("%+v", f)
			case f.command == reply:
				return strings.Join(objects(f.unit), ", ")
			}
			return map[command]string{confirm: "confirm", deny: "deny"}[f.command]
		}
		clock := label(time.Now().Add(90 * time.Second).In(beijing))
		for i, q := range []struct {
			cmd  command
			unit []byte
			want string
		}{
			{request, []byte{81, 1, 0}, "gateway is 0x3"},
			{request, []byte{85, 1, 0}, "version 2.7"},
			{request, []byte{88, 1, 0}, "it is 2000-01-01 09:00:00"},
			{request, []byte{61, 2, 1, 1, 9, 9}, "system 1.1 is 0x3"},
			{request, []byte{62, 1, 1, 1, 1, 0, 1, 0}, "part 1.1 type 10 at 1/1 is 0x3 (厨房燃气 一层 / 厨房) 2000-01-01 09:00:00"},
			{request, []byte{67, 2, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0}, "config of 1.1 type 10 at 1/1 (厨房燃气 一层 / 厨房), config of 0.1 type 0 at 0/1 (门磁)"},
			{request, []byte{63, 1, 1, 1, 1, 0, 1, 0}, "value of 1.1 type 10 at 1/1: type 6, 120, 2000-01-01 09:00:00"},
			{request, []byte{62, 1, 1, 1, 9, 9, 9, 9}, "deny"},
			{request, []byte{62, 22}, "deny"},
			{request, []byte{84, 1, 1, 0, 0, 0, 1, 1, 20}, "deny"},
			{request, nil, "deny"},
			{control, append([]byte{90, 1}, clock[:]...), "confirm"},
			{control, []byte{90, 1, 99, 0, 0, 1, 1, 20}, "deny"},
			{control, []byte{89, 1, 0}, "deny"},
			{control, []byte{91, 1, 10}, "confirm"},
			{control, []byte{91, 1, 10}, "deny"}, // at once again
			{command(77), []byte{1, 1, 1}, "deny"},
		} {
			if got := ask(uint16(100+i), q.cmd, q.unit...); got != q.want {
				t.Errorf("%v of %v: %s", q.cmd, q.unit, got)
			}
		}
		if got := ask(114, control, 91, 1, 10); got != "confirm" {
			t.Errorf("a call that is sent again: %s", got)
		}
		if len(h.asked) != 1 || h.asked[0] != 10*time.Minute {
			t.Errorf("duty checks %v", h.asked)
		}
		if !strings.Contains(log.String(), "ahead=1m30s") {
			t.Errorf("the log has\n%s", &log)
		}
		j.add(u, alarm.Event{Type: "duty.answered", By: "张三"}, alarm.Event{Type: "drill.started", By: "nobody known"})
		synctest.Wait()
		if got := c.take(false); !slices.Equal(got, []string{"operator 1: 0x20", "operator 0: 0x40"}) {
			t.Errorf("the answer is told as %q", got)
		}
		time.Sleep(time.Hour)
		h.empty = true
		if got := ask(200, control, 91, 1, 10); got != "deny" {
			t.Errorf("with nobody on duty: %s", got)
		}
		bad := frame{serial: 201, command: control, unit: []byte{91, 1, 1}}.encode()
		bad[len(bad)-3]++
		c.sends(bad)
		synctest.Wait()
		if f, ok := c.answered(201); !ok || f.command != deny {
			t.Errorf("a damaged command is answered %+v", f)
		}
		stop()
	})
}

func TestSettingsAreReadStrictly(t *testing.T) {
	for yaml, want := range map[string]string{
		`{source: "1"}`:                                                                                      "is no address; write it as",
		`{address: "a:5200"}`:                                                                                "source: the uplink needs the source address",
		`{address: "a:5200", source: "abc"}`:                                                                 "source: \"abc\" is no address of a device",
		`{address: "a:5200", source: "1", destination: "-"}`:                                                 "destination: \"-\" is no address of a device",
		`{address: "a:5200", source: "1", timeout: 11s}`:                                                     "timeout: a confirmation is awaited",
		`{address: "a:5200", source: "1", heartbeat: 1s}`:                                                    "heartbeat: a heartbeat comes",
		`{address: "a:5200", source: "1", values_every: 1s}`:                                                 "values_every: values are sent",
		`{address: "a:5200", source: "1", building: 256}`:                                                    "building: ",
		`{address: "a:5200", source: "1", systems: {fires: 1}}`:                                              "fires",
		`{address: "a:5200", source: "1", parts: {x: {}}}`:                                                   "parts.x: there is no device",
		`{address: "a:5200", source: "1", parts: {door: {zone: 1}}}`:                                         "parts.door: a part has both zone and number",
		`{address: "a:5200", source: "1", parts: {door: {zone: 1, number: 1}, meter: {zone: 1, number: 1}}}`: "parts.meter: the zone and number",
	} {
		s := conf.Parse("uplink.yaml", []byte(yaml), conf.OS())
		New(s, Options{ID: "x", Devices: devices()})
		if got := fmt.Sprint(s.Problems()); !strings.Contains(got, want) {
			t.Errorf("%s: %s", yaml, got)
		}
	}
}
