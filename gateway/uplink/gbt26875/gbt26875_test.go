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
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		stop := start(t, u, j, &home{})
		synctest.Wait()
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

// A part has one state, of all its alarms; a drill is no fire; notices and faults of wires are what they are.
func TestStatesOfPartsAndOfTheGateway(t *testing.T) {
	link := alarm.Alarm{ID: "9", Class: "fault", Level: "fault", State: alarm.Unacknowledged, Device: "bus-1", DeviceName: "bus-1", Signal: "bus-1.link", Name: "链路中断"}
	mains := alarm.Alarm{ID: "10", Class: "electrical", Level: "fault", State: alarm.Acknowledged, Device: "meter", Signal: "meter.mains", Zone: "room"}
	load := alarm.Alarm{ID: "11", Class: "electrical", Level: "prealarm", State: alarm.Unacknowledged, Device: "meter", Signal: "meter.ia", Zone: "room"}
	shelved, drill := *smoke("12", alarm.Unacknowledged), *smoke("13", alarm.Unacknowledged)
	shelved.ShelvedUntil, drill.Drill = &noon, true
	cleared := *gas("14", alarm.Returned)
	zone := alarm.Alarm{ID: "15", Class: "fire", Level: "alarm", State: alarm.Unacknowledged, Zone: "room", Name: "两路确认"}
	for name, c := range map[string]struct {
		open []alarm.Alarm
		of   *alarm.Alarm
		want state
		own  byte
	}{
		"nothing":                             {nil, nil, normal, 1},
		"gas is for the fire brigade":         {[]alarm.Alarm{*gas("1", alarm.Acknowledged)}, gas("1", alarm.Acknowledged), normal | fire, 1 | 2},
		"another alarm of the same part":      {[]alarm.Alarm{load, mains}, &load, normal | supervised | fault | powerFault, 1 | 4 | 8},
		"a lost wire":                         {[]alarm.Alarm{link}, &link, normal | fault, 1 | 4 | 64},
		"shelved":                             {[]alarm.Alarm{shelved}, &shelved, normal | fire | shielded, 1 | 2},
		"a drill":                             {[]alarm.Alarm{drill}, &drill, 0, 0},
		"a fire beside a drill is one":        {[]alarm.Alarm{drill, *smoke("16", alarm.Acknowledged)}, &drill, fire, 2},
		"what has cleared":                    {[]alarm.Alarm{cleared}, &cleared, normal, 1},
		"an event before the list knows":      {nil, gas("2", alarm.Unacknowledged), normal | fire, 1},
		"an event after the list knew of it":  {[]alarm.Alarm{*gas("3", alarm.Unacknowledged)}, gas("3", alarm.Latched), normal, 1 | 2},
		"an alarm of a zone and not a device": {[]alarm.Alarm{zone}, &zone, normal | fire, 1 | 2},
	} {
		u := newUplink(t, plain, nil, nil)
		at := part{}
		if c.of != nil {
			at, _ = u.plan.partOf(*c.of)
		}
		if got, own := u.stateOf(c.open, at, c.of), u.ownState(c.open); got != c.want || own != c.own {
			t.Errorf("%s: %#x, gateway %#x", name, got, own)
		}
	}
	u := newUplink(t, plain, nil, nil)
	if at, text := u.plan.partOf(zone); at != (part{system{0, 1}, 0, 2, 0}) || text != "两路确认" {
		t.Errorf("a zone is %+v %q", at, text)
	}
	if at, text := u.plan.partOf(link); at != (part{system{0, 1}, 0, 0, 0}) || text != "链路中断 bus-1" {
		t.Errorf("a wire is %+v %q", at, text)
	}
}

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
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		c.answers = func(f frame) command {
			if kind(f.unit[0]) == partState {
				return deny
			}
			return confirm
		}
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

