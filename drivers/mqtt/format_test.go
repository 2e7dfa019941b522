package mqtt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// script is a file of testdata/formats: devices, and what a message at a topic makes them tell: device.signal=value or the
// reason of a bad one, one batch after another with a bar between.
type script struct {
	Now      string         `yaml:"now"`
	MQTT     conf.Section   `yaml:"mqtt"`
	Devices  []conf.Section `yaml:"devices"`
	Messages []scene        `yaml:"messages"`

	name string
	root conf.Section
}

type scene struct {
	Name      string   `yaml:"name"`
	Topic     string   `yaml:"topic"`
	Payload   string   `yaml:"payload"`
	Hex       string   `yaml:"hex"`
	Want      string   `yaml:"want"`
	Malformed []string `yaml:"malformed"`
	Time      string   `yaml:"time"` // of every reading; "" is the time of arrival
}

func (s scene) payload(t testing.TB) []byte {
	if s.Hex == "" {
		return []byte(s.Payload)
	}
	b, err := hex.DecodeString(s.Hex)
	if err != nil {
		t.Fatal(s.Name, err)
	}
	return b
}

func scripts(t testing.TB) []script {
	files, err := filepath.Glob("testdata/formats/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []script
	for _, file := range files {
		root, err := conf.Load(file, conf.OS())
		if err != nil {
			t.Fatal(err)
		}
		s := script{name: strings.TrimSuffix(filepath.Base(file), ".yaml"), root: root}
		root.Decode(&s)
		if p := root.Problems(); p != nil || len(s.Messages) == 0 {
			t.Fatal(file, p)
		}
		all = append(all, s)
	}
	return all
}

// driver is the script's endpoint at a broker.
func (s script) driver(t testing.TB, address string, m drivers.Monitor) *driver {
	var keys struct {
		Topic conf.Section `yaml:"topic"`
	}
	s.MQTT.Decode(&keys)
	settings := conf.Parse("broker.yaml", fmt.Appendf(nil, "{url: \"mqtt://%s\", topic: \"%s\"}", address, keys.Topic.Value()), conf.OS())
	e, _ := endpoint("", "{}")
	e.Settings, e.Devices, e.Monitor = settings, s.Devices, m
	d := New()(e).(*driver)
	if p := append(s.root.Problems(), settings.Problems()...); p != nil {
		t.Fatal(s.name, p)
	}
	return d
}

// Rows MQ01, MQ02, MQ04, MQ16, MQ18.
func TestEveryFormatReadsItsMessages(t *testing.T) {
	for _, s := range scripts(t) {
		t.Run(s.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, s.Now)
			if err != nil {
				t.Fatal(err)
			}
			seen := &counts{}
			d := s.driver(t, "127.0.0.1", seen)
			for _, m := range s.Messages {
				told := d.take(&publication{topic: m.Topic, payload: m.payload(t)}, now)
				for _, one := range told.held {
					one.device.handle(one.id)
				}
				if got := sayBatches(told.readings); got != m.Want {
					t.Errorf("%s: %q, want %q", m.Name, got, m.Want)
				}
				checkTimes(t, m, told.readings, now)
				if got := seen.take(); len(got) != len(m.Malformed) || !slices.EqualFunc(got, m.Malformed, strings.Contains) {
					t.Errorf("%s: malformed %q, want %q", m.Name, got, m.Malformed)
				}
			}
		})
	}
}

func checkTimes(t *testing.T, m scene, batches [][]drivers.Reading, arrived time.Time) {
	t.Helper()
	want := arrived
	if m.Time != "" {
		var err error
		if want, err = time.Parse(time.RFC3339Nano, m.Time); err != nil {
			t.Fatal(err)
		}
	}
	for _, batch := range batches {
		for _, r := range batch {
			if !r.Time.Equal(want) && !strings.Contains(m.Want, "|") && !strings.Contains(m.Topic, "spBv1.0") {
				t.Errorf("%s: %s at %s, want %s", m.Name, r.Signal, r.Time.UTC().Format(time.RFC3339Nano), want)
			}
		}
	}
}

// sayBatches writes readings as a script does.
func sayBatches(batches [][]drivers.Reading) string {
	var all []string
	for _, batch := range batches {
		var words []string
		for _, r := range batch {
			device, _, _ := strings.Cut(r.Signal, ".")
			words = append(words, device+"."+say([]drivers.Reading{r}))
		}
		if words != nil {
			all = append(all, strings.Join(words, " "))
		}
	}
	return strings.Join(all, " | ")
}

// take is what was malformed since the last call.
func (c *counts) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.details
	c.details = nil
	return taken
}

