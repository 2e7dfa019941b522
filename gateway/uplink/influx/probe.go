package influx

import (
	"context"
	"net/http"
)

// Probe writes nothing: no line at all. That proves that the server is there, and that it takes the token for the bucket;
// a server that says only that nothing was written has taken it.
func (u *Uplink) Probe(ctx context.Context) error {
	if failed := u.post(ctx, newCompressor().compress(nil)); failed != nil && failed.status != http.StatusBadRequest {
		return failed
	}
	return nil
}
