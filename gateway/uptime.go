package gateway

import (
	"context"
	"time"

	"embergate/drivers"
	"embergate/gateway/monthly"
)

// uptime counts, for each month, how long each device answered. It is written down with the silence of the devices, every
// ten minutes; what a power cut takes from it is told as not known.
type uptime struct {
	month   string // 2026-11, in the site's zone
	devices map[string]monthly.Uptime
	last    time.Time // up to when it is counted
}

// uptimeRecord is a month in the store's settings.
type uptimeRecord struct {
	At      time.Time                 `json:"at"` // up to when it is counted
	Devices map[string]monthly.Uptime `json:"devices"`
}

const (
	uptimeKey   = "uptime/"       // of the months in the store's settings
	longestStep = 5 * time.Second // between two counts; more was a hub that stood still
)

func monthOf(t time.Time, at *time.Location) string { return t.In(at).Format("2006-01") }

// recallUptime goes on with what is stored; the time since then is not known.
func (h *hub) recallUptime(ctx context.Context, now time.Time) {
	h.uptime = uptime{month: monthOf(now, h.g.location), devices: map[string]monthly.Uptime{}, last: now}
	var r uptimeRecord
	if err := h.readSetting(ctx, uptimeKey+h.uptime.month, &r); err != nil {
		h.log.Error("availability of devices not recalled", "err", err)
		return
	}
	for id, u := range r.Devices {
		u.Unknown += max(now.Sub(r.At).Seconds(), 0)
		h.uptime.devices[id] = u
	}
}

// countUptime is called once a second. While the clock is doubted nothing is counted, since nobody knows the month.
func (h *hub) countUptime(now time.Time) {
	u := &h.uptime
	step := min(now.Sub(u.last), longestStep).Seconds()
	u.last = now
	if step <= 0 || h.gate.doubtedFor() > 0 {
		return
	}
	if month := monthOf(now, h.g.location); month != u.month {
		if err := h.keepUptime(context.Background(), now); err != nil {
			h.log.Error("availability of devices not kept", "err", err)
		}
		*u = uptime{month: month, devices: map[string]monthly.Uptime{}, last: now}
	}
	for _, d := range h.live.devices {
		sum := u.devices[d.ID]
		switch {
		case d.online.Quality != drivers.Good:
			sum.Unknown += step
		case d.online.Value == 1:
			sum.Online += step
		default:
			sum.Offline += step
		}
		u.devices[d.ID] = sum
	}
}

// keepUptime writes the month down.
func (h *hub) keepUptime(ctx context.Context, now time.Time) error {
	return h.setting(ctx, uptimeKey+h.uptime.month, uptimeRecord{now.UTC(), h.uptime.devices})
}
