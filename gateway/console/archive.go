package console

import (
	"context"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// Archive is what pages read of the past, beside the snapshot.
type Archive interface {
	// FindAlarms are alarms, the one raised last first.
	FindAlarms(ctx context.Context, q AlarmQuery) ([]alarm.Alarm, error)
}

// AlarmQuery selects alarms. What is zero selects all.
type AlarmQuery struct {
	Open     bool
	Class    rules.Class
	Device   string
	From, To time.Time // From ≤ raised < To
	Limit    int
}
