package gateway

import (
	"net/url"
	"slices"
	"strings"

	"embergate/drivers/conf"
)

// Private is what of a configuration must not leave the home: its secrets, and how people are reached. It is for texts that
// are given away, and works as far as a configuration with mistakes can be read.
func Private(root conf.Section, o Options) (all []string, err error) {
	watched := root.Watch()
	if _, err := New(root, o); err != nil {
		return nil, err
	}
	for _, secret := range watched.Secrets() {
		all = append(all, secret, url.QueryEscape(secret), url.PathEscape(secret))
		if u, err := url.Parse(secret); err == nil && u.User != nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	for _, at := range root.At("heartbeat").Items() {
		if u, err := url.Parse(at.At("url").Value()); err == nil && u.Path != "/" {
			password, _ := u.User.Password()
			all = append(all, u.RequestURI(), password)
		}
	}
	people := append(root.At("duty").At("people").Items(), root.At("site").At("contact"))
	for _, at := range people {
		phone := at.At("phone").Value()
		all = append(all, phone, strings.TrimPrefix(phone, "+86"), strings.TrimPrefix(phone, "+"), at.At("email").Value())
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(s string) bool { return len(s) < 3 }), nil
}

// SerialPorts are the serial lines of a configuration, as paths.
func (g *Gateway) SerialPorts() (paths []string) {
	for _, l := range g.links {
		if scheme, path, _ := strings.Cut(l.url, "://"); (scheme == "rtu" || scheme == "serial") && strings.HasPrefix(path, "/") && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// Data is the folder of the state.
func (g *Gateway) Data() string { return string(g.cfg.Data) }

// ClockSynchronised tells whether the kernel counts the clock of this machine as synchronised.
func ClockSynchronised() bool { return synced() }
