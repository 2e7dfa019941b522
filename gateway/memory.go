package gateway

import (
	"context"
	"encoding/json"
	"time"
)

// What must not begin anew with every start: how long each device has been silent. It is kept as durations, for the clock
// may be wrong after a power cut; time without power does not count, for nobody listened.

const (
	silenceKey   = "silence" // of the devices' silence in the store's settings
	rememberEach = 10 * time.Minute
)

// remember keeps how long each device has been silent.
func (h *hub) remember(ctx context.Context) {
	now := time.Now()
	silent := map[string]time.Duration{}
	for _, d := range h.live.devices {
		silent[d.ID] = d.silent(now)
	}
	data, err := json.Marshal(silent)
	if err == nil {
		err = h.store.Set(ctx, silenceKey, string(data))
	}
	if err != nil {
		h.log.Error("silence of devices not remembered", "err", err)
	}
	h.remembered = now
}

// recall gives the devices back how long they had been silent when the gateway stopped.
func (h *hub) recall(ctx context.Context) {
	h.remembered = time.Now()
	saved, err := h.store.Get(ctx, silenceKey)
	silent := map[string]time.Duration{}
	if err == nil && saved != "" {
		err = json.Unmarshal([]byte(saved), &silent)
	}
	if err != nil {
		h.log.Error("silence of devices not recalled", "err", err)
		return
	}
	for _, d := range h.live.devices {
		d.goodAt = d.goodAt.Add(-max(silent[d.ID], 0))
	}
}
