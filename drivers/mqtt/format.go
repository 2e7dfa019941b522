package mqtt

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"embergate/drivers"

	"github.com/tidwall/gjson"
)

// format is how one family of devices or servers wraps what its sensors measure. It unwraps a publication into samples, in
// which signals find their values by their json paths; so a device model is data, and only a new envelope is Go.
type format struct {
	topics       []string                                      // below the device's topic, with wildcards, besides the paths of its signals; "" is the topic itself
	availability []string                                      // where neither the device nor its profile names a topic
	member       bool                                          // one topic carries several devices: the device's key member says which is meant
	members      func(p *publication, below string) [][]string // those of a message, each with all its names
	paths        bool                                          // the topics of its signals' paths are wrapped in the same way
	bare         bool                                          // a payload is one value, without a key
	// check says what is wrong with a device's topic, beyond being a topic; nil where nothing can be.
	check func(topic string) error
	// filters are the subscriptions for a device's topic; nil: those of topics below it.
	filters func(topic string) []string
	unwrap  func(w *wrapping, p *publication, below string) ([]sample, error)
}

// formats is the table of all formats. Each has a file of its own but the plainest, which are here.
var formats = map[string]format{
	"json":        {topics: []string{""}, paths: true, unwrap: unwrapJSON},
	"scalar":      {topics: []string{""}, paths: true, bare: true, unwrap: unwrapPlain},
	"bytes":       {topics: []string{""}, unwrap: unwrapBytes},
	"homie":       {paths: true, bare: true, availability: []string{"{topic}/$state"}, unwrap: unwrapHomie},
	"tasmota":     {topics: []string{"SENSOR", "STATE"}, availability: []string{"{topic}/LWT"}, member: true, members: tasmotaMembers, unwrap: unwrapTasmota},
	"shelly-rpc":  {topics: []string{"events/rpc", "status/+"}, unwrap: unwrapShelly},
	"chirpstack":  {topics: []string{"event/+"}, unwrap: unwrapChirpStack},
	"tts":         {topics: []string{"up"}, unwrap: unwrapTTS},
	"thingsboard": {topics: []string{"telemetry", "connect", "disconnect"}, member: true, members: thingsBoardMembers, unwrap: unwrapThingsBoard},
	"sparkplug-b": {check: checkSparkplug, filters: sparkplugFilters, unwrap: unwrapSparkplug},
}

// wrapping is the format of one device, with what it needs to unwrap this device's publications.
type wrapping struct {
	format
	topic    string         // the device's, without the group of a shared subscription
	member   string         // its name in a message that carries several
	timePath string         // json path of the payload's own time; "" where the format knows it, or there is none
	zone     *time.Location // of times that name none; nil: those are not used
	omitted  []string       // ids of signals whose key is left out where it is zero
	template *template      // what the bytes mean; nil where there are none
	edges    *edges         // of all devices of the endpoint
}

// publication is one message as it came, shared by all devices that it reaches.
type publication struct {
	topic    string
	payload  []byte
	retained bool
	spark    *sparkMessage // once a device has asked for it
}

// sample is what a publication says of a device at one moment: text in which its signals find their values.
type sample struct {
	below      string    // whose signals: those with this path
	text       string    // JSON, or a bare value
	time       time.Time // as the sender says; zero where it does not
	id         string    // by which a repeated delivery is known; "" where there is none
	presence   presence
	fahrenheit bool     // temperatures are in °F
	exact      bool     // a state is true or false, in this case, and nothing else
	omitted    []string // as in wrapping
}

// presence is what a sample says of its device's life; the zero presence says nothing.
type presence struct {
	by     string // who says it: v1/gateway, edge node GW1
	online bool
}

// samples unwraps a publication that reached the device at the topic below its own. With an error there may be samples:
// what could be read before the mistake.
func (w *wrapping) samples(p *publication, below string) ([]sample, error) {
	if len(p.payload) > maxPayload {
		return nil, errTooLarge
	}
	unwrap := w.unwrap
	ours := func(filter string) bool { return filter == below || filter != "" && matches(filter, below) }
	if unwrap == nil || !w.paths && w.filters == nil && !slices.ContainsFunc(w.topics, ours) {
		unwrap = unwrapPlain // the path of a signal
	}
	samples, err := unwrap(w, p, below)
	for i := range samples {
		samples[i].omitted = w.omitted
	}
	return samples, err
}

// unwrapPlain takes the payload as it is.
func unwrapPlain(_ *wrapping, p *publication, below string) ([]sample, error) {
	text := trim(p.payload)
	if text == "" {
		return nil, nil // how a retained message is deleted; it says nothing
	}
	return []sample{{below: below, text: text}}, nil
}

// unwrapJSON takes the payload as it is, with the time and the bytes that stand in it.
func unwrapJSON(w *wrapping, p *publication, below string) ([]sample, error) {
	samples, err := unwrapPlain(w, p, below)
	if len(samples) == 0 || err != nil || w.timePath == "" && w.template == nil {
		return samples, err
	}
	s := &samples[0]
	if checkJSON(s.text) != nil {
		return samples, nil // a bare value; or what the signals will find to be no JSON
	}
	s.time = w.timeIn(s.text)
	if w.template == nil {
		return samples, nil
	}
	coded := gjson.Get(s.text, w.template.JSON)
	if !coded.Exists() {
		return samples, nil // another of its messages
	}
	object, err := w.template.decodeText(coded.String())
	if object != "" {
		s.text = withObject(s.text, object)
	}
	return samples, err
}

// withObject adds the key object to a JSON object, before a key of that name that it may have.
func withObject(text, object string) string {
	rest := strings.TrimSpace(strings.TrimPrefix(text, "{"))
	if rest == text || rest == "}" {
		return `{"object":` + object + `}`
	}
	return `{"object":` + object + `,` + rest
}

// object is the text of a payload that must be a JSON object or list; "" for an empty one.
func object(payload []byte) (string, error) {
	text := trim(payload)
	if text == "" {
		return "", nil
	}
	return text, checkJSON(text)
}

// trim takes off what JSON does not count. RFC 8259, 8.1: a byte order mark may be ignored.
func trim(payload []byte) string {
	return strings.TrimSpace(string(bytes.TrimPrefix(payload, []byte("\uFEFF"))))
}

// maxSamples bounds how many samples one publication may give.
const maxSamples = 1000

var (
	errNoMember = errors.New("the message carries several devices; the device needs its member")
	errNoParams = errors.New("a notification without params")
)

// Decoder makes readings of what a device publishes, without a broker: for the vectors of a device model.
type Decoder struct {
	signals []drivers.Signal
	wrapping
}

// Decode makes the readings of one message. topic is the one below the device's, "" for the device's own; for sparkplug-b it
// is the whole topic, because the word that tells the kind of message stands in its middle. Readings and an error may come
// together: what could be read of a malformed message. Of several readings of a signal the last is the newest.
func (d *Decoder) Decode(topic string, payload []byte, now time.Time) ([]drivers.Reading, error) {
	p := &publication{topic: topic, payload: payload}
	samples, err := d.samples(p, topic)
	var readings []drivers.Reading
	for _, s := range samples {
		at, _ := s.stamp(now, false)
		more, wrong := decode(d.signals, s, at)
		readings, err = append(readings, more...), errors.Join(err, wrong)
	}
	return readings, err
}
