package gateway

import (
	"context"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"embergate/gateway/console"
	"embergate/gateway/logs"
)

// operations are what an administrator asks of the daemon itself.
type operations struct{ g *Gateway }

// operations are nil where no daemon of a configuration file is around the gateway.
func (g *Gateway) operations() console.Operations {
	if g.Levels == nil || g.Options.Reload == nil {
		return nil
	}
	return operations{g}
}

// Levels are those of modules that do not log at level info for the time being.
func (o operations) Levels() []logs.Level { return o.g.Levels.Levels() }

// SetLevel lets a module log from a level on until a time; at debug a driver logs every frame of its wires too.
func (o operations) SetLevel(module string, level slog.Level, until time.Time) error {
	if !slices.Contains(logs.Modules, module) {
		return fs.ErrNotExist
	}
	o.g.Levels.Set(module, level, until)
	if level > slog.LevelDebug {
		until = time.Now()
	}
	if protocol, ok := strings.CutPrefix(module, "drivers"); ok {
		o.g.logFrames(strings.TrimPrefix(protocol, "/"), until)
	}
	o.g.Log.Warn("log level set", "module", module, "level", level.String(), "until", until)
	return nil
}

// Reload reads the configuration file anew.
func (o operations) Reload(ctx context.Context) error { return o.g.Options.Reload(ctx) }
