package mqttconn

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"

	"embergate/drivers/conf"
)

// ports are the schemes of a broker's url with their usual ports.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// Schemes are those that a broker's url may have, sorted.
func Schemes() []string { return slices.Sorted(maps.Keys(ports)) }

// Complete adds what a broker's url leaves out: the usual port, and the usual path of a websocket. It is false where the scheme is
// none of Schemes.
func Complete(broker *url.URL) bool {
	port, known := ports[broker.Scheme]
	if known && broker.Port() == "" {
		broker.Host = net.JoinHostPort(broker.Hostname(), port)
	}
	if broker.Path == "" && websocket(broker) {
		broker.Path = "/mqtt" // as brokers usually have it
	}
	return known
}

func websocket(broker *url.URL) bool { return broker.Scheme == "ws" || broker.Scheme == "wss" }

// Encrypted tells whether a broker's url asks for TLS.
func Encrypted(broker *url.URL) bool { return broker.Scheme == "mqtts" || broker.Scheme == "wss" }

// TLS are the keys under which a configuration says whom to trust, and who we are.
type TLS struct {
	CA         conf.Path `yaml:"ca"`          // PEM; default: the system's
	Cert       conf.Path `yaml:"cert"`        // PEM, our own certificate
	Key        conf.Path `yaml:"key"`         // PEM, its key
	ServerName string    `yaml:"server_name"` // where it is not the host of the url
}

// Config is for Dial: nil where the connection is not encrypted. authorities is what the file of CA holds. All files are read
// now, so whoever asks for each connection needs no restart when a certificate is renewed.
func (k TLS) Config(broker *url.URL) (t *tls.Config, authorities []byte, err error) {
	if !Encrypted(broker) {
		return nil, nil, nil
	}
	t = &tls.Config{ServerName: k.ServerName, MinVersion: tls.VersionTLS12}
	if t.ServerName == "" {
		t.ServerName = broker.Hostname()
	}
	if k.CA != "" {
		if authorities, err = os.ReadFile(string(k.CA)); err != nil {
			return nil, nil, fmt.Errorf("read tls ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, nil, fmt.Errorf("read tls ca: %s holds no certificate", k.CA)
		}
	}
	if k.Cert != "" {
		own, err := tls.LoadX509KeyPair(string(k.Cert), string(k.Key))
		if err != nil {
			return nil, nil, fmt.Errorf("read tls cert and key: %w", err)
		}
		t.Certificates = []tls.Certificate{own}
	}
	return t, authorities, nil
}
