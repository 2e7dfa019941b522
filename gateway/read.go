package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

// Value is what a signal says now, for a person who asks.
type Value struct {
	drivers.Reading
	Unit      string // "" where there is none
	Label     string // the word of an enum, or the names of the flags that are set
	Registers bool   // Raw is registers or a bit, not a payload
}

// UnknownName is a name that is neither a device nor a signal of the configuration.
type UnknownName struct{ i18n.Text }

func (e *UnknownName) Error() string { return e.String() }

// Asked tells which devices the names of devices and signals are about; no names are all. It is Options.Asked of a gateway that
// is made for Read.
func Asked(names []string) func(device string) bool {
	return func(device string) bool {
		return len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return n == device || strings.HasPrefix(n, device+".") })
	}
}

// Read reads the named devices and signals (none: all) through their drivers, without rules, alarms or a disk, until each has
// said something or the wait is over; then what has not is Bad. Optional signals are not waited for once their device spoke. The
// values come in the order of the configuration. A wire that cannot be had makes its signals Bad, and is in err too.
func (g *Gateway) Read(ctx context.Context, names []string, wait time.Duration) ([]Value, error) {
	chosen, err := g.choose(names)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	got := map[string]drivers.Reading{}
	var lost []error
	heard := map[string]bool{} // devices of which something came
	take := func(r drivers.Reading) {
		if c, ok := chosen[r.Signal]; ok {
			got[r.Signal] = r
			heard[c.device.ID] = true
		}
	}
	left := g.throughDaemon(ctx, chosen, take)
	if ctx.Err() != nil {
		left = nil // the daemon took all the time; its wires are not opened beside it
	}
	g.listen(ctx, left, 0, func(l *link, batch []drivers.Reading, err error) {
		if err != nil {
			lost = append(lost, fmt.Errorf("%s: %w", l.id, err))
			batch = nil
			for key, c := range chosen {
				if _, seen := got[key]; !seen && c.link == l {
					batch = append(batch, drivers.Reading{Signal: key, Time: time.Now(), Reason: drivers.Offline, Detail: firstLine(err.Error())})
				}
			}
		}
		for _, r := range batch {
			take(r)
		}
		for key, c := range chosen {
			if _, ok := got[key]; !ok && !(c.signal.Optional && heard[c.device.ID]) {
				return
			}
		}
		cancel()
	})
	values := make([]Value, 0, len(chosen))
	for _, key := range g.order(chosen) {
		r, ok := got[key]
		if c := chosen[key]; !ok && c.signal.Optional && heard[c.device.ID] && !slices.Contains(names, key) {
			continue // this unit does not have it
		}
		if !ok {
			r = drivers.Reading{Signal: key, Time: time.Now(), Reason: drivers.Timeout, Detail: "nothing came within " + wait.String()}
		}
		values = append(values, chosen[key].value(r))
	}
	return values, errors.Join(lost...)
}

// throughDaemon reads what the daemon has the wires of, and answers what is left.
func (g *Gateway) throughDaemon(ctx context.Context, chosen map[string]choice, take func(drivers.Reading)) map[string]choice {
	if g.Now == nil {
		return chosen
	}
	left, asked := maps.Clone(chosen), map[string]bool{}
	for _, c := range chosen {
		if _, can := c.link.driver.(drivers.Asker); !can || asked[c.device.ID] {
			continue
		}
		asked[c.device.ID] = true
		readings, ok := g.Now(ctx, c.device.ID)
		if !ok {
			continue
		}
		for _, r := range readings {
			take(r)
		}
		maps.DeleteFunc(left, func(_ string, other choice) bool { return other.device.ID == c.device.ID })
	}
	return left
}

// Watch tells what the named devices and signals (none: all) say, as it comes, until ctx ends. A wire that is lost is told once
// as Bad, and tried again.
func (g *Gateway) Watch(ctx context.Context, names []string, tell func([]Value)) error {
	chosen, err := g.choose(names)
	if err != nil {
		return err
	}
	g.listen(ctx, chosen, leastWait, func(l *link, batch []drivers.Reading, err error) {
		if err != nil {
			batch = nil
			for _, key := range g.order(chosen) {
				if chosen[key].link == l {
					batch = append(batch, drivers.Reading{Signal: key, Time: time.Now(), Reason: drivers.Offline, Detail: firstLine(err.Error())})
				}
			}
		}
		var values []Value
		for _, r := range batch {
			if c, ok := chosen[r.Signal]; ok {
				values = append(values, c.value(r))
			}
		}
		if len(values) > 0 {
			tell(values)
		}
	})
	return nil
}

// Plan is what drivers know beforehand of how busy their wires are going to be, with a warning for each device that cannot
// keep its period.
func (g *Gateway) Plan() (texts []i18n.Text) {
	for _, l := range g.links {
		if p, ok := l.driver.(drivers.Planner); ok {
			texts = append(texts, p.Plan()...)
		}
	}
	return texts
}

// choice is one signal that somebody asks for.
type choice struct {
	link   *link
	device drivers.Device
	signal drivers.Signal
}

func (c choice) value(r drivers.Reading) Value {
	s := signal{Signal: &c.signal, Reading: r}
	v := Value{Reading: r, Unit: unit(c.signal), Registers: c.signal.At != ""}
	if r.Quality != drivers.Bad {
		v.Label = s.label()
	}
	return v
}

// choose is the signals of the names, by key; every one without names.
func (g *Gateway) choose(names []string) (map[string]choice, error) {
	chosen, known := map[string]choice{}, map[string]bool{}
	for _, l := range g.links {
		if l.driver == g.derived {
			continue // the daemon's own
		}
		for _, d := range l.driver.Devices() {
			known[d.ID] = true
			for _, s := range d.Signals {
				key := d.Key(s)
				known[key] = true
				if len(names) == 0 || slices.Contains(names, d.ID) || slices.Contains(names, key) {
					chosen[key] = choice{l, d, s}
				}
			}
		}
	}
	for _, n := range names {
		if !known[n] {
			return nil, &UnknownName{i18n.T("there is no device and no signal %q in this configuration", n)}
		}
	}
	return chosen, nil
}

// order is the chosen keys as the configuration has them.
func (g *Gateway) order(chosen map[string]choice) (keys []string) {
	for _, d := range g.devices() {
		for _, key := range keysOf(d) {
			if _, ok := chosen[key]; ok {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// listen runs the drivers of the chosen signals until all have ended; with a pause, they are run again until ctx ends. take is
// told every batch, and the error with which a driver ended, once until it is back; never two at once.
func (g *Gateway) listen(ctx context.Context, chosen map[string]choice, pause time.Duration, take func(*link, []drivers.Reading, error)) {
	var one sync.Mutex
	var running sync.WaitGroup
	for _, l := range g.links {
		asked := false
		for _, c := range chosen {
			asked = asked || c.link == l
		}
		if !asked {
			continue
		}
		running.Go(func() {
			for lost := false; ; {
				err := runDriver(ctx, l.driver, func(batch []drivers.Reading) {
					one.Lock()
					defer one.Unlock()
					lost = false
					take(l, batch, nil)
				})
				if ctx.Err() != nil {
					return
				}
				one.Lock()
				if !lost {
					take(l, nil, err)
				}
				lost = true
				one.Unlock()
				if pause == 0 {
					return
				}
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	running.Wait()
}
