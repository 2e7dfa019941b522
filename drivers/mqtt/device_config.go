package mqtt

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// deviceSettings are a device's own keys.
type deviceSettings struct {
	Topic    string        `yaml:"topic"`  // topic filter; may hold + and #, and {id}, {zone} and {name} of the device
	Member   string        `yaml:"member"` // its name in a message that carries several devices
	Defaults modelSettings `yaml:",inline"`
}

// modelSettings are keys of a device that a profile may preset, under mqtt.
type modelSettings struct {
	Format       string        `yaml:"format"`       // one of formats
	Availability topics        `yaml:"availability"` // topics that say online or offline; {topic} and {base} stand for the device's
	Expire       time.Duration `yaml:"expire"`       // no message for so long: offline
	SetTopic     string        `yaml:"set_topic"`    // where commands go
	Time         string        `yaml:"time"`         // json path of the payload's own time
	TimeZone     string        `yaml:"time_zone"`    // of times that name none
	OmittedZero  []string      `yaml:"omitted_zero"` // signals whose key is left out where it is zero
	Bytes        conf.Section  `yaml:"bytes"`        // what the bytes of a payload mean
}

// topics is one topic or a list of them.
type topics []string

// DecodeConf reads one topic or a list of them.
func (t *topics) DecodeConf(s conf.Section) {
	*t = nil
	for _, item := range s.Items() {
		*t = append(*t, item.Value())
	}
	if word := s.Value(); word != "" {
		*t = topics{word}
	}
}

// ConfSchema is what DecodeConf reads.
func (t *topics) ConfSchema() map[string]any { return conf.OneOrList(conf.SchemaOf[string]()) }

// readDevice reads one device and reports what is wrong with it.
func readDevice(e drivers.Endpoint, s conf.Section, c settings) *device {
	var keys deviceSettings
	common, profile := e.Device(s, "mqtt", &keys)
	var model modelSettings
	profile.Settings.Decode(&model)
	own := keys.Defaults

	dev := &device{Device: common, topic: fill(s.At("topic"), first(keys.Topic, c.Topic), common)}
	if dev.topic == "" {
		s.At("topic").Problem("the device needs its topic")
		return dev
	}
	problem(s.At("topic"), dev.topic, checkFilter)
	from := func(key string) conf.Section { // where a key of the model stands
		if at := profile.Settings.At(key); at.Exists() && !s.At(key).Exists() {
			return at
		}
		return s.At(key)
	}
	if s.At("omitted_zero").Exists() {
		model.OmittedZero = own.OmittedZero
	}
	dev.wrapping = readWrapping(from, modelSettings{
		Format: first(own.Format, model.Format, "json"), Time: first(own.Time, model.Time), TimeZone: first(own.TimeZone, model.TimeZone),
		OmittedZero: model.OmittedZero,
	}, dev.Signals)
	dev.wrapping.topic, dev.wrapping.member = topicOf(dev.topic), keys.Member
	if f := dev.wrapping.format; f.check != nil {
		problem(s.At("topic"), dev.topic, f.check)
	}
	if keys.Member != "" && !dev.wrapping.format.member {
		s.At("member").Problem("a message of format %s carries one device; member does not apply", first(own.Format, model.Format, "json"))
	}
	if dev.expire = own.Expire; dev.expire == 0 {
		dev.expire = model.Expire
	}
	available := dev.wrapping.format.availability
	switch { // an empty list is a choice too
	case s.At("availability").Exists():
		available = own.Availability
	case profile.Settings.At("availability").Exists():
		available = model.Availability
	}
	for _, pattern := range available {
		topic := expand(pattern, dev.topic)
		dev.availability = append(dev.availability, topic)
		problem(s.At("availability"), topic, checkFilter)
	}
	dev.setTopic = expand(first(own.SetTopic, model.SetTopic), dev.topic)
	if dev.setTopic != "" && (s.At("set_topic").Exists() || slices.ContainsFunc(dev.Signals, writable)) {
		problem(s.At("set_topic"), dev.setTopic, checkName)
	}
	checkSignals(s, dev)
	return dev
}

// checkSignals reports what is wrong with the signals of a device.
func checkSignals(s conf.Section, dev *device) {
	for i, sig := range dev.Signals {
		at := s.At("profile") // the mistake is the profile's; here is where it is used
		if items := s.At("signals").Items(); i < len(items) {
			at = items[i]
		}
		checkSignal(at, dev.wrapping.format, sig)
		if sig.Path != "" && strings.HasSuffix(dev.topic, "#") {
			at.At("path").Problem("there is no path below a topic that ends in #")
		}
		if sig.Writable {
			checkOutput(at.At("writable"), dev, sig)
		}
	}
}

