package rules

import (
	"strings"
	"time"

	"embergate/drivers/conf"
)

// hours is a part of the day, from and to in minutes after midnight; where to is not after from, it goes over midnight.
type hours struct{ from, to int }

// readHours reads "22:00-06:00".
func readHours(text string, at place) hours {
	from, to, ok := strings.Cut(text, "-")
	h := hours{clock(from), clock(to)}
	if text != "" && (!ok || h.from < 0 || h.to < 0 || h.from == h.to || h.from == 24*60) {
		at.Problem("%q is not a part of the day; write it as 22:00-06:00", text)
	}
	return h
}

// clock is "06:30" in minutes, up to "24:00"; -1 where it is not a time of day.
func clock(text string) int {
	text = strings.TrimSpace(text)
	if text == "24:00" {
		return 24 * 60
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return -1
	}
	return t.Hour()*60 + t.Minute()
}

// holds tells whether a local time is within the hours; the end is not.
func (h hours) holds(local time.Time) bool {
	m := local.Hour()*60 + local.Minute()
	if h.from < h.to {
		return m >= h.from && m < h.to
	}
	return m >= h.from || m < h.to
}

// calendar tells working days from others: Monday to Friday, but for the days that the configuration names. Public
// holidays and the weekend days worked in exchange are published every year, so they are written down, not computed.
type calendar struct {
	zone *time.Location
	days map[string]bool // date to: a working day
}

// readCalendar reads the days of rules.calendar: off and on, each a date or 2026-10-01..2026-10-07.
func readCalendar(s conf.Section, zone *time.Location) calendar {
	c := calendar{zone: zone, days: map[string]bool{}}
	var lists struct {
		Off []conf.Section `yaml:"off"`
		On  []conf.Section `yaml:"on"`
	}
	s.Decode(&lists)
	for _, d := range lists.Off {
		c.mark(d, false)
	}
	for _, d := range lists.On {
		c.mark(d, true)
	}
	return c
}

func (c calendar) mark(s conf.Section, works bool) {
	from, to, ok := strings.Cut(s.Value(), "..")
	if !ok {
		to = from
	}
	first, err := time.Parse(time.DateOnly, from)
	last, err2 := time.Parse(time.DateOnly, to)
	if err != nil || err2 != nil || last.Before(first) || last.Sub(first) > 366*24*time.Hour {
		s.Problem("%q is not a date or a span of dates; write it as 2026-10-01 or 2026-10-01..2026-10-07", s.Value())
		return
	}
	for d := first; !d.After(last); d = d.AddDate(0, 0, 1) {
		c.days[d.Format(time.DateOnly)] = works
	}
}

// Workday tells whether the day of a local time is a working day by the calendar of the rules.
func (s *Set) Workday(local time.Time) bool { return s.calendar.workday(local) }

func (c calendar) workday(local time.Time) bool {
	if len(c.days) == 0 {
		return weekday(local)
	}
	if works, ok := c.days[local.Format(time.DateOnly)]; ok {
		return works
	}
	return weekday(local)
}

func weekday(local time.Time) bool {
	return local.Weekday() != time.Saturday && local.Weekday() != time.Sunday
}
