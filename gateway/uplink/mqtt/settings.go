package mqtt

import (
	"net/url"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/mqttconn"
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
	TLS       mqttconn.TLS  `yaml:"tls"`

	broker *url.URL // with its port; nil where the url is wrong
	visit  bool     // only to look: no will
}

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
	if s.At("tls").Exists() && c.broker != nil && !mqttconn.Encrypted(c.broker) {
		s.At("tls").Problem("tls needs a url that starts with mqtts:// or wss://")
	}
	return c
}

// readURL is the broker's address with its port; nil where it is wrong.
func readURL(s conf.Section) *url.URL {
	u, err := url.Parse(s.Value())
	if err != nil || u.Hostname() == "" || !mqttconn.Complete(u) {
		s.Problem("%q is no address; write it as %s", s.Value(), "mqtts://broker.example.org")
		return nil
	}
	if u.User != nil {
		s.Problem("give the user under username and password, not in the url")
		return nil
	}
	return u
}
