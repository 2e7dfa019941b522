package notify

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/duty"
)

// result is what became of a message to one number or address.
type result struct {
	receipt string
	err     error
}

// partly remembers, of messages for several people, who has their answer already while others are tried again, so that
// nobody is called twice because somebody else could not be reached.
type partly struct {
	mu   sync.Mutex
	done map[string]map[string]result // by message, then by address
}

const maxPartly = 256 // messages that are remembered; when there are more, all are forgotten

// deliver sends a message to whoever has no answer yet. It is accepted when all have accepted; while one may still be
// reached it is tried again; else it is refused, with the words for each.
// A key is the same for the same message and people.
func (p *partly) deliver(key string, to []string, send func(to []string) map[string]result) (receipt string, err error) {
	p.mu.Lock()
	known := p.done[key]
	delete(p.done, key)
	p.mu.Unlock()
	todo := slices.DeleteFunc(slices.Clone(to), func(address string) bool { _, ok := known[address]; return ok })
	results := send(todo)
	for address, r := range known {
		results[address] = r
	}
	var receipts, words []string
	var later *Later
	settled, wait, open, refused := map[string]result{}, time.Duration(0), false, false
	for _, address := range to {
		r := results[address]
		var no *Refused
		switch {
		case r.err == nil:
			receipts = append(receipts, r.receipt)
			settled[address] = r
			continue
		case errors.As(r.err, &no):
			refused = true
			settled[address] = r
		default:
			open = true
			if errors.As(r.err, &later) && (wait == 0 || later.After < wait) {
				wait = later.After
			}
		}
		said := strings.NewReplacer(address, hidden(address), mobile(address), hidden(mobile(address))).Replace(r.err.Error())
		words = append(words, hidden(address)+" "+said)
	}
	detail := strings.Join(words, "; ")
	switch {
	case open:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.done == nil || len(p.done) >= maxPartly {
			p.done = map[string]map[string]result{}
		}
		p.done[key] = settled
		if wait > 0 {
			return "", &Later{wait, errors.New(detail)}
		}
		return "", errors.New(detail)
	case refused:
		if len(receipts) > 0 {
			detail += fmt.Sprintf("; %d accepted", len(receipts))
		}
		return "", &Refused{Detail: detail}
	}
	return join(" ", receipts...), nil
}

// hidden is a number or an address of which enough is left to know whose it is: +86138****0001.
func hidden(address string) string {
	if name, host, ok := strings.Cut(address, "@"); ok {
		return string([]rune(name)[:min(2, len([]rune(name)))]) + "***@" + host
	}
	if len(address) < 8 {
		return "***"
	}
	return address[:len(address)-8] + "****" + address[len(address)-4:]
}

// phones are the numbers of people, in E.164; refused where there are none.
func phones(kind string, to []duty.Person) ([]string, error) {
	var numbers []string
	for _, p := range to {
		if p.Phone != "" && !slices.Contains(numbers, p.Phone) {
			numbers = append(numbers, p.Phone)
		}
	}
	if len(numbers) == 0 {
		return nil, &Refused{Detail: kind + ": nobody with a phone number"}
	}
	return numbers, nil
}

// variables are the keys of a channel that fills in a template which the vendor has approved.
type variables struct {
	Names  []string `yaml:"variables"`       // in their order in the template
	Length int      `yaml:"variable_length"` // characters of one, at most
}

// variableNames are what a template may say.
var variableNames = []string{"place", "kind", "time", "site"}

// usual are the variables of a template for which nothing else is said.
var usual = variables{Names: []string{"place", "kind", "time"}, Length: 20}

func (v variables) check(s conf.Section) {
	for i, name := range v.Names {
		if !slices.Contains(variableNames, name) {
			s.At("variables").Items()[i].NotOneOf(name, variableNames)
		}
	}
	if v.Length < 6 || v.Length > 35 {
		s.At("variable_length").Problem("a variable of a template has 6 to 35 characters")
	}
}

// values are the variables of a message, each short, plain and not empty, as vendors want them: no address of a page or a
// machine, no brackets of a signature, no emoji.
func (v variables) values(m Message, lang i18n.Lang) []string {
	said := say(m, lang)
	values := make([]string, len(v.Names))
	for i, name := range v.Names {
		var value string
		switch name {
		case "place":
			value = v.place(m)
		case "kind":
			value = v.kind(m, said, lang)
		case "time":
			value = m.Time.Format(time.TimeOnly)
			if m.Late {
				value = m.Time.Format("01-02 15:04") + " " + lang.Say("late")
			}
		case "site":
			value = m.Site.Name
		}
		if value = cutRunes(plain(value), v.Length); value == "" {
			value = "-"
		}
		values[i] = value
	}
	return values
}

// kind is what happened, with the name of whoever took it, and the word that it is a drill.
func (v variables) kind(m Message, said words, lang i18n.Lang) string {
	kind := said.kind
	if a := m.Alarm; a != nil && m.Event == alarm.EventAcknowledged && a.AcknowledgedBy != "" {
		kind = join(" ", a.AcknowledgedBy, lang.Say(states[m.Event].Format), a.Name)
	}
	if m.Drill {
		kind = lang.Say("drill") + " " + kind
	}
	return kind
}

// place is where, as much as there is room for: the device and all zones, the zones, then without the outermost ones, since
// who is called knows the home but not the room.
func (v variables) place(m Message) string {
	a := m.Alarm
	if a == nil {
		return m.Site.Name
	}
	var zones []string
	for _, zone := range strings.Split(a.ZonePath, "/") {
		if zone = plain(zone); zone != "" {
			zones = append(zones, zone)
		}
	}
	if whole := join(" ", strings.Join(zones, "/"), plain(a.DeviceName)); len([]rune(whole)) <= v.Length || len(zones) == 0 {
		return whole
	}
	for len(zones) > 1 && len([]rune(strings.Join(zones, "/"))) > v.Length {
		zones = zones[1:]
	}
	return strings.Join(zones, "/")
}

var (
	pageAddress = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://\S*|www\.\S*`)
	hostAddress = regexp.MustCompile(`(?i)\b(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[a-z0-9-]+\.)+[a-z]{2,})\b`)
)

// plain is a text that a vendor of short messages takes as the value of a variable.
func plain(text string) string {
	text = pageAddress.ReplaceAllString(oneLine(text), "")
	text = hostAddress.ReplaceAllStringFunc(text, func(host string) string { return strings.ReplaceAll(host, ".", "-") })
	return oneLine(strings.Map(func(r rune) rune {
		switch {
		case r > 0xffff, r == 0x200d, r >= 0xfe00 && r <= 0xfe0f, r >= 0x2600 && r <= 0x27bf, r == '【', r == '】', r == '$', r == '{', r == '}', r < ' ':
			return -1
		}
		return r
	}, text))
}
