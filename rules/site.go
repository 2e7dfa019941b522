package rules

import (
	"slices"
	"strings"

	"embergate/drivers/conf"
)

// reporter is a section, or a part of an expression in one.
type reporter interface {
	NotOneOf(got string, allowed []string)
}

// site is the model with the ways into it that compiling needs.
type site struct {
	signals []Signal
	index   map[string]int   // by key
	device  map[string][]int // a device's signals
	zones   []Zone
	below   map[string][]int // a zone's signals, its own and those below it
	place   map[string]int   // index of a zone
	twins   map[string]string
}

func newSite(m Model) *site {
	s := &site{signals: m.Signals, zones: m.Zones, index: map[string]int{}, device: map[string][]int{}, below: map[string][]int{}, place: map[string]int{}, twins: m.Twins()}
	for i, z := range m.Zones {
		s.place[z.ID] = i
	}
	for i, sig := range m.Signals {
		s.index[sig.Key] = i
		s.device[sig.Device.ID] = append(s.device[sig.Device.ID], i)
		for _, zone := range around(s.zones, s.place, sig.Device.Zone) {
			s.below[zone] = append(s.below[zone], i)
		}
	}
	return s
}

// around is a zone with all those around it, the innermost first.
func around(zones []Zone, place map[string]int, zone string) []string {
	var list []string
	for range zones { // no tree is deeper, and a loop ends
		i, ok := place[zone]
		if !ok {
			break
		}
		list = append(list, zone)
		zone = zones[i].In
	}
	return list
}

// placeOf is the index of a zone, -1 where there is none.
func (s *site) placeOf(zone string) int {
	if i, ok := s.place[zone]; ok {
		return i
	}
	return -1
}

// members are the signals of the given kinds in a zone and below it, one group for each that counts: a device, or a signal.
// What is seen over two paths is one: a detector confirms no fire by itself.
func (s *site) members(zone string, kinds []string, count counting) []group {
	var groups []group
	of := map[string]int{}
	for _, i := range s.below[zone] {
		sig := s.signals[i]
		if !slices.Contains(kinds, sig.Signal.Kind) {
			continue
		}
		name := s.self(sig, count)
		n, ok := of[name]
		if !ok {
			n = len(groups)
			of[name] = n
			groups = append(groups, group{place: s.placeOf(sig.Device.Zone)})
		}
		g := &groups[n]
		for _, j := range s.siblings(i, []string{"test"}) {
			if !slices.Contains(g.tests, j) {
				g.tests = append(g.tests, j)
			}
		}
		g.members = append(g.members, i)
	}
	return groups
}

// counting is what a condition counts.
type counting uint8

const (
	ofSignals counting = iota
	ofDevices
)

// self is what a signal counts as: its device, or itself; where it is seen over two paths, the first of them.
func (s *site) self(sig Signal, count counting) string {
	switch twin := s.twins[sig.Key]; {
	case count == ofDevices && sig.Device.SameAs != "":
		return sig.Device.SameAs
	case count == ofDevices:
		return sig.Device.ID
	case twin != "":
		return twin
	}
	return sig.Key
}

// siblings are the signals of the given kinds in the same device.
func (s *site) siblings(i int, kinds []string) []int {
	var list []int
	for _, j := range s.device[s.signals[i].Device.ID] {
		if slices.Contains(kinds, s.signals[j].Signal.Kind) {
			list = append(list, j)
		}
	}
	return list
}

// unknown reports a signal that there is not, with those of its device or the nearest of all.
func (s *site) unknown(at reporter, key string) {
	device, _, _ := strings.Cut(key, ".")
	var allowed []string
	for _, i := range s.device[device] {
		allowed = append(allowed, s.signals[i].Key)
	}
	if len(allowed) == 0 {
		keys := make([]string, len(s.signals))
		for i, sig := range s.signals {
			keys[i] = sig.Key
		}
		if near := conf.Nearest(key, keys); near != "" {
			allowed = []string{near}
		}
	}
	at.NotOneOf(key, allowed)
}
