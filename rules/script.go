package rules

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// Script is a rule test file: readings by step, and what is to come of them.
//
//	config: home.yaml                  # the rules and devices of a configuration; or, in place of it:
//	rules: {packs: [gas]}              #   a rules section; without one, all packs
//	zones: [{id: f1-kitchen}]          #   the zones
//	signals:                           #   kind and zone of signals; a signal whose id is or ends a kind's name needs none
//	  kitchen-gas.lel: gas_lel in f1-kitchen
//	start: 2026-01-05 00:00:00         # local time of step 0, for schedule()
//	step: 1s
//	series:                            # one value a step
//	  kitchen-gas.lel: 0 0 30x5 bad 12
//	expect:
//	  - at 8s: raised gas-high
//	  - never: raised smoke
//
// A value is a number, 30x5 five of them, 20+2x3 is 20 22 24, bad or bad:crc, uncertain:30, retained:1, and _ no reading.
// What is expected at a time holds after the readings of that time. A device answers unless its .online says otherwise.
type Script struct {
	Config  string       // as written, "" for none
	Rules   conf.Section // absent for all packs, or with Config
	Zones   []Zone
	Signals []Signal // those of the series, and .online of each device; not with Config
	Start   time.Time
	Step    time.Duration
	Series  []Series
	Expect  []Expect
}

// Series are the readings of one signal, one a step.
type Series struct {
	Signal string
	Values []Sample
	At     conf.Section
}

// Sample is the reading of one step; Absent where there is none.
type Sample struct {
	Value    float64
	Quality  drivers.Quality
	Reason   drivers.Reason
	Retained bool
	Absent   bool
}

// Expect is one expectation: what (true, false, unknown; raised, lowered, cleared) of a rule, or of rule@source.
type Expect struct {
	Time  time.Duration
	Never bool // at no time; Time is 0
	What  string
	Rule  string
	At    conf.Section
}

// Words of expectations: the outcomes of conditions, and what becomes of alarms.
var (
	outcomes = []string{"true", "false", "unknown"}
	becomes  = []string{"raised", "lowered", "cleared"}
)

// Bounds of a script: the values of a series, its time, and how often it is looked at.
const (
	maxSteps   = 100_000
	longest    = 7 * 24 * time.Hour
	maxMoments = 1_000_000
)

// ReadScript reads a rule test file and reports its mistakes at their place.
func ReadScript(s conf.Section) *Script {
	sc := &Script{Start: time.Date(2026, 1, 5, 0, 0, 0, 0, shanghai)}
	file := struct {
		Config  string        `yaml:"config"`
		Rules   conf.Section  `yaml:"rules"`
		Zones   []zoneKeys    `yaml:"zones"`
		Signals conf.Section  `yaml:"signals"`
		Start   string        `yaml:"start"`
		Step    time.Duration `yaml:"step"`
		Series  conf.Section  `yaml:"series"`
		Expect  conf.Section  `yaml:"expect"`
	}{Step: time.Second}
	s.Decode(&file)
	sc.Config, sc.Rules, sc.Step = file.Config, file.Rules, file.Step
	if sc.Step <= 0 || sc.Step > 24*time.Hour {
		s.At("step").Problem("a step is longer than nothing and at most a day")
		sc.Step = time.Second
	}
	if file.Start != "" {
		t, err := time.ParseInLocation(time.DateTime, file.Start, shanghai)
		if err != nil {
			s.At("start").Problem("%q is not a time; write it as 2026-01-05 22:00:00", file.Start)
		} else {
			sc.Start = t
		}
	}
	for _, z := range file.Zones {
		sc.Zones = append(sc.Zones, Zone{ID: z.ID, Name: z.Name, Path: z.Name, In: z.In})
	}
	for _, key := range file.Series.Keys() {
		sc.series(key, file.Series.At(key))
	}
	sc.signals(file.Signals)
	sc.expect(file.Expect)
	if len(sc.Series) == 0 {
		s.At("series").Problem("a rule test needs series")
	}
	if sc.End() > longest || sc.End()/min(sc.Step, time.Second) > maxMoments {
		s.Problem("a rule test is at most a week long, and a million steps")
	}
	return sc
}

type zoneKeys struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
	In   string `yaml:"in"`
}

var token = regexp.MustCompile(`^(?:(retained:|uncertain:)?(-?\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)?|(bad)(?::([a-z_]+))?|(_))(?:x(\d+))?$`)