// readWrapping is the format of a device or device model. from tells where a key stands.
func readWrapping(from func(key string) conf.Section, c modelSettings, signals []drivers.Signal) wrapping {
	f, ok := formats[c.Format]
	if !ok {
		from("format").NotOneOf(c.Format, slices.Sorted(maps.Keys(formats)))
	}
	w := wrapping{format: f, timePath: c.Time, omitted: c.OmittedZero, template: newTemplate(from("bytes"), c.Format), edges: &edges{}}
	if c.Format == "bytes" && w.template == nil {
		from("format").Problem("format bytes needs bytes, which says what they mean")
	}
	if c.Time != "" && c.Format != "json" {
		from("time").Problem("format %s knows itself where the time stands", c.Format)
	}
	if c.TimeZone != "" {
		zone, err := time.LoadLocation(c.TimeZone)
		if err != nil {
			from("time_zone").Problem("%q is no time zone; write it as Asia/Shanghai", c.TimeZone)
		}
		w.zone = zone
	}
	for _, id := range c.OmittedZero {
		if !slices.ContainsFunc(signals, func(s drivers.Signal) bool { return s.ID == id }) {
			ids := make([]string, len(signals))
			for i, s := range signals {
				ids[i] = s.ID
			}
			from("omitted_zero").NotOneOf(id, ids)
		}
	}
	return w
}

// NewDecoder is the decoder of a device model; at is where its mistakes are reported that have no key of their own. member
// is the name under which a vector's device stands in a message that carries several.
func NewDecoder(at conf.Section, model drivers.Profile, member string) *Decoder {
	d := newDecoder(model, member)
	for _, sig := range model.Signals {
		checkSignal(at, d.format, sig)
	}
	return d
}

func newDecoder(model drivers.Profile, member string) *Decoder {
	var c modelSettings
	model.Settings.Decode(&c)
	c.Format = first(c.Format, "json")
	d := &Decoder{signals: model.Signals, wrapping: readWrapping(model.Settings.At, c, model.Signals)}
	d.member = member
	return d
}

func writable(s drivers.Signal) bool { return s.Writable }

// checkSignal reports what cannot be a signal of a format.
func checkSignal(s conf.Section, f format, sig drivers.Signal) {
	for _, key := range []struct{ name, value string }{{"at", sig.At}, {"type", sig.Type}, {"order", sig.Order}} {
		if key.value != "" {
			s.At(key.name).Problem("the key %s of signal %q is for registers; an MQTT signal has json or path", key.name, sig.ID)
		}
	}
	switch {
	case sig.Path == "" && f.bare && len(f.topics) == 0:
		s.Problem("signal %q needs path, the topic below the device's", sig.ID)
	case sig.JSON == "" && sig.Path == "" && !f.bare:
		s.Problem("signal %q needs json, the key in the payload, or path, the topic below the device's", sig.ID)
	case sig.JSON != "" && sig.Path == "" && f.bare:
		s.At("json").Problem("signal %q has a key, but a payload of this format is one bare value", sig.ID)
	}
	if sig.Path != "" {
		problem(s.At("path"), sig.Path, checkPath)
	}
	if sig.Of().Form == drivers.State {
		for _, word := range slices.Sorted(maps.Keys(sig.Enum)) {
			if code := sig.Enum[word]; code != 0 && code != 1 {
				s.At("enum").Problem("%s is a state: %q must be 0 or 1, not %d", sig.Kind, word, code)
			}
		}
	}
}

// problem reports what check finds wrong with a topic.
func problem(s conf.Section, topic string, check func(string) error) {
	if err := check(topic); err != nil {
		s.Problem("%q is not a valid MQTT topic: %s", topic, i18n.T(err.Error()))
	}
}

// expand puts a device's topic for {topic} and its first level for {base}.
func expand(pattern, topic string) string {
	topic = topicOf(topic)
	base, _, _ := strings.Cut(topic, "/")
	return strings.NewReplacer("{topic}", topic, "{base}", base).Replace(pattern)
}

// placeholder is a named part of a topic.
var placeholder = regexp.MustCompile(`\{[^{}/]*\}`)

// fill puts what a device is called for the named parts of a topic.
func fill(s conf.Section, pattern string, d drivers.Device) string {
	return placeholder.ReplaceAllStringFunc(pattern, func(part string) string {
		word, ok := map[string]string{"{id}": d.ID, "{zone}": d.Zone, "{name}": d.Name}[part]
		switch {
		case !ok:
			s.Problem("%s is no part of a topic; a device has {id}, {zone} and {name}", part)
		case word == "":
			s.Problem("the topic needs %s of the device", part)
		}
		return word
	})
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
