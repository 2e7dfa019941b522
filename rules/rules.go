package rules

import (
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// Model is what conditions may refer to: the signals and zones of one site.
type Model struct {
	Signals  []Signal       // every signal of every device, those the gateway keeps included (endpoint.link, device.online)
	Zones    []Zone         //
	Location *time.Location // of schedule() and workday(); nil is Asia/Shanghai
	Lang     i18n.Lang
}

// Signal is one signal of the site with its device.
type Signal struct {
	Key    string // device.signal
	Signal drivers.Signal
	Device drivers.Device // Device.Zone is the zone's id, "" for none
}

// Zone is one place of the site's tree.
type Zone struct {
	ID   string
	Name string
	Path string // as shown: 一层 / 厨房
	In   string // the zone around it, "" for none
}

// shanghai needs no time zone files; there is no daylight saving time in China.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// Set holds the rules in force and their instances. It never changes, so any number of states may share it.
type Set struct {
	rules     []*Rule
	instances []*Instance
	byKey     []int32 // indexes of instances, in the order of their keys: a map would take ten times as much
	calendar  calendar
	index     map[string]int // signals by key
	signals   []watched
	windows   []int64 // span of each window
	zones     []Zone
}

// watched is a signal with what depends on it.
type watched struct {
	key        string
	optional   bool
	dependents []dependent
	windows    []int
	place      int   // index of its zone, -1 where unknown
	tests      []int // for a signal that says that its device is under test: the others of the device
}

// dependent is an instance that reads a signal.
type dependent struct {
	instance int
	on       occasion
}

// occasion is what a reading brings, and what an instance waits for: it looks again at its own occasion and at those before.
type occasion uint8

const (
	onStatus  occasion = iota // whether and why there is a good value, not which: quality() and reason()
	onValue                   // another value
	onReading                 // every reading, also one that says the same: windows and age()
)

// Instance is one rule at one source: what can become one alarm.
type Instance struct {
	Key    string // rule@device.signal, or rule@zone: the identity of its alarm
	Rule   *Rule  // as the overrides leave it for this source
	Signal string // device.signal, "" for a zone's
	Zone   string // zone id, "" where unknown

	index       int
	own         int          // index of its signal, -1 for a zone's
	place       int          // index of its zone, -1 where unknown
	inner       []*Instance  // of the same rule for each zone, in the zones below
	members     map[int]bool // signals that it counts, where it is an inner one
	when, until bound
	grades      []boundGrade // the least urgent first
	every       int64        // ns after which time alone may change its outcome; 0 is never
}

// Index is the place of the instance in Set.Instances.
func (in *Instance) Index() int { return in.index }

// bound is a condition with its operands bound to the signals of one instance. The zero value is no condition.
type bound struct {
	condition *condition
	operands  []reader
}

// New reads the rules section (packs, override, inline, files, calendar), compiles and type-checks every rule, and makes
// an instance of each at each of its sources. It reports every mistake at its place, inside an expression too, and
// touches no disk but through the section's environment. An absent section, or one without packs, has all packs: a
// home that configures nothing is protected.
//
// A set with mistakes is not for use: the caller asks the section for its problems.
func New(s conf.Section, m Model) *Set {
	if m.Location == nil {
		m.Location = shanghai
	}
	b := newBuilder(m)
	f := readFile(s)
	b.set.calendar = readCalendar(f.Calendar, m.Location)
	drafts := f.rules()
	b.overrides = b.readOverrides(f.Override, drafts)
	for _, d := range drafts {
		b.add(d)
	}
	b.set.sort()
	return b.set
}

func (s *Set) sort() {
	s.byKey = make([]int32, len(s.instances))
	for i := range s.byKey {
		s.byKey[i] = int32(i)
	}
	slices.SortFunc(s.byKey, func(a, b int32) int { return strings.Compare(s.instances[a].Key, s.instances[b].Key) })
}

// Rules are the rules in force in their order, one an id. Where overrides with where make a rule differ from source to
// source, it is the one for the others; each Instance has its own.
func (s *Set) Rules() []*Rule { return s.rules }

// Instances are all rules at all their sources.
func (s *Set) Instances() []*Instance { return s.instances }

// At are the instances at one signal.
func (s *Set) At(signal string) (list []*Instance) {
	for _, in := range s.instances {
		if in.Signal == signal {
			list = append(list, in)
		}
	}
	return list
}

// Instance is the one of a key, nil where there is none.
func (s *Set) Instance(key string) *Instance {
	i, ok := slices.BinarySearchFunc(s.byKey, key, func(at int32, key string) int { return strings.Compare(s.instances[at].Key, key) })
	if !ok {
		return nil
	}
	return s.instances[s.byKey[i]]
}
