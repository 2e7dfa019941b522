package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// stopGrace is how long requests may take to end after the server was told to stop.
const stopGrace = 3 * time.Second

// stopping is the key under which a request finds the channel that is closed when the server stops. A stream has no end
// of its own, so it looks there; an act of a person runs to its end.
type stopping struct{}

// Serve answers on l until ctx ends, then lets requests finish for at most 3 seconds and ends all streams at once. It
// returns nil when ctx ended, and closes l in any case.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	open := &connections{log: log, from: map[string]int{}}
	base := context.WithValue(context.WithoutCancel(ctx), stopping{}, ctx.Done())
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second, // streams set their own, write by write
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnState:         open.change,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			log.Warn("console requests cut off", "err", err)
			server.Close()
		}
	})
	err := server.Serve(l)
	if !release() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("console: serve %s: %w", l.Addr(), err)
}
