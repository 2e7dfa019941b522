package printer

import (
	"bytes"
	"regexp"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// What a Haiwan GST9000 prints, in GBK. Source: captures published by two dealers (bingoex.cn/news/119, vgte.net/zjwx/230); no
// manual is public, so check on site.
//
//	ESC 6  YY/MM/DD  HH:MM LF  LLL-DDD LF        loop and device, nothing where the record is of the panel
//	ESC 9  status LF  [place LF]  [type LF]  LF
//
// 首次火警 and 火警后续 are fires, 系统复位 is a reset. Anything else is a sign of life and no more.
var (
	begin   = []byte{0x1B, '6'}
	chinese = []byte{0x1B, '9'}

	clockPattern = regexp.MustCompile(`\d\d/\d\d/\d\d +\d\d:\d\d`)
	placePattern = regexp.MustCompile(`\d{3}-\d{3}`)
)

// fireWord is 火警 as printed. A byte that a line added puts GBK out of step, and then it is not in the text.
var fireWord = []byte{0xBB, 0xF0, 0xBE, 0xAF}

const (
	longest = 512                    // bytes of a record; a true one has 60
	idle    = 500 * time.Millisecond // after which a fire that has begun is told as it is
	cut     = 5 * time.Second        // after which a record that has begun has no end: a lost packet of a serial server comes again sooner
)

// record is one printed record.
type record struct {
	clock   string // of the panel, as printed: minutes only, and mostly wrong
	point   string // 004-017; "" where there is none
	status  string
	rest    string // place and type of the detector
	damaged string // why it cannot be read, in English
}

func (r record) fire() bool  { return strings.Contains(r.status, "火警") }
func (r record) reset() bool { return strings.Contains(r.status, "系统复位") }

// String is the record in one line.
func (r record) String() string {
	text := strings.Join(strings.Fields(r.point+" "+r.status+" "+r.rest), " ")
	if r.clock != "" {
		text += " (panel clock " + strings.Join(strings.Fields(r.clock), " ") + ")"
	}
	return text
}

// scanner finds records in a stream.
type scanner struct {
	pending []byte
	told    bool // it is a fire, and was told before its end
}

// begun tells whether something waits for its end.
func (s *scanner) begun() bool { return len(bytes.TrimSpace(s.pending)) > 0 }

// rest is how long a silence may be before the record that has begun says something; false where none has begun.
func (s *scanner) rest() (time.Duration, bool) {
	if !s.told && parse(s.pending).fire() {
		return idle, s.begun()
	}
	return cut, s.begun()
}

// after answers what a silence makes of a record that has begun: a fire is told, though its end may come yet.
func (s *scanner) after(silence time.Duration) []record {
	switch {
	case !s.begun() || silence < idle:
	case silence >= cut && s.told:
		s.pending, s.told = nil, false
	case silence >= cut:
		return s.flush()
	case !s.told:
		if r := parse(s.pending); r.fire() {
			s.told = true
			return []record{r}
		}
	}
	return nil
}

// feed takes bytes in and answers the records that are whole.
func (s *scanner) feed(b []byte) (records []record) {
	for _, one := range b { // one by one, so that what is found does not depend on how the bytes arrived
		s.pending = append(s.pending, one)
		head := len(s.pending) - len(begin)
		switch {
		case head > 0 && bytes.HasSuffix(s.pending, begin): // the next one begins
			records = s.read(records, s.pending[:head])
			s.pending, s.told = bytes.Clone(begin), false
		case len(s.pending) >= longest,
			bytes.HasSuffix(s.pending, []byte("\n\n")) && bytes.Contains(s.pending, chinese):
			records = append(records, s.flush()...)
		}
	}
	return records
}

// flush takes what has come for a record.
func (s *scanner) flush() []record {
	records := s.read(nil, s.pending)
	s.pending, s.told = nil, false
	return records
}

func (s *scanner) read(records []record, b []byte) []record {
	if len(bytes.TrimSpace(b)) == 0 {
		return records
	}
	return append(records, parse(b))
}

// parse reads one record. What stands in its place and looks like a fire is one, however damaged the rest is.
func parse(b []byte) record {
	head, body, whole := bytes.Cut(b, chinese)
	if !whole {
		text := plain(b)
		r := record{point: placePattern.FindString(text), damaged: "no ESC 9 in it: half a record, or the wrong baud rate"}
		if strings.Contains(text, "火警") {
			r.status, r.damaged = text, ""
		}
		return r.burning(b)
	}
	first, _, _ := bytes.Cut(bytes.TrimLeft(body, "\n"), []byte("\n"))
	lines := strings.SplitN(strings.TrimLeft(plain(body), "\n"), "\n", 2)
	r := record{
		clock: clockPattern.FindString(string(head)), point: placePattern.FindString(string(head)), status: strings.TrimSpace(lines[0]),
	}
	if len(lines) == 2 {
		r.rest = strings.TrimSpace(lines[1])
	}
	switch {
	case r.fire():
	case !bytes.HasPrefix(head, begin):
		r.damaged = "its beginning is missing"
	case r.status == "" || strings.ContainsRune(r.status, unicode.ReplacementChar):
		r.damaged = "its text is no GBK"
	case r.clock == "":
		r.damaged = "no time in it"
	}
	return r.burning(first)
}

// burning is the record as a fire where the word for it stands in its status as printed, however the rest is decoded.
func (r record) burning(status []byte) record {
	if !r.fire() && bytes.Contains(status, fireWord) {
		r.status, r.damaged = strings.TrimSpace("火警 "+r.status), ""
	}
	return r
}

// plain is GBK as text without what could speak to a terminal.
func plain(b []byte) string {
	text, err := simplifiedchinese.GBK.NewDecoder().Bytes(b)
	if err != nil {
		text = b
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(text), "\uFFFD"))
}
