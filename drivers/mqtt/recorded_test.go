package mqtt

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// recording is an entry of testdata/recorded.yaml.
type recording struct {
	File      string         `yaml:"file"`
	Watch     []string       `yaml:"watch"`
	Devices   []conf.Section `yaml:"devices"`
	Repeats   []int          `yaml:"repeats"`
	Says      []string       `yaml:"says"`
	Malformed int            `yaml:"malformed"`
	Unclaimed []string       `yaml:"unclaimed"`
}

// line is a line of a recording.
type line struct {
	Topic, Payload string
	Hex            string `json:"payload_hex"`
	Retain         bool
	Expect         map[string]any
}

const recordings = "../../../shared/realinput/mqtt/"

// TestEveryLineOfTheRecordings reads recorded messages that are not part of the repository, if they are there: every file,
// every line (rows MQ02, MQ05, MQ16, MQ18).
func TestEveryLineOfTheRecordings(t *testing.T) {
	files, _ := filepath.Glob(recordings + "*.jsonl")
	if len(files) == 0 {
		t.Skip("no recordings here")
	}
	root, err := conf.Load("testdata/recorded.yaml", conf.OS())
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, item := range root.Items() {
		var r recording
		item.Decode(&r)
		known[r.File] = true
		t.Run(strings.TrimSuffix(r.File, ".jsonl"), func(t *testing.T) { r.check(t, root) })
	}
	for _, file := range files {
		if !known[filepath.Base(file)] {
			t.Errorf("%s is no input of this test", file)
		}
	}
}

func (r recording) check(t *testing.T, root conf.Section) {
	e, _ := endpoint("", "{}")
	seen := &counts{}
	watch, _ := json.Marshal(append([]string{}, r.Watch...))
	e.Settings, e.Devices, e.Monitor = conf.Parse("b.yaml", []byte(`{url: "mqtt://h", watch: `+string(watch)+`}`), conf.OS()), r.Devices, seen
	d := New()(e).(*driver)
	if p := append(root.Problems(), e.Settings.Problems()...); p != nil {
		t.Fatal(p)
	}
	lines := readLines(t, recordings+r.File)
	if len(lines) != len(r.Says) {
		t.Fatalf("%d lines, %d are known", len(lines), len(r.Says))
	}
	for i, one := range lines {
		payload := []byte(one.Payload)
		if one.Hex != "" {
			payload, _ = hex.DecodeString(one.Hex)
		}
		told := d.take(&publication{topic: one.Topic, payload: payload, retained: one.Retain}, noon.Add(time.Duration(i)*time.Minute))
		for _, held := range told.held {
			held.device.handle(held.id)
		}
		if got := sayBatches(told.readings); got != r.Says[i] {
			t.Errorf("line %d: %q, want %q", i+1, got, r.Says[i])
		}
		for _, batch := range told.readings {
			for _, reading := range batch {
				one.compare(t, i+1, reading)
			}
		}
		if told.readings == nil && slices.Contains(r.Repeats, i+1) {
			for _, dev := range d.devices {
				dev.handled = nil
			}
			told = d.take(&publication{topic: one.Topic, payload: payload}, noon)
			if got := sayBatches(told.readings); !strings.Contains(got, "raw.event=1 raw.battery=97") {
				t.Errorf("line %d, as a message of its own: %q", i+1, got)
			}
		}
	}
	if got := seen.take(); r.Malformed > 0 && len(got) != r.Malformed {
		t.Errorf("%d malformed, want %d: %q", len(got), r.Malformed, got)
	}
	if got := slices.Sorted(slices.Values(seen.unclaimed)); !slices.Equal(got, slices.Sorted(slices.Values(r.Unclaimed))) {
		t.Errorf("unclaimed %q, want %q", got, r.Unclaimed)
	}
}

// compare holds a reading against what the recording says of a value of that name.
func (l line) compare(t *testing.T, number int, r drivers.Reading) {
	_, id, _ := strings.Cut(r.Signal, ".")
	want, ok := l.Expect[id]
	if b, isBool := want.(bool); isBool {
		want = map[bool]float64{true: 1, false: 0}[b]
	}
	if n, isNumber := want.(float64); ok && isNumber && (r.Quality != drivers.Good || r.Value != n && r.Value != n/1000) {
		t.Errorf("line %d: %s = %v %s, the recording says %v", number, r.Signal, r.Value, r.Detail, want)
	}
	if ok && want == nil && r.Quality != drivers.Bad {
		t.Errorf("line %d: %s = %v, the recording says null", number, r.Signal, r.Value)
	}
}

func readLines(t *testing.T, file string) (all []line) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, l)
	}
	return all
}
