package console

import (
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

func TestTheHeadlineSaysTheMostUrgentThingAndIsNeverWellInDoubt(t *testing.T) {
	h := home{i18n.English, noon}
	raised := func(change ...func(*alarm.Alarm)) func(*Snapshot) {
		return func(s *Snapshot) {
			a := alarm.Alarm{ID: "1", Name: "Kitchen gas high", Class: "gas", Level: "alarm", State: alarm.Unacknowledged, ZonePath: "1st floor / kitchen"}
			for _, c := range change {
				c(&a)
			}
			s.Alarms = append(s.Alarms, a)
		}
	}
	level := func(a *alarm.Alarm) { a.Level = "prealarm" }
	faulty := func(a *alarm.Alarm) { a.Level = "fault" }
	signal := func(q drivers.Quality, r drivers.Reason) func(*Snapshot) {
		return func(s *Snapshot) { s.Devices[0].Signals[1].Quality, s.Devices[0].Signals[1].Reason = q, r }
	}
	for _, test := range []struct {
		name     string
		change   []func(*Snapshot)
		age      time.Duration
		mood     mood
		kicker   string
		headline string
	}{
		{name: "everything is known and works", mood: moodWell, headline: "All is well"},
		{name: "a snapshot of 5 seconds is the present", age: frozenAfter, mood: moodWell, headline: "All is well"},
		{"an older one is not, whatever it says", []func(*Snapshot){raised()}, frozenAfter + 1, moodUnknown, "The gateway stands still", "Nothing new since 16:53:20"},
		{"an alarm", []func(*Snapshot){raised()}, 0, moodAlarm, "Alarm · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"an alarm that somebody has taken is still one", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.State, a.AcknowledgedBy = alarm.Acknowledged, "Zhang" })},
			0, moodAlarm, "Alarm · Zhang is on it", "1st floor / kitchen: Kitchen gas high"},
		{"an alarm goes before a pre-alarm shown above it", []func(*Snapshot){raised(level, func(a *alarm.Alarm) { a.Name = "Warm" }), raised()},
			0, moodAlarm, "Alarm · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"a pre-alarm", []func(*Snapshot){raised(level)}, 0, moodPrealarm, "Pre-alarm · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"an alarm that is over", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.State = alarm.Returned })}, 0, moodWaiting,
			"Alarm · over, but nobody has answered", "1st floor / kitchen: Kitchen gas high"},
		{"an alarm that waits for its reset", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.State = alarm.Latched })}, 0, moodWaiting,
			"Alarm · over, waits for reset", "1st floor / kitchen: Kitchen gas high"},
		{"an alarm of a device without a zone", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.ZonePath, a.DeviceName = "", "Boiler" })}, 0, moodAlarm,
			"Alarm · nobody has answered yet", "Boiler: Kitchen gas high"},
		{"an alarm of nowhere", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.ZonePath = "" })}, 0, moodAlarm, "Alarm · nobody has answered yet", "Kitchen gas high"},
		{"a fault", []func(*Snapshot){raised(faulty)}, 0, moodFault, "Fault · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"a real alarm goes before a drill", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.Drill = true }), raised(level)}, 0, moodPrealarm,
			"Pre-alarm · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"a drill", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.Drill = true })}, 0, moodDrill, "Drill · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"a test", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.Test = true })}, 0, moodDrill, "Test · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"a drill does not hide a missing value", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.Drill = true }), signal(drivers.Bad, drivers.CRC)}, 0, moodUnknown,
			"Not everything is known", "1 of 13 values are missing"},
		{"a notice is not well", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.Level = "notice" })}, 0, moodNotice, "Notice · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"nor is a shelved alarm", []func(*Snapshot){raised(func(a *alarm.Alarm) { a.ShelvedUntil = pointer(noon.Add(time.Hour)) })}, 0, moodNotice,
			"Alarm · nobody has answered yet", "1st floor / kitchen: Kitchen gas high"},
		{"a component that does not work", []func(*Snapshot){func(s *Snapshot) { s.Components[1].Working = false }}, 0, moodFault, "Fault", "journal does not work"},
		{"an endpoint that is down", []func(*Snapshot){func(s *Snapshot) { s.Endpoints[1].Up = false }}, 0, moodFault, "Fault", "The connection zigbee to the devices is down"},
		{"an uplink", []func(*Snapshot){func(s *Snapshot) { s.Uplinks[0].Working = false }}, 0, moodFault, "Fault", "The platform platform takes no data"},
		{"a channel", []func(*Snapshot){func(s *Snapshot) { s.Channels[0].Working = false }}, 0, moodFault, "Fault", "Nobody is reached through duty-group"},
		{"a part that has no words", []func(*Snapshot){func(s *Snapshot) { s.Components = append(s.Components, Component{Name: "flux"}) }}, 0, moodFault, "Fault", "flux does not work"},
		{"a value that is missing", []func(*Snapshot){signal(drivers.Bad, drivers.Timeout)}, 0, moodUnknown, "Not everything is known", "1 of 13 values are missing"},
		{"a value in doubt", []func(*Snapshot){signal(drivers.Uncertain, drivers.Stale)}, 0, moodUnknown, "Not everything is known", "1 of 13 values are in doubt"},
		{"a value that a person took out of service", []func(*Snapshot){signal(drivers.Bad, drivers.Disabled)}, 0, moodUnknown, "Not everything is known", "1 of 13 values are missing"},
		{"a device that does not answer", []func(*Snapshot){func(s *Snapshot) { s.Devices[2].Online = pointer(false) }}, 0, moodUnknown,
			"Not everything is known", "1 of 5 devices do not answer"},
		{"a device that was never heard", []func(*Snapshot){func(s *Snapshot) { s.Devices[2].Online = nil }}, 0, moodUnknown,
			"Not everything is known", "1 of 5 devices have not been heard yet"},
		{"a home without devices", []func(*Snapshot){func(s *Snapshot) { s.Devices = nil }}, 0, moodUnknown,
			"Not everything is known", "There is nothing that could be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := h.well()
			for _, change := range test.change {
				change(s)
			}
			g := glanceOf(s, noon.Add(test.age))
			if g.mood != test.mood || g.kicker.String() != test.kicker || g.headline.String() != test.headline {
				t.Errorf("%s %q %q\nwant %s %q %q", g.mood, g.kicker, g.headline, test.mood, test.kicker, test.headline)
			}
		})
	}
	if g := glanceOf(nil, noon); g.mood != moodUnknown || g.headline.String() != "Nothing is known yet" {
		t.Errorf("before the first snapshot: %+v", g)
	}
}

