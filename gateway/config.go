package gateway

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/console"
	"embergate/rules"
)

// Config is a whole configuration as written; the parts that other packages own stay sections until those read them.
type Config struct {
	Site      Site           `yaml:"site"`
	Data      conf.Path      `yaml:"data"`
	Zones     []Zone         `yaml:"zones"`
	Profiles  []conf.Section `yaml:"profiles"` // files of device models
	Endpoints []conf.Section `yaml:"endpoints"`
	Derived   []conf.Section `yaml:"derived"` // devices whose signals follow from those of others
	Rules     conf.Section   `yaml:"rules"`
	Duty      conf.Section   `yaml:"duty"`
	Channels  conf.Section   `yaml:"channels"`
	Uplinks   []conf.Section `yaml:"uplinks"`
	Console   Console        `yaml:"console"`
	Heartbeat []Heartbeat    `yaml:"heartbeat"`
	DailyTest string         `yaml:"daily_test"` // of the channels: 09:00, or off
}

// Site is the facility that this gateway stands in.
type Site struct {
	ID       string    `yaml:"id"`     // [a-z0-9-]{1,40}; the tag `site` of every series
	Name     string    `yaml:"name"`   //
	Region   string    `yaml:"region"` // GB/T 2260 code of the administrative division, six digits
	Timezone string    `yaml:"timezone"`
	Language i18n.Lang `yaml:"language"`
	Beds     int       `yaml:"beds"`
	Position struct {
		Lat float64 `yaml:"lat"`
		Lon float64 `yaml:"lon"`
	} `yaml:"position"`
	Contact struct {
		Name  string `yaml:"name"`
		Phone string `yaml:"phone"`
	} `yaml:"contact"`
}

// Zone is a place in the site's tree.
type Zone struct {
	ID        string `yaml:"id"`
	Name      string `yaml:"name"`
	In        string `yaml:"in"`
	Residents int    `yaml:"residents"` // people who live there
	Assisted  int    `yaml:"assisted"`  // of them, those who cannot leave alone
	Camera    Camera `yaml:"camera"`
}

// Console is where people look.
type Console struct {
	Listen         string   `yaml:"listen"`
	TLS            TLS      `yaml:"tls"`
	BehindProxy    bool     `yaml:"behind_proxy"`
	TrustedProxies []string `yaml:"trusted_proxies"` // addresses and ranges; loopback where it is missing
	PublicURL      string   `yaml:"public_url"`      // as people reach it: https://fire.home.example
}

var regionPattern = regexp.MustCompile(`^[0-9]{6}$`)

// readConfig decodes the file, with the defaults, and reports what stands in its own keys.
func readConfig(root conf.Section) (Config, *time.Location) {
	cfg := Config{
		Site:      Site{Timezone: "Asia/Shanghai", Language: i18n.Chinese},
		Data:      "/var/lib/embergate",
		DailyTest: "09:00",
		Console:   Console{Listen: "127.0.0.1:8080", TrustedProxies: []string{"127.0.0.0/8", "::1"}},
	}
	root.Decode(&cfg)
	location := cfg.Site.check(root.At("site"))
	cfg.Console.check(root.At("console"))
	readHeartbeats(root.At("heartbeat"), cfg.Heartbeat)
	return cfg, location
}

func (c Site) check(s conf.Section) *time.Location {
	if c.Beds < 0 || c.Beds > 10_000 {
		s.At("beds").Problem("must be between %d and %d", 0, 10_000)
	}
	if c.Position.Lat < -90 || c.Position.Lat > 90 {
		s.At("position").At("lat").Problem("must be between %d and %d", -90, 90)
	}
	if c.Position.Lon < -180 || c.Position.Lon > 180 {
		s.At("position").At("lon").Problem("must be between %d and %d", -180, 180)
	}
	if !drivers.IDPattern.MatchString(c.ID) {
		s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", c.ID)
	}
	if c.Region != "" && !regionPattern.MatchString(c.Region) {
		s.At("region").Problem("a region is the six digits of GB/T 2260, not %q", c.Region)
	}
	if !slices.Contains(i18n.Langs, c.Language) {
		s.At("language").NotOneOf(string(c.Language), []string{"zh", "en"})
	}
	location, err := time.LoadLocation(c.Timezone)
	if err != nil || c.Timezone == "" || c.Timezone == "Local" {
		s.At("timezone").Problem("%q is no time zone; write it as Asia/Shanghai", c.Timezone)
		location = time.UTC
	}
	return location
}

