package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"embergate/drivers/conf"
)

// settings are the keys under mqtt: of an uplink.
type settings struct {
	URL       string        `yaml:"url"`         // mqtt:// mqtts:// ws:// wss://
	ClientID  string        `yaml:"client_id"`   // default: embergate-SITE-ID
	Username  string        `yaml:"username"`    //
	Password  conf.Secret   `yaml:"password"`    // also password_file
	Topic     string        `yaml:"topic"`       // all topics begin with it
	Commands  bool          `yaml:"commands"`    // the platform may act on alarms
	Every     time.Duration `yaml:"state_every"` // numbers of a device are sent at most so often; what changes its meaning, at once
	KeepAlive time.Duration `yaml:"keep_alive"`  // whole seconds
	TLS       tlsSettings   `yaml:"tls"`

	broker *url.URL // with its port; nil where the url is wrong
	visit  bool     // only to look: no will
}

type tlsSettings struct {
	CA         conf.Path `yaml:"ca"`          // PEM; default: the system's
	Cert       conf.Path `yaml:"cert"`        // PEM, our own certificate
	Key        conf.Path `yaml:"key"`         // PEM, its key
	ServerName string    `yaml:"server_name"` // where it is not the host of the url
}

// ports are the usual ones of each scheme.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

func readSettings(s conf.Section, o Options) settings {
	c := settings{ClientID: "embergate-" + o.Site + "-" + o.ID, Every: 10 * time.Second, KeepAlive: 30 * time.Second}
	s.Decode(&c)
	c.broker = readURL(s.At("url"))
	if c.ClientID == "" {
		s.At("client_id").Problem("a client identifier is needed")
	}
	switch {
	case c.Topic == "":
		s.At("topic").Problem("the uplink needs a topic to publish under")
	case strings.ContainsAny(c.Topic, "+#\x00") || strings.HasPrefix(c.Topic, "$") || strings.HasSuffix(c.Topic, "/") || len(c.Topic) > 1000:
		s.At("topic").Problem("%q is no topic to publish under; write it as %s", c.Topic, "embergate/my-home") // MQTT 3.1.1, 4.7
	}
	if c.Every < time.Second || c.Every > time.Hour {
		s.At("state_every").Problem("the state of a device is sent every %s to %s", time.Second, time.Hour)
	}
	if c.KeepAlive < time.Second || c.KeepAlive > 65535*time.Second || c.KeepAlive%time.Second != 0 {
		s.At("keep_alive").Problem("keep_alive is whole seconds from 1s to 65535s") // MQTT 3.1.1, 3.1.2.10
	}
	if c.Password.IsSet() && c.Username == "" {
		s.At("username").Problem("a password needs a username") // MQTT 3.1.1 [MQTT-3.1.2-22]
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		s.At("tls").Problem("tls needs both cert and key")
	}
	if s.At("tls").Exists() && c.broker != nil && !c.encrypted() {
		s.At("tls").Problem("tls needs a url that starts with mqtts:// or wss://")
	}
	return c
}

// readURL is the broker's address with its port; nil where it is wrong.
func readURL(s conf.Section) *url.URL {
	u, err := url.Parse(s.Value())
	port, known := "", false
	if err == nil {
		port, known = ports[u.Scheme]
	}
	if !known || u.Hostname() == "" {
		s.Problem("%q is no address; write it as %s", s.Value(), "mqtts://broker.example.org")
		return nil
	}
	if u.User != nil {
		s.Problem("give the user under username and password, not in the url")
		return nil
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	if u.Path == "" && strings.HasPrefix(u.Scheme, "ws") {
		u.Path = "/mqtt" // as brokers usually have it
	}
	return u
}

func (c settings) encrypted() bool { return c.broker.Scheme == "mqtts" || c.broker.Scheme == "wss" }

// tlsConfig reads the certificates; each connection reads them anew, so a renewed one needs no restart.
func (c settings) tlsConfig() (*tls.Config, error) {
	if !c.encrypted() {
		return nil, nil
	}
	t := &tls.Config{ServerName: c.TLS.ServerName, MinVersion: tls.VersionTLS12}
	if t.ServerName == "" {
		t.ServerName = c.broker.Hostname()
	}
	if c.TLS.CA != "" {
		authorities, err := os.ReadFile(string(c.TLS.CA))
		if err != nil {
			return nil, fmt.Errorf("read tls ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("tls ca %s holds no certificate", c.TLS.CA)
		}
	}
	if c.TLS.Cert != "" {
		own, err := tls.LoadX509KeyPair(string(c.TLS.Cert), string(c.TLS.Key))
		if err != nil {
			return nil, fmt.Errorf("read tls cert: %w", err)
		}
		t.Certificates = []tls.Certificate{own}
	}
	return t, nil
}
