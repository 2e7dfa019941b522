package rules

import (
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

// Set holds the rules in force and their instances. It never changes, so any number of states may share it.
type Set struct {
	rules     []*Rule
	instances []*Instance
}

// Instance is one rule at one source: what can become one alarm.
type Instance struct {
	Key    string // rule@device.signal, or rule@zone: the identity of its alarm
	Rule   *Rule  // as the overrides leave it for this source
	Signal string // device.signal, "" for a zone's
	Zone   string // zone id, "" where unknown
}

// New reads the rules section, compiles and type-checks every rule and makes its instances.
func New(s conf.Section, m Model) *Set { return &Set{} }

// Rules are the rules in force, in order, one an id.
func (s *Set) Rules() []*Rule { return s.rules }

// Instances are all rules at all their sources.
func (s *Set) Instances() []*Instance { return s.instances }

// NewState is an empty state of the set.
func (s *Set) NewState() *State { return &State{} }

// State is what the conditions see: latest readings and windows.
type State struct{}

// Result is the outcome of an instance.
type Result struct {
	When, Until Value
	Reading     drivers.Reading
	Retained    bool
	Err         error
}

func (st *State) Update(now time.Time, batch []drivers.Reading) []*Instance { return nil }
func (st *State) Due(now time.Time) []*Instance                             { return nil }
func (st *State) Next() time.Time                                           { return time.Time{} }
func (st *State) Eval(i *Instance, now time.Time) Result                    { return Result{} }
func (st *State) Latest(signal string) (drivers.Reading, bool)              { return drivers.Reading{}, false }
func (st *State) SetDrill(on bool)                                          {}
func (st *State) SetActive(func(class Class) int)                           {}
