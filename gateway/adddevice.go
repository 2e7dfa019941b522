package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/drivers/profiles"
	"embergate/gateway/alarm"
	"embergate/gateway/configfile"
	"embergate/gateway/console"

	"golang.org/x/sys/unix"
)

// adding puts devices into the configuration file for people (UI09). What is tried is what would be saved: the file with the
// device in it is read and checked as at a start, and the device that comes out of it is read over the wire that the daemon has.
type adding struct {
	h      *hub
	models func() []console.Model
	one    sync.Mutex // held while somebody tries or saves one
}

// tryTime is how long a device is tried.
const tryTime = 10 * time.Second

// adding is nil where no daemon of a configuration file is around the gateway.
func (g *Gateway) adding(h *hub) console.Adding {
	if g.File == "" || g.Options.Reload == nil {
		return nil
	}
	return &adding{h: h, models: sync.OnceValue(g.listModels)}
}

// listModels are the device models that a device may have: those of the binary, and the files of the configuration.
func (g *Gateway) listModels() []console.Model {
	built, err := profiles.Models()
	if err != nil {
		g.Log.Error("device models cannot be listed", "err", err)
	}
	for _, file := range g.cfg.Profiles {
		path := file.Value()
		if !filepath.IsAbs(path) {
			path = filepath.Join(file.Dir(), path)
		}
		s, err := conf.Load(path, conf.OS())
		if err != nil {
			g.Log.Error("device model cannot be listed", "file", path, "err", err)
			continue
		}
		own := profiles.Parse(s)
		built = append(slices.DeleteFunc(built, func(m profiles.Model) bool { return m.ID == own.ID }), own)
	}
	list := make([]console.Model, 0, len(built))
	for _, m := range built {
		list = append(list, console.Model{ID: m.ID, Name: m.Name, Protocol: m.Protocol})
	}
	slices.SortFunc(list, func(a, b console.Model) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Choices are what a person chooses from, and whether the file can be written.
func (a *adding) Choices() console.Choices {
	return console.Choices{File: a.h.g.File, Locked: a.locked(), Models: a.models()}
}

// locked says why the file cannot be replaced; empty where it can.
func (a *adding) locked() i18n.Text {
	folder := filepath.Dir(a.h.g.File)
	if target, err := filepath.EvalSymlinks(a.h.g.File); err == nil {
		folder = filepath.Dir(target)
	}
	if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
		return unwritable(folder, err)
	}
	return i18n.Text{}
}

func unwritable(where string, err error) i18n.Text {
	return i18n.T("the gateway may not write in %s (%s); write the lines into the file yourself, and reload", where, err)
}

// proposal is the file with a device in it, and the gateway that it makes.
type proposal struct {
	was []byte
	configfile.Added
	next *Gateway
	link *link // of the device, in next
}

// seen names exactly this: the file as it was, and the device.
func (p *proposal) seen() string {
	sum := sha256.Sum256(p.Text)
	return hex.EncodeToString(sum[:16])
}

// propose reads the file with the device in it, and refuses it with the mistakes that it would have.
func (a *adding) propose(d console.NewDevice, l i18n.Lang, now func(ctx context.Context, device string) ([]drivers.Reading, bool)) (*proposal, error) {
	g := a.h.g
	was, err := os.ReadFile(g.File)
	if err != nil {
		return nil, refuse(alarm.ErrState, "the configuration cannot be read: %s", err)
	}
	if !slices.ContainsFunc(g.links, func(l *link) bool { return l.id == d.Endpoint }) {
		return nil, refuse(alarm.ErrInput, "there is no connection %q", d.Endpoint)
	}
	if d.Profile == "" {
		return nil, refuse(alarm.ErrInput, "which model is it?")
	}
	p := &proposal{was: was}
	if p.Added, err = configfile.AddDevice(was, d.Endpoint, deviceKeys(d)); err != nil {
		return nil, refuse(alarm.ErrState, "the file is written in a way that leaves no place for it; write these lines below the devices of %s yourself:\n%s", d.Endpoint, p.Lines)
	}
	root := conf.Parse(g.File, p.Text, conf.OS())
	p.next, err = New(root, Options{Protocols: g.Protocols, Version: g.Version, Log: slog.New(slog.DiscardHandler), Asked: Asked([]string{d.ID}), Now: now})
	if err != nil {
		return nil, err
	}
	if problems := root.Problems(); problems != nil {
		return nil, refuse(alarm.ErrInput, "the configuration would have mistakes with this device; nothing is saved:\n%s", problems.In(l))
	}
	p.link, _, _ = wires{p.next.links}.device(d.ID)
	return p, nil
}

// deviceKeys are those of a device as they are written; what is empty is left out.
func deviceKeys(d console.NewDevice) []configfile.Key {
	keys := []configfile.Key{{Name: "id", Value: d.ID}}
	for _, k := range []configfile.Key{{Name: "name", Value: d.Name}, {Name: "zone", Value: d.Zone}, {Name: "profile", Value: d.Profile}, {Name: "topic", Value: d.Topic}, {Name: "every", Value: d.Every}} {
		if k.Value != "" {
			keys = append(keys, k)
		}
	}
	if d.Unit != nil {
		keys = append(keys, configfile.Key{Name: "unit", Value: *d.Unit})
	}
	return keys
}

// TryDevice checks a device and reads it once, over the wire of the running driver; one that speaks by itself is listened for.
func (a *adding) TryDevice(ctx context.Context, d console.NewDevice, l i18n.Lang) (console.Tried, error) {
	if !a.one.TryLock() {
		return console.Tried{}, refuse(alarm.ErrState, "somebody else is trying a device just now")
	}
	defer a.one.Unlock()
	var p *proposal
	var failed error
	p, err := a.propose(d, l, func(ctx context.Context, device string) ([]drivers.Reading, bool) {
		readings, err := a.overWire(ctx, p, d)
		failed = err
		return readings, true
	})
	if err != nil {
		return console.Tried{}, err
	}
	values, err := p.next.Read(ctx, []string{d.ID}, tryTime)
	if err = cmp.Or(failed, err); err != nil {
		return console.Tried{}, refuse(alarm.ErrState, "%s gave no answer: %s", d.Endpoint, firstLine(err.Error()))
	}
	tried := console.Tried{Lines: strings.TrimRight(p.Lines, "\n"), Line: p.Line, Seen: p.seen(), Locked: a.locked(), Edited: sha256.Sum256(p.was) != a.h.g.read}
	for _, v := range values {
		tried.Signals = append(tried.Signals, triedSignal(p, v, l))
	}
	return tried, nil
}

// overWire reads the device of a proposal over the wire of the running driver.
func (a *adding) overWire(ctx context.Context, p *proposal, d console.NewDevice) ([]drivers.Reading, error) {
	for _, l := range a.h.g.links {
		if t, can := l.driver.(drivers.Trier); can && l.id == d.Endpoint {
			return t.Try(ctx, p.link.driver, d.ID)
		}
	}
	return nil, fmt.Errorf("%s: %w", d.Endpoint, errors.ErrUnsupported)
}

// triedSignal is what a signal said, for the page.
func triedSignal(p *proposal, v Value, l i18n.Lang) console.Signal {
	for _, d := range p.link.driver.Devices() {
		for i := range d.Signals {
			if d.Key(d.Signals[i]) == v.Signal {
				s := &signal{Signal: &d.Signals[i]}
				s.set(v.Time, &v.Reading)
				return pageSignal(s, string(l))
			}
		}
	}
	return console.Signal{ID: v.Signal}
}

// AddDevice writes a device into the file, exactly as it was tried, and lets the daemon read it anew.
func (a *adding) AddDevice(ctx context.Context, d console.NewDevice, seen string, l i18n.Lang, act alarm.Act) error {
	if !a.one.TryLock() {
		return refuse(alarm.ErrState, "somebody else is trying a device just now")
	}
	defer a.one.Unlock()
	p, err := a.propose(d, l, nil)
	if err != nil {
		return err
	}
	if p.seen() != seen {
		return refuse(alarm.ErrState, "the device or the file is not what was tested: test it again, then save")
	}
	_, err = configfile.Save(a.h.g.File, p.was, p.Text, time.Now())
	switch {
	case errors.Is(err, configfile.ErrChanged):
		return refuse(alarm.ErrState, "the device or the file is not what was tested: test it again, then save")
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return &alarm.Refused{Cause: alarm.ErrState, Text: unwritable(a.h.g.File, err)}
	case err != nil:
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTime) // it is saved, whether or not somebody waits to hear so
	defer cancel()
	note := i18n.T("%s (%s) added to %s as %s, in line %d of %s", cmp.Or(d.Name, d.ID), d.ID, d.Endpoint, d.Profile, p.Line, a.h.g.File)
	err = a.h.do(ctx, func(now time.Time) ([]alarm.Event, error) {
		return []alarm.Event{a.h.hands.event(now, "device.added", note, act)}, nil
	})
	if err != nil {
		a.h.log.Error("added device not in the journal", "device", d.ID, "by", act.By, "err", err)
	}
	if err := a.h.g.Options.Reload(ctx); err != nil {
		return refuse(alarm.ErrState, "it is saved, but the gateway goes on as before: %s", firstLine(err.Error()))
	}
	return nil
}
