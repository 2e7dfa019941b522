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
	"embergate/drivers/i18n"
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

	broker *url.URL // URL with its port, without user
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
	if c.QoS != 0 && c.QoS != 1 {
		s.At("qos").Problem("qos is 0 or 1")
	}
	if c.KeepAlive < time.Second || c.KeepAlive > 65535*time.Second || c.KeepAlive%time.Second != 0 {
		s.At("keep_alive").Problem("keep_alive is whole seconds from 1s to 65535s") // MQTT 3.1.1, 3.1.2.10
	}
	if c.Password.IsSet() && c.Username == "" {
		s.At("username").Problem("a password needs a username") // [MQTT-3.1.2-22]
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

// tlsConfig reads the certificates; each connection reads them anew, so a renewed certificate needs no restart.
func (c settings) tlsConfig() (*tls.Config, error) {
	if !c.encrypted() {
		return nil, nil
	}
	t := &tls.Config{ServerName: c.TLS.ServerName, InsecureSkipVerify: c.TLS.Insecure, MinVersion: tls.VersionTLS12}
	if t.ServerName == "" {
		t.ServerName = c.broker.Hostname()
	}
	if c.TLS.CA != "" {
		pem, err := os.ReadFile(string(c.TLS.CA))
		if err != nil {
			return nil, fmt.Errorf("read tls ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read tls ca: %s holds no certificate", c.TLS.CA)
		}
	}
	if c.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(string(c.TLS.Cert), string(c.TLS.Key))
		if err != nil {
			return nil, fmt.Errorf("read tls cert and key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// deviceSettings are a device's own keys.
type deviceSettings struct {
	Topic    string        `yaml:"topic"` // topic filter; may hold + and #
	Defaults modelSettings `yaml:",inline"`
}

// modelSettings are keys of a device that a profile may preset, under mqtt.
type modelSettings struct {
	Format       string        `yaml:"format"`       // of the topic itself: json or scalar
	Availability topics        `yaml:"availability"` // topics that say online or offline; {topic} and {base} stand for the device's
	Expire       time.Duration `yaml:"expire"`       // no message for so long: offline
	SetTopic     string        `yaml:"set_topic"`    // where commands go
}

// topics is one topic or a list of them.
type topics []string

// DecodeConf reads one topic or a list of them.
func (t *topics) DecodeConf(s conf.Section) {
	*t = nil
	for _, item := range s.Items() {
		*t = append(*t, item.Value())
	}
	if word := s.Value(); word != "" {
		*t = topics{word}
	}
}

var formats = []string{"json", "scalar"}

// readDevice reads one device and reports what is wrong with it.
func readDevice(e drivers.Endpoint, s conf.Section) *device {
	var keys deviceSettings
	common, profile := e.Device(s, "mqtt", &keys)
	var model modelSettings
	profile.Settings.Decode(&model)
	own := keys.Defaults

	dev := &device{Device: common, topic: keys.Topic, expire: own.Expire, setTopic: own.SetTopic}
	if dev.topic == "" {
		s.At("topic").Problem("the device needs its topic")
		return dev
	}
	problem(s.At("topic"), dev.topic, checkFilter)
	format := first(own.Format, model.Format, "json")
	if !slices.Contains(formats, format) {
		s.At("format").NotOneOf(format, formats)
	}
	if dev.expire == 0 {
		dev.expire = model.Expire
	}
	available := model.Availability
	if s.At("availability").Exists() {
		available = own.Availability
	}
	for _, pattern := range available {
		topic := expand(pattern, dev.topic)
		dev.availability = append(dev.availability, topic)
		problem(s.At("availability"), topic, checkFilter)
	}
	dev.setTopic = expand(first(own.SetTopic, model.SetTopic), dev.topic)
	if dev.setTopic != "" && (s.At("set_topic").Exists() || slices.ContainsFunc(dev.Signals, writable)) {
		problem(s.At("set_topic"), dev.setTopic, checkName)
	}
	for i, sig := range dev.Signals {
		at := s.At("profile") // the mistake is the profile's; here is where it is used
		if items := s.At("signals").Items(); i < len(items) {
			at = items[i]
		}
		checkSignal(at, dev, sig, format)
	}
	return dev
}

func writable(s drivers.Signal) bool { return s.Writable }

// checkSignal reports what cannot be a signal of an MQTT device.
func checkSignal(s conf.Section, dev *device, sig drivers.Signal, format string) {
	for _, key := range []struct{ name, value string }{{"at", sig.At}, {"type", sig.Type}, {"order", sig.Order}} {
		if key.value != "" {
			s.At(key.name).Problem("the key %s of signal %q is for registers; an MQTT signal has json or path", key.name, sig.ID)
		}
	}
	switch {
	case sig.JSON == "" && sig.Path == "" && format == "json":
		s.Problem("signal %q needs json, the key in the payload, or path, the topic below the device's", sig.ID)
	case sig.JSON != "" && sig.Path == "" && format == "scalar":
		s.At("json").Problem("signal %q has a key, but the payload of a device with format scalar has none", sig.ID)
	}
	if sig.Path != "" {
		problem(s.At("path"), sig.Path, checkName)
		if strings.HasSuffix(dev.topic, "#") {
			s.At("path").Problem("there is no path below a topic that ends in #")
		}
	}
	if sig.Of().Form == drivers.State {
		for _, word := range slices.Sorted(maps.Keys(sig.Enum)) {
			if code := sig.Enum[word]; code != 0 && code != 1 {
				s.At("enum").Problem("%s is a state: %q must be 0 or 1, not %d", sig.Kind, word, code)
			}
		}
	}
	if sig.Writable {
		checkOutput(s.At("writable"), dev, sig)
	}
}

// problem reports what check finds wrong with a topic.
func problem(s conf.Section, topic string, check func(string) error) {
	if err := check(topic); err != nil {
		s.Problem("%q is not a valid MQTT topic: %s", topic, i18n.T(err.Error()))
	}
}

// expand puts a device's topic for {topic} and its first level for {base}.
func expand(pattern, topic string) string {
	topic = topicOf(topic)
	base, _, _ := strings.Cut(topic, "/")
	return strings.NewReplacer("{topic}", topic, "{base}", base).Replace(pattern)
}

func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
