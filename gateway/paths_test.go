package gateway

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// twoWays is a home whose hall detector is on the radio and on the panel, beside another detector.
const twoWays = `
site: {id: home, name: home, language: en}
data: /nowhere
zones: [{id: hall, name: Hall}]
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: radio, zone: hall, every: 10s, stale: 30s, signals: [{id: smoke, kind: smoke}]}
      - {id: panel, zone: hall, every: 10s, stale: 30s, same_as: radio, signals: [{id: loop_7, kind: smoke}]}
      - {id: stairs, zone: hall, every: 10s, stale: 30s, signals: [{id: smoke, kind: smoke}]}
rules: {packs: [fire, comms]}
`

// ways are the readings of a moment: a number, or bad.
type ways map[string]any

// plays lets seconds pass on an idle hub, with the same readings every ten of them, and answers the open alarms.
func (h *hub) plays(now *time.Time, seconds int, said ways) string {
	for n := range seconds {
		*now = now.Add(time.Second)
		if n%10 == 0 {
			for _, signal := range slices.Sorted(maps.Keys(said)) {
				r := drivers.Reading{Signal: signal, Time: *now, Quality: drivers.Good}
				if v, ok := said[signal].(int); ok {
					r.Value = float64(v)
				} else {
					r.Quality, r.Reason = drivers.Bad, drivers.Timeout
				}
				h.take(*now, []drivers.Reading{r})
			}
		}
		h.tick(*now)
	}
	var open []string
	for _, a := range h.board.Open() {
		text := a.Rule + "@" + source(a) + " " + string(a.State)
		if a.Sources != nil {
			text += " by " + strings.Join(a.Sources, "+")
		}
		open = append(open, text)
	}
	return strings.Join(open, ", ")
}