func (c Console) check(s conf.Section) {
	host, port, err := net.SplitHostPort(c.Listen)
	if n, bad := strconv.Atoi(port); err != nil || bad != nil || n < 0 || n > 65535 { // 0 is any free one
		s.At("listen").Problem("%q is no address; write it as %s", c.Listen, "127.0.0.1:8080")
		return
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		s.At("tls").Problem("tls needs both cert and key")
	}
	if c.TLS.SelfSigned && c.TLS.Cert != "" {
		s.At("tls").Problem("tls has either cert and key, or self_signed: true")
	}
	addr, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && addr.IsLoopback()
	if !loopback && !c.TLS.on() && !c.BehindProxy {
		s.At("listen").Problem("%s can be reached from outside; that needs tls or behind_proxy: true", c.Listen)
	}
	for i, text := range c.TrustedProxies {
		if _, ok := prefix(text); !ok {
			s.At("trusted_proxies").Items()[i].Problem("%q is no address and no range of them; write it as 192.168.1.2 or 10.0.0.0/8", text)
		}
	}
	if c.PublicURL != "" && c.publicHost() == "" {
		s.At("public_url").Problem("%q is no address of a console; write it as https://fire.home.example, without a path", c.PublicURL)
	}
}

// publicHost is the host of the public address; "" where there is none, or it is not one of a whole host.
func (c Console) publicHost() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return ""
	}
	return u.Hostname()
}

// place is a zone with its path from the root of the tree.
type place struct {
	Zone
	Path string // 一层 / 厨房
}

// checkZones reports what is wrong with the tree and answers the places by id.
func checkZones(s conf.Section, zones []Zone) map[string]place {
	places := map[string]place{}
	for i, z := range zones {
		at := s.Items()[i]
		if !drivers.IDPattern.MatchString(z.ID) {
			at.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", z.ID)
		}
		if _, double := places[z.ID]; double {
			at.At("id").Problem("the zone %q is there twice", z.ID)
		}
		if z.Name == "" {
			z.Name = z.ID
		}
		z.Camera.check(at.At("camera"))
		places[z.ID] = place{Zone: z}
	}
	for i, z := range zones {
		if _, ok := places[z.In]; z.In != "" && !ok {
			s.Items()[i].At("in").NotOneOf(z.In, zoneIDs(places))
		}
	}
	for id, p := range places {
		path, ok := pathOf(places, id)
		if !ok {
			i := slices.IndexFunc(zones, func(z Zone) bool { return z.ID == id })
			s.Items()[i].At("in").Problem("the zone lies within itself")
		}
		p.Path = path
		places[id] = p
	}
	return places
}

// pathOf joins the names from the root down to the zone; false where the tree has a loop.
func pathOf(places map[string]place, id string) (string, bool) {
	var names []string
	for steps := 0; id != ""; steps++ {
		if steps > len(places) {
			return "", false
		}
		p := places[id]
		names = append(names, p.Name)
		id = p.In
	}
	slices.Reverse(names)
	return strings.Join(names, " / "), true
}

func zoneIDs(places map[string]place) []string { return slices.Sorted(maps.Keys(places)) }

// ruleZones and pageZones are the tree as the rules and the console want it, in the order of the file.
func ruleZones(zones []Zone, places map[string]place) []rules.Zone {
	list := make([]rules.Zone, 0, len(zones))
	for _, z := range zones {
		p := places[z.ID]
		list = append(list, rules.Zone{ID: p.ID, Name: p.Name, Path: p.Path, In: p.In})
	}
	return list
}

func pageZones(zones []Zone, places map[string]place) []console.Zone {
	list := make([]console.Zone, 0, len(zones))
	for _, z := range zones {
		p := places[z.ID]
		list = append(list, console.Zone{ID: p.ID, Name: p.Name, Path: p.Path, In: p.In, Residents: p.Residents, Camera: p.Camera.Live})
	}
	return list
}