// GB 26875.1-2011, 4.1.2.3: a fire waits behind nothing, however much there is, and is told once.
func TestAFireGoesBeforeABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t, away: true}, &journal{}
		u := newUplink(t, plain, c, nil)
		stop := start(t, u, j, &home{})
		for i := range 200 {
			a := &alarm.Alarm{ID: fmt.Sprint(i), Class: "fault", Level: "fault", State: alarm.Closed, Device: "door", Count: 1}
			j.add(u, event([]string{alarm.EventFaultRaised, alarm.EventAcknowledged}[i%2], a))
			time.Sleep(time.Millisecond)
		}
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

// RE07: what the disk refuses is told from the list of alarms; and once it has the disk back.
func TestTheCentreIsToldWhileTheDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		stop := start(t, u, j, &home{})
		synctest.Wait()
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
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		stop := start(t, u, j, &home{})
		synctest.Wait()
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

// Row SF16: analog values, at most one of each type of a part, and the heartbeat.
func TestValuesAndHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		good := func(signal string, v float64) drivers.Reading {
			return drivers.Reading{Signal: signal, Time: time.Now(), Value: v, Quality: drivers.Good}
		}
		stop := start(t, u, j, &home{})
		synctest.Wait()
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

// A hostile centre costs its connection, and nothing else.
func TestACentreThatFloodsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, j := &centre{t: t}, &journal{}
		u := newUplink(t, plain, c, nil)
		u.Alarms(nil)
		stop := start(t, u, j, &home{})
		synctest.Wait()
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

// A part keeps its address when others come and go, and has the one that the configuration gives it.
func TestPartsKeepTheirNumbers(t *testing.T) {
	n := numbers{}
	d := devices()
	zones := []Zone{{"kitchen", ""}, {"room", ""}}
	n.give(zones, d, nil)
	if n.Devices["smoke-201"] != [2]uint16{2, 1} || n.Devices["meter"] != [2]uint16{2, 2} || n.Devices["door"] != [2]uint16{0, 1} {
		t.Errorf("%v", n.Devices)
	}
	late := append([]drivers.Device{{ID: "heat-201", Zone: "room"}, {ID: "attic", Zone: "attic"}}, d[1:]...)
	zone, number := uint16(2), uint16(1)
	n.give(append([]Zone{{"attic", ""}}, zones...), late, map[string]partKey{"door": {Zone: &zone, Number: &number}})
	for id, want := range map[string][2]uint16{"meter": {2, 2}, "heat-201": {2, 3}, "attic": {3, 1}, "door": {2, 1}, "smoke-201": {2, 4}} {
		if n.Devices[id] != want {
			t.Errorf("%s is at %v", id, n.Devices[id])
		}
	}
	j := &journal{}
	u := newUplink(t, plain, nil, nil)
	if err := u.plan.number(t.Context(), j, "uplink/x/parts"); err != nil {
		t.Fatal(err)
	}
	got, _ := j.Get(t.Context(), "uplink/x/parts")
	if want := `{"zones":{"kitchen":1,"room":2},"devices":{"door":[0,1],"kitchen-gas":[1,1],"meter":[2,2],"smoke-201":[2,1]}}`; got != want {
		t.Errorf("stored is %s", got)
	}
	if err := j.Set(t.Context(), "uplink/x/parts", `{"zones":{"room":7},"devices":{"meter":[7,9]}}`); err != nil {
		t.Fatal(err)
	}
	if err := u.plan.number(t.Context(), j, "uplink/x/parts"); err != nil {
		t.Fatal(err)
	}
	if p := u.plan.parts["meter"]; p != (part{system{1, 1}, 17, 7, 9}) {
		t.Errorf("the meter is %+v", p)
	}
	u = newUplink(t, strings.Replace(plain, "}", ", building: 3, systems: {electrical: 128}, parts: {meter: {type: 16, zone: 4, number: 5}, door: {system: 19}}}", 1), nil, nil)
	if u.plan.parts["meter"] != (part{system{128, 3}, 16, 4, 5}) || u.plan.parts["door"] != (part{system{19, 3}, 0, 0, 1}) {
		t.Errorf("%+v", u.plan.parts)
	}
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
