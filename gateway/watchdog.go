package gateway

import (
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// watchdog tells systemd that the hub turns; it is pinged from nowhere else. A hub that stands still is killed and started
// anew (row RE08).
type watchdog struct {
	period time.Duration
	last   time.Time
}

func newWatchdog() *watchdog {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		period = 0
	}
	return &watchdog{period: period / 2}
}

func (w *watchdog) alive(now time.Time) {
	if w.period > 0 && now.Sub(w.last) >= min(w.period, turn) {
		notifySystemd(daemon.SdNotifyWatchdog)
		w.last = now
	}
}

// gatewayDied is the event that the gateway before this one did not stop by itself: the power failed, or it was killed, as
// the watchdog does. Its note is when it was last heard of.
const gatewayDied = "gateway.died"

// bury writes down that the last run did not end by itself.
func (h *hub) bury(now time.Time) {
	if len(h.last) > 0 && h.last[0].Type != "gateway.stopped" {
		h.record(now, gatewayDied, h.last[0].Time.In(h.g.location).Format(time.RFC3339))
	}
	h.last = nil
}
