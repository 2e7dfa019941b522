package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/gateway/console"
)

// notices are what drivers tell of their endpoints beside readings: devices that nobody configured, for the installer (row
// MQ19), certificates that end soon, which is a fault (row MQ14), and how busy their wires are. Safe for any goroutine.
type notices struct {
	mu        sync.Mutex // guards the rest
	unclaimed map[string][]console.Unclaimed
	expiring  map[string]map[string]time.Time
	load      map[string]float64
}

// maxUnclaimed bounds the devices kept for an endpoint.
const maxUnclaimed = 256

// unclaimedAt notes a device by its topic; a later model takes the place of an earlier one.
func (n *notices) unclaimedAt(endpoint, topic, profile string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unclaimed == nil {
		n.unclaimed = map[string][]console.Unclaimed{}
	}
	list := n.unclaimed[endpoint]
	i := slices.IndexFunc(list, func(u console.Unclaimed) bool { return u.Topic == topic })
	switch {
	case i >= 0:
		list = slices.Clone(list) // snapshots share the old one
		list[i].Profile = profile
	case len(list) < maxUnclaimed:
		list = append(list[:len(list):len(list)], console.Unclaimed{Topic: topic, Profile: profile})
		slices.SortFunc(list, func(a, b console.Unclaimed) int { return strings.Compare(a.Topic, b.Topic) })
	}
	n.unclaimed[endpoint] = list
}

// unclaimedOf are the devices of an endpoint that nobody configured, by topic.
func (n *notices) unclaimedOf(endpoint string) []console.Unclaimed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.unclaimed[endpoint]
}

// expiringAt notes when a certificate ends; the zero time takes the note away.
func (n *notices) expiringAt(endpoint, certificate string, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.expiring == nil {
		n.expiring = map[string]map[string]time.Time{}
	}
	if n.expiring[endpoint] == nil {
		n.expiring[endpoint] = map[string]time.Time{}
	}
	if until.IsZero() {
		delete(n.expiring[endpoint], certificate)
		return
	}
	n.expiring[endpoint][certificate] = until
}

// certificates says which certificates of an endpoint end soon, nil where none does.
func (n *notices) certificates(endpoint string, location *time.Location) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ends []string
	for _, name := range slices.Sorted(maps.Keys(n.expiring[endpoint])) {
		ends = append(ends, fmt.Sprintf("%s until %s", name, n.expiring[endpoint][name].In(location).Format(time.DateOnly)))
	}
	if ends == nil {
		return nil
	}
	return fmt.Errorf("renew its certificates: %s", strings.Join(ends, ", "))
}

// certificatesOf are the certificates of an endpoint that end soon.
func (n *notices) certificatesOf(endpoint string) (list []console.Certificate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(n.expiring[endpoint])) {
		list = append(list, console.Certificate{Name: name, Until: n.expiring[endpoint][name]})
	}
	return list
}

// busy notes which share of the time a wire is in use.
func (n *notices) busy(endpoint string, ratio float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.load == nil {
		n.load = map[string]float64{}
	}
	n.load[endpoint] = ratio
}

// loadOf is the share of the time that a wire is in use, nil where nobody measures it.
func (n *notices) loadOf(endpoint string) *float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ratio, ok := n.load[endpoint]; ok {
		return &ratio
	}
	return nil
}
