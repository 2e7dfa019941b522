package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
)

// devices is a driver that only has devices; the test speaks for it.
type devices []drivers.Device

func (d devices) Devices() []drivers.Device                          { return d }
func (d devices) Run(context.Context, func([]drivers.Reading)) error { return nil }

// polled is a device read every second, spoken one that speaks by itself.
var (
	polled = drivers.Device{ID: "meter", Every: time.Second, Signals: []drivers.Signal{{ID: "a", Kind: "voltage"}, {ID: "b", Kind: "voltage"}}}
	spoken = drivers.Device{ID: "smoke", Stale: time.Hour, Signals: []drivers.Signal{{ID: "smoke", Kind: "smoke"}, {ID: "battery", Kind: "battery", Optional: true}}}
)

// timeline is a live state with its clock.
type timeline struct {
	t *testing.T
	*live
	now time.Time
}

func newTimeline(t *testing.T, d ...drivers.Device) *timeline {
	start := time.Now()
	return &timeline{t, newLive([]*link{{id: "bus", driver: devices(d)}}, start), start}
}

func (l *timeline) after(d time.Duration) { l.now = l.now.Add(d) }

func (l *timeline) good(signal string, value float64) []drivers.Reading {
	return l.note(l.now, []drivers.Reading{{Signal: signal, Time: l.now, Value: value, Quality: drivers.Good}})
}

func (l *timeline) bad(signal string, reason drivers.Reason) []drivers.Reading {
	return l.note(l.now, []drivers.Reading{{Signal: signal, Time: l.now, Reason: reason}})
}

// is asserts a signal in words: good 1, bad stale, bad.
func (l *timeline) is(signal, want string) {
	l.t.Helper()
	s := l.signals[signal]
	got := strings.TrimSpace(s.Quality.String() + " " + string(s.Reason))
	if s.Quality == drivers.Good {
		got = map[float64]string{0: "good 0", 1: "good 1"}[s.Value]
	}
	if got != want {
		l.t.Errorf("after %s %s is %q, want %q", l.now, signal, got, want)
	}
}

func TestNothingIsKnownBeforeTheFirstReading(t *testing.T) {
	l := newTimeline(t, polled)
	l.is("bus.link", "bad")
	l.is("meter.online", "bad")
	l.is("meter.a", "bad")
}

func TestADeviceThatNeverAnswersIsNotOnline(t *testing.T) {
	l := newTimeline(t, polled)
	l.good("bus.link", 1)
	l.after(3 * time.Second)
	l.expire(l.now)
	l.is("meter.online", "bad") // it has its stale time
	l.after(time.Millisecond)
	l.expire(l.now)
	l.is("meter.online", "good 0")
}

// Row DM07: not refreshed for three periods; the comms pack makes a fault of it (rules/packs/comms.txt).
func TestASignalThatStopsTurnsStaleThoughItsDeviceAnswers(t *testing.T) {
	l := newTimeline(t, polled)
	l.good("bus.link", 1)
	l.good("meter.a", 1)
	l.good("meter.b", 1)
	l.is("meter.online", "good 1")
	for range 4 {
		l.after(time.Second)
		l.good("meter.a", 1)
		l.expire(l.now)
	}
	l.is("meter.a", "good 1")
	l.is("meter.b", "bad stale")
	l.is("meter.online", "good 1")
}

// Row DM07.
func TestADeviceThatFallsSilentIsStaleAndNotOnline(t *testing.T) {
	l := newTimeline(t, polled)
	l.good("bus.link", 1)
	l.good("meter.a", 1)
	l.bad("meter.a", drivers.Timeout)
	l.is("meter.a", "bad timeout")
	l.is("meter.online", "good 1") // one poll lost is not a device lost
	l.after(4 * time.Second)
	l.bad("meter.a", drivers.Timeout)
	l.expire(l.now)
	l.is("meter.online", "good 0")
	l.good("meter.a", 1)
	l.is("meter.online", "good 1")
}

func TestADeviceThatSpeaksByItselfExpiresAsAWhole(t *testing.T) {
	l := newTimeline(t, spoken)
	l.good("bus.link", 1)
	l.good("smoke.smoke", 0)
	l.after(50 * time.Minute)
	l.good("smoke.battery", 1) // a partial message: the others keep their value
	l.after(50 * time.Minute)
	l.expire(l.now)
	l.is("smoke.smoke", "good 0")
	l.after(20 * time.Minute)
	l.expire(l.now)
	l.is("smoke.smoke", "bad stale")
	l.is("smoke.online", "good 0")
}

func TestADeviceThatSaysItIsOffline(t *testing.T) {
	l := newTimeline(t, spoken)
	l.good("bus.link", 1)
	l.good("smoke.smoke", 0)
	l.bad("smoke.smoke", drivers.Offline) // its battery was never heard of
	l.is("smoke.online", "good 0")
	l.good("smoke.smoke", 0)
	l.is("smoke.online", "good 1")
}

func TestALostEndpointMakesItsDevicesUnknownAndNotLost(t *testing.T) {
	l := newTimeline(t, polled, spoken)
	l.good("bus.link", 1)
	l.good("meter.a", 1)
	l.good("smoke.smoke", 1)
	batch := l.good("bus.link", 0)
	l.is("meter.online", "bad offline")
	l.is("smoke.smoke", "bad offline")
	l.after(time.Hour)
	if more := l.expire(l.now); len(more) > 0 {
		t.Errorf("the lost endpoint's devices say more: %v", more)
	}
	if len(batch) != 5 { // the link, two devices, the two signals that were known
		t.Errorf("%d readings: %v", len(batch), batch)
	}
	l.good("bus.link", 1)
	l.expire(l.now)
	l.is("meter.online", "bad offline") // an hour in which nobody listened is no silence
	l.after(4 * time.Second)
	l.expire(l.now)
	l.is("meter.online", "good 0")
}

