package gbt26875

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
)

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
