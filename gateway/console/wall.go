package console

import "embergate/drivers/i18n"

// wallPage is for a screen that hangs on a wall: nobody touches it, it needs no scrolling, and at night it dims itself
// as long as nothing is wrong.
func (w *web) wallPage() page {
	return page{path: "/wall", role: Viewer, title: i18n.T("Wall"), body: "wall.html", bare: true, view: w.seeWall, shared: true}
}

type wallView struct {
	Alarms []alarmView
	Rest   int // open alarms that have no room
	Places []placeView
	Dense  string // "", dense or denser: how small the tiles must be
	Night  bool
	Clock  string
	Date   string
	nowFacts
}

// What has room on a wall of 1920 × 1080.
const (
	wallAlarms  = 6
	denseAfter  = 24
	denserAfter = 60
)

// nightFrom and nightTo are the hours in which a wall dims itself.
const nightFrom, nightTo = 21, 7

func (w *web) seeWall(q *look) (any, error) {
	s, l := q.Snapshot, q.Lang
	v := wallView{Places: places(s, l), nowFacts: factsOf(s, l), Clock: s.Time.Format("15:04"), Date: s.Time.Format("2006-01-02")}
	for i, a := range s.Alarms {
		if i < wallAlarms {
			v.Alarms = append(v.Alarms, seeAlarm(a, s, l))
		}
	}
	v.Rest = max(0, len(s.Alarms)-wallAlarms)
	switch n := len(v.Places); {
	case n > denserAfter:
		v.Dense = "denser"
	case n > denseAfter:
		v.Dense = "dense"
	}
	g := glanceOf(s, q.Now)
	hour := s.Time.Hour()
	v.Night = (hour >= nightFrom || hour < nightTo) && calm(g.mood) && len(s.Devices) > 0 && !s.frozen(q.Now)
	return v, nil
}

// calm tells whether a screen may be dim.
func calm(m mood) bool { return m == moodWell || m == moodNotice || m == moodUnknown }
