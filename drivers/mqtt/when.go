package mqtt

import (
	"fmt"
	"math"
	"time"

	"github.com/tidwall/gjson"
)

// Bounds of a payload's own time. A network server keeps what its sensors said while we were away, so a live message may be
// days old; a retained one, of any age.
const (
	maxAhead = 5 * time.Minute
	maxAge   = 7 * 24 * time.Hour
)

var leastTime = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) // what is older comes of a clock that was never set

// stamp is the time of a sample's readings: the sender's own where its clock can be right, else when the message arrived.
// A wrong clock makes no reading doubtful, because a detector whose clock is wrong must raise its alarm; it is told apart.
func (s sample) stamp(arrived time.Time, retained bool) (at time.Time, doubt error) {
	switch {
	case s.time.IsZero():
		return arrived, nil
	case s.time.Sub(arrived) > maxAhead, s.time.Before(leastTime), !retained && arrived.Sub(s.time) > maxAge:
		return arrived, fmt.Errorf("its clock says %s, which cannot be; the time of arrival counts", s.time.UTC().Format(time.RFC3339))
	}
	return s.time, nil
}

// timeIn is the time that stands in the payload; zero where none does.
func (w *wrapping) timeIn(text string) time.Time {
	if w.timePath == "" {
		return time.Time{}
	}
	return readTime(gjson.Get(text, w.timePath), w.zone)
}

// readTime reads a time as devices write it: seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
// their size, or RFC 3339, of which the zone may be missing where one is given. Zero for anything else.
func readTime(v gjson.Result, zone *time.Location) time.Time {
	switch v.Type {
	case gjson.Number:
		return unixTime(v.Num)
	case gjson.String:
		if t, err := time.Parse(time.RFC3339, v.Str); err == nil {
			return t
		}
		if n, err := number(v.Str); err == nil {
			return unixTime(n)
		}
		for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime} {
			if t, err := time.ParseInLocation(layout, v.Str, time.UTC); err == nil && zone != nil {
				return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
			}
		}
	}
	return time.Time{}
}

// unixTime takes a number since 1970 for the largest unit that gives a year before 5138.
func unixTime(n float64) time.Time {
	switch {
	case math.IsNaN(n) || n <= 0 || n >= 1e20:
		return time.Time{}
	case n >= 1e17:
		return time.Unix(0, int64(n))
	case n >= 1e14:
		return time.UnixMicro(int64(n))
	case n >= 1e11:
		return time.UnixMilli(int64(n))
	}
	whole, part := math.Modf(n)
	return time.Unix(int64(whole), int64(part*1e9))
}
