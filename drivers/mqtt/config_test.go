package mqtt

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// endpoint is what the gateway gives a protocol: an endpoint of a file with the keys mqtt and devices.
func endpoint(name, text string) (drivers.Endpoint, conf.Section) {
	root := conf.Parse(name, []byte(text), conf.OS())
	var keys struct {
		MQTT    conf.Section   `yaml:"mqtt"`
		Devices []conf.Section `yaml:"devices"`
	}
	root.Decode(&keys)
	zigbee := conf.Parse("profile.yaml", []byte(`{availability: ["{topic}/availability", "{base}/bridge/state"], expire: 25h, set_topic: "{topic}/set"}`), conf.OS())
	return drivers.Endpoint{
		ID: "zigbee", Settings: keys.MQTT, Devices: keys.Devices, Log: slog.New(slog.DiscardHandler), Monitor: drivers.Discard{},
		Profiles: drivers.Profiles{
			"zigbee":   {ID: "zigbee", Protocol: "mqtt", Settings: zigbee, Signals: []drivers.Signal{{ID: "smoke", Kind: "smoke", JSON: "smoke", Scale: 1}}},
			"broken":   {ID: "broken", Protocol: "mqtt", Signals: []drivers.Signal{{ID: "s", Kind: "smoke", Scale: 1}}},
			"a-modbus": {ID: "a-modbus", Protocol: "modbus"},
		},
	}, root
}

// open makes the driver of a configuration that has no mistakes.
func open(t testing.TB, text string) *driver {
	t.Helper()
	e, root := endpoint("home.yaml", text)
	d := New()(e).(*driver)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	return d
}

func TestMistakesAreNamedAtTheirPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(text), "\n")
			e, root := endpoint(filepath.Base(file), string(text))
			New()(e)
			if got, want := root.Problems().Error(), filepath.Base(file)+":"+strings.TrimPrefix(first, "# "); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestDefaultsAndWhatAProfilePresets(t *testing.T) {
	d := open(t, `
mqtt: {url: "mqtt://broker.example"}
devices:
  - {id: smoke-201, topic: "zigbee2mqtt/smoke-201", profile: zigbee}
  - {id: smoke-202, topic: "zigbee2mqtt/smoke-202", profile: zigbee, availability: [], expire: 1h}
  - {id: hydrant, topic: "$share/gateways/plant/+/state", availability: "{topic}/lwt", signals: [{id: p, kind: water_pressure, json: p}, {id: t, kind: temperature, path: t}]}
  - {id: bare, topic: "plant/bare", format: scalar, signals: [{id: s, kind: smoke}]}
`)
	c := d.settings
	if c.broker.Host != "broker.example:1883" || c.ClientID != "embergate-zigbee" || c.StatusTopic != "embergate/embergate-zigbee/status" || c.QoS != 1 || c.KeepAlive != 30*time.Second {
		t.Errorf("%+v", c)
	}
	want := []string{
		"zigbee2mqtt/smoke-201", "zigbee2mqtt/smoke-201/availability", "zigbee2mqtt/bridge/state", "zigbee2mqtt/smoke-202",
		"$share/gateways/plant/+/state", "$share/gateways/plant/+/state/t", "plant/+/state/lwt", "plant/bare",
	}
	if !slices.Equal(d.routes.filters, want) {
		t.Errorf("subscribes %q\nwant %q", d.routes.filters, want)
	}
	if a, b := d.devices[0], d.devices[1]; a.expire != 25*time.Hour || b.expire != time.Hour || a.setTopic != "zigbee2mqtt/smoke-201/set" {
		t.Errorf("%v %v %q", a.expire, b.expire, a.setTopic)
	}
	if got := d.Devices(); len(got) != 4 || got[2].Key(got[2].Signals[1]) != "hydrant.t" {
		t.Errorf("%+v", got)
	}
}

// MQ11: two connections with one identifier at one broker would drive each other out, again and again.
func TestTwoEndpointsWithOneClientIdentifierAtOneBrokerAreAMistake(t *testing.T) {
	for name, c := range map[string]struct{ first, second, want string }{
		"the same broker":    {"mqtt://h", "mqtt://h:1883", `home.yaml:1:41: mqtt.client_id: endpoint "zigbee" has the client identifier "gateway" at this broker; they would drive each other out`},
		"another broker":     {"mqtt://h", "mqtt://h:1884", ""},
		"no broker to speak": {"mqtt://h", "nonsense", `home.yaml:1:13: mqtt.url: "nonsense" is not a url such as mqtt://127.0.0.1:1883`},
	} {
		t.Run(name, func(t *testing.T) {
			protocol := New()
			one, _ := endpoint("home.yaml", `mqtt: {url: "`+c.first+`", client_id: gateway}`)
			two, root := endpoint("home.yaml", `mqtt: {url: "`+c.second+`", client_id: gateway}`)
			protocol(one)
			protocol(two)
			if got := root.Problems().Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPortsOfTheSchemes(t *testing.T) {
	for url, want := range map[string]string{
		"mqtt://h": "mqtt://h:1883", "mqtts://h": "mqtts://h:8883", "ws://h": "ws://h:80/mqtt", "wss://h/broker": "wss://h:443/broker",
		"mqtt://[::1]": "mqtt://[::1]:1883", "mqtt://h:1": "mqtt://h:1",
	} {
		if got := open(t, `mqtt: {url: "`+url+`"}`).settings.broker.String(); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestReferenceConfiguration(t *testing.T) {
	root, err := conf.Load("../../../shared/contract/nursing-home.yaml", conf.Environment{
		Variable: os.LookupEnv, ReadFile: func(path string) ([]byte, error) {
			if strings.HasSuffix(path, "secrets/mqtt") {
				return []byte("secret\n"), nil
			}
			return os.ReadFile(path)
		}})
	if err != nil {
		t.Skip("no reference configuration here")
	}
	e, _ := endpoint("", "{}")
	e.Profiles["zigbee2mqtt"] = e.Profiles["zigbee"]
	item := root.At("endpoints").Items()[1]
	e.Settings, e.Devices = item.At("mqtt"), item.At("devices").Items()
	d := New()(e).(*driver)
	if p := root.Problems(); p != nil || d.settings.Password.Reveal() != "secret" || len(d.devices) != 2 {
		t.Error(p, d.settings, len(d.devices))
	}
}
