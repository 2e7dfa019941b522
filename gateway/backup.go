package gateway

import (
	"context"

	"embergate/gateway/store"
)

// Backup writes a copy of journal, alarms, messages and settings to a file, also while a daemon runs.
func (g *Gateway) Backup(ctx context.Context, out string) error {
	return store.Backup(ctx, string(g.cfg.Data), out)
}

// Restore puts a backup in the place of the state, and answers how many events it has and what the old state is called now,
// "" where there was none. No daemon may run.
func (g *Gateway) Restore(ctx context.Context, in string) (events int64, old string, err error) {
	return store.Restore(ctx, string(g.cfg.Data), in)
}
