package duty

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/rules"
)

func TestARouteSaysWhoWouldBeTold(t *testing.T) {
	zone := time.FixedZone("CST", 8*3600)
	p := read(t, `
people: [{id: zhang}, {id: li}, {id: wang, role: supervisor}]
shifts: [{name: day, from: "08:00", to: "20:00", people: [zhang]}, {name: night, from: "20:00", to: "07:00", people: [li]}]
escalation:
  alarm: [{after: 0s, to: on-duty, via: [group]}, {after: 60s, to: on-duty, via: [sms]}, {after: 120s, to: supervisor, via: [voice]}]
  fault: [{after: 0s, to: on-duty, via: [group]}]
quiet: {levels: [fault], from: "22:00", to: "06:30"}
`)
	for _, tt := range []struct {
		at           string
		level, class string
		want         string
	}{
		{"2026-11-21 02:00", "alarm", "fire", "02:00:00 group(li); 02:01:00 sms(li); 02:02:00 voice(wang)"},
		{"2026-11-21 19:59", "alarm", "gas", "19:59:00 group(zhang); 20:00:00 sms(li); 20:01:00 voice(wang)"},
		{"2026-11-21 07:30", "fault", "gas", "07:30:00 group(zhang,li,wang)!"},
		{"2026-11-21 23:00", "fault", "gas", "quiet until 06:30; 06:30:00 group(li)"},
		{"2026-11-21 23:00", "fault", "fire", "23:00:00 group(li)"},
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", tt.at, zone)
		if err != nil {
			t.Fatal(err)
		}
		r := p.Route(at, rules.Level(tt.level), rules.Class(tt.class))
		var said []string
		if !r.Quiet.IsZero() {
			said = append(said, "quiet until "+r.Quiet.Format("15:04"))
		}
		for _, s := range r.Steps {
			text := s.At.Format(time.TimeOnly)
			for _, a := range s.Tell {
				text += fmt.Sprintf(" %s(%s)", a.Channel, strings.Join(a.People, ","))
			}
			if s.Fallback {
				text += "!"
			}
			said = append(said, text)
		}
		if got := strings.Join(said, "; "); got != tt.want {
			t.Errorf("%s %s %s: %s, want %s", tt.at, tt.level, tt.class, got, tt.want)
		}
	}
}
