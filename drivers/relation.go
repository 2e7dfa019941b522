package drivers

import (
	"slices"

	"embergate/drivers/conf"
)

// A signal may depend on others that the same poll of its device gave: its registers hold a meter's secondary side and the
// ratios of its transformers (scale_by), a number without its decimal point (decimals_by), or something only while the
// device is in certain states (valid_if). Where one of the others has no good value, or there is something that cannot be,
// the signal has none either.

// Names are ids of signals: one, or a list.
type Names []string

// DecodeConf reads one id or a list of them.
func (n *Names) DecodeConf(s conf.Section) {
	if word := s.Value(); word != "" {
		*n = Names{word}
		return
	}
	for _, item := range s.Items() {
		*n = append(*n, item.Value())
	}
}

// ConfSchema is what DecodeConf reads.
func (n *Names) ConfSchema() map[string]any { return conf.OneOrList(conf.SchemaOf[string]()) }

// Condition is met while another signal has one of the values, as the device says it: scaled, in its unit.
type Condition struct {
	Signal string    `yaml:"signal"`
	In     []float64 `yaml:"in"`
}

// Conditions must all be met.
type Conditions []Condition

// DecodeConf reads one condition or a list of them.
func (c *Conditions) DecodeConf(s conf.Section) {
	items := s.Items()
	if items == nil {
		items = []conf.Section{s}
	}
	for _, item := range items {
		var one Condition
		item.Decode(&one)
		if one.Signal == "" || len(one.In) == 0 {
			item.Problem("a condition is {signal: ID, in: [VALUES]}")
		}
		*c = append(*c, one)
	}
}

// ConfSchema is what DecodeConf reads.
func (c *Conditions) ConfSchema() map[string]any { return conf.OneOrList(conf.SchemaOf[Condition]()) }

// Related are the ids of the signals that this one depends on.
func (s Signal) Related() (ids []string) {
	ids = append(ids, s.ScaleBy...)
	if s.DecimalsBy != "" {
		ids = append(ids, s.DecimalsBy)
	}
	for _, c := range s.ValidIf {
		ids = append(ids, c.Signal)
	}
	return ids
}

// checkRelations reports relations to what is not there, and of more than one step.
func checkRelations(sections []conf.Section, signals []Signal) {
	for i, sig := range signals {
		keys := []struct {
			key string
			ids []string
		}{{"scale_by", sig.ScaleBy}, {"decimals_by", nil}, {"valid_if", nil}}
		if sig.DecimalsBy != "" {
			keys[1].ids = []string{sig.DecimalsBy}
		}
		for _, c := range sig.ValidIf {
			keys[2].ids = append(keys[2].ids, c.Signal)
		}
		for _, k := range keys {
			for _, id := range k.ids {
				checkRelation(sections[i].At(k.key), sig, id, signals)
			}
		}
		if len(sig.ScaleBy) > 0 || sig.DecimalsBy != "" {
			if sig.Of().Form != Number {
				sections[i].Problem("%s is no number: scale_by and decimals_by are not for it", sig.Kind)
			}
			if sig.Writable {
				sections[i].At("writable").Problem("a signal that is scaled by another cannot be written")
			}
		}
	}
}

func checkRelation(s conf.Section, sig Signal, id string, signals []Signal) {
	at := slices.IndexFunc(signals, func(other Signal) bool { return other.ID == id })
	switch {
	case id == "": // said already
	case at < 0:
		names := make([]string, len(signals))
		for i, other := range signals {
			names[i] = other.ID
		}
		s.NotOneOf(id, names)
	case id == sig.ID:
		s.Problem("a signal cannot depend on itself")
	case len(signals[at].Related()) > 0:
		s.Problem("%s depends on others itself; one step is allowed", id)
	}
}

// refuseRelations reports the keys of relations where the protocol has no polls that give several signals at once.
func (e Endpoint) refuseRelations(device conf.Section, listed []conf.Section, d Device) {
	for i, sig := range d.Signals {
		at := device.At("profile")
		if i < len(listed) {
			at = listed[i]
		}
		if len(sig.Related()) > 0 || len(sig.Active) > 0 {
			at.Problem("signal %q: scale_by, decimals_by, valid_if and active are for registers", sig.ID)
		}
	}
}
