package gbt26875

import (
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// settings are the keys under gbt26875: of an uplink.
type settings struct {
	Address     string             `yaml:"address"`      // of the centre, host:port
	Source      string             `yaml:"source"`       // the address that the centre gave this site
	Destination string             `yaml:"destination"`  // the centre's own; default 0
	UserVersion uint8              `yaml:"user_version"` // second half of the protocol version, as the centre says
	Building    uint8              `yaml:"building"`     // the system address of all parts
	Timeout     time.Duration      `yaml:"timeout"`      // for a confirmation
	Heartbeat   time.Duration      `yaml:"heartbeat"`    // between two states of the gateway that has nothing to say
	Every       time.Duration      `yaml:"values_every"` // between two analog values of a part
	Systems     map[string]uint8   `yaml:"systems"`      // type of the system of each class of signals
	Parts       map[string]partKey `yaml:"parts"`        // what the centre has given a number, by device

	source, destination address
}

// partKey is what a configuration says of a part. What it does not say is found by itself.
type partKey struct {
	System *uint8  `yaml:"system"`
	Type   *uint8  `yaml:"type"`
	Zone   *uint16 `yaml:"zone"`
	Number *uint16 `yaml:"number"`
}

// fixed tells whether the configuration gives the part its place.
func (k partKey) fixed() bool { return k.Zone != nil && k.Number != nil }

// usualSystems are the types of systems (8.2.1.1). Gas and electrical fire detection have part types and no system of their
// own there: they are parts of the fire alarm system.
var usualSystems = map[string]uint8{
	string(drivers.Fire): 1, string(drivers.Gas): 1, string(drivers.Electrical): 1, string(drivers.Water): 11,
	string(drivers.Environment): 0, string(drivers.DeviceClass): 0,
}

const (
	dialTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
)

func readSettings(s conf.Section, o Options) settings {
	c := settings{UserVersion: 1, Building: 1, Timeout: 5 * time.Second, Heartbeat: 30 * time.Second, Every: time.Minute}
	s.Decode(&c)
	host, port, err := net.SplitHostPort(c.Address)
	if n, bad := strconv.Atoi(port); err != nil || host == "" || bad != nil || n < 1 || n > 65535 {
		s.At("address").Problem("%q is no address; write it as %s", c.Address, "host:port")
	}
	if c.Source == "" {
		s.At("source").Problem("the uplink needs the source address that the centre gave this site")
	} else {
		c.source = readKey(s.At("source"), c.Source)
	}
	if c.Destination != "" {
		c.destination = readKey(s.At("destination"), c.Destination)
	}
	if c.Timeout < time.Second || c.Timeout > 10*time.Second { // 6.5: not above 10 s
		s.At("timeout").Problem("a confirmation is awaited for %s to %s", time.Second, 10*time.Second)
	}
	if c.Heartbeat < 5*time.Second || c.Heartbeat > 10*time.Minute {
		s.At("heartbeat").Problem("a heartbeat comes every %s to %s", 5*time.Second, 10*time.Minute)
	}
	if c.Every < 10*time.Second || c.Every > 24*time.Hour {
		s.At("values_every").Problem("values are sent every %s to %s", 10*time.Second, 24*time.Hour)
	}
	systems := maps.Clone(usualSystems)
	for class, kind := range c.Systems {
		if _, ok := systems[class]; !ok {
			s.At("systems").NotOneOf(class, slices.Sorted(maps.Keys(usualSystems)))
		}
		systems[class] = kind
	}
	c.Systems = systems
	c.checkParts(s.At("parts"), o.Devices)
	return c
}

func readKey(s conf.Section, text string) address {
	a, err := parseAddress(text)
	if err != nil {
		s.Problem("%q is no address of a device: decimal digits, hyphens between them, or 0x and hexadecimal ones, below 2⁴⁸", text)
	}
	return a
}

func (c settings) checkParts(s conf.Section, devices []drivers.Device) {
	at := map[[2]uint16]string{}
	for _, id := range slices.Sorted(maps.Keys(c.Parts)) {
		if !slices.ContainsFunc(devices, func(d drivers.Device) bool { return d.ID == id }) {
			s.At(id).Problem("there is no device %q", id)
		}
		p := c.Parts[id]
		if (p.Zone == nil) != (p.Number == nil) {
			s.At(id).Problem("a part has both zone and number, or neither")
		}
		if !p.fixed() {
			continue
		}
		place := [2]uint16{*p.Zone, *p.Number}
		if other, taken := at[place]; taken {
			s.At(id).Problem("the zone and number of this part are those of %s too", other)
		}
		at[place] = id
	}
}

// dial opens the connection to the centre, until ctx ends. Names are resolved anew each time.
func (c settings) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return d.DialContext(ctx, "tcp", c.Address)
}
