package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/gateway/uplink/influx"
)

var (
	built = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	noon  = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	boot  = time.Date(1970, 1, 1, 0, 0, 10, 0, time.UTC)
)

// TestClock: when the wall clock is believed (RE04, RE05). Each line is one look: the wall clock, the seconds since the
// start, and whether the kernel counts it as synchronised; then what is made of it.
func TestClock(t *testing.T) {
	type look struct {
		wall     time.Time
		mono     int
		synced   bool
		step     time.Duration
		believed bool
	}
	for _, c := range []struct {
		name string
		last time.Time // newest event of the journal
		look []look
	}{
		{"a clock that runs on is believed, synchronised or not", noon.Add(-time.Hour), []look{
			{noon, 0, false, 0, true}, {noon.Add(time.Second), 1, false, 0, true}, {noon.Add(2 * time.Second), 2, true, 0, true},
		}},
		{"1970 is not believed, whatever the kernel says", time.Time{}, []look{
			{boot, 0, false, 0, false}, {boot.Add(time.Hour), 3600, true, 0, false},
		}},
		{"a clock that the network sets is believed at once", noon, []look{
			{boot, 0, false, 0, false}, {boot.Add(30 * time.Second), 30, false, 0, false},
			{noon, 31, true, noon.Sub(boot) - 31*time.Second, true}, {noon.Add(time.Second), 32, true, 0, true},
		}},
		{"a clock set by hand is believed when it has settled", noon, []look{
			{boot, 0, false, 0, false}, {noon, 10, false, noon.Sub(boot) - 10*time.Second, false},
			{noon.Add(119 * time.Second), 129, false, 0, false}, {noon.Add(120 * time.Second), 130, false, 0, true},
		}},
		{"a clock before the newest event is doubted, and not for ever", noon, []look{
			{noon.Add(-time.Hour), 0, false, 0, false}, {noon.Add(-time.Hour + time.Minute), 60, false, 0, false},
			{noon.Add(-time.Hour + 2*time.Minute), 120, false, 0, true},
		}},
		{"a clock before the newest event that is synchronised is right: the journal's was not", noon, []look{
			{noon.Add(-time.Hour), 0, true, 0, true},
		}},
		{"a step by hand is doubted, and one back too", time.Time{}, []look{
			{noon, 0, false, 0, true}, {noon.Add(time.Hour), 5, false, time.Hour - 5*time.Second, false},
			{noon.Add(10 * time.Second), 10, false, -time.Hour + 5*time.Second, false}, {noon.Add(130 * time.Second), 130, false, 0, true},
		}},
		{"a step by the network is a step, and believed", time.Time{}, []look{
			{noon, 0, true, 0, true}, {noon.Add(-time.Hour), 5, true, -time.Hour - 5*time.Second, true},
		}},
		{"a trimmed clock does not step", time.Time{}, []look{
			{noon, 0, false, 0, true}, {noon.Add(5*time.Second + 900*time.Millisecond), 5, false, 0, true},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := func(l look) moment { return moment{l.wall, time.Duration(l.mono) * time.Second, l.synced} }
			clock := newClock(built, c.last, m(c.look[0]))
			for i, l := range c.look {
				if step := clock.look(m(l)); step != l.step || clock.believed() != l.believed {
					t.Errorf("look %d: step %v, believed %v; want %v, %v", i, step, clock.believed(), l.step, l.believed)
				}
				if clock.ok() != (l.synced && l.believed) {
					t.Errorf("look %d: clock_ok %v", i, clock.ok())
				}
			}
		})
	}
}

// gated is a gate under two clocks that a test sets.
type gated struct {
	*gate
	wall   time.Time     // the start, by the wall clock as it is
	mono   time.Duration // since the start
	synced bool
	sent   strings.Builder
	gas    *device
}

