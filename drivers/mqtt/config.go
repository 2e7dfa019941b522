package mqtt

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/mqttconn"
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
	mqttconn.TLS `yaml:",inline"`
	Insecure     bool `yaml:"insecure"` // trials: any certificate will do
}

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
	if t.Exists() && c.broker != nil && !mqttconn.Encrypted(c.broker) {
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
	switch {
	case !mqttconn.Complete(u):
		s.NotOneOf(u.Scheme, mqttconn.Schemes())
		return nil
	case u.User != nil:
		s.Problem("give the user under username and password, not in the url")
		return nil
	case u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" && !strings.HasPrefix(u.Scheme, "ws"):
		s.Problem("%q has more than host and port", s.Value())
		return nil
	}
	return u
}

// tlsConfig is how a connection is encrypted, and when the certificates end: nil where it is not.
func (c settings) tlsConfig() (*tls.Config, ends, error) {
	t, authorities, err := c.TLS.Config(c.broker)
	if t == nil {
		return nil, nil, err
	}
	t.InsecureSkipVerify = c.TLS.Insecure
	e := ends{}
	e.watch(t, c.TLS.TLS, authorities)
	return t, e, nil
}
