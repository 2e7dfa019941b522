package duty

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"embergate/drivers/conf"
)

// Shift is the hours in which people are on duty. Where To is not after From, the shift goes over midnight.
type Shift struct {
	Name   string   `yaml:"name"`
	From   string   `yaml:"from"` // 00:00 to 24:00
	To     string   `yaml:"to"`
	People []string `yaml:"people"`
	Days   []string `yaml:"days"` // on which it begins: mon … sun, mon-fri, workday, holiday; none is every day
}

// Swap is what differs of a shift on the date on which it begins: who comes, or when. The shift is then on that date
// whatever its days say.
type Swap struct {
	Date   string   `yaml:"date"` // 2026-11-25
	Shift  string   `yaml:"shift"`
	People []string `yaml:"people"`
	From   string   `yaml:"from"`
	To     string   `yaml:"to"`
}

// Turn is a shift on one day.
type Turn struct {
	Shift  string
	From   time.Time // in the zone of the site
	To     time.Time // excluded
	People []string  // ids
}

// Gap is a time in which nobody is on duty.
type Gap struct{ From, To time.Time }

// shift is a Shift that was read.
type shift struct {
	Shift
	hours
	weekdays         [7]bool
	workday, holiday bool
}

// swap is a Swap that was read; without hours of its own it has those of the shift.
type swap struct {
	Swap
	hours
	other bool // hours
}

type turnKey struct{ date, shift string }

// hours are a part of a day, in minutes after midnight; where to is not after from, it goes over midnight.
type hours struct{ from, to int }

var clockPattern = regexp.MustCompile(`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`) // 00:00 to 24:00

// readHours reads a part of a day; from and to stand under the keys of that name.
func readHours(s conf.Section, from, to string) hours {
	good := true
	for _, clock := range []struct{ key, text string }{{"from", from}, {"to", to}} {
		if !clockPattern.MatchString(clock.text) || clock.key == "from" && clock.text == "24:00" {
			s.At(clock.key).Problem("%q is no time of day; write it as 08:00, up to 24:00", clock.text)
			good = false
		}
	}
	if !good {
		return hours{}
	}
	return hours{minutes(from), minutes(to)}
}

// minutes are those after midnight of a time of day.
func minutes(clock string) int {
	return int(clock[0]-'0')*600 + int(clock[1]-'0')*60 + int(clock[3]-'0')*10 + int(clock[4]-'0')
}

// holds tells whether a local time is within the hours; the end is not.
func (h hours) holds(local time.Time) bool {
	m := local.Hour()*60 + local.Minute()
	if h.from < h.to {
		return m >= h.from && m < h.to
	}
	return h != hours{} && (m >= h.from || m < h.to)
}

