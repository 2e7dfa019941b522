package modbus

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
)

const (
	keptFrames = 50  // of a device, some 4 kB; so they are always kept. What can be switched on is that every frame is logged too
	spare      = 8   // more than are kept, so that the oldest are not moved out of the way for each frame
	mostNote   = 255 // bytes
)

// trace keeps the last frames of a device.
type trace struct {
	log    *slog.Logger // nil: of one who only looks
	device string

	mu     sync.Mutex
	frames []byte    // guarded by mu, as is what follows: of each a head, its bytes and its note, oldest first
	count  int       // of frames
	until  time.Time // frames are logged until then
}

// frameHead is what stands before a frame's bytes: when it was, in ns; 1 where it was sent; how long its bytes and its note are.
const frameHead = 8 + 1 + 2 + 1

func (t *trace) keep(f drivers.Frame) {
	t.mu.Lock()
	logged := f.Time.Before(t.until)
	if t.count == keptFrames+spare {
		rest := t.frames
		for range spare {
			rest = rest[frameSize(rest):]
		}
		t.frames, t.count = t.frames[:copy(t.frames, rest)], keptFrames
	}
	note := strings.ToValidUTF8(f.Note[:min(len(f.Note), mostNote)], "") // a character that was cut in two is left out
	t.frames = binary.BigEndian.AppendUint64(t.frames, uint64(f.Time.UnixNano()))
	t.frames = append(t.frames, flag(f.Sent))
	t.frames = binary.BigEndian.AppendUint16(t.frames, uint16(len(f.Bytes)))
	t.frames = append(t.frames, byte(len(note)))
	t.frames = append(append(t.frames, f.Bytes...), note...)
	t.count++
	t.mu.Unlock()
	if logged {
		t.log.Info("frame", "device", t.device, "sent", f.Sent, "bytes", fmt.Sprintf("% x", f.Bytes), "note", f.Note)
	}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// frameSize is how much of kept the first frame takes.
func frameSize(kept []byte) int {
	return frameHead + int(binary.BigEndian.Uint16(kept[9:])) + int(kept[11])
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
	frames := make([]drivers.Frame, 0, keptFrames)
	rest := t.frames
	for i := range t.count {
		one := rest[:frameSize(rest)]
		rest = rest[len(one):]
		if i < t.count-keptFrames {
			continue
		}
		data := one[frameHead : len(one)-int(one[11])]
		frames = append(frames, drivers.Frame{
			Time: time.Unix(0, int64(binary.BigEndian.Uint64(one))), Sent: one[8] == 1, Bytes: append([]byte(nil), data...), Note: string(one[frameHead+len(data):]),
		})
	}
	return frames
}
