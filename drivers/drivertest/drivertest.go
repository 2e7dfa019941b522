// Package drivertest is the conformance suite that every driver passes: what drivers.Driver promises to the gateway, as
// tests against a real endpoint that can be broken and mended.
//
//	func TestConformance(t *testing.T) {
//		drivertest.Run(t, func(t *testing.T) drivertest.Fixture { … })
//	}
package drivertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers"

	"go.uber.org/goleak"
)

// Fixture is one driver with its endpoint, freshly made: a device of two states that tests can change and damage.
type Fixture struct {
	Driver   drivers.Driver
	Endpoint string // its id

	Break func() // takes the endpoint away: what is connected breaks off, nothing connects any more
	Mend  func() // brings it back

	Signal  string              // device.signal that Set changes, good while nothing is damaged
	Set     func(value float64) // gives Signal a value, 0 or 1
	Damage  func()              // makes Signal bad, on an endpoint that stays connected
	Repair  func()              // undoes Damage
	Pushes  bool                // every Set is told, in order; a driver that polls tells the latest
	Output  string              // a signal that can be written, "" for none
	Written func() float64      // what stands at Output's device
}

// patience is how long anything may take that should come soon, in seconds: machines that test are slow.
const patience = 30 * time.Second

// Run runs the suite, each test against a fixture of its own.
func Run(t *testing.T, start func(t *testing.T) Fixture) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Fixture)
	}{
		{"says first that the endpoint is connected", linkFirst},
		{"returns nil when it is told to end, and leaves no goroutine", endsWell},
		{"ends at once when it is told so before it starts", endsBeforeItStarts},
		{"ends with an error when the endpoint is lost, and can run again", endsWhenLost},
		{"ends with an error when there is nothing to connect to", endsWithoutEndpoint},
		{"tells the device's values as they change", tellsChanges},
		{"tells a device that fails as bad readings and goes on", tellsDamage},
		{"loses nothing while the gateway is slow to take it", survivesSlowness},
		{"answers for its devices at any time", answersForDevices},
		{"writes while it runs, and fails at once while it does not", writes},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, start(t)) })
	}
}

// run is one Run of a driver: what it emitted, and how it ended.
type run struct {
	t       *testing.T
	f       Fixture
	end     context.CancelFunc
	err     chan error // what Run returned
	hurdle  func()     // called by emit before it takes a batch; may block
	changed chan struct{}

	mu      sync.Mutex // guards batches, as emitted and then written over, and copies of them
	batches [][]drivers.Reading
	copies  [][]drivers.Reading
}

// start runs the driver; the test fails if it still runs when the test ends.
func start(t *testing.T, f Fixture, hurdle func()) *run {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	r := &run{t: t, f: f, end: end, err: make(chan error, 1), hurdle: hurdle, changed: make(chan struct{}, 1)}
	go func() { r.err <- f.Driver.Run(ctx, r.emit) }()
	return r
}

func (r *run) emit(batch []drivers.Reading) {
	r.hurdle()
	r.mu.Lock()
	r.batches = append(r.batches, batch)
	r.copies = append(r.copies, slices.Clone(batch))
	for i := range cap(batch) {
		batch[:cap(batch)][i] = taken
	}
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default: // somebody will look
	}
}

// taken is written over what was emitted, as the gateway does with what it uses again (drivers.Recycle).
var taken = drivers.Reading{Signal: "taken by the gateway"}

func noHurdle() {}

// readings are all readings so far.
func (r *run) readings() []drivers.Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.copies...)
}

// await waits until the readings so far satisfy the condition, and fails the test where they do not within patience or
// Run ends.
func (r *run) await(what string, enough func([]drivers.Reading) bool) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for !enough(r.readings()) {
		select {
		case <-r.changed:
		case err := <-r.err:
			r.t.Fatalf("Run ended (%v) before %s; emitted %v", err, what, brief(r.readings()))
		case <-deadline.C:
			r.t.Fatalf("not within %v: %s; emitted %v", patience, what, brief(r.readings()))
		}
	}
}

// stop ends Run as the gateway does, and checks everything it emitted.
func (r *run) stop() {
	r.t.Helper()
	r.end()
	if err := r.returned("after its context ended"); err != nil {
		r.t.Errorf("Run returned %v after its context ended, want nil", err)
	}
	r.check()
}

// returned waits for Run to return.
func (r *run) returned(when string) error {
	r.t.Helper()
	select {
	case err := <-r.err:
		return err
	case <-time.After(patience):
		r.t.Fatalf("Run did not return within %v %s", patience, when)
		return nil
	}
}

// check checks what holds for all readings, and that no batch changed after it was emitted.
func (r *run) check() {
	r.t.Helper()
	keys := map[string]bool{r.f.Endpoint + "." + drivers.LinkSignal: true}
	for _, d := range r.f.Driver.Devices() {
		for _, s := range d.Signals {
			keys[d.Key(s)] = true
		}
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, batch := range r.batches {
		if len(batch) == 0 {
			r.t.Errorf("batch %d is empty", i)
		}
		if slices.ContainsFunc(batch[:cap(batch)], func(x drivers.Reading) bool { return x.Signal != taken.Signal }) {
			r.t.Errorf("batch %d changed after it was emitted", i)
		}
		for _, x := range r.copies[i] {
			if fault := Fault(x, keys, now); fault != "" {
				r.t.Errorf("%s: %+v", fault, x)
			}
		}
	}
}

// Fault is what is wrong with a reading, "" for nothing: keys are the signals of the endpoint, now is when it was taken or
// later.
func Fault(x drivers.Reading, keys map[string]bool, now time.Time) string {
	switch {
	case !keys[x.Signal]:
		return "a reading of a signal that the endpoint does not have"
	case x.Time.IsZero():
		return "a reading without a time"
	case x.Time.After(now):
		return "a reading of the future"
	case x.Quality == drivers.Good && x.Reason != "":
		return "a good reading with a reason"
	case x.Quality != drivers.Good && !slices.Contains(drivers.Reasons, x.Reason):
		return "a reading that is not good without a reason"
	case x.Quality == drivers.Bad && x.Value != 0:
		return "a bad reading with a value"
	}
	return ""
}

// has tells whether there is a good reading of a signal with a value.
func has(signal string, value float64) func([]drivers.Reading) bool {
	return func(all []drivers.Reading) bool {
		return slices.ContainsFunc(all, func(x drivers.Reading) bool {
			return x.Signal == signal && x.Quality == drivers.Good && x.Value == value
		})
	}
}

// after is a condition on the readings from the n-th on.
func after(n int, enough func([]drivers.Reading) bool) func([]drivers.Reading) bool {
	return func(all []drivers.Reading) bool { return len(all) > n && enough(all[n:]) }
}

func (r *run) connected() {
	r.t.Helper()
	r.await("LinkUp", has(r.f.Endpoint+"."+drivers.LinkSignal, 1))
}

func brief(all []drivers.Reading) string {
	var b strings.Builder
	for i, x := range all {
		if i == 20 {
			fmt.Fprintf(&b, "… of %d", len(all))
			break
		}
		fmt.Fprintf(&b, "%s=%v(%s %s) ", x.Signal, x.Value, x.Quality, x.Reason)
	}
	return b.String()
}

// goroutines fails the test for goroutines that were not there before; those of a server see the end of a connection soon.
func goroutines(t *testing.T, before goleak.Option) {
	t.Helper()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