func TestARetainedMessageIsNoSignOfLife(t *testing.T) {
	l := newTimeline(t, spoken)
	l.good("bus.link", 1)
	l.note(l.now, []drivers.Reading{{Signal: "smoke.smoke", Time: l.now, Quality: drivers.Good, Retained: true}})
	l.is("smoke.smoke", "good 0")
	l.is("smoke.online", "bad")
	l.after(2 * time.Hour)
	l.expire(l.now)
	l.is("smoke.smoke", "bad stale")
	l.is("smoke.online", "good 0")
}

func TestReadingsOfSignalsThatNobodyHasAreDropped(t *testing.T) {
	l := newTimeline(t, polled)
	if batch := l.good("nobody.knows", 1); len(batch) != 0 {
		t.Error(batch)
	}
}

// TestADeadDeviceBehindALinkThatDropsNowAndThen: neither the drops nor what the broker retained make it look alive.
func TestADeadDeviceBehindALinkThatDropsNowAndThen(t *testing.T) {
	l := newTimeline(t, spoken)
	l.good("bus.link", 1)
	l.good("smoke.smoke", 0)
	for range 4 { // its stale time is an hour
		l.after(20 * time.Minute)
		l.good("bus.link", 0)
		l.after(time.Second)
		l.good("bus.link", 1)
		l.note(l.now, []drivers.Reading{{Signal: "smoke.smoke", Time: l.now, Quality: drivers.Good, Retained: true}})
		l.expire(l.now)
	}
	l.is("smoke.online", "good 0")
	l.is("smoke.smoke", "bad stale")
}

// Row MQ05: a retained message restores state and is no news, unless its own time is later than what was last seen.
func TestARetainedMessageIsNewsOnlyWhereItsTimeIsLater(t *testing.T) {
	l := newTimeline(t, spoken)
	start := l.now
	say := func(value float64, own time.Duration, stamped, retained bool) drivers.Reading {
		batch := l.note(l.now, []drivers.Reading{{Signal: "smoke.smoke", Time: start.Add(own), Value: value, Quality: drivers.Good, OwnTime: stamped, Retained: retained}})
		return batch[0]
	}
	if r := say(1, time.Minute, true, true); !r.Retained {
		t.Error("the first message ever is news, though nothing was seen before")
	}
	if r := say(0, 2*time.Minute, true, false); r.Retained {
		t.Error("a live message is retained")
	}
	if r := say(1, 2*time.Minute, true, true); !r.Retained {
		t.Error("what was seen is news again")
	}
	if r := say(1, time.Hour, false, true); !r.Retained {
		t.Error("a message without a time of its own is news")
	}
	l.after(time.Minute)
	before := l.devices[0].goodAt
	if r := say(1, 3*time.Minute, true, true); r.Retained {
		t.Error("what happened while nobody listened is no news")
	}
	if !l.devices[0].goodAt.Equal(before) {
		t.Error("what a broker kept is a sign of life")
	}
	l.signals["smoke.smoke"].own = start.AddDate(10, 0, 0) // our clock was wrong, and the device's with it
	say(0, 4*time.Minute, true, false)
	if r := say(1, 5*time.Minute, true, true); r.Retained {
		t.Error("one wrong time makes nothing news for years")
	}
}

// Row DM09: a device out of service says so, is no fault, and is not lost with its endpoint.
func TestADeviceOutOfServiceSaysSo(t *testing.T) {
	off := polled
	off.Disabled = true
	l := newTimeline(t, off)
	l.note(l.now, drivers.LinkUp("bus", l.now))
	if batch := l.expire(l.now); len(batch) != 2 {
		t.Errorf("%d readings, want one of each signal", len(batch))
	}
	l.is("meter.a", "bad disabled")
	l.after(time.Hour)
	if batch := l.expire(l.now); len(batch) != 0 {
		t.Errorf("told again: %+v", batch)
	}
	l.note(l.now, drivers.LinkDown("bus", l.now, "gone"))
	l.is("meter.a", "bad disabled")
	l.is("meter.online", "bad")
}

// One batch may say that an endpoint is lost and, of what came just before or since, more: nothing of it is taken for anything else.
func TestWhatIsAddedToABatchOverwritesNothingOfIt(t *testing.T) {
	l := newTimeline(t, polled, spoken)
	l.good("bus.link", 1)
	l.good("meter.a", 1)
	l.good("meter.b", 1)
	l.after(time.Second)
	batch := make([]drivers.Reading, 0, 16)
	batch = append(batch,
		drivers.Reading{Signal: "nobody.has", Time: l.now, Quality: drivers.Good},
		drivers.Reading{Signal: "bus.link", Time: l.now, Quality: drivers.Good, Detail: "cut"},
		drivers.Reading{Signal: "smoke.smoke", Time: l.now, Value: 1, Quality: drivers.Good})
	var got []string
	for _, r := range l.note(l.now, batch) {
		got = append(got, r.Signal+" "+r.Quality.String())
	}
	want := "bus.link good, meter.online bad, meter.a bad, meter.b bad, smoke.smoke good, smoke.online good"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
	l.is("smoke.smoke", "good 1")
}
