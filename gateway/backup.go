package gateway

import (
	"context"

	"embergate/gateway/store"
)

// Backup writes a copy of journal, alarms, messages, settings, pictures and kept configurations to a file, also while a daemon runs.
func (g *Gateway) Backup(ctx context.Context, out string) (store.Copied, error) {
	return store.Backup(ctx, string(g.cfg.Data), out)
}

// Restore puts a backup in the place of the state. No daemon may run.
func (g *Gateway) Restore(ctx context.Context, in string) (store.Copied, error) {
	return store.Restore(ctx, string(g.cfg.Data), in)
}
