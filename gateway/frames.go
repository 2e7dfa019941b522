package gateway

import "embergate/drivers"

// frames are the last frames on the wire of a device (MB33), none where its driver keeps none; false where there is no such
// device.
func (g *Gateway) frames(device string) ([]drivers.Frame, bool) {
	l, _, err := wires{g.links}.device(device)
	if err != nil {
		return nil, false
	}
	if t, ok := l.driver.(drivers.Tracer); ok {
		return t.Frames(device), true
	}
	return nil, true
}
