package derived

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"

	"pgregory.net/rapid"
)

var sources = map[string]Source{
	"m1.power":  {Signal: drivers.Signal{ID: "power", Kind: "power"}, Stale: time.Minute},
	"m2.power":  {Signal: drivers.Signal{ID: "power", Kind: "power"}, Stale: 2 * time.Minute},
	"m1.energy": {Signal: drivers.Signal{ID: "energy", Kind: "energy"}},
	"k.t":       {Signal: drivers.Signal{ID: "t", Kind: "temperature"}},
	"pump.run":  {Signal: drivers.Signal{ID: "run", Kind: "pump"}},
	"tank.p":    {Signal: drivers.Signal{ID: "p", Kind: "number", Unit: "kPa"}},
}

func derive(t testing.TB, keys string) *Driver {
	t.Helper()
	root := conf.Parse("home.yaml", []byte("derived: [{id: house, signals: [{id: s, "+keys+"}]}]"), conf.OS())
	d := New(root.At("derived").Items(), sources)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	return d
}

// Rows DM08 and DM11: each line of says is the seconds since the start, then signal=value, signal=bad or signal=uncertain:value;
// after the arrow, what follows from it, nothing where nothing does.
func TestSignalsFollowFromOthers(t *testing.T) {
	for _, c := range []struct{ name, keys, says string }{
		{"a sum", "kind: power, sum: [m1.power, m2.power]", `
			0 m1.power=2 ->
			1 m2.power=3 -> 5
			2 m1.power=2.5 -> 5.5
			3 m1.power=2 m2.power=4 -> 6
			4 other.x=1 ->
			5 m2.power=bad -> bad timeout
			6 m1.power=1 -> bad timeout
			7 m2.power=uncertain:2 -> 3 uncertain`},
		{"a difference, scaled", "kind: number, unit: W, scale: 1000, difference: [m1.power, m2.power]", `
			0 m1.power=2 m2.power=0.5 -> 1500`},
		{"a ratio", `kind: number, unit: "%", scale: 100, ratio: [m1.power, m2.power]`, `
			0 m1.power=1 m2.power=4 -> 25
			1 m2.power=0 -> bad sentinel`},
		{"a value that cannot be", `kind: number, unit: "%", range: [0, 10], ratio: [m1.power, m2.power]`, `
			0 m1.power=10 m2.power=2 -> 5
			1 m2.power=0.5 -> bad range
			2 m1.power=1e300 m2.power=1e-300 -> bad range`},
		{"a rate a minute, between the ends of its time", `kind: number, unit: "°C/min", rate: k.t, over: 2m`, `
			0 k.t=20 -> bad sentinel
			30 k.t=21 -> bad sentinel
			60 k.t=22 -> 2
			120 k.t=22 -> 1
			180 k.t=22 -> 0
			200 k.t=bad -> bad timeout
			210 k.t=40 -> bad sentinel
			270 k.t=40 -> 0`},
		{"hours on", "kind: number, unit: h, hours: pump.run", `
			0 pump.run=0 -> 0
			3600 pump.run=1 -> 0
			5400 pump.run=1 -> 0.5
			7200 pump.run=0 -> 1
			9000 pump.run=1 -> 1
			10800 pump.run=bad -> bad timeout
			14400 pump.run=1 -> 1
			18000 pump.run=1 -> 2`},
		{"a total goes on at the roll-over of its counter", "kind: energy, total: m1.energy, modulus: 1000", `
			0 m1.energy=990 -> 990
			1 m1.energy=998 -> 998
			2 m1.energy=5 -> 1005
			3 m1.energy=7 -> 1007`},
		{"an exchanged meter takes nothing away and adds what it counts", "kind: energy, total: m1.energy, modulus: 1000", `
			0 m1.energy=400 -> 400
			1 m1.energy=50 -> 400
			2 m1.energy=51 -> 400
			3 m1.energy=52 -> 402
			4 m1.energy=60 -> 410`},
		{"a low value that does not stay is no other meter", "kind: energy, total: m1.energy", `
			0 m1.energy=400 -> 400
			1 m1.energy=0 -> 400
			2 m1.energy=401 -> 401`},
		{"noise below the last value is no other meter", "kind: energy, total: m1.energy", `
			0 m1.energy=400 -> 400
			1 m1.energy=300 -> 400
			2 m1.energy=200 -> 400
			3 m1.energy=100 -> 400
			4 m1.energy=401 -> 401`},
		{"a meter that is silent meanwhile", "kind: energy, total: m1.energy", `
			0 m1.energy=400 -> 400
			1 m1.energy=bad -> bad timeout
			2 m1.energy=410 -> 410`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := derive(t, c.keys)
			start := time.Unix(1e9, 0)
			for line := range strings.Lines(strings.TrimSpace(c.says)) {
				says, want, _ := strings.Cut(strings.TrimSpace(line), "->")
				words := strings.Fields(says)
				var seconds int
				fmt.Sscan(words[0], &seconds)
				now := start.Add(time.Duration(seconds) * time.Second)
				var batch []drivers.Reading
				for _, word := range words[1:] {
					batch = append(batch, said(word, now))
				}
				got := ""
				for _, r := range d.Update(now, batch) {
					got = fmt.Sprintf("%.6g", r.Value)
					if r.Quality == drivers.Uncertain {
						got += " uncertain"
					}
					if r.Quality == drivers.Bad {
						got = "bad " + string(r.Reason)
					}
					if fault := r.Signal != "house.s" || !r.Time.Equal(now); fault {
						t.Errorf("%+v", r)
					}
				}
				if got != strings.TrimSpace(want) {
					t.Errorf("%s: got %q", strings.TrimSpace(line), got)
				}
			}
		})
	}
}

