package mqtt

import (
	"context"
	"fmt"
	"os"

	"embergate/drivers/mqttconn"
)

// Probe logs in to the broker and out, under a client identifier of its own: a daemon that is connected stays so, and no will
// is left.
func (u *Uplink) Probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, mqttconn.ConnectTimeout)
	defer cancel()
	c := u.settings
	c.ClientID, c.visit = fmt.Sprintf("%s-check-%d", c.ClientID, os.Getpid()), true
	s, err := (&Uplink{o: u.o, settings: c, dial: u.dial}).connect(ctx)
	if err != nil {
		return err
	}
	s.client.Disconnect(0)
	return nil
}