// TestADetectorSeenOverTwoPathsIsOneAlarm (AL14): each path raises it, both stand in it, one that is lost clears nothing
// and is a fault of its own; one detector confirms no fire by itself, two do.
func TestADetectorSeenOverTwoPathsIsOneAlarm(t *testing.T) {
	h := idle(t, newScript(), twoWays)
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	for _, step := range []struct {
		what    string
		seconds int
		said    ways
		want    string
	}{
		{"all is quiet", 20, ways{"radio.smoke": 0, "panel.loop_7": 0, "stairs.smoke": 0}, ""},
		{"the panel finds it first", 2, ways{"radio.smoke": 0, "panel.loop_7": 1, "stairs.smoke": 0},
			"smoke@radio.smoke unacknowledged by panel.loop_7"},
		{"then the radio: no second alarm, and no confirmed fire", 20, ways{"radio.smoke": 1, "panel.loop_7": 1, "stairs.smoke": 0},
			"smoke@radio.smoke unacknowledged by panel.loop_7+radio.smoke"},
		{"the panel is lost, the radio says it is over: not for certain", 60, ways{"radio.smoke": 0, "panel.loop_7": "bad", "stairs.smoke": 0},
			"smoke@radio.smoke unacknowledged by panel.loop_7+radio.smoke, device-lost@panel.online unacknowledged"},
		{"the panel is back and says so too", 20, ways{"radio.smoke": 0, "panel.loop_7": 0, "stairs.smoke": 0},
			"smoke@radio.smoke returned by panel.loop_7+radio.smoke, device-lost@panel.online returned"},
		{"a second detector: now it is confirmed", 10, ways{"radio.smoke": 1, "panel.loop_7": 1, "stairs.smoke": 1},
			"smoke@radio.smoke unacknowledged by panel.loop_7+radio.smoke, smoke@stairs.smoke unacknowledged, fire-confirmed@hall unacknowledged, device-lost@panel.online returned"},
	} {
		if got := h.plays(&now, step.seconds, step.said); got != step.want {
			t.Fatalf("%s:\ngot  %s\nwant %s", step.what, got, step.want)
		}
	}
	_, events, err := h.store.Alarm(t.Context(), h.board.Open()[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := events[1]; got.Type != "alarm.joined" || got.Note != "radio.smoke" {
		t.Errorf("%+v", got)
	}
}

// TestALostPathKeepsNothingFromTheOther (AL14): the other raises and clears as if it were alone, and the alarm shows its
// reading.
func TestALostPathKeepsNothingFromTheOther(t *testing.T) {
	h := idle(t, newScript(), twoWays)
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	h.plays(&now, 60, ways{"radio.smoke": "bad", "panel.loop_7": 0})
	if got := h.plays(&now, 5, ways{"radio.smoke": "bad", "panel.loop_7": 1}); !strings.HasPrefix(got, "smoke@radio.smoke unacknowledged by panel.loop_7, ") || h.board.Open()[0].Quality != "good" {
		t.Errorf("%s: %+v", got, h.board.Open()[0])
	}
	if got := h.plays(&now, 5, ways{"panel.loop_7": 0}); !strings.HasPrefix(got, "smoke@radio.smoke returned by panel.loop_7, ") {
		t.Error(got)
	}
}

// TestPathsThatContradictEachOtherAreAFault (AL14, features C13): after a minute, in words, and none when they agree.
func TestPathsThatContradictEachOtherAreAFault(t *testing.T) {
	h := idle(t, newScript(), twoWays)
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	apart := ways{"radio.smoke": 0, "panel.loop_7": 1, "stairs.smoke": 0}
	if got := h.plays(&now, 55, apart); got != "smoke@radio.smoke unacknowledged by panel.loop_7" {
		t.Error(got)
	}
	if got := h.plays(&now, 20, apart); !strings.Contains(got, ", gateway-paths@ unacknowledged") {
		t.Error(got)
	}
	if fault := h.board.Open()[1]; !strings.HasPrefix(fault.Message, "smoke@radio.smoke: panel.loop_7 finds it, radio.smoke does not, since ") {
		t.Errorf("it says %q", fault.Message)
	}
	if got := h.plays(&now, 20, ways{"radio.smoke": 0, "panel.loop_7": 0}); !strings.Contains(got, "gateway-paths@ returned") {
		t.Error(got)
	}
}

// TestWhatAPathDoesNotSayIsNoContradiction (AL14): of a path that is lost within the minute nothing is said, and what was said
// is not taken back while one path is silent, neither by its loss nor by a restart.
func TestWhatAPathDoesNotSayIsNoContradiction(t *testing.T) {
	h := idle(t, newScript(), twoWays)
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	apart := ways{"radio.smoke": 0, "panel.loop_7": 1}
	h.plays(&now, 30, apart)
	if got := h.plays(&now, 120, ways{"radio.smoke": "bad", "panel.loop_7": 1}); strings.Contains(got, "gateway-paths") {
		t.Error(got)
	}
	h.plays(&now, 90, apart)
	if got := h.plays(&now, 120, ways{"radio.smoke": "bad", "panel.loop_7": 1}); !strings.Contains(got, "gateway-paths@ unacknowledged") {
		t.Error(got)
	}
	h, err := newHub(t.Context(), h.g, h.store)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.plays(&now, 20, ways{"panel.loop_7": 1}); !strings.Contains(got, "gateway-paths@ unacknowledged") {
		t.Error(got)
	}
}

// TestAPathThatIsAddedLaterClearsNothing (AL14): what the first had found alone is over when that says so.
func TestAPathThatIsAddedLaterClearsNothing(t *testing.T) {
	one := idle(t, newScript(), strings.Replace(twoWays, "same_as: radio, ", "", 1))
	now := time.Now()
	one.take(now, drivers.LinkUp("bus", now))
	one.plays(&now, 20, ways{"radio.smoke": 1, "panel.loop_7": 0})
	h, err := newHub(t.Context(), idle(t, newScript(), twoWays).g, one.store)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.plays(&now, 20, ways{"panel.loop_7": 0}); got != "smoke@radio.smoke unacknowledged" {
		t.Error(got)
	}
	if got := h.plays(&now, 20, ways{"radio.smoke": 0, "panel.loop_7": 0}); got != "smoke@radio.smoke returned" {
		t.Error(got)
	}
}

// TestAWalkTestTriesEachPath (AL09, AL14): the sheet names the path that was never found, and no other.
func TestAWalkTestTriesEachPath(t *testing.T) {
	h := idle(t, newScript(), twoWays)
	now := time.Now()
	h.take(now, drivers.LinkUp("bus", now))
	if _, err := h.exercise.test(now, time.Time{}, "hall", alarm.Act{By: "li"}); err != nil {
		t.Fatal(err)
	}
	h.exercise.changed(now)
	for _, step := range []struct {
		said  ways
		tried int
	}{
		{ways{"radio.smoke": 0, "panel.loop_7": 1, "stairs.smoke": 0}, 1},
		{ways{"radio.smoke": 1, "panel.loop_7": 1, "stairs.smoke": 0}, 2},
	} {
		h.plays(&now, 20, step.said)
		if w := h.exercise.sheet(h.exercise.Tests[0], time.Time{}); w.Tried != step.tried || len(w.Lines) != 3 {
			t.Errorf("%+v", w)
		}
	}
}

// TestPathsThatCannotBeAreReported (AL14).
func TestPathsThatCannotBeAreReported(t *testing.T) {
	for _, mistake := range []struct{ from, to, want string }{
		{"same_as: radio", "same_as: radoi", `"radoi" is not known; allowed: panel, radio, stairs; did you mean radio?`},
		{"same_as: radio", "same_as: panel", "panel is itself the same as another; name the first of them"},
		{"panel, zone: hall", "panel", `one detector is in one zone: panel is in "", radio in "hall"`},
		{"loop_7, kind: smoke", "loop_7, kind: sos", "panel and radio have no signal of one kind in common"},
		{"loop_7, kind: smoke", "loop_7, kind: tamper", "panel and radio have no signal of one kind in common"},
	} {
		text := strings.Replace(twoWays, mistake.from, mistake.to, 1)
		root := conf.Parse("home.yaml", []byte(text), conf.OS())
		o := Options{Protocols: map[string]func() drivers.Protocol{"script": newScript().protocol}, Log: slog.New(slog.DiscardHandler)}
		if _, err := New(root, o); err != nil {
			t.Fatal(err)
		}
		if got := root.Problems().In(i18n.English); !strings.HasSuffix(got, ".same_as: "+mistake.want) || strings.Count(got, "\n") > 0 {
			t.Errorf("%s: %s", mistake.to, got)
		}
	}
}
