package rules

import (
	"embergate/drivers"
)

// Twins are the signals that reach the site over two paths: each signal of a device that is the same as another, with the
// other's signal. They are of one kind, and have the same id or are the only ones of their kind at both. What a device says
// of itself (battery, tamper, test, …) has no twin: each path has a health of its own.
func (m Model) Twins() map[string]string {
	var twins map[string]string
	devices := map[string][]Signal{}
	for _, s := range m.Signals {
		devices[s.Device.ID] = append(devices[s.Device.ID], s)
	}
	for _, s := range m.Signals {
		class := drivers.Kinds[s.Signal.Kind].Class
		if s.Device.SameAs == "" || s.Device.SameAs == s.Device.ID || class == "" || class == drivers.DeviceClass {
			continue
		}
		if twin := twinOf(s, devices[s.Device.ID], devices[s.Device.SameAs]); twin != "" {
			if twins == nil {
				twins = map[string]string{}
			}
			twins[s.Key] = twin
		}
	}
	return twins
}

// twinOf is the signal of a device that is the same as one of another; "" where there is none.
func twinOf(s Signal, own, others []Signal) string {
	alone, only := 0, ""
	for _, o := range own {
		if o.Signal.Kind == s.Signal.Kind {
			alone++
		}
	}
	count := 0
	for _, o := range others {
		if o.Signal.Kind != s.Signal.Kind {
			continue
		}
		if o.Signal.ID == s.Signal.ID {
			return o.Key
		}
		only = o.Key
		count++
	}
	if alone != 1 || count != 1 {
		return ""
	}
	return only
}
