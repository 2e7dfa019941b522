package mqtt

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckFilter(t *testing.T) {
	for filter, want := range map[string]error{
		"zigbee2mqtt/3F-301烟感":      nil,
		"/":                         nil,
		"a//b":                      nil,
		"#":                         nil,
		"+":                         nil,
		"+/tennis/#":                nil,
		"sport/+/player1":           nil,
		"$SYS/#":                    nil,
		"$share/gateways/plant/+/s": nil,
		"":                          errEmpty,
		"a#":                        errHash,
		"a/#/b":                     errHash,
		"a/b#":                      errHash,
		"sport+":                    errPlus,
		"a/+b/c":                    errPlus,
		"a\x00":                     errEncoding,
		"a\xff":                     errEncoding,
		strings.Repeat("x", 65535):  nil,
		strings.Repeat("x", 65536):  errLong,
		"$share/gateways":           errShareName,
		"$share/gateways/":          errShareName,
		"$share//a":                 errShareName,
		"$share/+/a":                errShareName,
		"$share/g/a/#/b":            errHash,
	} {
		if got := checkFilter(filter); got != want {
			t.Errorf("%.40q: %v, want %v", filter, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, want := range map[string]error{
		"zigbee2mqtt/siren/set": nil, "": errEmpty, "a/+": errWildcard, "#": errWildcard, "$SYS/x": errBroker,
	} {
		if got := checkName(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

// The cases of MQTT 3.1.1, 4.7.1 to 4.7.3, and our own.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, name string
		want         bool
	}{
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/tennis/player1/#", "sport/tennis/player10", false},
		{"#", "a/b/c", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"#", "$SYS/broker/uptime", false},
		{"$SYS/#", "$SYS/broker/uptime", true},
		{"ACCOUNTS", "Accounts", false},
		{"a/b", "a/b", true},
		{"a/b", "a/b/c", false},
		{"a/b/c", "a/b", false},
		{"a/+/c", "a/b/d", false},
		{"$share/g/a/+", "a/b", true},
		{"$share/g/a/+", "$share/g/a/b", false},
		{"+/#", "a", true},
	} {
		if got := matches(c.filter, c.name); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.filter, c.name, got, c.want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"a/b", "+/#", "#", "a//", "$share/g/+/x", "$share/", "a+", "/", "\x00"} {
		f.Add(seed, "a/b")
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		if checkFilter(filter) != nil {
			return
		}
		if topic := topicOf(filter); topic == "" || !utf8.ValidString(topic) {
			t.Errorf("filter %q has the topic %q", filter, topic)
		}
		if checkName(name) != nil {
			return
		}
		got := matches(filter, name)
		if got != slowMatches(strings.Split(topicOf(filter), "/"), strings.Split(name, "/")) && !strings.HasPrefix(topicOf(filter), "$") {
			t.Errorf("%q matches %q: %v", filter, name, got)
		}
		if checkName(filter) == nil && matches(filter, filter) != true {
			t.Errorf("%q does not match itself", filter)
		}
	})
}

// slowMatches says the same level by level.
func slowMatches(filter, name []string) bool {
	switch {
	case len(filter) == 0:
		return len(name) == 0
	case filter[0] == "#":
		return true
	case len(name) == 0:
		return false
	}
	return (filter[0] == "+" || filter[0] == name[0]) && slowMatches(filter[1:], name[1:])
}
