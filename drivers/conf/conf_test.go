package conf_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// home is a configuration with every sort of field that Decode knows.
type home struct {
	ID      string         `yaml:"id"`
	Count   uint8          `yaml:"count"`
	Delta   int16          `yaml:"delta"`
	Share   float64        `yaml:"share"`
	On      bool           `yaml:"on"`
	Timeout time.Duration  `yaml:"timeout"`
	Key     conf.Secret    `yaml:"key"`
	Data    conf.Path      `yaml:"data"`
	Flags   map[int]string `yaml:"flags"`
	NA      []float64      `yaml:"na"`
	Raw     conf.Section   `yaml:"raw"`
	Inner   *struct {
		Baud int `yaml:"baud"`
	} `yaml:"inner"`
}

var world = conf.Environment{
	Variable: func(name string) (string, bool) { return map[string]string{"KEY": "hunter2"}[name], name == "KEY" },
	ReadFile: func(path string) ([]byte, error) {
		if path == "/etc/home/secrets/key" {
			return []byte("from-file\n"), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	},
}

func decode(text string) (home, conf.Section) {
	h := home{Timeout: time.Second}
	s := conf.Parse("/etc/home/home.yaml", []byte(text), world)
	s.Decode(&h)
	return h, s
}

func TestDecodeReadsEverySortOfField(t *testing.T) {
	h, s := decode(`
id: 0071
count: 0x10
delta: -3
share: 0xFFFF
on: true
key_file: secrets/key
data: ./data
flags: {0: fault, 15: alarm}
na: [0x8000, 3.5]
raw: {anything: goes}
inner: {baud: 9600}
`)
	if p := s.Problems(); p != nil {
		t.Fatal(p)
	}
	got := fmt.Sprintln(h.ID, h.Count, h.Delta, h.Share, h.On, h.Timeout, h.Key.Reveal(), h.Data, h.Flags, h.NA, h.Raw.Keys(), h.Inner.Baud)
	want := "0071 16 -3 65535 true 1s from-file /etc/home/data map[0:fault 15:alarm] [32768 3.5] [anything] 9600\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestEveryMistakeAtItsPlace (OP02, OP03) walks testdata/bad: each file is a configuration, its leading comments the problems wanted.
func TestEveryMistakeAtItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if w, ok := strings.CutPrefix(line, "# wants "); ok {
					want = append(want, strings.TrimSpace(w))
				}
			}
			var h home
			s := conf.Parse("home.yaml", data, world)
			s.Decode(&h)
			if got := s.Problems().Error(); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

func TestOpenKeysAreThoseOfATable(t *testing.T) {
	s := conf.Parse("home.yaml", []byte("id: x\nmodbus: {url: y}\nmodbsu: {}\n"), world)
	protocols := map[string]conf.Section{"modbus": {}, "mqtt": {}}
	var own struct {
		ID string `yaml:"id"`
	}
	s.Decode(&own, protocols)
	if !protocols["modbus"].Exists() || protocols["mqtt"].Exists() || protocols["modbus"].At("url").Value() != "y" {
		t.Error(protocols)
	}
	want := "home.yaml:3:1: modbsu: unknown key; allowed: id, modbus, mqtt; did you mean modbus?"
	if got := s.Problems().Error(); got != want {
		t.Error(got)
	}
}

func TestProblemsAreSaidInChinese(t *testing.T) {
	_, s := decode("idd: x\n")
	got := s.Problems().In(i18n.Chinese)
	for _, want := range []string{"/etc/home/home.yaml:1:1: idd: ", "未知的键", "id"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
}

func TestSecretShowsItselfToNobody(t *testing.T) {
	h, s := decode("key: \"${KEY}\"\n")
	if s.Problems() != nil || h.Key.Reveal() != "hunter2" {
		t.Fatal(s.Problems(), h.Key.Reveal())
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "key", h.Key, "all", h)
	shown := log.String() + fmt.Sprintf("%v %+v %#v %s %q", h.Key, h.Key, h.Key, h.Key, h.Key) + fmt.Sprintf("%v %+v", h, h)
	if strings.Contains(shown, "hunter2") {
		t.Errorf("the secret is shown: %s", shown)
	}
}

func TestWithinPointsIntoAnExpression(t *testing.T) {
	s := conf.Parse("f.yaml", []byte("a: 'x > y'\nb: x > y\nc: |\n  x >\n  y\n"), world)
	for key, want := range map[string]string{"a": "f.yaml:1:9", "b": "f.yaml:2:8"} {
		if got := s.At(key).Within(1, 4).Position(); got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
	if got := s.At("c").Within(2, 0).Position(); got != "f.yaml:5:3" {
		t.Errorf("block: got %s", got)
	}
}

func TestNearestName(t *testing.T) {
	allowed := []string{"baud", "parity", "timeout"}
	for got, want := range map[string]string{"buad": "baud", "time_out": "timeout", "bauds": "baud", "xyz": "", "": ""} {
		if n := conf.Nearest(got, allowed); n != want {
			t.Errorf("%q: got %q, want %q", got, n, want)
		}
	}
}

func TestLoadOfAMissingFileIsTheFilesError(t *testing.T) {
	if _, err := conf.Load("/nowhere.yaml", world); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("id: x\ncount: 300\n")
	f.Add("inner: &a {baud: *a}\n")
	f.Add("flags: {x: 1}\nna: 3\nkey: ${NO}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, s := decode(text)
		_ = s.Problems().In(i18n.Chinese)
	})
}

func TestAnIncludedFileReportsItsMistakesWithThoseOfItsFile(t *testing.T) {
	files := map[string]string{"/etc/home/kitchen.yaml": "- {colour: red}\n"}
	env := conf.Environment{ReadFile: func(path string) ([]byte, error) {
		if data, ok := files[path]; ok {
			return []byte(data), nil
		}
		return nil, fs.ErrNotExist
	}}
	root := conf.Parse("/etc/home/home.yaml", []byte("files: [kitchen.yaml, attic.yaml]\nzzz: 1\n"), env)
	root.At("zzz").Problem("unknown key")
	for _, s := range root.At("files").Items() {
		for _, item := range s.Include().Items() {
			item.Decode(&struct {
				Color string `yaml:"color"`
			}{})
		}
	}
	want := "/etc/home/home.yaml:1:23: files[1]: the file cannot be read: file does not exist\n" +
		"/etc/home/home.yaml:2:6: zzz: unknown key\n" +
		"/etc/home/kitchen.yaml:1:4: [0].colour: unknown key; allowed: color; did you mean color?"
	if got := root.Problems().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What is kept of a file that is forgotten still says where it stood, and holds nothing below it.
func TestAForgottenFileLeavesThePlacesOfItsSections(t *testing.T) {
	root := conf.Parse("home.yaml", []byte("endpoints:\n- id: bus\n  devices:\n  - {id: meter, unit: 1}\n"), conf.OS())
	endpoint := root.At("endpoints").Items()[0]
	device := endpoint.At("devices").Items()[0].Kept()
	id, missing := device.At("id"), device.At("zone").Kept()
	root.Forget()
	if device.At("id").Exists() || len(device.Keys()) != 0 || endpoint.At("id").Exists() {
		t.Error("what is below a section is still there")
	}
	if id.Value() != "meter" || !device.Exists() || missing.Exists() {
		t.Errorf("the section's own text is %q", id.Value())
	}
	device.Problem("out of place")
	if problems := root.Problems(); len(problems) != 1 || problems[0].Line != 4 || problems[0].Key != "endpoints[0].devices[0]" {
		t.Errorf("%+v", problems)
	}
}
