package gateway

import (
	"testing"
	"time"

	"embergate/drivers"
)

// Row MB33: the last frames of a device can be asked for; of one whose driver keeps none there are none.
func TestFramesOfADevice(t *testing.T) {
	g := &Gateway{links: []*link{{driver: still{drivers.Device{ID: "quiet"}}}, {driver: traced{still{drivers.Device{ID: "meter"}}}}}}
	if got, ok := g.frames("meter"); !ok || len(got) != 1 || got[0].Note != "meter" {
		t.Error(got, ok)
	}
	if got, ok := g.frames("quiet"); !ok || len(got) != 0 {
		t.Error(got, ok)
	}
	if _, ok := g.frames("nobody"); ok {
		t.Error("a device that there is not")
	}
}

type traced struct{ still }

func (traced) Frames(device string) []drivers.Frame { return []drivers.Frame{{Note: device}} }

func (traced) LogFrames(string, time.Time) bool { return false }