func TestThePageSoundsWhileAnAlarmWaits(t *testing.T) {
	a := alarm.Alarm{Level: "alarm", State: alarm.Unacknowledged}
	with := func(change func(*alarm.Alarm)) alarm.Alarm { b := a; change(&b); return b }
	fault := with(func(a *alarm.Alarm) { a.Level = "fault" })
	for _, test := range []struct {
		name string
		open []alarm.Alarm
		want string
	}{
		{"nothing is open", nil, ""},
		{"nobody has answered", []alarm.Alarm{a}, "alarm"},
		{"it is over, but nobody has answered", []alarm.Alarm{with(func(a *alarm.Alarm) { a.State = alarm.Returned })}, "alarm"},
		{"somebody is on it", []alarm.Alarm{with(func(a *alarm.Alarm) { a.State = alarm.Acknowledged })}, ""},
		{"it is silenced", []alarm.Alarm{with(func(a *alarm.Alarm) { a.Silenced = true })}, ""},
		{"it is shelved", []alarm.Alarm{with(func(a *alarm.Alarm) { a.ShelvedUntil = &noon })}, ""},
		{"a fault sounds otherwise", []alarm.Alarm{fault}, "fault"},
		{"an alarm sounds over a fault", []alarm.Alarm{fault, a}, "alarm"},
		{"a notice is silent", []alarm.Alarm{with(func(a *alarm.Alarm) { a.Level = "notice" })}, ""},
	} {
		if got := sound(test.open); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestNumbersHaveTheDigitsThatMatter(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", -0.0001: "0", 0.31: "0.31", 3.2000000000000003: "3.2", 31.64: "31.64", 231.42: "231.4", 12345.6: "12346", -5.5: "-5.5", 100: "100", 0.0004: "0",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 秒前", 59 * time.Second: "59 秒前", time.Minute: "1 分钟前", 59*time.Minute + 59*time.Second: "59 分钟前",
		time.Hour: "1 小时前", 47 * time.Hour: "1 天前",
	} {
		if got := ago(d, i18n.Chinese); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if m := at(noon.Add(-24*time.Hour), noon, i18n.English); m.Clock != "2026-11-20 16:53" || m.ISO != "2026-11-20T16:53:20+08:00" {
		t.Errorf("%+v", m)
	}
	if m := at(noon.UTC(), noon, i18n.English); m.Clock != "16:53:20" {
		t.Errorf("a time of another zone: %+v", m)
	}
}
