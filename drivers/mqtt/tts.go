package mqtt

import "github.com/tidwall/gjson"

// unwrapTTS reads an uplink of The Things Stack 3 for one device, whose topic is v3/APPLICATION@TENANT/devices/ID, in the
// same shape as ChirpStack's. Its JSON leaves out what is zero, false or empty: so a port that is missing is 0, and a
// device model names under omitted_zero the signals of which a missing key is 0. The Things Stack grants QoS 0 only.
// Source: lorawan-stack-docs, data formats.
func unwrapTTS(w *wrapping, p *publication, _ string) ([]sample, error) {
	text, err := object(p.payload)
	if text == "" || err != nil {
		return nil, err
	}
	m := gjson.Parse(text)
	up := m.Get("uplink_message")
	if !up.IsObject() {
		return nil, nil
	}
	s := sample{time: readTime(up.Get("received_at"), nil)}
	if s.time.IsZero() {
		s.time = readTime(m.Get("received_at"), nil)
	}
	u := uplink{port: up.Get("f_port").Int(), data: up.Get("frm_payload").Str, object: up.Get("decoded_payload")}
	u.hear(up.Get("rx_metadata"), "rssi", "snr")
	s.text, err = u.text(w.template)
	return []sample{s}, err
}
