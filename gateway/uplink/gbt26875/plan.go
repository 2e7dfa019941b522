package gbt26875

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/uplink"
	"embergate/rules"
)

// plan is how the home looks to the centre: its parts, systems and analog values. The parts are laid out anew when their numbers
// come from the store; the analog values, for which any goroutine may ask, never change.
type plan struct {
	parts    map[string]part // by device
	texts    map[part]string // what a part is, for people
	asked    map[[askedBytes]byte]part
	systems  []system          // that have parts
	kinds    map[string]string // kind of a signal, by key
	analogs  map[string]scale  // signals that are sent as values
	byPart   map[part][]string // of those, the ones of a part
	device   map[string]string // device of such a signal
	people   map[string]uint8  // numbers of operators, by name
	numbers  numbers           // of zones and devices
	settings settings
	o        Options
}

// partTypes are the types of parts (8.2.1.2) in the order in which they say what a device is: one that measures smoke and
// heat is a smoke detector.
var partTypes = []struct {
	kind uint8
	of   []string
}{
	{1, []string{"fire_panel_alarm"}},
	{23, []string{"call_point"}},
	{40, []string{"smoke", "obscuration"}},
	{69, []string{"flame"}},
	{10, []string{"gas_alarm", "gas_lel"}},
	{74, []string{"co_alarm", "co"}},
	{17, []string{"residual_current"}},
	{18, []string{"cable_temperature"}},
	{16, []string{"arc_fault", "breaker", "voltage", "current", "power", "power_factor", "frequency", "energy", "thd"}},
	{30, []string{"heat", "temperature"}},
	{91, []string{"pump"}},
	{96, []string{"flow_switch", "flow"}},
	{99, []string{"water_pressure"}},
	{92, []string{"water_level"}},
	{121, []string{"sounder"}},
}

// typeOf is the type of a device, and the class of what makes it that.
func typeOf(d drivers.Device) (kind uint8, class drivers.Class) {
	for _, t := range partTypes {
		for _, s := range d.Signals {
			if slices.Contains(t.of, s.Kind) {
				return t.kind, s.Of().Class
			}
		}
	}
	if len(d.Signals) > 0 {
		return 0, d.Signals[0].Of().Class
	}
	return 0, drivers.DeviceClass
}

func newPlan(c settings, o Options) plan {
	p := plan{
		kinds: map[string]string{}, analogs: map[string]scale{}, device: map[string]string{}, people: map[string]uint8{}, settings: c, o: o,
	}
	for i, name := range o.People {
		if _, taken := p.people[name]; !taken && i < 255 {
			p.people[name] = uint8(i + 1)
		}
	}
	for _, d := range o.Devices {
		taken := map[uint8]bool{} // the first value of each type: the centre could not tell two apart
		for _, s := range d.Signals {
			p.kinds[d.Key(s)] = s.Kind
			if sc, ok := scales[s.Kind]; ok && !taken[sc.kind] {
				taken[sc.kind] = true
				p.analogs[d.Key(s)], p.device[d.Key(s)] = sc, d.ID
			}
		}
	}
	p.lay()
	return p
}

// numbers are the zones and numbers that were given to parts. They stay with them, so that a device that is added later
// moves no other.
type numbers struct {
	Zones   map[string]uint16    `json:"zones"`
	Devices map[string][2]uint16 `json:"devices"` // zone, number
}

// give gives numbers to zones and devices that have none: the next ones, in the order of the configuration.
func (n *numbers) give(zones []Zone, devices []drivers.Device, fixed map[string]partKey) {
	if n.Zones == nil {
		n.Zones = map[string]uint16{}
	}
	if n.Devices == nil {
		n.Devices = map[string][2]uint16{}
	}
	var last uint16
	for _, z := range n.Zones {
		last = max(last, z)
	}
	for _, z := range zones {
		if _, known := n.Zones[z.ID]; !known {
			last++
			n.Zones[z.ID] = last
		}
	}
	lasts, used := map[uint16]uint16{}, map[[2]uint16]bool{}
	use := func(at [2]uint16) { lasts[at[0]], used[at] = max(lasts[at[0]], at[1]), true }
	taken := map[[2]uint16]bool{}
	for _, k := range fixed {
		if k.fixed() {
			taken[[2]uint16{*k.Zone, *k.Number}] = true
		}
	}
	maps.DeleteFunc(n.Devices, func(_ string, at [2]uint16) bool { return taken[at] }) // they get another
	for id, k := range fixed {
		if k.fixed() {
			n.Devices[id] = [2]uint16{*k.Zone, *k.Number}
		}
	}
	for _, at := range n.Devices {
		use(at)
	}
	for _, d := range devices {
		if _, known := n.Devices[d.ID]; !known {
			at := [2]uint16{n.Zones[d.Zone], lasts[n.Zones[d.Zone]] + 1}
			for at[1] == 0 || used[at] {
				at[1]++ // behind the last there is room again from 1
			}
			n.Devices[d.ID] = at
			use(at)
		}
	}
}

