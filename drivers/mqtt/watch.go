package mqtt

import (
	"maps"
	"slices"
	"strings"
	"time"

	"embergate/drivers"

	"github.com/tidwall/gjson"
)

// Bounds of what devices that nobody configured may cost.
const (
	maxStrangers = 256
	triesEach    = 8  // messages of one topic in which we look for a model
	triesASecond = 20 // of all
)

// strangers are the topics under a watched filter that belong to no device of ours, with the device model that would fit.
// Each is told once, and again when a better model is found. Their messages give no readings.
type strangers struct {
	filters []string // to subscribe, at QoS 0
	claimed []string // filters of what is ours
	models  []candidate
	found   map[string]*stranger // by device topic
	second  time.Time
	tries   int
}

// candidate is a device model that may fit.
type candidate struct {
	id      string
	decoder *Decoder
	below   []string // topics below a device's, as filters
}

type stranger struct {
	model string
	score int // good readings that the model gave
	tries int
}

func newStrangers(models drivers.Profiles, devices []*device, c settings) *strangers {
	st := &strangers{filters: c.Watch, claimed: []string{c.StatusTopic}, found: map[string]*stranger{}}
	for _, dev := range devices {
		st.claimed = append(st.claimed, topicOf(dev.topic), topicOf(dev.topic)+"/#")
		for _, r := range dev.routes() {
			st.claimed = append(st.claimed, r.filter)
		}
	}
	if len(st.filters) == 0 {
		return st
	}
	for _, id := range slices.Sorted(maps.Keys(models)) {
		if models[id].Protocol != "mqtt" {
			continue
		}
		d := newDecoder(models[id], "")
		below := slices.Clone(d.topics)
		for _, sig := range models[id].Signals {
			if sig.Path != "" && !slices.Contains(below, sig.Path) {
				below = append(below, sig.Path)
			}
		}
		st.models = append(st.models, candidate{id, d, below})
	}
	return st
}

// watchFilter is the filter of all topics of a pattern with named parts.
func watchFilter(pattern string) string {
	levels := strings.Split(pattern, "/")
	for i, level := range levels {
		if placeholder.MatchString(level) {
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// stranger looks at a message that is of no device of ours.
func (d *driver) stranger(p *publication, now time.Time) {
	topic, model, fresh := d.strangers.look(p, now)
	if !fresh {
		return
	}
	d.monitor.Unclaimed(topic, model)
	d.log.Info("unclaimed device", "topic", topic, "profile", model)
}

// strangeMembers tells of devices that share a message with one of ours and that nobody configured.
func (d *driver) strangeMembers(routes []route, p *publication) {
	for _, r := range routes {
		w := &r.device.wrapping
		if w.member == "" || w.members == nil || r.availability {
			continue
		}
		for _, names := range w.members(p, r.device.below(p.topic)) {
			ours := slices.ContainsFunc(d.devices, func(dev *device) bool {
				return dev.wrapping.topic == w.topic && slices.Contains(names, dev.wrapping.member)
			})
			told := w.topic + " member " + shorten(names[0], 64)
			if ours || d.strangers.found[told] != nil || len(d.strangers.found) >= maxStrangers {
				continue
			}
			d.strangers.found[told] = &stranger{tries: triesEach}
			d.monitor.Unclaimed(told, "")
			d.log.Info("unclaimed device", "topic", w.topic, "member", shorten(names[0], 64))
		}
		return // the others of the topic are of the same message
	}
}

// look answers with the topic and model of a device, if there is something new to tell of it.
func (st *strangers) look(p *publication, now time.Time) (topic, model string, fresh bool) {
	watched := slices.ContainsFunc(st.filters, func(filter string) bool { return matches(filter, p.topic) })
	if !watched || len(p.payload) == 0 || st.ours(p.topic) || now.Sub(st.second) < time.Second && st.tries >= triesASecond {
		return "", "", false
	}
	if now.Sub(st.second) >= time.Second {
		st.second, st.tries = now, 0
	}
	st.tries++
	topic, model, score := st.fit(p, now)
	if announced, ok := announcedTopic(p); ok {
		topic, model, score = announced, "", 0
		if st.ours(topic) {
			return "", "", false
		}
	}
	s := st.found[topic]
	switch {
	case s == nil && len(st.found) >= maxStrangers, s != nil && s.tries >= triesEach:
		return "", "", false
	case s == nil:
		s = &stranger{score: -1}
		st.found[topic] = s
	}
	s.tries++
	if score <= s.score {
		return "", "", false
	}
	fresh = s.score < 0 || model != s.model
	s.score, s.model = score, model
	return topic, model, fresh
}

func (st *strangers) ours(topic string) bool {
	return slices.ContainsFunc(st.claimed, func(filter string) bool { return matches(filter, topic) })
}

// fit finds the model that reads most of a message, and the topic that a device of that model would have.
func (st *strangers) fit(p *publication, now time.Time) (topic, model string, score int) {
	topic = p.topic
	for _, c := range st.models {
		for _, filter := range c.below {
			own, below, ok := splitTopic(p.topic, filter)
			if !ok {
				continue
			}
			readings, err := c.decoder.Decode(below, p.payload, now)
			good := 0
			for _, r := range readings {
				if r.Quality == drivers.Good {
					good++
				}
			}
			if err == nil && good > score {
				topic, model, score = own, c.id, good
			}
		}
	}
	return topic, model, score
}

// splitTopic is the device's part of a topic, and the part that a filter below a device's topic matches.
func splitTopic(name, filter string) (own, below string, ok bool) {
	if filter == "" {
		return name, "", true
	}
	levels, count := strings.Split(name, "/"), strings.Count(filter, "/")+1
	if len(levels) <= count {
		return "", "", false
	}
	cut := len(levels) - count
	own, below = strings.Join(levels[:cut], "/"), strings.Join(levels[cut:], "/")
	return own, below, matches(filter, below)
}

// announcedTopic is the state topic of an entity that announces itself as Home Assistant wants it: in a retained JSON object
// under homeassistant/COMPONENT/…/config, with long keys or short ones, and ~ for a base. Source: Home Assistant, MQTT
// discovery.
func announcedTopic(p *publication) (topic string, ok bool) {
	if !strings.HasPrefix(p.topic, "homeassistant/") || !strings.HasSuffix(p.topic, "/config") {
		return "", false
	}
	text, err := object(p.payload)
	if err != nil {
		return "", false
	}
	m := gjson.Parse(text)
	topic = first(m.Get("state_topic").Str, m.Get("stat_t").Str)
	base := member(m, "~").Str
	if strings.HasPrefix(topic, "~") {
		topic = base + topic[1:]
	} else if strings.HasSuffix(topic, "~") {
		topic = topic[:len(topic)-1] + base
	}
	return topic, checkName(topic) == nil
}
