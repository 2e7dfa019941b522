package rules_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/rules"

	"pgregory.net/rapid"
)

// play runs a script's conditions and reports what did not come true.
func play(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	root := conf.Parse(path, data, conf.OS())
	script := rules.ReadScript(root)
	set := rules.New(script.Rules, script.Model(i18n.English))
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	if len(script.Expect) == 0 {
		t.Fatal("the script expects nothing")
	}
	for _, missed := range script.Conditions(set) {
		t.Error(missed)
	}
}

func TestEachPackJudgesAsItsScriptSays(t *testing.T) {
	for _, pack := range rules.Packs {
		t.Run(pack, func(t *testing.T) { play(t, filepath.Join("packs", pack+".txt")) })
	}
}

// everything is a site with one device of each kind, in one zone.
func everything() rules.Model {
	m := rules.Model{Zones: []rules.Zone{{ID: "home", Name: "Home"}}, Lang: i18n.English}
	for _, kind := range slices.Sorted(maps.Keys(drivers.Kinds)) {
		if kind == drivers.OnlineSignal {
			continue
		}
		id := fmt.Sprintf("d%d", len(m.Signals))
		device := drivers.Device{ID: id, Name: kind, Zone: "home"}
		m.Signals = append(m.Signals, rules.Signal{Key: id + "." + kind, Signal: drivers.Signal{ID: kind, Kind: kind, Writable: true}, Device: device})
		if kind != drivers.LinkSignal {
			m.Signals = append(m.Signals, rules.Signal{Key: id + ".online", Signal: drivers.Signal{ID: "online", Kind: "online"}, Device: device})
		}
	}
	return m
}

func TestAHomeWithoutRulesHasAllPacks(t *testing.T) {
	root := conf.Parse("home.yaml", []byte("site: {}\n"), conf.OS())
	set := rules.New(root.At("rules"), everything())
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	got := map[string]bool{}
	for _, r := range set.Rules() {
		got[r.From] = true
		if r.Name.ZH == "" || r.Name.EN == "" || r.Message.ZH == "" || r.Message.EN == "" || r.Name.ZH == r.ID {
			t.Errorf("%s lacks a name or message in a language: %+v %+v", r.ID, r.Name, r.Message)
		}
		if !slices.ContainsFunc(set.Instances(), func(in *rules.Instance) bool { return in.Rule == r }) {
			t.Errorf("%s has no instance, although every kind is there", r.ID)
		}
	}
	for _, pack := range rules.Packs {
		if !got[pack] {
			t.Errorf("no rule of the pack %s", pack)
		}
	}
}

// A pack's own file has no mistakes of its own: every key of it is known.
func TestPacksHoldNoUnknownKeys(t *testing.T) {
	for _, pack := range rules.Packs {
		path := filepath.Join("packs", pack+".yaml")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		root := conf.Parse(path, data, conf.OS())
		for _, s := range root.Items() {
			s.Decode(&rules.Rule{})
		}
		if p := root.Problems(); p != nil {
			t.Error(p)
		}
	}
}

func TestABadReadingMakesNoRuleTrueButThoseOfComms(t *testing.T) {
	m := everything()
	set := rules.New(conf.Section{}, m)
	rapid.Check(t, func(t *rapid.T) {
		st, now := set.NewState(), start
		for range rapid.IntRange(1, 40).Draw(t, "batches") {
			now = now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "ms")) * time.Millisecond)
			s := rapid.SampledFrom(m.Signals).Draw(t, "signal")
			value := rapid.SampledFrom([]float64{0, 1, 5, 60, 300, 1000}).Draw(t, "value")
			quality := rapid.SampledFrom([]drivers.Quality{drivers.Bad, drivers.Uncertain, drivers.Good}).Draw(t, "quality")
			before := map[*rules.Instance]rules.Value{}
			for _, in := range set.Instances() {
				before[in] = st.Eval(in, now).When
			}
			st.Update(now, []drivers.Reading{{Signal: s.Key, Time: now, Value: value, Quality: quality}})
			if quality == drivers.Good {
				continue
			}
			for _, in := range set.Instances() {
				if v := st.Eval(in, now).When; v == rules.True && before[in] != rules.True && in.Rule.From != "comms" {
					t.Fatalf("a %s reading of %s made %s true", quality, s.Key, in.Key)
				} else if in.Signal == s.Key && v == rules.True && in.Rule.From != "comms" {
					t.Fatalf("%s is true on a %s reading", in.Key, quality)
				}
			}
		}
	})
}
