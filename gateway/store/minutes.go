package store

import (
	"encoding/binary"
	"math"

	"embergate/drivers"
)

// minute is what one signal was in one minute. What is neither good nor bad of it is a gap.
type minute struct {
	good, bad            uint16  // ticks, 600 at most together
	code                 uint8   // of the last that was not good; 0 where all was
	min, mean, max, last float64 // of what was good or uncertain; 0 where nothing was
}

const (
	ticksPerMinute = 60 * ticksPerSecond
	minutesOfHour  = 60
	mostExponent   = 300
)

// hour is sixty minutes of one signal.
type hour [minutesOfHour]minute

// pack encodes the hour that a signal had: columns, so that what does not change costs nothing.
//
//	60 × good | 60 × bad | 60 × code | exponent | for each minute with something good: min, max-min, last-min, mean-min
//
// Values are whole numbers of 10^-exponent: the decimals of the signal, or six digits of its greatest value; the mean has
// one digit more. min is the difference to the minute before.
func (p *packer) pack(h *hour) []byte {
	b := p.plain[:0]
	var values []float64
	for _, m := range h {
		b = binary.AppendUvarint(b, uint64(m.good))
	}
	for _, m := range h {
		b = binary.AppendUvarint(b, uint64(m.bad))
	}
	for _, m := range h {
		b = append(b, m.code)
		if m.good > 0 {
			values = append(values, m.min, m.max, m.last)
		}
	}
	e := exponent(values)
	b = binary.AppendVarint(b, int64(e))
	scale := math.Pow10(e)
	last := int64(0)
	for _, m := range h {
		if m.good == 0 {
			continue
		}
		least := int64(math.Round(m.min * scale))
		b = binary.AppendVarint(b, least-last)
		b = binary.AppendUvarint(b, uint64(max(int64(math.Round(m.max*scale))-least, 0)))
		b = binary.AppendUvarint(b, uint64(max(int64(math.Round(m.last*scale))-least, 0)))
		b = binary.AppendUvarint(b, uint64(max(int64(math.Round((m.mean-m.min)*scale*10)), 0)))
		last = least
	}
	p.plain = b
	return p.deflated(eachTime)
}

// exponent is how many decimals the values of an hour are kept with: theirs, or so many that the greatest has six digits.
func exponent(values []float64) int {
	if e := decimals(values); e != asBits {
		return int(e)
	}
	greatest := 0.0
	for _, v := range values {
		greatest = max(greatest, math.Abs(v))
	}
	return min(max(6-int(math.Ceil(math.Log10(greatest))), -mostExponent), mostExponent)
}

// hour decodes an hour.
func (u *unpacker) hour(b []byte) (h hour, err error) {
	plain, err := u.inflated(b)
	if err != nil {
		return h, err
	}
	r := &cursor{b: plain}
	for i := range h {
		h[i].good = uint16(min(r.uvarint(), ticksPerMinute))
	}
	for i := range h {
		h[i].bad = uint16(min(r.uvarint(), ticksPerMinute))
	}
	for i := range h {
		h[i].code = r.byte()
	}
	scale := math.Pow10(-int(min(max(r.varint(), -mostExponent), mostExponent)))
	last := int64(0)
	for i := range h {
		m := &h[i]
		if m.good == 0 {
			continue
		}
		last += r.varint()
		m.min = float64(last) * scale
		m.max = float64(last+int64(r.uvarint())) * scale
		m.last = float64(last+int64(r.uvarint())) * scale
		m.mean = m.min + float64(r.uvarint())/10*scale
	}
	if r.failed {
		return h, errChunk
	}
	return h, nil
}

// sum gathers what a signal was in a stretch of time.
type sum struct {
	good, bad      int64 // ticks
	code           uint8
	min, max, last float64
	area           float64 // value × ticks
	any            bool    // a value was there, if only for an instant
}

// hold adds that the signal held what an entry says for so many ticks.
func (s *sum) hold(e entry, ticks int64) {
	if e.code != codeGood {
		s.code = e.code
	}
	if e.code >= codeBad {
		s.bad += ticks
		return
	}
	s.value(e.value, e.value, e.value)
	s.good += ticks
	s.area += e.value * float64(ticks)
}

// minute adds a whole minute.
func (s *sum) minute(m *minute) {
	if m.code != codeGood {
		s.code = m.code
	}
	s.bad += int64(m.bad)
	if m.good > 0 {
		s.value(m.min, m.max, m.last)
		s.good += int64(m.good)
		s.area += m.mean * float64(m.good)
	}
}

func (s *sum) value(least, greatest, last float64) {
	if !s.any {
		s.min, s.max, s.any = least, greatest, true
	}
	s.min, s.max, s.last = min(s.min, least), max(s.max, greatest), last
}

// mean is over the time that there was a value; a value that was there for an instant only is its own mean.
func (s *sum) mean() float64 {
	if s.good == 0 {
		return s.last
	}
	return min(max(s.area/float64(s.good), s.min), s.max)
}

func (s *sum) reason() drivers.Reason { return reasonOf(s.code) }

// spread adds what a chunk says to the sums of equal steps of so many ticks, the first from `from` on.
func spread(sums []sum, from, step int64, c chunk) {
	for i, e := range c.entries {
		begin, end := c.from+int64(e.at), c.until
		if i+1 < len(c.entries) {
			end = c.from + int64(c.entries[i+1].at)
		}
		instant := begin == end
		if end < from || end == from && !instant {
			continue
		}
		begin = max(begin, from)
		for at := (begin - from) / step; at < int64(len(sums)); at++ {
			stop := min(end, from+(at+1)*step)
			if stop < begin {
				break
			}
			if stop > begin || instant {
				sums[at].hold(e, stop-begin)
			}
			if begin = stop; begin >= end {
				break
			}
		}
	}
}

// hourSums are the sums of the minutes of an hour.
type hourSums [minutesOfHour]sum

// add adds what a chunk says of the hour from `from` on.
func (s *hourSums) add(from int64, c chunk) {
	if c.until >= from {
		spread(s[:], from, ticksPerMinute, c)
	}
}

// minutes are those of the hour; false where nothing is known of it.
func (s *hourSums) minutes() (h hour, any bool) {
	for i := range s {
		s := &s[i]
		if s.any && s.good == 0 { // it was there for an instant
			s.good = 1
		}
		h[i] = minute{good: uint16(min(s.good, ticksPerMinute)), bad: uint16(min(s.bad, ticksPerMinute)), code: s.code}
		if s.any {
			h[i].min, h[i].mean, h[i].max, h[i].last = s.min, s.mean(), s.max, s.last
		}
		any = any || s.good > 0 || s.bad > 0
	}
	return h, any
}
