package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
)

// Row MB22: a value that moved faster than its signal can is refused with the reason, not clamped.
func TestAValueThatMovedTooFastIsRefused(t *testing.T) {
	for _, c := range []struct{ name, says, want string }{
		{"as fast as allowed", "0s:20 60s:30 90s:25", "20 30 25"},
		{"too fast once, then back", "0s:20 10s:80 20s:21", "20 range 21"},
		{"what lasts is believed in the end", "0s:20 60s:80 180s:80 360s:80", "20 range range 80"},
		{"falling too", "0s:20 1s:0", "20 range"},
		{"the first value is believed", "0s:500", "500"},
		{"a bad reading is no value to compare with", "0s:20 10s:bad 20s:23", "20 timeout 23"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Now()
			dev := drivers.Device{ID: "tank", Signals: []drivers.Signal{{ID: "level", Kind: "number", MaxRate: 10}}}
			l := newLive([]*link{{id: "bus", driver: still{dev}}}, now)
			var got []string
			for _, word := range strings.Fields(c.says) {
				at, value, _ := strings.Cut(word, ":")
				after, err := time.ParseDuration(at)
				if err != nil {
					t.Fatal(err)
				}
				r := drivers.Reading{Signal: "tank.level", Time: now.Add(after), Reason: drivers.Timeout}
				if value != "bad" {
					r.Quality, r.Reason = drivers.Good, ""
					if _, err := fmt.Sscan(value, &r.Value); err != nil {
						t.Fatal(err)
					}
				}
				told := l.note(now.Add(after), []drivers.Reading{r})[0]
				if told.Quality == drivers.Bad {
					got = append(got, string(told.Reason))
					if told.Value != 0 || told.Reason == drivers.Range && !strings.Contains(told.Detail, "faster than 10 a minute") {
						t.Errorf("%+v", told)
					}
					continue
				}
				got = append(got, fmt.Sprint(told.Value))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %s, want %s", strings.Join(got, " "), c.want)
			}
		})
	}
}
