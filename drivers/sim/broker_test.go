package sim

import (
	"bufio"
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

type published struct {
	topic, payload string
	retained       bool
}

// listen connects as a client and gives every message under a filter.
func listen(t *testing.T, h *Home, filter string) <-chan published {
	t.Helper()
	address, user, password := h.Broker()
	messages := make(chan published, 100)
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("listener").
		SetUsername(user).SetPassword(password).SetAutoReconnect(false))
	if token := client.Connect(); !token.WaitTimeout(5*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	t.Cleanup(func() { client.Disconnect(100) })
	token := client.Subscribe(filter, 1, func(_ paho.Client, m paho.Message) {
		messages <- published{m.Topic(), string(m.Payload()), m.Retained()}
	})
	if !token.WaitTimeout(5*time.Second) || token.Error() != nil {
		t.Fatal(token.Error())
	}
	return messages
}

func next(t *testing.T, messages <-chan published) published {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(5 * time.Second):
		t.Fatal("no message within 5 s")
		return published{}
	}
}

func TestADetectorTellsAtOnceWhatIsSet(t *testing.T) {
	h := start(t, Options{})
	messages := listen(t, h, "zigbee2mqtt/201室烟感")
	h.Set("smoke-201.smoke", 1)
	want := published{"zigbee2mqtt/201室烟感",
		`{"battery":87,"battery_low":false,"linkquality":140,"smoke":true,"tamper":false,"test":false,"trouble":false}`, false}
	if got := next(t, messages); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	h.Set("smoke-201.smoke", 0)
	if got := next(t, messages); !strings.Contains(got.payload, `"smoke":false`) {
		t.Errorf("got %+v after the smoke cleared", got)
	}
}

func TestASilentDetectorIsOfflineAndSaysNothing(t *testing.T) {
	h := start(t, Options{})
	messages := listen(t, h, "zigbee2mqtt/二层走廊/东烟感/#") // the topic itself too
	topic := "zigbee2mqtt/二层走廊/东烟感"
	if got, want := next(t, messages), (published{topic + "/availability", `{"state":"online"}`, true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	h.Silence("smoke-corridor-east", true)
	if got, want := next(t, messages), (published{topic + "/availability", `{"state":"offline"}`, false}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	h.Set("smoke-corridor-east.smoke", 1) // nobody hears it
	h.Silence("smoke-corridor-east", false)
	if got := next(t, messages); got.payload != `{"state":"online"}` {
		t.Errorf("got %+v, want that it is online", got)
	}
	if got := next(t, messages); got.topic != topic || !strings.Contains(got.payload, `"smoke":true`) {
		t.Errorf("got %+v, want its state", got)
	}
}

func TestAllDetectorsReportAsSoonAsTheHomeLives(t *testing.T) {
	h := start(t, Options{})
	messages := listen(t, h, "zigbee2mqtt/#")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	missing := map[string]bool{}
	for _, d := range detectors {
		missing[d.topic] = true
	}
	for len(missing) > 0 {
		delete(missing, next(t, messages).topic)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheBrokerRefusesAWrongPassword(t *testing.T) {
	h := start(t, Options{})
	address, user, _ := h.Broker()
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("stranger").
		SetUsername(user).SetPassword("*").SetAutoReconnect(false))
	if token := client.Connect(); token.WaitTimeout(5*time.Second) && token.Error() == nil {
		client.Disconnect(0)
		t.Error("a wrong password is let in")
	}
}

// A gateway that ended before it had acknowledged a message finds its session again, and the message in it.
func TestASessionWithAnUnacknowledgedMessageIsTakenUpAgain(t *testing.T) {
	h := start(t, Options{})
	address, user, password := h.Broker()
	session := func() (paho.Client, <-chan string) {
		payloads := make(chan string, 10)
		client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID("sleeper").SetCleanSession(false).
			SetUsername(user).SetPassword(password).SetAutoReconnect(false).SetAutoAckDisabled(true).
			SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { payloads <- string(m.Payload()) }))
		if token := client.Connect(); !token.WaitTimeout(5*time.Second) || token.Error() != nil {
			t.Fatal(token.Error())
		}
		token := client.Subscribe("zigbee2mqtt/leak-pump", 1, nil)
		if !token.WaitTimeout(5*time.Second) || token.Error() != nil {
			t.Fatalf("subscribe: %v", token.Error())
		}
		if granted := token.(*paho.SubscribeToken).Result()["zigbee2mqtt/leak-pump"]; granted != 1 {
			t.Fatalf("the broker granted QoS %#x", granted)
		}
		return client, payloads
	}
	for i := range 3 {
		client, payloads := session()
		if i == 0 {
			h.Set("leak-pump.water_leak", 1)
		}
		select {
		case got := <-payloads:
			if !strings.Contains(got, `"water_leak":true`) {
				t.Errorf("session %d got %s", i, got)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("session %d has lost the message", i)
		}
		client.Disconnect(100)
	}
}

// A client that is not ours reads the same messages.
func TestMosquittoSubHearsADetector(t *testing.T) {
	mosquittoSub := debian(t, "mosquitto_sub")
	h := start(t, Options{})
	address, user, password := h.Broker()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), mosquittoSub, "-h", host, "-p", port, "-u", user, "-P", password, "-q", "1", "-W", "20",
		"-v", "-t", "zigbee2mqtt/sos-201", "-t", "zigbee2mqtt/sos-201/availability")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	lines := bufio.NewScanner(out)
	want := []string{
		`zigbee2mqtt/sos-201/availability {"state":"online"}`, // retained: it has subscribed
		`zigbee2mqtt/sos-201 {"battery":81,"battery_low":false,"linkquality":140,"sos":true,"tamper":false}`,
	}
	for i := range want {
		if !lines.Scan() {
			t.Fatalf("mosquitto_sub ended after %d lines: %v", i, lines.Err())
		}
		if lines.Text() != want[i] {
			t.Errorf("got  %s\nwant %s", lines.Text(), want[i])
		}
		if i == 0 {
			h.Set("sos-201.sos", 1)
		}
	}
}
