package console

import (
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

func TestAWallDimsAtNightButNeverOverAnAlarm(t *testing.T) {
	night := time.Date(2026, 11, 21, 2, 0, 0, 0, noon.Location())
	for _, test := range []struct {
		name   string
		at     time.Time
		change func(*Snapshot)
		later  time.Duration
		dim    bool
	}{
		{"at noon", noon, nil, 0, false},
		{"at night", night, nil, 0, true},
		{"at the beginning of the night", time.Date(2026, 11, 21, nightFrom, 0, 0, 0, noon.Location()), nil, 0, true},
		{"at its end", time.Date(2026, 11, 21, nightTo, 0, 0, 0, noon.Location()), nil, 0, false},
		{"at night with an alarm", night, func(s *Snapshot) { s.Alarms = home{i18n.English, night}.alarms()[1:2] }, 0, false},
		{"with an alarm that somebody is on", night, func(s *Snapshot) {
			s.Alarms = home{i18n.English, night}.alarms()[1:2]
			s.Alarms[0].State = alarm.Acknowledged
		}, 0, false},
		{"with one that is over", night, func(s *Snapshot) { s.Alarms = home{i18n.English, night}.alarms()[:1] }, 0, false},
		{"with a fault", night, func(s *Snapshot) { s.Uplinks[0].Working = false }, 0, false},
		{"in a drill", night, func(s *Snapshot) { s.Drill = &Drill{} }, 0, false},
		{"with a value that is missing", night, func(s *Snapshot) { s.Devices[0].Signals[0].Quality = drivers.Bad }, 0, true},
		{"while the gateway stands still", night, nil, time.Minute, false},
		{"before anything is known", night, func(s *Snapshot) { s.Devices = nil }, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := home{i18n.English, test.at}.well()
			if test.change != nil {
				test.change(s)
			}
			w := newWeb(optionsOf(newCanned(s), i18n.English))
			body, _, err := w.renderPage(w.wallPage(), s, &look{Now: test.at.Add(test.later), Lang: i18n.English})
			if err != nil {
				t.Fatal(err)
			}
			if dim := strings.Contains(string(body.plain), "data-night"); dim != test.dim {
				t.Errorf("dim: %v", dim)
			}
		})
	}
}

func TestAWallHasNothingToTouch(t *testing.T) {
	c := newCanned(home{i18n.English, time.Now()}.evening())
	page := ask(t, consoleOf(t, c, i18n.English), "GET", "/wall", "").Body.String()
	for _, no := range []string{"data-act", "<form", "<nav", "<dialog", "data-post"} {
		if strings.Contains(page, no) {
			t.Errorf("it has %s", no)
		}
	}
}
