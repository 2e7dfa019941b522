package rules_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/rules"
)

// district is a site of 5,000 signals on which the packs and two rules more make 10,000 instances and some.
func district(b *testing.B) (*rules.Set, []string) {
	kinds := []string{"smoke", "temperature", "gas_lel", "residual_current", "battery"}
	m := rules.Model{}
	var signals []string
	for d := range 1000 {
		device := drivers.Device{ID: fmt.Sprintf("d%d", d), Zone: fmt.Sprintf("z%d", d/4)}
		if d%4 == 0 {
			m.Zones = append(m.Zones, rules.Zone{ID: device.Zone})
		}
		for _, k := range kinds {
			s := drivers.Signal{ID: k, Kind: k}
			m.Signals = append(m.Signals, rules.Signal{Key: device.Key(s), Signal: s, Device: device})
			signals = append(signals, device.Key(s))
		}
		m.Signals = append(m.Signals, rules.Signal{Key: device.ID + ".online", Signal: drivers.Signal{ID: "online", Kind: "online"}, Device: device})
	}
	root := conf.Parse("bench.yaml", []byte("packs: [fire, gas, electrical, water, comms]\n"), conf.OS())
	set := rules.New(root, m)
	if p := root.Problems(); p != nil {
		b.Fatal(p)
	}
	return set, signals
}

// cpu is the processor time that this process has used, ns: on a machine with other work it says more than the clock.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkSecond is one second of a site of 5,000 signals that all report a new value: update, what that reaches, what is
// due by time, and its evaluation.
func BenchmarkSecond(b *testing.B) {
	for _, c := range []struct {
		name    string
		changes bool
	}{{"every value new", true}, {"no value new", false}} {
		b.Run(c.name, func(b *testing.B) {
			set, signals := district(b)
			st := set.NewState()
			now, evaluated := time.Now(), 0
			batches := make([][]drivers.Reading, 0, 1000)
			for i := 0; i < len(signals); i += 5 {
				var batch []drivers.Reading
				for _, s := range signals[i : i+5] {
					batch = append(batch, good(s, 0))
				}
				batches = append(batches, batch)
			}
			second := func(n int) {
				now = now.Add(time.Second)
				for _, batch := range batches {
					for i := range batch {
						if c.changes {
							batch[i].Value = float64(n&1) + float64(i)/10
						}
					}
					for _, in := range st.Update(now, batch) {
						st.Eval(in, now)
						evaluated++
					}
				}
				for _, in := range st.Due(now) {
					st.Eval(in, now)
					evaluated++
				}
			}
			for n := range 90 { // windows fill
				second(n)
			}
			evaluated = 0
			b.ReportAllocs()
			n, before := 0, cpu(b)
			for b.Loop() {
				n++
				second(n)
			}
			spent := float64(cpu(b) - before)
			b.ReportMetric(spent/float64(b.N)/5000, "cpu-ns/reading")
			b.ReportMetric(spent/float64(max(evaluated, 1)), "cpu-ns/evaluation")
			b.ReportMetric(float64(evaluated)/float64(b.N), "evaluations")
			b.ReportMetric(float64(len(set.Instances())), "instances")
			b.ReportMetric(spent/float64(b.N)/1e7, "%core")
		})
	}
}

// BenchmarkEval is one evaluation without bookkeeping around it.
func BenchmarkEval(b *testing.B) {
	for _, when := range []string{`value >= 25`, `value == 1 && !own("test")`, `avg("5m") > 3 && online()`, `delta("60s") > 8`} {
		b.Run(when, func(b *testing.B) {
			set, in := rule(b, abc(), when)
			st := set.NewState()
			now := time.Now()
			for i := range 300 {
				now = now.Add(time.Second)
				st.Update(now, []drivers.Reading{good("a.x", float64(i)), good("a.online", 1)})
			}
			b.ReportAllocs()
			before := cpu(b)
			for b.Loop() {
				st.Eval(in, now)
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkNew compiles all packs for the same site.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		district(b)
	}
}
