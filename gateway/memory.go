package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// What must not begin anew with every start: how long each device has been silent, and what was seen last of the signals that
// tell their own times. The silence is kept as durations, for the clock may be wrong after a power cut; time without power does
// not count, for nobody listened.

const (
	silenceKey   = "silence" // of the devices' silence in the store's settings
	seenKey      = "seen"    // of the signals' own times
	rememberEach = 10 * time.Minute
)

// remember keeps how long each device has been silent.
func (h *hub) remember(ctx context.Context) {
	now := time.Now()
	silent := map[string]time.Duration{}
	for _, d := range h.live.devices {
		silent[d.ID] = d.silent(now)
	}
	own := map[string]time.Time{}
	for key, s := range h.live.signals {
		if !s.own.IsZero() {
			own[key] = s.own
		}
	}
	if err := errors.Join(h.setting(ctx, silenceKey, silent), h.setting(ctx, seenKey, own), h.rememberDerived(ctx), h.keepUptime(ctx, now), h.rounds.rememberFaults(ctx, now)); err != nil {
		h.log.Error("silence of devices not remembered", "err", err)
	}
	h.remembered = now
}

// setting writes something into the store's settings, as JSON.
func (h *hub) setting(ctx context.Context, key string, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		err = h.store.Set(ctx, key, string(data))
	}
	return err
}

// readSetting reads it; where there is none, v stays as it is.
func (h *hub) readSetting(ctx context.Context, key string, v any) error {
	saved, err := h.store.Get(ctx, key)
	if err == nil && saved != "" {
		err = json.Unmarshal([]byte(saved), v)
	}
	return err
}

// recall gives the devices back how long they had been silent when the gateway stopped.
func (h *hub) recall(ctx context.Context) {
	h.remembered = time.Now()
	h.recallUptime(ctx, h.remembered)
	silent, own := map[string]time.Duration{}, map[string]time.Time{}
	if err := errors.Join(h.readSetting(ctx, silenceKey, &silent), h.readSetting(ctx, seenKey, &own), h.recallDerived(ctx)); err != nil {
		h.log.Error("silence of devices not recalled", "err", err)
		return
	}
	for _, d := range h.live.devices {
		d.goodAt = d.goodAt.Add(-max(silent[d.ID], 0))
	}
	for key, at := range own {
		if s := h.live.signals[key]; s != nil {
			s.own = at
		}
	}
}