// number gives the parts the numbers of the store, and keeps there what is new. Until then they have those of the
// configuration alone.
func (p *plan) number(ctx context.Context, j uplink.Journal, key string) error {
	text, err := j.Get(ctx, key)
	if err != nil {
		return err
	}
	p.numbers = numbers{}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &p.numbers); err != nil {
			p.o.Log.Error("numbers of parts as stored cannot be read, they are given anew", "err", err)
			p.numbers = numbers{}
		}
	}
	p.lay()
	now, _ := json.Marshal(p.numbers) // numbers always marshal
	if string(now) == text {
		return nil
	}
	return j.Set(ctx, key, string(now))
}

// lay lays the parts out by their numbers.
func (p *plan) lay() {
	p.numbers.give(p.o.Zones, p.o.Devices, p.settings.Parts)
	p.parts, p.texts, p.byPart, p.asked = map[string]part{}, map[part]string{}, map[part][]string{}, map[[askedBytes]byte]part{}
	systems := map[system]bool{{0, p.settings.Building}: true} // the gateway itself
	for _, d := range p.o.Devices {
		kind, class := typeOf(d)
		at := p.numbers.Devices[d.ID]
		one := part{system{p.settings.Systems[string(class)], p.settings.Building}, kind, at[0], at[1]}
		k := p.settings.Parts[d.ID]
		if k.System != nil {
			one.system.kind = *k.System
		}
		if k.Type != nil {
			one.kind = *k.Type
		}
		p.parts[d.ID], p.asked[one.asked()], systems[one.system] = one, one, true
		p.texts[one] = strings.TrimSpace(d.Name + " " + p.path(d.Zone))
	}
	for key := range p.analogs {
		at := p.parts[p.device[key]]
		p.byPart[at] = append(p.byPart[at], key)
	}
	p.systems = slices.SortedFunc(maps.Keys(systems), func(a, b system) int { return int(a.kind) - int(b.kind) })
}

func (p *plan) path(zone string) string {
	for _, z := range p.o.Zones {
		if z.ID == zone {
			return z.Path
		}
	}
	return ""
}

// partOf is the part that an alarm is of, and what it is: a device; else, of a zone or of the gateway itself, number 0 of the
// zone or of zone 0.
func (p *plan) partOf(a alarm.Alarm) (part, string) {
	if at, ok := p.parts[a.Device]; ok {
		return at, p.texts[at]
	}
	at := part{system: system{0, p.settings.Building}, zone: p.numbers.Zones[a.Zone]}
	return at, strings.Join(strings.Fields(a.Name+" "+a.DeviceName+" "+a.ZonePath), " ")
}

// with is a state and what an alarm makes of it: an open drill puts its part under test.
func (p *plan) with(st state, a alarm.Alarm) state {
	if a.Drill && a.Active() {
		st &^= normal
	}
	return st | p.bits(a)
}

// bits are what an alarm makes of its part. Of a drill nothing is a fire: the centre would send a brigade.
func (p *plan) bits(a alarm.Alarm) (st state) {
	if a.Drill || a.Test {
		return 0
	}
	if a.ShelvedUntil != nil {
		st |= shielded
	}
	if !a.Active() {
		return st
	}
	switch a.Level {
	case rules.LevelFault:
		st |= fault
		switch {
		case p.kinds[a.Signal] == "mains":
			st |= powerFault
		case strings.HasSuffix(a.Signal, "."+drivers.LinkSignal), strings.HasSuffix(a.Signal, "."+drivers.OnlineSignal):
			st |= busFault
		}
	case rules.LevelAlarm:
		if a.Class == "fire" || a.Class == "gas" {
			return st | fire
		}
		st |= supervised
	case rules.LevelPrealarm:
		st |= supervised
	}
	return st
}
