package modbus

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/serial"
)

// settings are the keys of an endpoint's modbus section.
type settings struct {
	URL          string         `yaml:"url"`
	Baud         int            `yaml:"baud"`
	Parity       string         `yaml:"parity"`
	StopBits     int            `yaml:"stop_bits"`
	DataBits     int            `yaml:"data_bits"`
	RS485        bool           `yaml:"rs485"`   // the kernel turns the line's direction round
	Timeout      time.Duration  `yaml:"timeout"` // of one request
	Retries      int            `yaml:"retries"`
	Gap          *time.Duration `yaml:"gap"` // between two requests
	ConnectDelay time.Duration  `yaml:"connect_delay"`
	Register     string         `yaml:"register"`  // what the converter says first when it dials in
	Heartbeat    string         `yaml:"heartbeat"` // what it says in between
}

// line is how a serial line is set.
type line = serial.Line

// place is where a wire is: a serial path, a host:port, or a port of ours at which a converter dials in.
type place struct {
	framing   framing
	name      string // what wires are shared by
	listen    string // the address at which the converter dials in, "" where we dial
	register  string // by which it is known there; "" is whoever comes
	heartbeat string
}

// defaults of what the configuration leaves out.
const (
	defaultPort          = "502"
	defaultSerialTimeout = 500 * time.Millisecond
	defaultTCPTimeout    = time.Second
	defaultDialInTimeout = 3 * time.Second // mostly a mobile network lies between
	defaultSerialGap     = 20 * time.Millisecond
	defaultEvery         = time.Second
)

// decodeSettings reads an endpoint's settings; ok is false where its place is not known.
func decodeSettings(s conf.Section) (set settings, at place, ok bool) {
	set = settings{Baud: 9600, Parity: "none", StopBits: 1, DataBits: 8, Retries: 1}
	s.Decode(&set)
	at, ok = parseURL(s.At("url"), set.URL)
	at.dialIn(s, set)
	if ok && at.framing != rtu {
		for _, key := range []string{"baud", "parity", "stop_bits", "data_bits", "rs485"} {
			if s.At(key).Exists() {
				s.At(key).Problem("this key is for a serial line, rtu:///dev/…; a TCP connection has none")
			}
		}
	}
	if speeds := serial.Speeds(); speeds[set.Baud] == 0 {
		var names []string
		for _, baud := range slices.Sorted(maps.Keys(speeds)) {
			names = append(names, strconv.Itoa(baud))
		}
		s.At("baud").NotOneOf(s.At("baud").Value(), names)
	}
	oneOf(s.At("parity"), set.Parity, "none", "even", "odd")
	oneOf(s.At("stop_bits"), strconv.Itoa(set.StopBits), "1", "2")
	oneOf(s.At("data_bits"), strconv.Itoa(set.DataBits), "7", "8")
	if set.Retries < 0 || set.Retries > 10 {
		s.At("retries").Problem("must be between %d and %d", 0, 10)
	}
	if s.At("timeout").Exists() && set.Timeout < time.Millisecond {
		s.At("timeout").Problem("a timeout is at least 1ms")
	}
	if set.Timeout == 0 && at.listen != "" {
		set.Timeout = defaultDialInTimeout
	}
	if set.Timeout == 0 {
		set.Timeout = map[framing]time.Duration{tcp: defaultTCPTimeout, rtuOver: defaultTCPTimeout, rtu: defaultSerialTimeout}[at.framing]
	}
	if set.Gap == nil {
		gap := map[framing]time.Duration{rtu: defaultSerialGap}[at.framing]
		set.Gap = &gap
	}
	return set, at, ok
}

func oneOf(s conf.Section, got string, allowed ...string) {
	if !slices.Contains(allowed, got) {
		s.NotOneOf(got, allowed)
	}
}

func (set settings) line() line {
	return line{Baud: set.Baud, DataBits: set.DataBits, StopBits: set.StopBits, Parity: set.Parity, RS485: set.RS485}
}