// series reads the values of one signal.
func (sc *Script) series(signal string, s conf.Section) {
	one := Series{Signal: signal, At: s}
	for _, word := range strings.Fields(s.Value()) {
		m := token.FindStringSubmatch(word)
		times := 1
		if m != nil && m[7] != "" {
			times, _ = strconv.Atoi(m[7])
		}
		if m == nil || times < 1 || len(one.Values)+times > maxSteps {
			s.Problem("%q is no value of a series: 30, 30x5, 20+2x5, bad, bad:crc, uncertain:30, retained:1 or _", word)
			return
		}
		sample := Sample{Quality: drivers.Good, Absent: m[6] != "", Retained: m[1] == "retained:"}
		value, _ := strconv.ParseFloat(m[2], 64)
		rise, _ := strconv.ParseFloat(m[3], 64)
		switch {
		case m[4] != "":
			sample.Quality, sample.Reason = drivers.Bad, drivers.Timeout
			if m[5] != "" {
				sample.Reason = drivers.Reason(m[5])
			}
			if !slices.Contains(drivers.Reasons, sample.Reason) {
				s.NotOneOf(m[5], names(drivers.Reasons))
				return
			}
		case m[1] == "uncertain:":
			sample.Quality, sample.Reason = drivers.Uncertain, drivers.Stale
		}
		for range times {
			sample.Value = value
			one.Values = append(one.Values, sample)
			value += rise
		}
	}
	sc.Series = append(sc.Series, one)
}

// signals makes the signals of the series: their kinds as written, or as their ids tell.
func (sc *Script) signals(written conf.Section) {
	if sc.Config != "" {
		return
	}
	zone := map[string]string{}
	kinds := map[string]string{}
	for _, key := range written.Keys() {
		kind, in, _ := strings.Cut(written.At(key).Value(), " in ")
		kinds[key] = kind
		device, _, _ := strings.Cut(key, ".")
		zone[device] = in
		if !slices.Contains(kindNames(), kind) {
			written.At(key).NotOneOf(kind, kindNames())
		}
		if in != "" && !slices.ContainsFunc(sc.Zones, func(z Zone) bool { return z.ID == in }) {
			var ids []string
			for _, z := range sc.Zones {
				ids = append(ids, z.ID)
			}
			written.At(key).NotOneOf(in, ids)
		}
	}
	keys := written.Keys()
	for _, s := range sc.Series {
		keys = append(keys, s.Signal)
		if !strings.Contains(s.Signal, ".") {
			s.At.Problem("%q is no signal; write it as device.signal", s.Signal)
		}
	}
	seen := map[string]bool{}
	add := func(key, kind string) {
		if device, id, ok := strings.Cut(key, "."); ok && !seen[key] {
			seen[key] = true
			sc.Signals = append(sc.Signals, Signal{key, drivers.Signal{ID: id, Kind: kind, Scale: 1, Writable: kind == "relay"}, drivers.Device{ID: device, Name: device, Zone: zone[device]}})
		}
	}
	for _, key := range keys {
		device, id, _ := strings.Cut(key, ".")
		kind := kinds[key]
		if kind == "" {
			kind = likelyKind(id)
		}
		add(key, kind)
		if id != drivers.LinkSignal {
			add(device+"."+drivers.OnlineSignal, drivers.OnlineSignal)
		}
	}
}

// likelyKind is the kind of the id's name, or the one whose name ends with it: lel is gas_lel.
func likelyKind(id string) string {
	var found []string
	for _, kind := range kindNames() {
		if kind == id {
			return kind
		}
		if strings.HasSuffix(kind, "_"+id) {
			found = append(found, kind)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return "number"
}

// expect reads expectations: a map of them, or a list of maps, where a time may be there more than once.
func (sc *Script) expect(s conf.Section) {
	for _, item := range append([]conf.Section{s}, s.Items()...) {
		for _, key := range item.Keys() {
			words := item.At(key).Items()
			if words == nil {
				words = []conf.Section{item.At(key)}
			}
			for _, w := range words {
				sc.expectation(key, w)
			}
		}
	}
}

func (sc *Script) expectation(key string, s conf.Section) {
	e := Expect{Never: key == "never", At: s}
	if !e.Never {
		after, ok := strings.CutPrefix(key, "at ")
		d, err := time.ParseDuration(strings.TrimSpace(after))
		if !ok || err != nil || d < 0 || d > longest {
			s.Problem("%q is no time of a rule test; write it as at 8s, or never", key)
			return
		}
		e.Time = d
	}
	var ok bool
	e.What, e.Rule, ok = strings.Cut(strings.TrimSpace(s.Value()), " ")
	if known := slices.Concat(becomes, outcomes); !slices.Contains(known, e.What) {
		s.NotOneOf(e.What, known)
		return
	}
	if !ok {
		s.Problem("an expectation names a rule: raised gas-high, or true gas-high@kitchen-gas.lel")
		return
	}
	sc.Expect = append(sc.Expect, e)
}
