package mqtt

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
)

// step is one thing that happens to a device, and what is told of it: "smoke=1 battery=offline", a value or a reason, with
// (r) for retained.
type step struct {
	after time.Duration
	says  string // a payload of the device's topic; retained: … for a retained one
	avail string // topic=word
	tick  bool
	want  string
}

// Row MQ06: availability and silence beyond expire.
func TestLifeOfADevice(t *testing.T) {
	for name, steps := range map[string][]step{
		"offline makes every signal bad, online alone makes none good": {
			{says: `{"smoke":false,"battery":90}`, want: "smoke=0 battery=90"},
			{avail: "d/availability=offline", want: "smoke=offline battery=offline"},
			{after: time.Minute, avail: "d/availability=online"},
			{says: `{"smoke":false}`, want: "smoke=0"},
		},
		"an optional signal is silent until it was seen": {
			{avail: "d/availability=offline", want: "smoke=offline"},
			{avail: "d/availability=online"},
			{says: `{"smoke":false,"battery":null}`, want: "smoke=0"},
			{says: `{"battery":80}`, want: "battery=80"},
			{says: `{"battery":null}`, want: "battery=sentinel"},
		},
		"a retained state does not revive what is said to be offline": {
			{avail: "d/availability=offline", want: "smoke=offline"},
			{says: `retained: {"smoke":false}`, want: "smoke=offline(r)"},
		},
		"a bridge that repeats its last states at start does not revive the dead": {
			{avail: "d/availability=offline", want: "smoke=offline"},
			{says: `{"smoke":false,"battery":90}`, want: "smoke=offline battery=offline"},
			{after: time.Hour, avail: "d/availability=online"},
		},
		"an alarm passes whatever availability says": {
			{avail: "d/availability=offline", want: "smoke=offline"},
			{says: `{"smoke":true,"battery":90}`, want: "smoke=1 battery=offline"},
			{says: `retained: {"smoke":true}`, want: "smoke=offline(r)"},
			{says: `{"smoke":false}`, want: "smoke=offline"},
		},
		"a value told just before online counts": {
			{avail: "d/availability=offline", want: "smoke=offline"},
			{says: `{"smoke":false,"battery":90}`, want: "smoke=offline battery=offline"},
			{after: time.Second, says: `{"battery":89}`, want: "battery=offline"},
			{after: time.Second, avail: "d/availability=online", want: "smoke=0 battery=89"},
			{says: `{"battery":88}`, want: "battery=88"},
		},
		"every availability topic must agree": {
			{says: `{"smoke":false}`, want: "smoke=0"},
			{avail: "base/state=offline", want: "smoke=offline"},
			{avail: "d/availability=offline", want: "smoke=offline"},
			{avail: "base/state=online"},
			{says: `{"smoke":false}`, want: "smoke=offline"},
			{after: time.Minute, avail: "d/availability=online"},
			{says: `{"smoke":false}`, want: "smoke=0"},
		},
		"silence beyond expire is offline once, and a live message ends it": {
			{says: `{"smoke":false}`, want: "smoke=0"},
			{after: 9 * time.Minute, tick: true},
			{after: time.Minute, tick: true, want: "smoke=offline"},
			{after: time.Minute, tick: true},
			{says: `retained: {"smoke":false}`, want: "smoke=offline(r)"},
			{says: `{"smoke":false}`, want: "smoke=0"},
			{after: 10 * time.Minute, tick: true, want: "smoke=offline"},
		},
		"a device that was never heard expires too": {
			{after: 10 * time.Minute, tick: true, want: "smoke=offline"},
		},
		"a message without our keys is no sign of anything": {
			{says: `{"linkquality":3}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dev := &device{expire: 10 * time.Minute, Device: drivers.Device{ID: "d", Signals: []drivers.Signal{
				{ID: "smoke", Kind: "smoke", JSON: "smoke", Scale: 1},
				{ID: "battery", Kind: "battery", JSON: "battery", Scale: 1, Optional: true},
			}}}
			now := noon
			dev.connected(now)
			for i, s := range steps {
				now = now.Add(s.after)
				if got := s.do(t, dev, now); got != s.want {
					t.Fatalf("step %d: %q, want %q", i+1, got, s.want)
				}
			}
		})
	}
}

func (s step) do(t *testing.T, dev *device, now time.Time) string {
	var told []drivers.Reading
	switch {
	case s.says != "":
		payload, retained := strings.CutPrefix(s.says, "retained: ")
		readings, err := Decode(dev.Signals, "", []byte(payload), now)
		if err != nil {
			t.Fatal(err)
		}
		told = dev.receive(readings, retained, now)
	case s.avail != "":
		topic, word, _ := strings.Cut(s.avail, "=")
		online, err := readAvailability([]byte(word))
		if err != nil {
			t.Fatal(err)
		}
		told = dev.available(topic, online, false, now)
	case s.tick:
		told = dev.expireAt(now)
	}
	return say(told)
}

// say writes readings as a test reads them, without the device.
func say(readings []drivers.Reading) string {
	var words []string
	for _, r := range readings {
		_, id, _ := strings.Cut(r.Signal, ".")
		value := fmt.Sprint(r.Value)
		if r.Quality != drivers.Good {
			value = string(r.Reason)
		}
		if r.Retained {
			value += "(r)"
		}
		words = append(words, id+"="+value)
	}
	return strings.Join(words, " ")
}

func TestReadAvailability(t *testing.T) {
	for payload, want := range map[string]string{
		"online": "online", `{"state":"online"}`: "online", "Online": "online", "true": "online", `"online"`: "online", "ready": "online", "sleeping": "online",
		"offline": "offline", `{"state":"offline"}`: "offline", "Offline\n": "offline", "false": "offline", "lost": "offline",
		"perhaps": "", "": "", `{"state":`: "", `{"state":{}}`: "", "null": "", `{"states":"online"}`: "",
	} {
		online, err := readAvailability([]byte(payload))
		got := map[bool]string{true: "online", false: "offline"}[online]
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, want %q", payload, got, want)
		}
	}
}

func FuzzAvailability(f *testing.F) {
	f.Add([]byte(`{"state":"online"}`))
	f.Add([]byte("offline"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if online, err := readAvailability(payload); online && err != nil {
			t.Errorf("%q is online and unknown", payload)
		}
	})
}
