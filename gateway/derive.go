package gateway

import (
	"context"
	"time"

	"embergate/drivers"
	"embergate/drivers/derived"
)

// derivedKey is where the totals and hours of derived signals are kept in the store's settings.
const derivedKey = "derived"

// readDerived makes the devices whose signals follow from those of others; see package derived. They stand behind an endpoint of
// their own, whose wire is the hub.
func (g *Gateway) readDerived() {
	if len(g.cfg.Derived) == 0 {
		return
	}
	sources, taken := map[string]derived.Source{}, map[string]bool{}
	for _, l := range g.links {
		taken[l.id] = true
		for _, d := range l.driver.Devices() {
			taken[d.ID] = true
			for _, s := range d.Signals {
				sources[d.Key(s)] = derived.Source{Signal: s, Stale: staleAfter(d)}
			}
		}
	}
	g.derived = derived.New(g.cfg.Derived, sources)
	claim(taken, derived.ID, g.cfg.Derived[0])
	for _, d := range g.derived.Devices() {
		claim(taken, d.ID, d.Section.At("id"))
		if _, ok := g.places[d.Zone]; d.Zone != "" && !ok {
			d.Section.At("zone").NotOneOf(d.Zone, zoneIDs(g.places))
		}
	}
	g.links = append(g.links, &link{id: derived.ID, protocol: derived.ID, driver: g.derived})
}

// derive adds to a batch what follows from it.
func (h *hub) derive(now time.Time, batch []drivers.Reading) []drivers.Reading {
	if h.g.derived == nil {
		return batch
	}
	if made := h.g.derived.Update(now, batch); len(made) > 0 {
		batch = append(batch, h.live.note(now, made)...)
	}
	return batch
}

// rememberDerived keeps what derived signals have counted.
func (h *hub) rememberDerived(ctx context.Context) error {
	if h.g.derived == nil {
		return nil
	}
	return h.setting(ctx, derivedKey, h.g.derived.State())
}

// recallDerived gives it back.
func (h *hub) recallDerived(ctx context.Context) error {
	if h.g.derived == nil {
		return nil
	}
	kept := map[string]derived.Memory{}
	err := h.readSetting(ctx, derivedKey, &kept)
	h.g.derived.Restore(kept)
	return err
}
