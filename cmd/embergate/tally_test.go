package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"embergate/drivers"
)

// daemonLife names the environment variable by which this test binary becomes the daemon: its value is the number of the
// life, which every reading of the tally carries.
const daemonLife = "EMBERGATE_TEST_LIFE"

func TestMain(m *testing.M) {
	if os.Getenv(daemonLife) != "" {
		protocols["tally"] = func() drivers.Protocol { return newTally }
		main()
	}
	os.Exit(m.Run())
}

// tally is a driver whose readings are numbered, so that one that is missing leaves a gap: `n` counts the batches of the
// device, `life` is the daemon's, and `smoke` comes and goes. What the hub has committed is reported on standard output:
//
//	ready          the driver runs
//	raised 3       the third smoke of this life is in the journal
//	goroutines 40  so many the process has
//
// In life 0 it says nothing: what is left of other lives is sent.
type tally struct {
	devices []drivers.Device
	every   time.Duration
}

func newTally(e drivers.Endpoint) drivers.Driver {
	var own struct {
		Every time.Duration `yaml:"every"`
	}
	e.Settings.Decode(&own)
	t := &tally{every: own.Every}
	for _, at := range e.Devices {
		d, _ := e.Device(at, "tally", &struct{}{})
		t.devices = append(t.devices, d)
	}
	return t
}

func (t *tally) Devices() []drivers.Device { return t.devices }

func (t *tally) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	var life float64
	fmt.Sscan(os.Getenv(daemonLife), &life)
	emit(drivers.LinkUp("tally", time.Now()))
	fmt.Println("ready")
	if life == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for n := 1; ; n++ {
		for i, d := range t.devices {
			now := time.Now()
			batch := []drivers.Reading{
				{Signal: d.ID + ".n", Time: now, Value: float64(n), Quality: drivers.Good},
				{Signal: d.ID + ".life", Time: now, Value: life, Quality: drivers.Good},
			}
			if i == 0 {
				batch = append(batch, drivers.Reading{Signal: d.ID + ".smoke", Time: now, Value: float64(n / 4 % 2), Quality: drivers.Good})
			}
			emit(batch)
		}
		if n%8 == 6 { // the hub takes one batch after another, so the one that began the smoke at 4 of 8 is committed
			fmt.Println("raised", n/8+1)
			fmt.Println("goroutines", runtime.NumGoroutine())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