func said(word string, now time.Time) drivers.Reading {
	key, value, _ := strings.Cut(word, "=")
	r := drivers.Reading{Signal: key, Time: now, Quality: drivers.Good}
	if value == "bad" {
		return drivers.Reading{Signal: key, Time: now, Reason: drivers.Timeout}
	}
	if rest, ok := strings.CutPrefix(value, "uncertain:"); ok {
		r.Quality, r.Reason, value = drivers.Uncertain, drivers.Range, rest
	}
	fmt.Sscan(value, &r.Value)
	return r
}

// Row MQ05: what follows from something new is new, though the other sources were only kept by a broker.
func TestWhatFollowsIsRetainedOnlyWhereAllIs(t *testing.T) {
	d := derive(t, "kind: power, sum: [m1.power, m2.power]")
	now := time.Unix(1e9, 0)
	kept := func(word string) drivers.Reading {
		r := said(word, now)
		r.Retained = true
		return r
	}
	if got := d.Update(now, []drivers.Reading{kept("m1.power=1"), kept("m2.power=2")}); len(got) != 1 || !got[0].Retained {
		t.Errorf("%+v", got)
	}
	if got := d.Update(now, []drivers.Reading{said("m2.power=20", now)}); len(got) != 1 || got[0].Retained {
		t.Errorf("%+v", got)
	}
}

// Row DM11: whatever a meter says, and however often the gateway starts anew, the total never goes back.
func TestATotalNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &total{modulus: rapid.SampledFrom([]float64{0, 1000}).Draw(t, "modulus")}
		before := math.Inf(-1)
		for _, v := range rapid.SliceOfN(rapid.Float64Range(0, 1000), 1, 50).Draw(t, "values") {
			if rapid.Bool().Draw(t, "restart") {
				m := d.memory()
				d = &total{modulus: d.modulus}
				d.restore(m)
			}
			got, _, _ := d.value(time.Time{}, []drivers.Reading{{Value: v}})
			if got < before {
				t.Fatalf("%g after %g", got, before)
			}
			before = got
		}
	})
}

func TestTotalsAndHoursOutliveARestart(t *testing.T) {
	old := derive(t, "kind: energy, total: m1.energy")
	now := time.Unix(1e9, 0)
	old.Update(now, []drivers.Reading{said("m1.energy=100", now)})
	old.Update(now, []drivers.Reading{said("m1.energy=105", now)})
	anew := derive(t, "kind: energy, total: m1.energy")
	anew.Restore(old.State())
	if got := anew.Update(now, []drivers.Reading{said("m1.energy=107", now)}); len(got) != 1 || got[0].Value != 107 {
		t.Errorf("%+v", got)
	}
	anew.Restore(map[string]Memory{"nobody.s": {}})
}

func TestMistakesAreNamedAtTheirPlace(t *testing.T) {
	root := conf.Parse("home.yaml", []byte(`derived:
  - id: House
    signals:
      - {id: a, kind: power}
      - {id: b, kind: power, sum: [m1.power], rate: k.t}
      - {id: c, kind: power, sum: [m1.power]}
      - {id: d, kind: power, sum: [m1.power, m1.powr]}
      - {id: e, kind: power, sum: [m1.power, k.t]}
      - {id: f, kind: temperature, difference: [m1.power, m2.power]}
      - {id: g, kind: number, hours: m1.power}
      - {id: h, kind: smoke, rate: k.t}
      - {id: i, kind: number, rate: k.t, over: 10s, at: "holding:0"}
      - {id: j, kind: energy, total: m1.energy, modulus: -1}
      - {id: j, kind: number, unit: kPa, sum: [tank.p, m1.power]}
  - {id: empty}
`), conf.OS())
	New(root.At("derived").Items(), sources)
	const want = `home.yaml:2:9: derived[0].id: an id is 1 to 40 of a-z, 0-9 and -, not "House"
home.yaml:4:9: derived[0].signals[0]: a derived signal has exactly one of sum, difference, ratio, rate, hours, total
home.yaml:5:9: derived[0].signals[1]: a derived signal has exactly one of sum, difference, ratio, rate, hours, total
home.yaml:6:35: derived[0].signals[2].sum: sum takes two signals, sum two or more: [device.signal, device.signal]
home.yaml:7:35: derived[0].signals[3].sum: "m1.powr" is not known; allowed: k.t, m1.energy, m1.power, m2.power, pump.run, tank.p; did you mean m1.power?
home.yaml:8:35: derived[0].signals[4].sum: the units differ: °C of k.t, kW before
home.yaml:9:48: derived[0].signals[5].difference: temperature has the unit °C, and its sources kW; use kind number with a unit
home.yaml:10:38: derived[0].signals[6].hours: m1.power cannot be used here: hours are of a state, all else of numbers
home.yaml:11:23: derived[0].signals[7].kind: smoke is no number; what is derived is one
home.yaml:12:48: derived[0].signals[8].over: over is the time in which a rate is taken, at least 1m
home.yaml:12:57: derived[0].signals[8].at: a derived signal has no at
home.yaml:13:58: derived[0].signals[9].modulus: modulus is the value at which the counter of a total begins again, above 0
home.yaml:14:14: derived[0].signals[10].id: the signal "j" is there twice
home.yaml:14:47: derived[0].signals[10].sum: the units differ: kW of m1.power, kPa before
home.yaml:15:5: derived[1]: a derived device needs signals`
	if got := root.Problems().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
