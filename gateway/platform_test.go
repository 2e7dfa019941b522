package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"embergate/gateway/notify"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Rows MQ21, MQ07 and SF17 over the whole chain: from a reading to a platform's broker, through a restart of the gateway.
func TestAPlatformsBrokerHearsOfAnAlarm(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := mochi.New(&mochi.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := b.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.AddListener(listeners.NewNet("platform", l)); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var mu sync.Mutex
	var events []string
	err = b.Subscribe("homes/home/event", 1, func(_ *mochi.Client, _ packets.Subscription, p packets.Packet) {
		var m notify.Message
		if err := json.Unmarshal(p.Payload, &m); err != nil || m.ID == "" || m.Site.ID != "home" || m.Text == "" || m.Alarm == nil {
			t.Errorf("%v: %s", err, p.Payload)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		events = append(events, fmt.Sprintf("%s %s %v", m.Event, m.Alarm.Rule, *m.Alarm.Value))
	})
	if err != nil {
		t.Fatal(err)
	}
	heard := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(events, ", ")
	}
	retained := func(topic string) string {
		for _, p := range b.Topics.Messages("homes/home/" + topic) {
			return string(p.Payload)
		}
		return ""
	}
	dir, s := t.TempDir(), newScript()
	config := fmt.Sprintf(scriptedHome, dir, "", "0s") + fmt.Sprintf("uplinks: [{id: district, mqtt: {url: \"mqtt://%s\", topic: homes/home}}]\n", l.Addr())
	h := startConfig(t, s, dir, config)
	eventually(t, "the gateway says that it is there", func() bool { return retained("status") == "online" && retained("alarms") == "[]" })
	s.reads("gas.lel", 31)
	eventually(t, "the alarm is told", func() bool { return heard() == "alarm.raised high 31" })
	eventually(t, "the lists are right", func() bool {
		return strings.Contains(retained("alarms"), `"rule":"high"`) && strings.Contains(retained("state/gas"), `"lel":{"value":31,"unit":"%LEL","quality":"good"`)
	})
	h.stop()
	if got := retained("status"); got != "offline" {
		t.Errorf("after the end it is %q", got)
	}
	h = startConfig(t, newScript(), dir, config)
	eventually(t, "the gateway is back", func() bool { return retained("status") == "online" })
	h.act("high", "ack")
	eventually(t, "the act is told, and nothing twice", func() bool { return heard() == "alarm.raised high 31, alarm.acknowledged high 31" })
}
