package gateway

import "embergate/drivers"

// frames are the last frames on the wire of a device (MB33), none where its driver keeps none; false where there is no such
// device.
func (g *Gateway) frames(device string) ([]drivers.Frame, bool) {
	for _, l := range g.links {
		for _, d := range l.driver.Devices() {
			if d.ID != device {
				continue
			}
			if t, ok := l.driver.(drivers.Tracer); ok {
				return t.Frames(device), true
			}
			return nil, true
		}
	}
	return nil, false
}
