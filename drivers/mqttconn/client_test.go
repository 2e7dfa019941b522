package mqttconn

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

func TestABrokerLetsUsInOrTheConnectionEnds(t *testing.T) {
	for name, c := range map[string]struct {
		user, says string
		leave      time.Duration // when our context ends
		took       time.Duration
		want       string
	}{
		"lets us in":                         {"gateway", "\x20\x02\x00\x00", time.Minute, 0, ""},
		"wants a name":                       {"", "\x20\x02\x00\x05", time.Minute, 0, "the broker wants a username and password"},
		"does not know the name":             {"gateway", "\x20\x02\x00\x04", time.Minute, 0, `the broker refused user "gateway" with this password`},
		"does not like the identifier":       {"gateway", "\x20\x02\x00\x02", time.Minute, 0, `the broker refused the client identifier "ours"`},
		"is silent":                          {"gateway", "", time.Minute, ConnectTimeout, "timeout"},
		"is silent until nobody wants it":    {"gateway", "", time.Second, time.Second, "closed pipe"},
		"is silent in the midst of a packet": {"gateway", "\x20\x02", time.Minute, ConnectTimeout, "timeout"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), c.leave)
			defer cancel()
			ours, theirs := net.Pipe()
			defer ours.Close()
			go io.Copy(io.Discard, theirs)
			go io.WriteString(theirs, c.says)
			o := paho.NewClientOptions().AddBroker("mqtt://broker.example.org:1883").SetClientID("ours").SetUsername(c.user)
			client := NewClient(ctx, o, func() (net.Conn, error) { return Guard(ours, largest), nil })
			began := time.Now()
			err := client.Connect()
			if took := time.Since(began); took != c.took {
				t.Errorf("%s: took %v", name, took)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			synctest.Wait()
			if c.want == "" && !client.IsConnectionOpen() {
				t.Error("our end has broken a connection that may say goodbye")
			}
			client.Close()
			time.Sleep(time.Minute)
		})
	}
}
