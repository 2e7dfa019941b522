package drivers

import (
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/conf"
)

// Signal is one quantity of a device: what it measures, where it stands in the device's registers or payload, and how
// its raw value becomes one in the unit of its kind: value = raw × scale + offset.
//
// The keys are those of the contract, section 2, in a configuration and in a profile alike. Which of At, JSON and Path a
// signal needs, and which types and orders there are, its protocol says.
type Signal struct {
	ID       string         `yaml:"id"`
	Name     Name           `yaml:"name"`
	Kind     string         `yaml:"kind"`
	At       string         `yaml:"at"`   // Modbus: holding:11.12-15, zero-based as on the wire
	JSON     string         `yaml:"json"` // MQTT: path in a JSON payload
	Path     string         `yaml:"path"` // MQTT: topic below the device's, for a bare value
	Type     string         `yaml:"type"`
	Order    string         `yaml:"order"`
	Scale    float64        `yaml:"scale"`
	Offset   float64        `yaml:"offset"`
	Unit     string         `yaml:"unit"`
	NA       []float64      `yaml:"na"`       // raw values by which the device says that it has no reading
	Flags    map[int]string `yaml:"flags"`    // bit number to name, for type bits
	Enum     map[string]int `yaml:"enum"`     // word of a payload to its code
	Active   []float64      `yaml:"active"`   // raw values of a state that mean 1; every other means 0
	Range    []float64      `yaml:"range"`    // plausible values, [least, greatest]; outside is Bad
	MaxRate  float64        `yaml:"max_rate"` // most change a minute that is plausible, in its unit; faster is Bad
	Deadband Band           `yaml:"deadband"` // a smaller change is not forwarded to platforms, for five minutes at the most
	Writable bool           `yaml:"writable"`
	Optional bool           `yaml:"optional"` // not every unit of the model has it: silent until first seen

	// What other signals of the same device say about this one; see relation.go.
	ScaleBy    Names      `yaml:"scale_by"`    // it is multiplied by their values: a transformer's ratio
	DecimalsBy string     `yaml:"decimals_by"` // it has as many decimals as this says
	ValidIf    Conditions `yaml:"valid_if"`    // else the device has no value for it
}

// Band is how far a value may move from the one forwarded last: a width in its unit, or 5% of that value. The zero Band keeps
// nothing back.
type Band struct {
	Width   float64
	Percent bool
}

// DecodeConf reads 0.5 or 5%.
func (b *Band) DecodeConf(s conf.Section) {
	text := strings.TrimSpace(s.Value())
	number, percent := strings.CutSuffix(text, "%")
	width, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || math.IsNaN(width) || math.IsInf(width, 0) {
		s.Problem("%q is no deadband: write it as 0.5, or 5%% of the value", text)
		return
	}
	*b = Band{width, percent}
}

// ConfSchema is what DecodeConf reads.
func (b *Band) ConfSchema() map[string]any {
	return map[string]any{"anyOf": []any{map[string]any{"type": "number", "minimum": 0}, map[string]any{"type": "string", "pattern": `^\s*[0-9.]+\s*%?\s*$`}}}
}

// Holds tells whether a value is within the band around another.
func (b Band) Holds(value, around float64) bool {
	width := b.Width
	if b.Percent {
		width *= math.Abs(around) / 100
	}
	return math.Abs(value-around) < width
}

// Of is the table entry of the signal's kind.
func (s Signal) Of() Kind { return Kinds[s.Kind] }

// Name is what people call a thing. In profiles and rule packs it is written in both languages, {zh: 烟感, en: Smoke
// detector}; in a configuration it may be a plain word.
type Name struct{ ZH, EN string }

// In is the name in a language; the other language's where it lacks one.
func (n Name) In(lang string) string {
	if lang == "en" && n.EN != "" || n.ZH == "" {
		return n.EN
	}
	return n.ZH
}

// names is a Name as a map.
type names struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

// DecodeConf reads a word, or a map with zh and en.
func (n *Name) DecodeConf(s conf.Section) {
	if len(s.Keys()) == 0 {
		n.ZH, n.EN = s.Value(), s.Value()
		return
	}
	var both names
	s.Decode(&both)
	n.ZH, n.EN = both.ZH, both.EN
}

// ConfSchema is what DecodeConf reads.
func (n *Name) ConfSchema() map[string]any {
	return map[string]any{"anyOf": []any{conf.SchemaOf[string](), conf.SchemaOf[names]()}}
}

// Device is an instrument behind an endpoint, as configured.
type Device struct {
	ID      string        `yaml:"id"` // [a-z0-9-]{1,40}
	Name    string        `yaml:"name"`
	Zone    string        `yaml:"zone"`
	Profile string        `yaml:"profile"`
	Every   time.Duration `yaml:"every"`   // poll period
	Stale   time.Duration `yaml:"stale"`   // nothing good for this long: stale
	SameAs  string        `yaml:"same_as"` // the id of the device that this is too: another path to one detector
	Signals []Signal      `yaml:"-"`

	Disabled bool `yaml:"disabled"` // taken out of service by a person: not asked, not believed, and no fault

	Section conf.Section `yaml:"-"` // where it stands, for the mistakes that only the gateway can see
}

// Key is the name of one of the device's signals: device.signal.
func (d Device) Key(s Signal) string { return d.ID + "." + s.ID }

// Profile is a device model as data: the signals that every device of the model has.
type Profile struct {
	ID       string
	Name     Name
	Every    time.Duration
	Stale    time.Duration
	Signals  []Signal
	Settings conf.Section // the protocol's own keys of the model, under modbus: or mqtt:
	Protocol string       // modbus or mqtt
}

// Profiles are the device models by id.
type Profiles map[string]Profile

