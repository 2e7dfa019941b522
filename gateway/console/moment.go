package console

import (
	"time"

	"embergate/drivers/i18n"
)

// moment is a time as a page shows it: the clock, and how long ago it was. The page's script counts the age on.
type moment struct {
	ISO   string // RFC 3339; "" for a time that is not known
	Clock string // 16:53:20; with the date where it is another day's
	Ago   string // 12 min ago
}

// at is a time, seen from now, in now's time zone.
func at(t, now time.Time, l i18n.Lang) moment {
	if t.IsZero() {
		return moment{}
	}
	t = t.In(now.Location())
	layout := time.TimeOnly
	if t.Format(time.DateOnly) != now.Format(time.DateOnly) {
		layout = "2006-01-02 15:04"
	}
	return moment{t.Format(time.RFC3339), t.Format(layout), ago(now.Sub(t), l)}
}

// ago says an age in its greatest whole unit. assets/live.js counts in the same way.
func ago(d time.Duration, l i18n.Lang) string {
	s := int(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return l.Say("%v s ago", s)
	case s < 60*60:
		return l.Say("%v min ago", s/60)
	case s < 24*60*60:
		return l.Say("%v h ago", s/(60*60))
	default:
		return l.Say("%v d ago", s/(24*60*60))
	}
}
