package mqtt

import (
	"strings"

	"github.com/tidwall/gjson"
)

// unwrapThingsBoard reads telemetry in the shapes of ThingsBoard's APIs, and who is connected to a gateway:
//
//	v1/gateway/telemetry      {"Pump room":[{"ts":1760000000500,"values":{"pressure":0.42}}]}    several devices, several times
//	v1/gateway/connect        {"device":"Pump room"}
//	v1/devices/me/telemetry   {"ts":1760000000000,"values":{"t":23.5}}, {"t":23.5}, or a list of either
//
// ts is in milliseconds and may be missing. Source: thingsboard.io, gateway and device MQTT API reference.
func unwrapThingsBoard(w *wrapping, p *publication, below string) ([]sample, error) {
	text, err := object(p.payload)
	if text == "" || err != nil {
		return nil, err
	}
	message := gjson.Parse(text)
	if below != "telemetry" {
		if w.member == "" || message.Get("device").String() != w.member {
			return nil, nil
		}
		return []sample{{presence: presence{by: w.topic, online: below == "connect"}}}, nil
	}
	var said presence
	if strings.HasSuffix(w.topic, "/gateway") || w.member != "" {
		if w.member == "" {
			return nil, errNoMember
		}
		message = member(message, w.member)
		said = presence{by: w.topic, online: true} // who tells values is connected
	}
	var samples []sample
	for _, one := range listOf(message) {
		s := sample{text: one.Raw, presence: said}
		if values := one.Get("values"); values.IsObject() {
			s.text, s.time = values.Raw, readTime(one.Get("ts"), nil)
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// thingsBoardMembers are the devices that a gateway tells of.
func thingsBoardMembers(p *publication, below string) (all [][]string) {
	text, err := object(p.payload)
	if text == "" || err != nil {
		return nil
	}
	if below != "telemetry" {
		if name := gjson.Get(text, "device").Str; name != "" {
			all = append(all, []string{name})
		}
		return all
	}
	gjson.Parse(text).ForEach(func(key, _ gjson.Result) bool {
		if key.Str != "" {
			all = append(all, []string{key.Str})
		}
		return len(all) < maxStrangers
	})
	return all
}

// member is the value of a key whatever characters the key holds; absent where there is none.
func member(object gjson.Result, name string) (found gjson.Result) {
	object.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name {
			found = value
		}
		return true
	})
	return found
}

// listOf are the objects of a list, or the one object itself.
func listOf(v gjson.Result) []gjson.Result {
	if v.IsObject() {
		return []gjson.Result{v}
	}
	var all []gjson.Result
	v.ForEach(func(_, item gjson.Result) bool {
		if v.IsArray() && item.IsObject() {
			all = append(all, item)
		}
		return len(all) < maxSamples
	})
	return all
}
