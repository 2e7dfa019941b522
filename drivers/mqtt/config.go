package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// settings are the endpoint's own keys, under mqtt.
type settings struct {
	URL         string        `yaml:"url"`          // mqtt:// mqtts:// ws:// wss://
	ClientID    string        `yaml:"client_id"`    // stable: the broker keeps the session under it
	Username    string        `yaml:"username"`     //
	Password    conf.Secret   `yaml:"password"`     // also password_file
	QoS         int           `yaml:"qos"`          // of the subscriptions, 0 or 1
	KeepAlive   time.Duration `yaml:"keep_alive"`   // whole seconds
	StatusTopic string        `yaml:"status_topic"` // our own birth and will, online and offline
	TLS         tlsSettings   `yaml:"tls"`          //
	Topic       string        `yaml:"topic"`        // of devices without one of their own; {id}, {zone} and {name} are theirs
	Watch       []string      `yaml:"watch"`        // filters under which devices are looked for that nobody configured

	broker *url.URL // URL with its port, without user
	visit  bool     // a person reads beside the daemon: the daemon's session, status and identifier are left alone
}

type tlsSettings struct {
	CA         conf.Path `yaml:"ca"`          // PEM; default: the system's
	Cert       conf.Path `yaml:"cert"`        // PEM, our own certificate
	Key        conf.Path `yaml:"key"`         // PEM, its key
	ServerName string    `yaml:"server_name"` // where it is not the host of the URL
	Insecure   bool      `yaml:"insecure"`    // trials: any certificate will do
}

// ports are the schemes of a URL with their usual ports.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

func readSettings(e drivers.Endpoint) settings {
	c := settings{ClientID: "embergate-" + e.ID, QoS: 1, KeepAlive: 30 * time.Second}
	s := e.Settings
	s.Decode(&c)
	c.broker = readURL(s.At("url"))
	if c.ClientID == "" {
		s.At("client_id").Problem("a client identifier is needed: the broker keeps the messages of a lost connection under it")
	}
	if c.StatusTopic == "" {
		c.StatusTopic = "embergate/" + c.ClientID + "/status"
	}
	problem(s.At("status_topic"), c.StatusTopic, checkName)
	if e.Asked != nil && c.ClientID != "" {
		c.visit, c.ClientID = true, fmt.Sprintf("%s-read-%d", c.ClientID, os.Getpid())
	}
	if c.QoS != 0 && c.QoS != 1 {
		s.At("qos").Problem("qos is 0 or 1")
	}
	if c.KeepAlive < time.Second || c.KeepAlive > 65535*time.Second || c.KeepAlive%time.Second != 0 {
		s.At("keep_alive").Problem("keep_alive is whole seconds from 1s to 65535s") // MQTT 3.1.1, 3.1.2.10
	}
	if c.Password.IsSet() && c.Username == "" {
		s.At("username").Problem("a password needs a username") // [MQTT-3.1.2-22]
	}
	if c.Topic != "" {
		problem(s.At("topic"), watchFilter(c.Topic), checkFilter)
		c.Watch = append(c.Watch, watchFilter(c.Topic))
	}
	for i, item := range s.At("watch").Items() {
		problem(item, c.Watch[i], checkFilter)
	}
	t := s.At("tls")
	switch {
	case c.TLS.Cert != "" && c.TLS.Key == "":
		t.At("cert").Problem("a certificate needs its key")
	case c.TLS.Key != "" && c.TLS.Cert == "":
		t.At("key").Problem("a key needs its certificate")
	}
	if t.Exists() && c.broker != nil && !c.encrypted() {
		t.Problem("tls needs a url that starts with mqtts:// or wss://")
	}
	return c
}

// readURL is the broker's URL with its port; nil where it is wrong.
func readURL(s conf.Section) *url.URL {
	if s.Value() == "" {
		s.Problem("the url of the broker is missing, such as mqtt://127.0.0.1:1883")
		return nil
	}
	u, err := url.Parse(s.Value())
	if err != nil || u.Hostname() == "" {
		s.Problem("%q is not a url such as mqtt://127.0.0.1:1883", s.Value())
		return nil
	}
	port, ok := ports[u.Scheme]
	switch {
	case !ok:
		s.NotOneOf(u.Scheme, slices.Sorted(maps.Keys(ports)))
		return nil
	case u.User != nil:
		s.Problem("give the user under username and password, not in the url")
		return nil
	case u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" && !strings.HasPrefix(u.Scheme, "ws"):
		s.Problem("%q has more than host and port", s.Value())
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

// tlsConfig reads the certificates, and when they end; each connection reads them anew, so a renewed certificate needs no
// restart.
func (c settings) tlsConfig() (*tls.Config, ends, error) {
	if !c.encrypted() {
		return nil, nil, nil
	}
	var authorities []byte
	t := &tls.Config{ServerName: c.TLS.ServerName, InsecureSkipVerify: c.TLS.Insecure, MinVersion: tls.VersionTLS12}
	if t.ServerName == "" {
		t.ServerName = c.broker.Hostname()
	}
	if c.TLS.CA != "" {
		var err error
		if authorities, err = os.ReadFile(string(c.TLS.CA)); err != nil {
			return nil, nil, fmt.Errorf("read tls ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, nil, fmt.Errorf("read tls ca: %s holds no certificate", c.TLS.CA)
		}
	}
	if c.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(string(c.TLS.Cert), string(c.TLS.Key))
		if err != nil {
			return nil, nil, fmt.Errorf("read tls cert and key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	e := ends{}
	e.watch(t, c.TLS, authorities)
	return t, e, nil
}
