package modbus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
)

// The ring holds between 50 and 58; who asks sees the last 50, whole, whatever their lengths.
func TestTheLastFiftyFramesAreKept(t *testing.T) {
	begin := time.Now()
	frame := func(i int) drivers.Frame {
		f := drivers.Frame{Time: begin.Add(time.Duration(i) * time.Millisecond), Sent: i%2 == 0, Bytes: bytes.Repeat([]byte{byte(i)}, i*37%(mostReceive+1))}
		if i%3 == 0 {
			f.Note = strings.Repeat("n", i*5%256)
		}
		return f
	}
	kept := trace{log: slog.New(slog.DiscardHandler)}
	for n := 1; n <= 3*(keptFrames+spare); n++ {
		kept.keep(frame(n))
		frames := kept.last()
		if len(frames) != min(n, keptFrames) {
			t.Fatalf("%d of %d", len(frames), n)
		}
		for i, got := range frames {
			want := frame(n - len(frames) + 1 + i)
			if !got.Time.Equal(want.Time) || got.Sent != want.Sent || !bytes.Equal(got.Bytes, want.Bytes) || got.Note != want.Note {
				t.Fatalf("after %d frames the %d. is %+v, not %+v", n, i, got, want)
			}
		}
	}
	whole := bytes.Repeat([]byte{7}, mostReceive)
	kept.keep(drivers.Frame{Time: begin, Bytes: whole, Note: strings.Repeat("a", 254) + "烟" + strings.Repeat("b", 80)})
	if got := kept.last()[keptFrames-1]; !bytes.Equal(got.Bytes, whole) || got.Note != strings.Repeat("a", 254) {
		t.Errorf("of the longest frame %d bytes and %q are kept", len(got.Bytes), got.Note)
	}
}
