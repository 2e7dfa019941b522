package gateway

import (
	"context"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/logs"
)

// operations are what an administrator asks of the daemon itself.
type operations struct {
	h *hub
	g *Gateway
}

// operations are nil where no daemon of a configuration file is around the gateway.
func (g *Gateway) operations(h *hub) console.Operations {
	if g.Levels == nil || g.Options.Reload == nil {
		return nil
	}
	return operations{h, g}
}

// Levels are those of modules that do not log at level info for the time being.
func (o operations) Levels() []logs.Level { return o.g.Levels.Levels() }

// SetLevel lets a module log from a level on until a time; at debug a driver logs every frame of its wires too.
func (o operations) SetLevel(ctx context.Context, module string, level slog.Level, until time.Time, a alarm.Act) error {
	if !slices.Contains(logs.Modules, module) {
		return fs.ErrNotExist
	}
	o.note(ctx, "log.level", i18n.T("%s logs at level %s until %s", module, level.String(), until.In(o.g.location).Format(time.DateTime)), a)
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

// Reload reads the configuration file anew. Who asks for it is written down before: what comes of it is the end of this hub.
func (o operations) Reload(ctx context.Context, a alarm.Act) error {
	o.note(ctx, "config.reload", i18n.T("%s is to be read anew", o.g.File), a)
	err := o.g.Options.Reload(ctx)
	if err != nil {
		o.note(ctx, "config.refused", i18n.T("the running configuration stays; the log says why"), a) // for everybody to read
	}
	return err
}

// note writes an act into the journal, whoever waits for it; a journal that takes nothing hinders none.
func (o operations) note(ctx context.Context, kind string, what i18n.Text, a alarm.Act) {
	err := o.h.do(context.WithoutCancel(ctx), func(now time.Time) ([]alarm.Event, error) {
		return []alarm.Event{o.h.hands.event(now, kind, what, a)}, nil
	})
	if err != nil {
		o.g.Log.Error("act not in the journal", "type", kind, "by", a.By, "from", a.From, "err", err)
	}
}
