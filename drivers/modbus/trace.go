package modbus

import (
	"sync"

	"embergate/drivers"
)

// keptFrames is how many are kept, about 13 kB a device at the most; so they are always kept, and there is nothing to switch on.
const keptFrames = 50

// trace keeps the last frames of a device.
type trace struct {
	mu     sync.Mutex
	frames [keptFrames]drivers.Frame // guarded by mu, as is next
	next   int                       // how many were ever kept
}

func (t *trace) keep(f drivers.Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames[t.next%keptFrames] = f
	t.next++
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
