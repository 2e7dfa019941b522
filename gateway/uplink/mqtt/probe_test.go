package mqtt

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Row OP04: a broker is tried beside the daemon, which stays connected, and nothing is said there.
func TestABrokerIsTriedBesideTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		stop := start(t, newUplink(t, plain, b, nil), j, nil)
		time.Sleep(time.Second)
		heard := b.ours()
		if err := newUplink(t, plain, b, nil).Probe(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if now := b.ours(); !slices.Equal(now, heard) || len(b.dials) != 2 {
			t.Errorf("heard %q, then %q, after %d dials", heard, now, len(b.dials))
		}
		stop()
		b.leave()
		if err := newUplink(t, plain, b, nil).Probe(t.Context()); err == nil {
			t.Error("a broker that is away was reached")
		}
	})
}

// ours is what the broker was told but for what it says of itself.
func (b *broker) ours() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.heard), func(line string) bool { return strings.HasPrefix(line, "$SYS") })
}
