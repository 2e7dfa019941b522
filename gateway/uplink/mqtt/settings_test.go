package mqtt

import (
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

func TestMistakesAreReportedAtTheirPlace(t *testing.T) {
	for yaml, want := range map[string]string{
		`{topic: home}`:                                         `u.yaml:1:1: url: "" is no address; write it as mqtts://broker.example.org`,
		`{url: "http://h", topic: home}`:                        `u.yaml:1:7: url: "http://h" is no address; write it as mqtts://broker.example.org`,
		`{url: "mqtt://a:b@h", topic: home}`:                    `u.yaml:1:7: url: give the user under username and password, not in the url`,
		`{url: "mqtt://h"}`:                                     `u.yaml:1:1: topic: the uplink needs a topic to publish under`,
		`{url: "mqtt://h", topic: "home/#"}`:                    `u.yaml:1:26: topic: "home/#" is no topic to publish under; write it as embergate/my-home`,
		`{url: "mqtt://h", topic: home, password: x}`:           `u.yaml:1:1: username: a password needs a username`,
		`{url: "mqtt://h", topic: home, state_every: 1ms}`:      `u.yaml:1:45: state_every: the state of a device is sent every 1s to 1h0m0s`,
		`{url: "mqtt://h", topic: home, keep_alive: 1500ms}`:    `u.yaml:1:44: keep_alive: keep_alive is whole seconds from 1s to 65535s`,
		`{url: "mqtt://h", topic: home, tls: {cert: a}}`:        `tls needs both cert and key`,
		`{url: "mqtt://h", topic: home, tls: {server_name: a}}`: `u.yaml:1:37: tls: tls needs a url that starts with mqtts:// or wss://`,
		`{url: "mqtt://h", topic: home, client_id: ""}`:         `u.yaml:1:43: client_id: a client identifier is needed`,
		`{url: "mqtt://h", topic: home, qos: 1}`:                `u.yaml:1:32: qos: unknown key`,
	} {
		s := conf.Parse("u.yaml", []byte(yaml), conf.OS())
		New(s, Options{ID: "x", Site: "s"})
		if got := s.Problems().Error(); !strings.Contains(got, want) {
			t.Errorf("%s\nsays %s\nnot  %s", yaml, got, want)
		}
		if got := s.Problems().In(i18n.Chinese); !strings.ContainsFunc(got, func(r rune) bool { return r > 0x4e00 }) {
			t.Errorf("%s is not said in Chinese: %s", yaml, got)
		}
	}
}

// Certificates are read anew for each connection, so a mistake in them is said as what keeps the uplink from working.
func TestACertificateThatIsNotThereIsSaid(t *testing.T) {
	u := newUplink(t, `{url: "mqtts://127.0.0.1:1", topic: home, tls: {ca: /nowhere/ca.pem}}`, nil, nil)
	stop := start(t, u, &journal{}, nil)
	eventually(t, "the mistake is said", func() bool { return strings.Contains(u.Status().LastError, "/nowhere/ca.pem") })
	stop()
	if d := u.settings.KeepAlive; d != 30*time.Second {
		t.Error(d)
	}
}
