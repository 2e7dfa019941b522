package mqtt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// unwrapChirpStack reads the events of ChirpStack 4 for one device, whose topic is application/ID/device/EUI. An uplink is
// given as {"object":…,"fport":85,"rssi":-36,"snr":10.5}: object is what the device model's bytes mean, else what the
// server's codec made of them. The status event is {"battery":88.3,"margin":10}. A message that the server had to refuse
// (event/log with level ERROR) is told as malformed. Source: chirpstack-docs, integrations/events.
func unwrapChirpStack(w *wrapping, p *publication, below string) ([]sample, error) {
	text, err := object(p.payload)
	if text == "" || err != nil {
		return nil, err
	}
	m := gjson.Parse(text)
	s := sample{time: readTime(m.Get("time"), nil), id: m.Get("deduplicationId").Str}
	switch strings.TrimPrefix(below, "event/") {
	case "up":
		u := uplink{port: m.Get("fPort").Int(), data: m.Get("data").Str, object: m.Get("object")}
		u.hear(m.Get("rxInfo"), "rssi", "snr")
		s.text, err = u.text(w.template)
	case "status":
		s.text = status(m)
	case "log":
		if m.Get("level").Str == "ERROR" {
			return nil, fmt.Errorf("the network server refused a message of the device: %s: %s", quote(m.Get("code").Str), quote(m.Get("description").Str))
		}
	}
	if s.text == "" {
		return nil, err // join, ack, txack, location: nothing is measured
	}
	return []sample{s}, err
}

// status is a device's status event: without a battery level where it has none to tell.
func status(m gjson.Result) string {
	var b []byte
	if v := m.Get("batteryLevel"); v.Type == gjson.Number && !m.Get("batteryLevelUnavailable").Bool() && !m.Get("externalPowerSource").Bool() {
		b = append(appendKey(b, "battery"), v.Raw...)
	}
	if v := m.Get("margin"); v.Type == gjson.Number {
		b = append(appendKey(b, "margin"), v.Raw...)
	}
	if b == nil {
		return ""
	}
	return string(b) + "}"
}

// uplink is a LoRaWAN uplink as a network server gives it.
type uplink struct {
	port   int64
	data   string // base64
	object gjson.Result
	radio  []byte // keys of how it was heard
}

// hear takes signal strength and noise ratio from the gateway that heard it best.
func (u *uplink) hear(gateways gjson.Result, rssi, snr string) {
	var best gjson.Result
	gateways.ForEach(func(_, g gjson.Result) bool {
		if v := g.Get(rssi); v.Type == gjson.Number && (!best.Exists() || v.Num > best.Get(rssi).Num) {
			best = g
		}
		return true
	})
	for _, key := range []struct{ ours, theirs string }{{"rssi", rssi}, {"snr", snr}} {
		if v := best.Get(key.theirs); v.Type == gjson.Number {
			u.radio = append(appendKey(u.radio, key.ours), v.Raw...)
		}
	}
}

// text is the uplink as signals read it. Where its bytes are wrong, how it was heard is told all the same.
func (u *uplink) text(t *template) (string, error) {
	b := strconv.AppendInt(appendKey(u.radio, "fport"), u.port, 10)
	var object string
	var wrong error
	switch data, err := base64.StdEncoding.DecodeString(u.data); {
	case t != nil && u.data != "" && err != nil:
		wrong = errors.New("the data of the uplink is not base64")
	case t != nil && len(data) > 0 && t.has(u.port):
		object, wrong = t.decode(data)
	case t == nil || len(data) == 0:
		if u.object.IsObject() {
			object = u.object.Raw
		}
	}
	if object != "" {
		b = append(appendKey(b, "object"), object...)
	}
	return string(b) + "}", wrong
}

// appendKey begins an object, or goes on with it, and writes a key.
func appendKey(b []byte, key string) []byte {
	sep := byte(',')
	if len(b) == 0 {
		sep = '{'
	}
	b = append(b, sep)
	b = gjson.AppendJSONString(b, key)
	return append(b, ':')
}
