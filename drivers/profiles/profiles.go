// Package profiles holds device models as data: one YAML file a model, with the signals that every device of the model
// has, where its facts come from, and test vectors that say what its bytes mean. To add a model takes a file and no Go.
//
//	id: renke-ws-n01
//	name: {zh: …, en: …}
//	vendor: Renke
//	source: where the register map was read
//	grade: B                 # A vendor's manual, B maintained public driver, C single source: check on site
//	protocol: modbus         # or mqtt
//	every: 5s                # defaults of the device's own keys
//	stale: 30s
//	modbus: {max_gap: 0}     # defaults of the driver's device keys; or mqtt:
//	signals: [ … ]           # keys as in the contract, section 2; names in both languages
//	vectors:                 # at least one
//	  - name: frost
//	    holding: {0: [0x0292, 0xFF9B]}
//	    readings: {humidity: 65.8, temperature: -10.1}
package profiles

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
)

// Model is one device model: the profile that drivers use, and what is known about it.
type Model struct {
	drivers.Profile
	Vendor  string
	Source  string // manual, page or public driver that the facts were read in
	Grade   string // A: vendor's manual; B: maintained public driver; C: single source, check on site
	Vectors []Vector
}

// Grades are the grades of a model's source, best first.
var Grades = []string{"A", "B", "C"}

// Protocols are the protocols that a model may speak.
var Protocols = []string{"modbus", "mqtt"}

// Models ship as NAME.yaml. A blank, NAME.yaml.blank, is for a device whose map is not public: all that is known about it,
// and the signals to be filled in by whoever has the vendor's document.
//
//go:embed *.yaml *.yaml.blank
var files embed.FS

// File is the file of a built-in model or blank, as it is written; fs.ErrNotExist where there is none.
func File(id string) ([]byte, error) {
	data, err := files.ReadFile(id + ".yaml")
	if errors.Is(err, fs.ErrNotExist) {
		data, err = files.ReadFile(id + ".yaml.blank")
	}
	if err != nil {
		return nil, fmt.Errorf("profiles: %q: %w", id, err)
	}
	return data, nil
}

// Blanks are the models without signals, by id.
func Blanks() ([]Model, error) {
	names, err := fs.Glob(files, "*.yaml.blank")
	if err != nil {
		return nil, fmt.Errorf("profiles: list blanks: %w", err)
	}
	var blanks []Model
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("profiles: read blank: %w", err)
		}
		blanks = append(blanks, Parse(conf.Parse(name, data, conf.OS())))
	}
	return blanks, nil
}

// Models are all embedded models, by id; an error only for a broken file of ours. They are read once, which takes longer than
// the rest of a configuration, and shared: nobody changes them.
func Models() ([]Model, error) {
	embedded.Lock()
	defer embedded.Unlock()
	if embedded.models == nil {
		models, err := readEmbedded()
		if err != nil {
			return nil, err
		}
		embedded.models = models
	}
	return slices.Clone(embedded.models), nil
}

// Forget lets go of the embedded models, for who has read a configuration and will hardly read another: what is left of their
// files lies all over the memory that reading took, and would keep two megabytes of it. Models reads them anew.
func Forget() {
	embedded.Lock()
	defer embedded.Unlock()
	embedded.models = nil
}

var embedded struct {
	sync.Mutex
	models []Model // nil: to be read
}

func readEmbedded() ([]Model, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("profiles: list embedded models: %w", err)
	}
	models := make([]Model, 0, len(names))
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("profiles: read embedded model: %w", err)
		}
		root := conf.Parse(name, data, conf.OS())
		m := Parse(root)
		if id := strings.TrimSuffix(name, ".yaml"); m.ID != id {
			root.At("id").Problem("the id of a built-in model is its file's name, %s", id)
		}
		if problems := root.Problems(); problems != nil {
			return nil, fmt.Errorf("profiles: embedded model: %w", problems)
		}
		models = append(models, m)
	}
	return models, nil
}

// Load is every embedded model, by id, as drivers want them; an error only for a broken file of ours.
func Load() (drivers.Profiles, error) {
	models, err := Models()
	if err != nil {
		return nil, err
	}
	all := make(drivers.Profiles, len(models))
	for _, m := range models {
		all[m.ID] = m.Profile
	}
	return all, nil
}

// Parse reads the file of one model. Every mistake is reported at its place in the section.
func Parse(s conf.Section) Model {
	var m Model
	var file struct {
		ID       string         `yaml:"id"`
		Name     drivers.Name   `yaml:"name"`
		Vendor   string         `yaml:"vendor"`
		Source   string         `yaml:"source"`
		Grade    string         `yaml:"grade"`
		Protocol string         `yaml:"protocol"`
		Every    time.Duration  `yaml:"every"`
		Stale    time.Duration  `yaml:"stale"`
		Modbus   conf.Section   `yaml:"modbus"`
		MQTT     conf.Section   `yaml:"mqtt"`
		Signals  []conf.Section `yaml:"signals"`
		Vectors  []vectorFile   `yaml:"vectors"`
	}
	s.Decode(&file)
	m.Profile = drivers.Profile{ID: file.ID, Name: file.Name, Every: file.Every, Stale: file.Stale, Protocol: file.Protocol}
	m.Vendor, m.Source, m.Grade = file.Vendor, file.Source, file.Grade

	if !drivers.IDPattern.MatchString(m.ID) {
		s.At("id").Problem("an id is 1 to 40 of a-z, 0-9 and -, not %q", m.ID)
	}
	named(s.At("name"), m.Name)
	if m.Vendor == "" {
		s.At("vendor").Problem("a model names its vendor")
	}
	if m.Source == "" {
		s.At("source").Problem("a model says where its facts were read")
	}
	if !slices.Contains(Grades, m.Grade) {
		s.At("grade").NotOneOf(m.Grade, Grades)
	}
	if !slices.Contains(Protocols, m.Protocol) {
		s.At("protocol").NotOneOf(m.Protocol, Protocols)
	}
	m.Settings = s.At(m.Protocol)
	for _, other := range Protocols {
		if other != m.Protocol && s.At(other).Exists() && slices.Contains(Protocols, m.Protocol) {
			s.At(other).Problem("the model speaks %s; these keys belong to %s", m.Protocol, other)
		}
	}
	if len(file.Signals) == 0 {
		s.At("signals").Problem("a model has signals")
	}
	m.Signals = drivers.DecodeSignals(file.Signals)
	for i, sig := range m.Signals {
		named(file.Signals[i].At("name"), sig.Name)
	}
	if len(file.Vectors) == 0 {
		s.At("vectors").Problem("a model has at least one test vector")
	}
	for _, v := range file.Vectors {
		m.Vectors = append(m.Vectors, v.vector(m))
	}
	return m
}

// named reports a name that lacks a language: models are shown in both.
func named(s conf.Section, n drivers.Name) {
	if n.ZH == "" || n.EN == "" || !s.At("zh").Exists() || !s.At("en").Exists() {
		s.Problem("a name is written in both languages, {zh: …, en: …}")
	}
}