// on is when the hours are that begin on the day of a local time.
func (h hours) on(day time.Time) (from, to time.Time) {
	at := func(m int) time.Time {
		return time.Date(day.Year(), day.Month(), day.Day(), 0, m, 0, 0, day.Location())
	}
	if h.to <= h.from {
		return at(h.from), at(h.to + 24*60)
	}
	return at(h.from), at(h.to)
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (p *Plan) readShifts(s conf.Section, people []string) {
	for i, written := range p.Config.Shifts {
		at := s.Items()[i]
		if slices.ContainsFunc(p.shifts, func(x shift) bool { return x.Name == written.Name }) {
			at.At("name").Problem("the shift %q is there twice", written.Name)
		}
		sh := shift{Shift: written, hours: readHours(at, written.From, written.To)}
		checkPeople(at.At("people"), written.People, people)
		if len(written.People) == 0 {
			at.At("people").Problem("a shift has at least one person")
		}
		for j, day := range written.Days {
			if !sh.readDay(strings.ToLower(day)) {
				at.At("days").Items()[j].NotOneOf(day, append([]string{"workday", "holiday", "mon-fri"}, weekdays...))
			}
		}
		p.shifts = append(p.shifts, sh)
	}
}

// readDay adds a day, or a span of days of the week.
func (sh *shift) readDay(day string) bool {
	switch day {
	case "workday":
		sh.workday = true
		return true
	case "holiday":
		sh.holiday = true
		return true
	}
	first, last, span := strings.Cut(day, "-")
	if !span {
		last = first
	}
	from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
	if from < 0 || to < 0 {
		return false
	}
	for d := from; ; d = (d + 1) % 7 {
		sh.weekdays[d] = true
		if d == to {
			return true
		}
	}
}

func checkPeople(s conf.Section, ids, people []string) {
	for j, id := range ids {
		if !slices.Contains(people, id) {
			s.Items()[j].NotOneOf(id, people)
		}
	}
}

func (p *Plan) readSwaps(s conf.Section, people []string) {
	var names []string
	for _, sh := range p.Config.Shifts {
		names = append(names, sh.Name)
	}
	p.swaps = map[turnKey]swap{}
	for i, written := range p.Config.Swaps {
		at, key := s.Items()[i], turnKey{written.Date, written.Shift}
		if _, err := time.Parse(time.DateOnly, written.Date); err != nil {
			at.At("date").Problem("%q is no date; write it as 2026-11-25", written.Date)
		}
		if !slices.Contains(names, written.Shift) {
			at.At("shift").NotOneOf(written.Shift, names)
		}
		if _, double := p.swaps[key]; double {
			at.Problem("the shift %q is swapped twice on %s", written.Shift, written.Date)
		}
		checkPeople(at.At("people"), written.People, people)
		sw := swap{Swap: written, other: written.From != "" || written.To != ""}
		switch {
		case sw.other:
			sw.hours = readHours(at, written.From, written.To)
		case len(written.People) == 0:
			at.Problem("a swap says who comes (people), or when (from and to)")
		}
		p.swaps[key] = sw
	}
}

// turn is a shift on the day of a local time, false where it does not begin there.
func (p *Plan) turn(sh shift, day time.Time) (Turn, bool) {
	sw, swapped := p.swaps[turnKey{day.Format(time.DateOnly), sh.Name}]
	if !swapped && !p.begins(sh, day) {
		return Turn{}, false
	}
	people, h := sh.People, sh.hours
	if len(sw.People) > 0 {
		people = sw.People
	}
	if sw.other {
		h = sw.hours
	}
	from, to := h.on(day)
	return Turn{Shift: sh.Name, From: from, To: to, People: people}, to.After(from)
}

// begins tells whether a shift begins on the day of a local time, but for swaps.
func (p *Plan) begins(sh shift, day time.Time) bool {
	return len(sh.Days) == 0 || sh.weekdays[day.Weekday()] || sh.workday && p.Workday(day) || sh.holiday && !p.Workday(day)
}

// Turns are those that overlap the time from (included) to to (excluded), in the order in which they begin.
func (p *Plan) Turns(from, to time.Time) []Turn {
	var turns []Turn
	first, last := from.In(p.Location), to.In(p.Location)
	for day := noon(first).AddDate(0, 0, -1); !day.After(noon(last)); day = day.AddDate(0, 0, 1) {
		for _, sh := range p.shifts {
			if t, ok := p.turn(sh, day); ok && t.From.Before(to) && t.To.After(from) {
				turns = append(turns, t)
			}
		}
	}
	sortByStart(turns)
	return turns
}

// noon of a day: no clock is put forward or back there, so that a day after it is the next date.
func noon(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, t.Location())
}

// OnDuty are the people on duty at a time, each once.
func (p *Plan) OnDuty(at time.Time) []string {
	var ids []string
	for _, t := range p.Turns(at, at.Add(1)) {
		for _, id := range t.People {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// aheadDays is how far the next shift is looked for: a holiday is shorter.
const aheadDays = 31

// Next is the first turn to begin after a time; false where there is none within a month.
func (p *Plan) Next(at time.Time) (Turn, bool) {
	for day := range aheadDays {
		from := at.AddDate(0, 0, day)
		for _, t := range p.Turns(from, from.AddDate(0, 0, 1)) {
			if t.From.After(at) {
				return t, true
			}
		}
	}
	return Turn{}, false
}

// Gaps are the times from from to to in which nobody is on duty, where there are shifts at all.
func (p *Plan) Gaps(from, to time.Time) []Gap {
	if len(p.shifts) == 0 {
		return nil
	}
	var gaps []Gap
	covered := from.In(p.Location)
	for _, t := range p.Turns(from, to) {
		if t.From.After(covered) {
			gaps = append(gaps, Gap{covered, t.From})
		}
		if t.To.After(covered) {
			covered = t.To
		}
	}
	if end := to.In(p.Location); covered.Before(end) {
		gaps = append(gaps, Gap{covered, end})
	}
	return gaps
}
