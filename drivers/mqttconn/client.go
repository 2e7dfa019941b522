package mqttconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const pingTimeout = 10 * time.Second

// Client is a client of paho for one connection.
type Client struct {
	paho.Client
	raw  net.Conn    // nil before it is dialled
	keep func() bool // lets the end of the context break it no more
}

// NewClient makes a client of MQTT 3.1.1 that connects when it is told to, once, over what dial opens. The end of ctx breaks a
// connection that is not made yet, and no other.
func NewClient(ctx context.Context, o *paho.ClientOptions, dial func() (net.Conn, error)) *Client {
	c := &Client{keep: func() bool { return true }}
	c.Client = paho.NewClient(o.
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).
		SetPingTimeout(pingTimeout).SetConnectTimeout(ConnectTimeout).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			raw, err := dial()
			if err != nil {
				return nil, err
			}
			c.raw = raw
			c.keep = context.AfterFunc(ctx, func() { raw.Close() }) // until CONNACK paho waits for the broker alone
			return raw, nil
		}))
	return c
}

// Connect connects. An error says in plain words why the broker did not let us in.
func (c *Client) Connect() error {
	token := c.Client.Connect()
	token.Wait() // the dialing, the write and the read have deadlines
	c.keep()
	return c.refusal(token.Error())
}

// Close breaks the connection without a word, so that the broker says our will.
func (c *Client) Close() error { return c.raw.Close() }

func (c *Client) refusal(err error) error {
	o := c.OptionsReader()
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		if o.Username() == "" {
			return fmt.Errorf("the broker wants a username and password: %w", err)
		}
		return fmt.Errorf("the broker refused user %q with this password: %w", o.Username(), err)
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		return fmt.Errorf("the broker refused the client identifier %q: %w", o.ClientID(), err)
	}
	return err
}

var errNoReply = errors.New("the broker does not answer")

// Wait waits for the broker's answer, but no longer than the timeout, nor than gone, whose cause is then the error.
func Wait(ctx, gone context.Context, token paho.Token, timeout time.Duration) error {
	silent := time.NewTimer(timeout)
	defer silent.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-gone.Done():
		return context.Cause(gone)
	case <-ctx.Done():
		return ctx.Err()
	case <-silent.C:
		return errNoReply
	}
}
