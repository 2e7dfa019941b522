// Package derived computes signals from others: sum, difference and ratio of several; the rate at which one changes, the hours
// that one was on, and the running total of a counter, over its roll-over and the exchange of its meter (rows DM08, DM11).
//
// It is a driver whose wire is the gateway itself: the hub hands it what other drivers read, and takes what it makes of that as
// readings of the devices that the configuration declares under derived. It has no clock; totals and hours outlive a restart
// through State and Restore.
package derived

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// ID is the endpoint behind which derived devices stand.
const ID = "derived"

// Source is a signal that may be derived from.
type Source struct {
	drivers.Signal
	Stale time.Duration // of its device
}

// Driver derives. Update and State are for one goroutine.
type Driver struct {
	devices []drivers.Device
	signals []*signal
	by      map[string][]*signal // by the key of a source
	values  map[string]drivers.Reading
}

// signal is one derived signal.
type signal struct {
	key     string
	scale   float64
	offset  float64
	limits  []float64 // the least and greatest value that can be; nil: any
	sources []string
	make    maker
}

// maker makes a value of its sources, which are all good or uncertain, in their order. Where it has none yet, ok is false;
// detail says more of a value, or why there is none.
type maker interface {
	value(now time.Time, of []drivers.Reading) (v float64, detail string, ok bool)
}

// formula are the keys of a derived signal: exactly one but over and modulus.
type formula struct {
	Sum        []string      `yaml:"sum"`
	Difference []string      `yaml:"difference"`
	Ratio      []string      `yaml:"ratio"`
	Rate       string        `yaml:"rate"`
	Over       time.Duration `yaml:"over"` // of rate
	Hours      string        `yaml:"hours"`
	Total      string        `yaml:"total"`
	Modulus    float64       `yaml:"modulus"` // of total: where the counter begins again
}

// New reads the list under derived. What may be derived from are the sources, by their keys.
func New(sections []conf.Section, sources map[string]Source) *Driver {
	d := &Driver{by: map[string][]*signal{}, values: map[string]drivers.Reading{}}
	for _, s := range sections {
		dev := drivers.Device{Section: s}
		var listed struct {
			Signals []conf.Section `yaml:"signals"`
		}
		s.Decode(&dev, &listed)
		if !drivers.IDPattern.MatchString(dev.ID) {
			s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", dev.ID)
		}
		if dev.Name == "" {
			dev.Name = dev.ID
		}
		if len(listed.Signals) == 0 {
			s.Problem("a derived device needs signals")
		}
		for _, at := range listed.Signals {
			var f formula
			sig := drivers.DecodeSignal(at, &f)
			if slices.ContainsFunc(dev.Signals, func(other drivers.Signal) bool { return other.ID == sig.ID }) {
				at.At("id").Problem("the signal %q is there twice", sig.ID)
			}
			one := f.read(at, sig, sources)
			one.key = dev.Key(sig)
			dev.Signals = append(dev.Signals, sig)
			d.add(one)
			for _, key := range one.sources {
				dev.Stale = max(dev.Stale, sources[key].Stale)
			}
		}
		d.devices = append(d.devices, dev)
	}
	return d
}

func (d *Driver) add(s *signal) {
	d.signals = append(d.signals, s)
	for i, key := range s.sources {
		if !slices.Contains(s.sources[:i], key) {
			d.by[key] = append(d.by[key], s)
		}
	}
}

// read makes a derived signal of its keys and reports what is wrong with them.
func (f formula) read(at conf.Section, sig drivers.Signal, sources map[string]Source) *signal {
	s := &signal{scale: sig.Scale, offset: sig.Offset, limits: sig.Range}
	given, key := 0, ""
	set := func(name string, from []string, m maker) {
		if at.At(name).Exists() {
			given++
			key, s.sources, s.make = name, from, m
		}
	}
	set("sum", f.Sum, sum{})
	set("difference", f.Difference, difference{})
	set("ratio", f.Ratio, ratio{})
	set("rate", []string{f.Rate}, &rate{over: max(f.Over, time.Minute)})
	set("hours", []string{f.Hours}, &hours{})
	set("total", []string{f.Total}, &total{modulus: f.Modulus})
	switch {
	case given != 1:
		at.Problem("a derived signal has exactly one of sum, difference, ratio, rate, hours, total")
		return &signal{make: sum{}}
	case (key == "difference" || key == "ratio") && len(s.sources) != 2, key == "sum" && len(s.sources) < 2:
		at.At(key).Problem("%s takes two signals, sum two or more: [device.signal, device.signal]", key)
	}
	for _, name := range []string{"at", "json", "path", "type", "order", "na", "flags", "enum", "active", "writable", "optional", "scale_by", "decimals_by", "valid_if", "max_rate"} {
		if at.At(name).Exists() {
			at.At(name).Problem("a derived signal has no %s", name)
		}
	}
	if at.At("over").Exists() && (key != "rate" || f.Over < time.Minute) {
		at.At("over").Problem("over is the time in which a rate is taken, at least 1m")
	}
	if at.At("modulus").Exists() && (key != "total" || f.Modulus <= 0) {
		at.At("modulus").Problem("modulus is the value at which the counter of a total begins again, above 0")
	}
	if sig.Of().Form != drivers.Number {
		at.At("kind").Problem("%s is no number; what is derived is one", sig.Kind)
	}
	s.check(at.At(key), key, sig, sources)
	return s
}

