// Package mqttconn opens connections to MQTT brokers for the client library paho, which trusts a broker too much.
//
//	broker ── net, TLS or websocket (Dial) ── Guard ── paho (Client) ── a driver, an uplink
//
// Whatever a broker sends, or does not take, costs the connection and no more.
package mqttconn

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Bounds of what a broker may take.
const (
	ConnectTimeout = 10 * time.Second // until the connection is open, TLS and websocket included
	writeTimeout   = 10 * time.Second // of one packet
)

// Dial opens a guarded connection to a broker (mqtt, mqtts, ws or wss://host:port), until ctx ends. t is nil where it is not
// encrypted. Names are resolved anew each time.
func Dial(ctx context.Context, broker *url.URL, t *tls.Config, maxPayload int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	dial := dialTCP
	if websocket(broker) {
		dial = dialWebsocket
	}
	raw, err := dial(ctx, broker, t)
	if err != nil {
		return nil, err
	}
	return Guard(raw, maxPayload), nil
}

func dialTCP(ctx context.Context, broker *url.URL, t *tls.Config) (net.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", broker.Host)
	if err != nil || t == nil {
		return raw, err
	}
	encrypted := tls.Client(raw, t)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return encrypted, nil
}

// dialWebsocket leaves at the end of ctx what paho opens within the timeout but for no context.
func dialWebsocket(ctx context.Context, broker *url.URL, t *tls.Config) (net.Conn, error) {
	type opened struct {
		net.Conn
		err error
	}
	done := make(chan opened, 1)
	go func() {
		ws, err := paho.NewWebsocket(broker.String(), t, ConnectTimeout, nil, nil)
		done <- opened{ws, err}
	}()
	select {
	case o := <-done:
		return o.Conn, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				o.Close()
			}
		}()
		return nil, ctx.Err()
	}
}
