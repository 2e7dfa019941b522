package modbus

import (
	"sync"
	"time"
)

// Frame is what went over the wire for a device, for an installer to look at.
type Frame struct {
	Time  time.Time
	Sent  bool   // by the gateway; else received
	Bytes []byte // the whole frame with its header or CRC, or what came instead of one
	Note  string // what is wrong with it, "" if nothing
}

const keptFrames = 50

// trace keeps the last frames of a device.
type trace struct {
	mu     sync.Mutex
	frames [keptFrames]Frame // guarded by mu, as is next
	next   int               // how many were ever kept
}

func (t *trace) keep(f Frame) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frames[t.next%keptFrames] = f
	t.next++
}

// last are the frames kept, oldest first.
func (t *trace) last() []Frame {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := make([]Frame, 0, keptFrames)
	for i := max(0, t.next-keptFrames); i < t.next; i++ {
		kept = append(kept, t.frames[i%keptFrames])
	}
	return kept
}
