package modbus

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"embergate/drivers"
)

// keptFrames is how many are kept, about 13 kB a device at the most; so they are always kept. What can be switched on is that
// every frame is logged too.
const keptFrames = 50

// trace keeps the last frames of a device.
type trace struct {
	log *slog.Logger // nil: of one who only looks

	mu     sync.Mutex
	frames [keptFrames]drivers.Frame // guarded by mu, as is what follows
	next   int                       // how many were ever kept
	until  time.Time                 // frames are logged until then
}

func (t *trace) keep(f drivers.Frame) {
	t.mu.Lock()
	logged := f.Time.Before(t.until)
	t.frames[t.next%keptFrames] = f
	t.next++
	t.mu.Unlock()
	if logged {
		t.log.Info("frame", "sent", f.Sent, "bytes", fmt.Sprintf("% x", f.Bytes), "note", f.Note)
	}
}

// logUntil logs every frame until a time.
func (t *trace) logUntil(until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = until
}

// last are the frames kept, oldest first.
func (t *trace) last() []drivers.Frame {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := make([]drivers.Frame, 0, keptFrames)
	for i := max(0, t.next-keptFrames); i < t.next; i++ {
		kept = append(kept, t.frames[i%keptFrames])
	}
	return kept
}
