package drivertest

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"embergate/drivers"

	"go.uber.org/goleak"
)

func linkFirst(t *testing.T, f Fixture) {
	r := start(t, f, noHurdle)
	r.connected()
	if first := r.readings()[0]; first.Signal != f.Endpoint+"."+drivers.LinkSignal || first.Value != 1 {
		t.Errorf("the first reading is %+v, want the link's", first)
	}
	r.stop()
}

func endsWell(t *testing.T, f Fixture) {
	before := goleak.IgnoreCurrent()
	for range 3 { // again and again, on the same driver
		r := start(t, f, noHurdle)
		r.connected()
		r.stop()
	}
	goroutines(t, before)
}

func endsBeforeItStarts(t *testing.T, f Fixture) {
	before := goleak.IgnoreCurrent()
	ctx, end := context.WithCancel(t.Context())
	end()
	r := &run{t: t, f: f, err: make(chan error, 1), hurdle: noHurdle, changed: make(chan struct{}, 1)}
	go func() { r.err <- f.Driver.Run(ctx, r.emit) }()
	if err := r.returned("although its context had ended before"); err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
	r.check()
	goroutines(t, before)
}

func endsWhenLost(t *testing.T, f Fixture) {
	f.Set(0)
	for range 2 {
		before := goleak.IgnoreCurrent()
		r := start(t, f, noHurdle)
		r.connected()
		f.Break()
		if err := r.returned("after its endpoint was lost"); err == nil {
			t.Error("Run returned nil although its endpoint was lost")
		}
		r.check()
		goroutines(t, before)
		f.Mend()
	}
	r := start(t, f, noHurdle)
	r.connected()
	f.Set(1)
	r.await("a reading after the endpoint came back", has(f.Signal, 1))
	r.stop()
}

func endsWithoutEndpoint(t *testing.T, f Fixture) {
	before := goleak.IgnoreCurrent()
	f.Break()
	r := start(t, f, noHurdle)
	if err := r.returned("although there is nothing to connect to"); err == nil {
		t.Error("Run returned nil although there is nothing to connect to")
	}
	if slices.ContainsFunc(r.readings(), func(x drivers.Reading) bool { return x.Quality == drivers.Good }) {
		t.Errorf("good readings without an endpoint: %s", brief(r.readings()))
	}
	r.check()
	goroutines(t, before)
}

func tellsChanges(t *testing.T, f Fixture) {
	f.Set(0)
	r := start(t, f, noHurdle)
	r.connected()
	for _, value := range []float64{1, 0, 1} {
		n := len(r.readings())
		f.Set(value)
		r.await("the changed value", after(n, has(f.Signal, value)))
	}
	r.stop()
}

func tellsDamage(t *testing.T, f Fixture) {
	r := start(t, f, noHurdle)
	r.connected()
	f.Set(1)
	r.await("a good reading", has(f.Signal, 1))
	n := len(r.readings())
	f.Damage()
	r.await("a bad reading of the damaged device", after(n, func(all []drivers.Reading) bool {
		return slices.ContainsFunc(all, func(x drivers.Reading) bool { return x.Signal == f.Signal && x.Quality == drivers.Bad })
	}))
	n = len(r.readings())
	f.Repair()
	f.Set(1)
	r.await("a good reading of the repaired device", after(n, has(f.Signal, 1)))
	r.stop() // Run had not ended: a device that fails is data
}

// survivesSlowness holds up emit while the device changes. A driver that is told every change has to tell every one.
func survivesSlowness(t *testing.T, f Fixture) {
	var once sync.Once
	held, release := make(chan struct{}), make(chan struct{})
	slow := make(chan bool, 1) // holds a value while emit is to be held up
	r := start(t, f, func() {
		select {
		case <-slow:
			once.Do(func() { close(held) })
			<-release
		default:
		}
	})
	r.connected()
	f.Set(0)
	r.await("a first reading", has(f.Signal, 0))
	n := len(r.readings())
	slow <- true
	const changes = 21
	f.Set(1)
	select {
	case <-held:
	case <-time.After(patience):
		t.Fatal("nothing was emitted to hold up")
	}
	for i := 1; i < changes; i++ {
		f.Set(float64((i + 1) % 2))
	}
	close(release)
	r.await("all that changed meanwhile", after(n, func(all []drivers.Reading) bool {
		told := changesOf(f.Signal, all)
		if f.Pushes {
			return len(told) >= changes
		}
		return len(told) > 0 && told[len(told)-1] == 1
	}))
	if told := changesOf(f.Signal, r.readings()[n:]); f.Pushes {
		for i, value := range told[:changes] {
			if value != float64((i+1)%2) {
				t.Errorf("the changes were told as %v", told)
				break
			}
		}
	}
	r.stop()
}

// changesOf are the good values of a signal, in their order.
func changesOf(signal string, all []drivers.Reading) (values []float64) {
	for _, x := range all {
		if x.Signal == signal && x.Quality == drivers.Good {
			values = append(values, x.Value)
		}
	}
	return values
}

func answersForDevices(t *testing.T, f Fixture) {
	want := f.Driver.Devices()
	if !slices.ContainsFunc(want, func(d drivers.Device) bool {
		return slices.ContainsFunc(d.Signals, func(s drivers.Signal) bool { return d.Key(s) == f.Signal })
	}) {
		t.Errorf("no device has the signal %s", f.Signal)
	}
	var asking sync.WaitGroup
	ask := func() { // beside whatever Run does then; the race detector looks on
		asking.Go(func() {
			for range 100 {
				f.Driver.Devices()
			}
		})
	}
	ask()
	r := start(t, f, noHurdle)
	ask()
	r.connected()
	ask()
	f.Set(1)
	r.await("a reading", has(f.Signal, 1))
	ask()
	r.stop()
	asking.Wait()
	if got := f.Driver.Devices(); !reflect.DeepEqual(ids(got), ids(want)) {
		t.Errorf("the devices are %v after a run, and were %v", ids(got), ids(want))
	}
}

func ids(devices []drivers.Device) (keys []string) {
	for _, d := range devices {
		for _, s := range d.Signals {
			keys = append(keys, d.Key(s))
		}
	}
	return keys
}

func writes(t *testing.T, f Fixture) {
	w, ok := f.Driver.(drivers.Writer)
	if !ok || f.Output == "" {
		t.Skip("the driver writes nothing")
	}
	soon, end := context.WithTimeout(t.Context(), patience)
	defer end()
	if _, err := w.Write(soon, f.Output, 1); err == nil {
		t.Error("a write succeeded although the driver does not run")
	}
	r := start(t, f, noHurdle)
	r.connected()
	for _, value := range []float64{1, 0, 1} {
		if confirmed, err := w.Write(soon, f.Output, value); err != nil || confirmed != value {
			t.Errorf("write %v: confirmed %v, %v", value, confirmed, err)
		}
		if got := f.Written(); got != value {
			t.Errorf("after a write of %v the device has %v", value, got)
		}
	}
	for _, signal := range []string{f.Endpoint + "." + drivers.LinkSignal, "nowhere.nothing", ""} {
		if _, err := w.Write(soon, signal, 1); err == nil {
			t.Errorf("a write of %q succeeded", signal)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Write(ended, f.Output, 0); err == nil && f.Written() != 0 {
		t.Error("a write that was given up reports success and wrote nothing")
	}
	r.stop()
	if _, err := w.Write(soon, f.Output, 1); err == nil {
		t.Error("a write succeeded after the driver had ended")
	}
	if soon.Err() != nil {
		t.Error("the writes took too long")
	}
}