func newGated(t *testing.T, wall time.Time) *gated {
	g := &gated{gas: &device{Device: drivers.Device{ID: "gas"}}, wall: wall}
	g.gate = &gate{started: time.Now(), log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	g.clock = newClock(built, time.Time{}, g.now())
	g.reading = func(_ time.Time, _ drivers.Device, batch []drivers.Reading) {
		for _, r := range batch {
			fmt.Fprintf(&g.sent, "%s=%g %s\n", r.Signal, r.Value, r.Time.UTC().Format(time.DateTime))
		}
	}
	g.point = func(p influx.Point) {
		fmt.Fprintf(&g.sent, "%s %s\n", p.Measurement, p.Time.UTC().Format(time.DateTime))
	}
	return g
}

func (g *gated) now() moment {
	return moment{wall: g.wall.Add(g.mono), mono: g.mono, synced: g.synced}
}

// read is the time that a driver gives a reading of now: Go's, with both its parts.
func (g *gated) read() time.Time { return g.started.Add(g.mono) }

func (g *gated) set(wall time.Time, synced bool) {
	g.wall, g.synced = wall.Add(-g.mono), synced
	g.look(g.now())
}

// reads hands over a reading of now.
func (g *gated) reads(value float64) {
	g.take(g.now(), g.gas, []drivers.Reading{{Signal: "gas.lel", Time: g.read(), Value: value, Quality: drivers.Good}})
}

func (g *gated) wants(t *testing.T, want ...string) {
	t.Helper()
	if got := strings.TrimSuffix(g.sent.String(), "\n"); got != strings.Join(want, "\n") {
		t.Errorf("sent\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	g.sent.Reset()
}

// RE04: a box without a clock of its own starts in 1970.
func TestReadingsAreHeldUntilTheClockIsSet(t *testing.T) {
	g := newGated(t, boot)
	g.reads(1)
	g.mono += 10 * time.Second
	g.reads(2)
	g.takePoint(g.now(), influx.Point{Measurement: "gateway", Time: g.read()})
	g.take(g.now(), g.gas, []drivers.Reading{{Signal: "gas.own", Time: noon.Add(-time.Second), Value: 7, Quality: drivers.Good}})
	g.release(g.now())
	g.wants(t, "")
	g.mono += 20 * time.Second
	g.set(noon, true)
	g.reads(3)
	g.release(g.now())
	g.wants(t, "gas.lel=3 2026-11-21 12:00:00", "gateway 2026-11-21 11:59:40",
		"gas.lel=1 2026-11-21 11:59:30", "gas.lel=2 2026-11-21 11:59:40", "gas.own=7 2026-11-21 11:59:59")
	g.release(g.now())
	g.wants(t, "")
}

// RE05: a clock that is set leaves no reading twice and none in the future.
func TestAStepLeavesNoPointTwiceAndNoneInTheFuture(t *testing.T) {
	g := newGated(t, noon)
	g.reads(1)
	g.mono += time.Second
	g.wants(t, "gas.lel=1 2026-11-21 12:00:00")
	g.set(noon.Add(time.Hour), false) // by hand, and wrong
	g.reads(2)
	g.mono += 30 * time.Second
	g.reads(3)
	g.set(noon.Add(31*time.Second), false) // put right
	g.release(g.now())
	g.wants(t, "")
	g.mono += settling
	g.reads(4)
	g.look(g.now())
	g.release(g.now())
	g.reads(5)
	g.wants(t, "gas.lel=2 2026-11-21 12:00:01", "gas.lel=3 2026-11-21 12:00:31", "gas.lel=4 2026-11-21 12:02:31", "gas.lel=5 2026-11-21 12:02:31")

	late := g.read() // read before the network sets the clock back by an hour, handed over after
	g.set(noon.Add(-time.Hour), true)
	g.take(g.now(), g.gas, []drivers.Reading{{Signal: "gas.lel", Time: late, Value: 6, Quality: drivers.Good},
		{Signal: "gas.own", Time: noon, Value: 7, Quality: drivers.Good}})
	g.wants(t, "gas.lel=6 2026-11-21 11:00:00", "gas.own=7 2026-11-21 11:00:00")
}

func TestWhatIsHeldIsBounded(t *testing.T) {
	g := newGated(t, boot)
	for i := range mostHeld + 10 {
		g.reads(float64(i))
	}
	for range mostPoints + 10 {
		g.takePoint(g.now(), influx.Point{Measurement: "gateway", Time: g.read()})
	}
	if len(g.held) != mostHeld || g.dropped != 10 || len(g.points) != mostPoints {
		t.Errorf("%d readings, %d dropped, %d points", len(g.held), g.dropped, len(g.points))
	}
	g.set(noon, true)
	var values []float64
	g.reading = func(_ time.Time, _ drivers.Device, batch []drivers.Reading) {
		for _, r := range batch {
			values = append(values, r.Value)
		}
	}
	for len(g.held) > 0 {
		g.release(g.now())
	}
	if len(values) != mostHeld || values[0] != 10 || !slices.IsSorted(values) {
		t.Errorf("%d values from %g", len(values), values[0])
	}
}

// Events from before the clock was set get the time that they would have had, and the same one every time they are read.
func TestEventsFrom1970GetTheirTimes(t *testing.T) {
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	seq := 0
	add := func(kind string, at time.Time, note string) {
		t.Helper()
		seq++
		e := alarm.Event{ID: fmt.Sprint(seq), Time: at, Type: kind, Note: note}
		if strings.HasPrefix(kind, "alarm.") {
			e.Alarm = &alarm.Alarm{ID: "a", RaisedAt: at}
		}
		if err := st.Commit(t.Context(), &store.Transaction{Events: []alarm.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	j := stampedJournal{Journal: st, built: built}
	wants := func(want string) {
		t.Helper()
		var got []string
		for after := int64(0); ; { // in steps of two, as an uplink reads
			events, err := j.Events(t.Context(), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(events) == 0 {
				break
			}
			for _, e := range events {
				line := fmt.Sprintf("%s %s", e.Type, e.Time.UTC().Format("02T15:04:05"))
				if e.Alarm != nil {
					line += e.Alarm.RaisedAt.UTC().Format(" 02T15:04:05")
				}
				got = append(got, line)
			}
			after = events[len(events)-1].Seq
		}
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	add("alarm.raised", noon, "")
	add("gateway.started", boot, "")
	add("alarm.raised", boot.Add(5*time.Second), "")
	wants("alarm.raised 21T12:00:00 21T12:00:00") // the power goes before the clock is set
	add("gateway.started", boot, "")
	add("alarm.raised", boot.Add(10*time.Second), "")
	wants("alarm.raised 21T12:00:00 21T12:00:00")
	add(clockStepped, noon.Add(time.Hour), stepNote(boot.Add(20*time.Second), noon.Add(time.Hour)))
	add("alarm.cleared", noon.Add(2*time.Hour), "")
	wants("alarm.raised 21T12:00:00 21T12:00:00, gateway.started 21T13:00:00, alarm.raised 21T13:00:00 21T13:00:00, " +
		"gateway.started 21T12:59:40, alarm.raised 21T12:59:50 21T12:59:50, clock.stepped 21T13:00:00, alarm.cleared 21T14:00:00 21T14:00:00")
}

// RE04: while the clock cannot be right, alarms are raised and shown at once, and nothing is kept for the platform.
func TestAlarmsWorkAtOnceWhileTheClockIsWrong(t *testing.T) {
	s, dir := newScript(), t.TempDir()
	l := httptest.NewUnstartedServer(nil).Listener
	text := fmt.Sprintf(scriptedHome, dir, "", "0s") + "uplinks: [{id: platform, influxdb: {url: \"http://127.0.0.1:1\", bucket: b}}]\n"
	root := conf.Parse(filepath.Join(dir, "home.yaml"), []byte(text), conf.OS())
	g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": s.protocol}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Listener: l})
	if err != nil || root.Problems() != nil {
		t.Fatal(err, root.Problems())
	}
	g.built = time.Now().Add(time.Hour) // so the clock is an hour before this program was built
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	h := &home{t: t, dir: dir, url: "http://" + l.Addr().String(), stop: func() { cancel(); done <- <-done }}
	homes.of(l.Addr().String(), dir)
	s.reads("gas.lel", 30)
	h.alarms("high unacknowledged")
	eventually(t, "it says that the clock is not right", func() bool {
		r, err := http.Get(h.url + "/readyz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(body), "the clock is not right")
	})
	h.stop()
	st, err := store.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if q := st.Queue("platform", store.QueueLimit{}).Stats(); q.Records != 0 {
		t.Errorf("%d lines for the platform have wrong times", q.Records)
	}
}
