package gateway

import (
	"context"

	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
)

// FindAlarms are alarms of the journal for the console's pages. It is read from the store, beside the hub.
func (h *hub) FindAlarms(ctx context.Context, q console.AlarmQuery) ([]alarm.Alarm, error) {
	state := ""
	if q.Open {
		state = "open"
	}
	return h.store.Alarms(ctx, store.AlarmQuery{State: state, From: q.From, To: q.To, Device: q.Device, Class: q.Class, Limit: q.Limit})
}
