package influx

import (
	"context"
	"errors"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
)

// mad is a journal that panics.
type mad struct{ journal }

func (*mad) Events(context.Context, int64, int) ([]alarm.Event, error) { panic("a bug") }

// TestAPanicEndsRunWithAnError: the process lives, and what was in memory is in the queue.
func TestAPanicEndsRunWithAnError(t *testing.T) {
	u, q := newUplink(t, standard, nil, t.Output()), &queue{}
	u.Readings(meter, sample(1))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := u.Run(ctx, q, &mad{}); !errors.Is(err, drivers.ErrPanic) {
		t.Errorf("ended with %v", err)
	}
	if ctx.Err() != nil || len(q.batches) != 1 {
		t.Errorf("%v, %d batches in the queue", ctx.Err(), len(q.batches))
	}
}
