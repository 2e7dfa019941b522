package mqtt

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
)

// The ways in which a topic can be malformed; MQTT 3.1.1, 4.7 and 1.5.3.
var (
	errEmpty     = errors.New("it is empty")                                              // [MQTT-4.7.3-1]
	errLong      = errors.New("it is longer than 65535 bytes")                            // [MQTT-4.7.3-3]
	errEncoding  = errors.New("it is not valid UTF-8, or holds the character U+0000")     // [MQTT-4.7.3-2]
	errHash      = errors.New("# stands only at the end, as a level of its own")          // [MQTT-4.7.1-2]
	errPlus      = errors.New("+ stands for a whole level")                               // [MQTT-4.7.1-3]
	errWildcard  = errors.New("a topic to publish to has no wildcards")                   // [MQTT-3.3.2-2]
	errShareName = errors.New("a shared subscription is written $share/GROUP/TOPIC")      // MQTT 5.0, 4.8.2
	errBroker    = errors.New("topics that start with $ belong to the broker; only read") // MQTT 3.1.1, 4.7.2
)

const sharePrefix = "$share/"

// checkFilter tells what is wrong with a topic filter, which may hold + and #.
func checkFilter(filter string) error {
	if err := checkText(filter); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(filter, sharePrefix); ok {
		group, topic, ok := strings.Cut(rest, "/")
		if !ok || group == "" || topic == "" || strings.ContainsAny(group, "+#") {
			return errShareName
		}
		filter = topic
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch {
		case strings.Contains(level, "#") && (level != "#" || i != len(levels)-1):
			return errHash
		case strings.Contains(level, "+") && level != "+":
			return errPlus
		}
	}
	return nil
}

// checkName tells what is wrong with a topic name, to which is published.
func checkName(name string) error {
	if err := checkText(name); err != nil {
		return err
	}
	if strings.ContainsAny(name, "+#") {
		return errWildcard
	}
	if strings.HasPrefix(name, "$") {
		return errBroker
	}
	return nil
}

// checkPath tells what is wrong with a topic below a device's: it may start with $, as Homie's do.
func checkPath(path string) error { return checkName("/" + path) }

func checkText(s string) error {
	switch {
	case s == "":
		return errEmpty
	case len(s) > 65535:
		return errLong
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		return errEncoding
	}
	return nil
}

// topicOf is the part of a filter that topic names are matched with: without the group of a shared subscription.
func topicOf(filter string) string {
	if rest, ok := strings.CutPrefix(filter, sharePrefix); ok {
		_, filter, _ = strings.Cut(rest, "/")
	}
	return filter
}

// matches tells whether a topic name is one of the filter's.
func matches(filter, name string) bool {
	filter = topicOf(filter)
	if strings.HasPrefix(name, "$") && !strings.HasPrefix(filter, "$") {
		return false // [MQTT-4.7.2-1]
	}
	for {
		if filter == "#" {
			return true
		}
		level, filterRest, filterMore := strings.Cut(filter, "/")
		word, nameRest, nameMore := strings.Cut(name, "/")
		if level != "+" && level != word {
			return false
		}
		if !filterMore || !nameMore {
			// plant/# is plant too; MQTT 3.1.1, 4.7.1.2
			return filterMore == nameMore || !nameMore && filterRest == "#"
		}
		filter, name = filterRest, nameRest
	}
}

// route leads the messages of one filter to a device: to its signals, or to its availability.
type route struct {
	filter       string
	device       *device
	availability bool
}

// routes find the devices of a message.
type routes struct {
	filters []string           // each once, in the order of the configuration: what is subscribed
	exact   map[string][]route // by topic name
	wild    []route
}

func newRoutes(devices []*device) routes {
	r := routes{exact: map[string][]route{}}
	known := map[string]bool{}
	for _, dev := range devices {
		for _, one := range dev.routes() {
			if !known[one.filter] {
				known[one.filter] = true
				r.filters = append(r.filters, one.filter)
			}
			if topic := topicOf(one.filter); strings.ContainsAny(topic, "+#") {
				r.wild = append(r.wild, one)
			} else {
				r.exact[topic] = append(r.exact[topic], one)
			}
		}
	}
	return r
}

// of are the routes that a message takes: one to the signals of a device, however many of its filters match.
func (r routes) of(name string) []route {
	found := r.exact[name]
	for _, one := range r.wild {
		same := func(other route) bool { return other.device == one.device && other.availability == one.availability }
		if matches(one.filter, name) && !slices.ContainsFunc(found, same) {
			found = append(found[:len(found):len(found)], one)
		}
	}
	return found
}