// parseURL reads tcp://host[:502], rtu:///dev/…, rtu+tcp://host:port, or rtu+listen://[address]:port and tcp+listen://.
func parseURL(s conf.Section, raw string) (place, bool) {
	wrong := func() (place, bool) {
		s.Problem("an address is tcp://host[:502], rtu:///dev/… or rtu+tcp://host:port, not %q", raw)
		return place{}, false
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return wrong()
	}
	switch scheme := u.Scheme; scheme {
	case "rtu":
		if u.Host != "" || len(u.Path) < 2 || strings.HasSuffix(u.Path, "/") {
			s.Problem("a serial line is rtu:// and its whole path: rtu:///dev/serial/by-id/…, not %q", raw)
			return place{}, false
		}
		return place{framing: rtu, name: filepath.Clean(u.Path)}, true
	case "rtu+listen", "tcp+listen":
		n, err := strconv.Atoi(u.Port())
		if strings.Trim(u.Path, "/") != "" || err != nil || n < 1 || n > 65535 {
			s.Problem("a port at which converters dial in is rtu+listen://:PORT or rtu+listen://ADDRESS:PORT, not %q", raw)
			return place{}, false
		}
		listen := net.JoinHostPort(strings.ToLower(u.Hostname()), u.Port())
		return place{framing: map[string]framing{"rtu+listen": rtuOver, "tcp+listen": tcp}[scheme], name: listen, listen: listen}, true
	case "tcp", "rtu+tcp":
		port, framing := u.Port(), tcp
		if scheme == "rtu+tcp" {
			framing = rtuOver
			if port == "" {
				s.Problem("RTU over TCP has no port of its own: give one, rtu+tcp://host:port")
				return place{}, false
			}
		}
		if port == "" {
			port = defaultPort
		}
		if n, err := strconv.Atoi(port); u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || err != nil || n < 1 || n > 65535 {
			return wrong()
		}
		return place{framing: framing, name: net.JoinHostPort(strings.ToLower(u.Hostname()), port)}, true
	}
	return wrong()
}

// deviceKeys are the keys of a device besides those that all devices have. A profile may hold them under modbus: as defaults.
type deviceKeys struct {
	Unit         *int           `yaml:"unit"`
	MaxGap       *int           `yaml:"max_gap"`
	MaxRegisters *int           `yaml:"max_registers"`
	MaxBits      *int           `yaml:"max_bits"`
	Gap          *time.Duration `yaml:"gap"`   // between two requests to this device
	Alive        string         `yaml:"alive"` // written after each poll that the gateway took
}

// decodeDevice reads one device; its signals are made ready.
func decodeDevice(e drivers.Endpoint, s conf.Section, f framing) *device {
	var own, model deviceKeys
	dev, profile := e.Device(s, "modbus", &own)
	profile.Settings.Decode(&model)
	if dev.Every == 0 {
		dev.Every = defaultEvery
	}
	d := &device{Device: dev}
	d.trace.log, d.trace.device = e.Log, dev.ID
	least, greatest := 1, 247 // Source: MODBUS over Serial Line V1.02, 2.2
	switch f {
	case tcp:
		least, greatest = 0, 255
	case rtuOver:
		greatest = 255 // some boxes behind converters leave the factory with 255
	}
	switch unit := first(own.Unit, model.Unit); {
	case unit == nil:
		s.At("unit").Problem("the unit id is missing, %d to %d; a TCP device that has none mostly answers to 1 or 255", least, greatest)
	default:
		d.unit = uint8(between(s, "unit", *unit, least, greatest))
	}
	d.limits = limits{
		gap:       between(s, "max_gap", value(0, own.MaxGap, model.MaxGap), 0, 124),
		registers: between(s, "max_registers", value(125, own.MaxRegisters, model.MaxRegisters), 1, 125),
		bits:      between(s, "max_bits", value(2000, own.MaxBits, model.MaxBits), 1, 2000),
	}
	d.rest = value(0, own.Gap, model.Gap)
	if at := cmp.Or(own.Alive, model.Alive); at != "" {
		d.alive = newAlive(s.At("alive"), at)
	}
	d.points = compileAll(s, dev, d.limits)
	for _, p := range d.points {
		kind := p.Of()
		d.fast = d.fast || kind.Class == drivers.Gas || kind.Class == drivers.Fire && kind.Form == drivers.State
	}
	return d
}

// compileAll makes the signals of a device ready and reports their mistakes: at their own keys, or at the device's profile.
func compileAll(s conf.Section, dev drivers.Device, l limits) []point {
	listed := s.At("signals").Items()
	points := make([]point, 0, len(dev.Signals))
	for i, sig := range dev.Signals {
		p, mistakes := compile(&dev.Signals[i])
		p.key = dev.Key(sig)
		if len(mistakes) == 0 && !p.at.Table.Bits() && p.count > l.registers {
			s.At("max_registers").Problem("the signal %s takes %d registers: more than a request may read", sig.ID, p.count)
		}
		for _, m := range mistakes {
			if dev.Profile == "" && i < len(listed) {
				m.report(listed[i].At(m.key))
				continue
			}
			s.At("profile").Problem("the signal %s of the profile: %s", sig.ID, m.text())
		}
		points = append(points, p)
	}
	linkPoints(points)
	return points
}

// between reports a number outside its bounds at the key, or where it comes from the profile, at the device.
func between(s conf.Section, key string, n, least, greatest int) int {
	if n < least || n > greatest {
		s.At(key).Problem("must be between %d and %d", least, greatest)
	}
	return n
}

// first is the first value that is given, nil if none is.
func first[T any](given ...*T) *T {
	for _, v := range given {
		if v != nil {
			return v
		}
	}
	return nil
}

// value is the first value that is given, or the default.
func value[T any](byDefault T, given ...*T) T {
	if v := first(given...); v != nil {
		return *v
	}
	return byDefault
}