// check reports sources that are not there, or whose values do not belong together.
func (s *signal) check(at conf.Section, key string, sig drivers.Signal, sources map[string]Source) {
	want := drivers.Number
	if key == "hours" {
		want = drivers.State
	}
	unit := ""
	for i, name := range s.sources {
		source, known := sources[name]
		if !known {
			at.NotOneOf(name, slices.Sorted(maps.Keys(sources)))
			return
		}
		kind := source.Of()
		if kind.Form != want {
			at.Problem("%s cannot be used here: hours are of a state, all else of numbers", name)
		}
		own := kind.Unit
		if source.Kind == "number" {
			own = source.Unit
		}
		if i > 0 && own != unit && (key == "sum" || key == "difference") {
			at.Problem("the units differ: %s of %s, %s before", own, name, unit)
		}
		unit = own
	}
	if result := sig.Of().Unit; sig.Kind != "number" && result != unit && (key == "sum" || key == "difference" || key == "total") {
		at.Problem("%s has the unit %s, and its sources %s; use kind number with a unit", sig.Kind, result, unit)
	}
}

// Devices are the derived devices.
func (d *Driver) Devices() []drivers.Device { return d.devices }

// Run says that the endpoint is connected, and waits for the end: it is the hub that calls Update.
func (d *Driver) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	if ctx.Err() == nil {
		emit(drivers.LinkUp(ID, time.Now()))
	}
	<-ctx.Done()
	return nil
}

// Update takes a batch of other drivers' readings and makes those that follow from it. A source without a good value leaves
// none of what is derived from it, with its reason; one of which nothing was ever heard, nothing at all.
func (d *Driver) Update(now time.Time, batch []drivers.Reading) (made []drivers.Reading) {
	var due []*signal
	for _, r := range batch {
		of := d.by[r.Signal]
		if len(of) > 0 {
			d.values[r.Signal] = r
		}
		for _, s := range of {
			if !slices.Contains(due, s) {
				due = append(due, s)
			}
		}
	}
	for _, s := range due {
		if r, ok := d.reading(now, s); ok {
			made = append(made, r)
		}
	}
	return made
}

// reading is what a signal is now; false where a source was never heard. It is retained where all its sources are: of one that is
// new, what follows from it is.
func (d *Driver) reading(now time.Time, s *signal) (drivers.Reading, bool) {
	r := drivers.Reading{Signal: s.key, Time: now, Quality: drivers.Good, Retained: true}
	of := make([]drivers.Reading, len(s.sources))
	for i, key := range s.sources {
		source, heard := d.values[key]
		switch of[i] = source; {
		case !heard:
			return r, false
		case source.Quality == drivers.Bad && r.Quality != drivers.Bad, source.Quality == drivers.Uncertain && r.Quality == drivers.Good:
			r.Quality, r.Reason, r.Detail = source.Quality, source.Reason, key+": "+source.Detail
		}
		r.Retained = r.Retained && source.Retained
	}
	if r.Quality == drivers.Bad {
		if p, ok := s.make.(interface{ pause() }); ok {
			p.pause()
		}
		return r, true
	}
	v, detail, ok := s.make.value(now, of)
	if !ok {
		return drivers.Reading{Signal: s.key, Time: now, Reason: drivers.Sentinel, Detail: detail, Retained: r.Retained}, true
	}
	v = v*s.scale + s.offset
	if math.IsNaN(v) || math.IsInf(v, 0) || s.limits != nil && (v < s.limits[0] || v > s.limits[1]) {
		return drivers.Reading{Signal: s.key, Time: now, Reason: drivers.Range, Detail: fmt.Sprintf("%v cannot be", v), Retained: r.Retained}, true
	}
	r.Value = v
	if detail != "" {
		r.Detail = detail
	}
	return r, true
}

// State is what must outlive a restart, by signal: totals and hours.
func (d *Driver) State() map[string]Memory {
	kept := map[string]Memory{}
	for _, s := range d.signals {
		if k, ok := s.make.(keeper); ok {
			kept[s.key] = k.memory()
		}
	}
	return kept
}

// Restore gives it back.
func (d *Driver) Restore(kept map[string]Memory) {
	for _, s := range d.signals {
		if m, ok := kept[s.key]; ok {
			if k, ok := s.make.(keeper); ok {
				k.restore(m)
			}
		}
	}
}

// Memory is what a total or hours remember.
type Memory struct {
	Sum   float64 `json:"sum"`
	Last  float64 `json:"last"` // of the counter
	Begun bool    `json:"begun"`
}

type keeper interface {
	memory() Memory
	restore(Memory)
}