// IDPattern is what an id of a site, zone, endpoint, device or signal looks like.
var (
	IDPattern       = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
	signalIDPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
)

// leastEvery is the shortest period: below it a wire is busy with one device, and there is nothing that a home has use for.
const leastEvery = 10 * time.Millisecond

// Device reads one device of the endpoint: the keys that all devices have, and the protocol's own into the given struct.
// Signals come from the device's signals or from its profile. Every defaults to the profile's, then to 1 s where the
// protocol polls; Stale is left 0 where neither says it.
func (e Endpoint) Device(s conf.Section, protocol string, own any) (Device, Profile) {
	d := Device{Section: s.Kept()}
	var listed struct {
		Signals []conf.Section `yaml:"signals"`
	}
	s.Decode(&d, &listed, own)
	if !IDPattern.MatchString(d.ID) {
		s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", d.ID)
	}
	if d.Name == "" {
		d.Name = d.ID
	}
	var p Profile
	switch {
	case d.Profile != "" && s.At("signals").Exists():
		s.At("signals").Problem("a device has a profile or signals of its own, not both")
	case d.Profile != "":
		p = e.profile(s.At("profile"), protocol)
		d.Signals = p.Signals
	case len(listed.Signals) == 0:
		s.Problem("the device has neither a profile nor signals")
	default:
		d.Signals = e.Alike.shared(DecodeSignals(listed.Signals))
	}
	if protocol != "modbus" {
		e.refuseRelations(s, listed.Signals, d)
	}
	if d.Every != 0 && d.Every < leastEvery {
		s.At("every").Problem("a device is read every %v at the most", leastEvery)
	}
	if d.Every == 0 {
		d.Every = p.Every
	}
	if d.Stale == 0 {
		d.Stale = p.Stale
	}
	return d, p
}

// Alike holds the lists of signals that devices write themselves, each once: a home has many devices and few models, and a
// signal takes some 500 bytes. Nobody changes a list.
type Alike struct{ lists [][]Signal }

// shared is the list, or the one before that says the same.
func (a *Alike) shared(list []Signal) []Signal {
	if a == nil {
		return list
	}
	for _, known := range a.lists {
		if reflect.DeepEqual(known, list) {
			return known
		}
	}
	a.lists = append(a.lists, list)
	return list
}

func (e Endpoint) profile(s conf.Section, protocol string) Profile {
	p, ok := e.Profiles[s.Value()]
	if !ok || p.Protocol != protocol {
		var names []string
		for id, known := range e.Profiles {
			if known.Protocol == protocol {
				names = append(names, id)
			}
		}
		slices.Sort(names)
		s.NotOneOf(s.Value(), names)
	}
	return p
}

// DecodeSignals reads the signals of a device or a profile and reports what no protocol could accept.
func DecodeSignals(sections []conf.Section) []Signal {
	seen := map[string]bool{}
	signals := make([]Signal, 0, len(sections))
	for _, s := range sections {
		sig := DecodeSignal(s)
		if seen[sig.ID] {
			s.At("id").Problem("the signal %q is there twice", sig.ID)
		}
		seen[sig.ID] = true
		signals = append(signals, sig)
	}
	checkRelations(sections, signals)
	return signals
}

// DecodeSignal reads one signal, and keys of its protocol's own into the given structs.
func DecodeSignal(s conf.Section, own ...any) Signal {
	sig := Signal{Scale: 1}
	s.Decode(append([]any{&sig}, own...)...)
	check(s, sig)
	return sig
}

func check(s conf.Section, sig Signal) {
	if !signalIDPattern.MatchString(sig.ID) {
		s.At("id").Problem("the id of a signal is 1 to 40 of a-z, 0-9 and _, and starts with a letter, not %q", sig.ID)
	}
	if sig.ID == LinkSignal || sig.ID == OnlineSignal || sig.ID == "time" { // time is no name of a field in InfluxDB
		s.At("id").Problem("%q is a name that is taken; choose another id", sig.ID)
	}
	kind, known := Kinds[sig.Kind]
	if !known || sig.Kind == LinkSignal || sig.Kind == OnlineSignal {
		s.At("kind").NotOneOf(sig.Kind, KindNames())
		return
	}
	if sig.Unit != "" && sig.Unit != kind.Unit && sig.Kind != "number" {
		if kind.Unit == "" {
			s.At("unit").Problem("%s has no unit", sig.Kind)
		} else {
			s.At("unit").Problem("the unit of %s is %s, not %q; use scale and offset to convert", sig.Kind, kind.Unit, sig.Unit)
		}
	}
	if r := sig.Range; r != nil && (len(r) != 2 || r[0] >= r[1]) {
		s.At("range").Problem("a range is [least, greatest]")
	}
	if sig.Scale == 0 {
		s.At("scale").Problem("a scale of 0 makes every value 0")
	}
	if len(sig.Active) > 0 && kind.Form != State {
		s.At("active").Problem("active is for states; %s is none", sig.Kind)
	}
	switch {
	case sig.MaxRate < 0:
		s.At("max_rate").Problem("a greatest rate of change is not negative")
	case sig.MaxRate > 0 && kind.Form != Number:
		s.At("max_rate").Problem("%s is no number: it has no rate of change", sig.Kind)
	case sig.MaxRate > 0 && (kind.Class == Fire || kind.Class == Gas):
		s.At("max_rate").Problem("a sudden rise is what %s is watched for: it must not be taken for a mistake", sig.Kind)
	}
	if sig.Deadband.Width < 0 || sig.Deadband.Percent && sig.Deadband.Width >= 100 {
		s.At("deadband").Problem("a deadband is not negative, and less than 100 %%")
	}
	if kind.Form == Text && sig.Writable {
		s.At("writable").Problem("a text cannot be written")
	}
}
