package uplink

import (
	"context"
	"io"
	"time"
)

// Session is one connection to a platform, which may send us things of type T.
type Session[T any] interface {
	// Events sends what the journal has after the place. It is not done where the store fails; then it is tried again.
	Events(ctx context.Context) (done bool, err error)
	// Latest sends some of what is due besides, and tells whether there may be more.
	Latest(ctx context.Context) (more bool, err error)
	// Answer deals with what the platform sent.
	Answer(ctx context.Context, t T) error
}

const (
	tick      = time.Second     // between two looks at what is due
	lastWords = 3 * time.Second // for events at the end
	farewell  = 4 * time.Second // from the end until the connection is closed, whatever is under way
)

// Leave closes a connection soon after ctx has ended, unless it is stopped before: a platform that takes none of our last
// words holds up no reload.
func Leave(ctx context.Context, conn io.Closer) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		time.AfterFunc(farewell, func() { _ = conn.Close() }) // who has gone is gone
	})
}

// Talk sends over a session what there is to send, events first, until ctx ends or the connection is gone, whose cause is
// then the error.
func Talk[T any](ctx, gone context.Context, s Session[T], bell Bell, in <-chan T) error {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for newEvents := true; ; {
		if newEvents {
			done, err := s.Events(ctx)
			if err != nil {
				return err
			}
			newEvents = !done
		}
		more, err := s.Latest(ctx)
		if err != nil {
			return err
		}
		if more {
			select {
			case <-bell:
				newEvents = true
			default:
			}
			continue
		}
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			_, err := s.Events(last)
			return err
		case <-gone.Done():
			return context.Cause(gone)
		case <-bell:
			newEvents = true
		case t := <-in:
			if err := s.Answer(ctx, t); err != nil {
				return err
			}
		case <-clock.C:
		}
	}
}
