package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/gateway/access"
	"embergate/gateway/console"
	"embergate/gateway/store"

	"github.com/prometheus/client_golang/prometheus"
)

// admit makes the access to the console: nil for a demonstration, which everybody on the machine may use. Done takes away
// the token that it lays out for the shell.
func (g *Gateway) admit(ctx context.Context, st *store.Store) (a *access.Access, done func()) {
	if g.Demo {
		return nil, func() {}
	}
	a = access.New(st, g.people, g.Log)
	if _, err := a.Setup(ctx); err != nil { // writes the one-time code where nobody may come in yet
		g.Log.Error("users cannot be read", "err", err)
	}
	done, err := a.Shell(st.Dir())
	if err != nil {
		g.Log.Error("no token for the verbs of this machine", "err", err)
		return a, func() {}
	}
	return a, done
}

// readPeople are the ids and names of the duty roster, in whose names a shared account acts.
func readPeople(s conf.Section) (people []access.Person) {
	for _, at := range s.Items() {
		p := access.Person{ID: at.At("id").Value(), Name: at.At("name").Value()}
		if p.Name == "" {
			p.Name = p.ID
		}
		people = append(people, p)
	}
	return people
}

// Local is how the verbs on the machine of a daemon reach it.
type Local struct {
	URL         string
	TokenFile   string // laid out by the daemon for those who may read its data directory
	Certificate string // the file of the console's, "" without TLS
}

// Local is how the verbs on this machine reach the daemon of this configuration.
func (g *Gateway) Local() Local {
	l := Local{TokenFile: filepath.Join(string(g.cfg.Data), access.ShellFile)}
	host, port, _ := net.SplitHostPort(g.cfg.Console.Listen)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if c := newCertificate(g.cfg.Console, string(g.cfg.Data), g.Log); c != nil {
		scheme, l.Certificate = "https", c.cert
	}
	l.URL = scheme + "://" + net.JoinHostPort(host, port)
	return l
}

// People opens the access to the state of this configuration for a verb, whether a daemon runs or not. What it makes
// belongs to the owner of the directory.
func (g *Gateway) People() (_ *access.Access, done func() error, err error) {
	st, err := store.Open(string(g.cfg.Data), g.Log)
	if err != nil {
		return nil, nil, err
	}
	return access.New(st, g.people, g.Log), st.Close, nil
}

// serve keeps the console listening: an address that is taken, or a certificate that cannot be read, must not keep alarms
// from working.
func (g *Gateway) serve(ctx context.Context, h *hub, a *access.Access) {
	cfg := g.cfg.Console
	handler := console.New(console.Options{
		Lang: g.cfg.Site.Language, Source: h, Acts: h, History: h, Refused: h.refused, Notes: h, Rounds: h, Walks: h, Months: h, Links: h, Couriers: h, Archive: h, Writes: h, Demo: g.Demo, Host: cfg.host(), Metrics: g.metrics.handler(), Frames: g.frames, Wires: wires{g.links}, Log: g.Log,
		Access: a, Proxies: cfg.proxies(), Public: cfg.PublicURL, Operations: g.operations(h), Adding: g.adding(h),
	})
	for ctx.Err() == nil {
		listener, err := g.openConsole()
		if err == nil {
			h.consoleUp(nil)
			err = console.Serve(ctx, listener, handler, g.Log)
		}
		if ctx.Err() != nil {
			return
		}
		h.consoleUp(err)
		g.Log.Error("console does not listen", "listen", cfg.Listen, "err", err)
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
}

// openConsole opens the console's address, with TLS where there is a certificate. The listener that was given is used once.
func (g *Gateway) openConsole() (net.Listener, error) {
	if g.certificate != nil {
		if err := g.certificate.ready(); err != nil {
			return nil, err
		}
	}
	listener := g.Listener
	g.Listener = nil
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", g.cfg.Console.Listen); err != nil {
			return nil, err
		}
	}
	if g.certificate == nil {
		return listener, nil
	}
	return tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: g.certificate.get}), nil
}

// certificate adds the end of the console's certificate.
func (m *metrics) certificate(until func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "embergate_certificate_end_timestamp_seconds", Help: "When the console's certificate ends, in seconds since 1970.",
	}, until))
}

// TLS is how the console encrypts: with files, or with a certificate that it makes for itself.
type TLS struct {
	Cert       conf.Path `yaml:"cert"`
	Key        conf.Path `yaml:"key"`
	SelfSigned bool      `yaml:"self_signed"`
}

func (t TLS) on() bool { return t.Cert != "" || t.SelfSigned }

// host is the name or address under which the console listens.
func (c Console) host() string {
	host, _, _ := net.SplitHostPort(c.Listen) // check has reported what is no address
	return host
}

// proxies are those whose word is taken for where a request comes from; none where the console stands alone.
func (c Console) proxies() (list []netip.Prefix) {
	if !c.BehindProxy {
		return nil
	}
	for _, text := range c.TrustedProxies {
		if p, ok := prefix(text); ok {
			list = append(list, p)
		}
	}
	return list
}

// prefix is an address or a range of them.
func prefix(text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		ip, err := netip.ParseAddr(text)
		return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), err == nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err == nil
}