// The same messages through a real broker, published by a client that is not ours.
func TestMosquittoCarriesEveryFormat(t *testing.T) {
	m := newMosquitto(t, "allow_anonymous true").start()
	for _, s := range scripts(t) {
		t.Run(s.name, func(t *testing.T) {
			seen := &counts{}
			r := start(t, s.driver(t, m.address, seen)).up(t)
			want := "zigbee.link=1"
			for _, one := range s.Messages {
				m.publish(t, one.Topic, one.payload(t))
				if one.Want != "" {
					want += " " + strings.ReplaceAll(one.Want, " | ", " ")
				}
			}
			r.tells(t, want)
		})
	}
}

// publish publishes bytes with mosquitto_pub, at QoS 1.
func (m *mosquitto) publish(t testing.TB, topic string, payload []byte) {
	t.Helper()
	arguments := []string{"-h", "127.0.0.1", "-p", m.address[strings.LastIndexByte(m.address, ':')+1:], "-q", "1", "-t", topic}
	if len(payload) == 0 {
		arguments = append(arguments, "-n")
	} else {
		arguments = append(arguments, "-s")
	}
	cmd := exec.Command(program(t, "mosquitto_pub"), arguments...)
	cmd.Stdin = bytes.NewReader(payload)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, out)
	}
}

// fuzzFormat feeds a format with what its scripts hold and what the fuzzer makes of it.
func fuzzFormat(f *testing.F, names ...string) {
	var drivers []func() *driver
	for _, s := range scripts(f) {
		if !slices.ContainsFunc(s.Devices, func(d conf.Section) bool { return slices.Contains(names, first(d.At("format").Value(), "json")) }) {
			continue
		}
		drivers = append(drivers, func() *driver { return s.driver(f, "127.0.0.1", &counts{}) })
		for _, m := range s.Messages {
			f.Add(m.Topic, m.payload(f))
		}
	}
	if len(drivers) == 0 {
		f.Fatal("no script for ", names)
	}
	all := make([]*driver, len(drivers))
	for i := range drivers {
		all[i] = drivers[i]()
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		for _, d := range all {
			for _, dev := range d.devices {
				name := topic
				if !matchesAny(d.subscriptions(), name) {
					name = under(strings.NewReplacer("+", "x", "#", "x").Replace(topicOf(dev.topic)), topic)
				}
				told := d.take(&publication{topic: name, payload: payload}, noon)
				checkSane(t, told.readings)
			}
		}
	})
}

func matchesAny(filters map[string]byte, name string) bool {
	for f := range filters {
		if matches(f, name) {
			return true
		}
	}
	return false
}

// checkSane fails for readings that say two things at once, or keep too much.
func checkSane(t *testing.T, batches [][]drivers.Reading) {
	if len(batches) > maxSamples {
		t.Errorf("%d batches", len(batches))
	}
	for _, batch := range batches {
		seen := map[string]bool{}
		for _, r := range batch {
			switch {
			case r.Quality == drivers.Good && (math.IsNaN(r.Value) || math.IsInf(r.Value, 0) || r.Reason != ""):
				t.Errorf("good reading %+v", r)
			case r.Quality == drivers.Bad && (r.Value != 0 || r.Reason == "" || r.Detail == ""):
				t.Errorf("bad reading %+v", r)
			case len(r.Detail) > 500 || len(r.Raw) > 256:
				t.Errorf("reading keeps too much: %+v", r)
			case seen[r.Signal]:
				t.Errorf("%s twice in one batch", r.Signal)
			case r.Time.Sub(noon) > maxAhead || r.Time.Before(leastTime):
				t.Errorf("%s at %s", r.Signal, r.Time)
			}
			seen[r.Signal] = true
		}
	}
}

func FuzzJSON(f *testing.F)        { fuzzFormat(f, "json") }
func FuzzBytes(f *testing.F)       { fuzzFormat(f, "bytes") }
func FuzzHomie(f *testing.F)       { fuzzFormat(f, "homie") }
func FuzzTasmota(f *testing.F)     { fuzzFormat(f, "tasmota") }
func FuzzShelly(f *testing.F)      { fuzzFormat(f, "shelly-rpc") }
func FuzzLoRaWAN(f *testing.F)     { fuzzFormat(f, "chirpstack", "tts") }
func FuzzThingsBoard(f *testing.F) { fuzzFormat(f, "thingsboard") }
func FuzzSparkplug(f *testing.F)   { fuzzFormat(f, "sparkplug-b") }

func BenchmarkUplink(b *testing.B) {
	for _, s := range scripts(b) {
		if s.name != "lorawan" {
			continue
		}
		d := s.driver(b, "127.0.0.1", drivers.Discard{})
		p := &publication{topic: s.Messages[0].Topic, payload: s.Messages[0].payload(b)}
		b.ReportAllocs()
		for b.Loop() {
			if told := d.take(p, noon); len(told.readings) != 1 || len(told.readings[0]) != 4 {
				b.Fatal(told)
			}
		}
	}
}
