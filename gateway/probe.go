package gateway

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/notify"
)

// Probed is what came of trying one device, channel or uplink.
type Probed struct {
	What string // device, channel or uplink
	ID   string
	Bad  bool // it does not work
	Says i18n.Text
}

// asker is an uplink that can be tried without sending anything.
type asker interface {
	Probe(ctx context.Context) error
}

// uplinkTime bounds the trial of an uplink.
const uplinkTime = 15 * time.Second

// Probe tries everything that the configuration reaches, all at the same time, and changes nothing: devices are read, within
// wait; channels and platforms are logged in to where that can be done without telling anybody. Nothing is started.
func (g *Gateway) Probe(ctx context.Context, wait time.Duration) []Probed {
	var devices, channels []Probed
	uplinks := make([]Probed, len(g.uplinks))
	var running sync.WaitGroup
	running.Go(func() { devices = g.probeDevices(ctx, wait) })
	running.Go(func() {
		for _, p := range g.channels.Probe(ctx) {
			channels = append(channels, probedChannel(p))
		}
	})
	for i, u := range g.uplinks {
		running.Go(func() { uplinks[i] = probeUplink(ctx, u) })
	}
	running.Wait()
	return slices.Concat(devices, channels, uplinks)
}

func probedChannel(p notify.Probed) Probed {
	says := i18n.T("reached; whether it takes the key shows only when something is sent: embergate notify test %s", p.ID)
	switch {
	case p.Err != nil:
		says = i18n.T("does not work: %s", p.Err)
	case p.Proof == notify.LoggedIn:
		says = i18n.T("reached, and logged in")
	}
	return Probed{"channel", p.ID, p.Err != nil, says}
}

func probeUplink(ctx context.Context, u uplink) Probed {
	ctx, cancel := context.WithTimeout(ctx, uplinkTime)
	defer cancel()
	a, can := u.platform.(asker)
	if !can {
		return Probed{"uplink", u.id, false, i18n.T("not tried: a second connection would be a second gateway there")}
	}
	if err := a.Probe(ctx); err != nil {
		return Probed{"uplink", u.id, true, i18n.T("does not work: %s", err)}
	}
	return Probed{"uplink", u.id, false, i18n.T("reached, and logged in")}
}

// probeDevices reads every device once; one that speaks by itself, and rarely, may say nothing in the time.
func (g *Gateway) probeDevices(ctx context.Context, wait time.Duration) (all []Probed) {
	values, _ := g.Read(ctx, nil, wait) // what the wires said is in the values too
	for _, l := range g.links {
		_, asked := l.driver.(drivers.Asker)
		for _, d := range l.driver.Devices() {
			others := func(v Value) bool { return !strings.HasPrefix(v.Signal, d.ID+".") }
			if said := slices.DeleteFunc(slices.Clone(values), others); len(said) > 0 {
				all = append(all, probedDevice(d, said, asked, wait))
			}
		}
	}
	return all
}

func probedDevice(d drivers.Device, said []Value, asked bool, wait time.Duration) Probed {
	good, first := 0, (*Value)(nil)
	for i, v := range said {
		if v.Quality != drivers.Bad {
			good++
		} else if first == nil {
			first = &said[i]
		}
	}
	p := Probed{What: "device", ID: d.ID}
	switch {
	case d.Disabled:
		p.Says = i18n.T("taken out of service")
	case first == nil:
		p.Says = i18n.T("answers: %d signals", good)
	case good > 0:
		p.Says = i18n.T("answers: %d of %d signals; %s is %s (%s)", good, len(said), first.Signal, string(first.Reason), first.Detail)
	case !asked && first.Reason == drivers.Timeout:
		p.Says = i18n.T("said nothing within %s; it speaks by itself, so that need not be a fault", wait)
	default:
		p.Bad, p.Says = true, i18n.T("does not answer: %s (%s)", string(first.Reason), first.Detail)
	}
	return p
}
