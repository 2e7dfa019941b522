package modbus

import (
	"testing"

	"embergate/drivers"
)

// Row MB18: characters of registers are shown as they are, or are a word of an enum.
func TestTextsStandTwoCharactersARegister(t *testing.T) {
	text := drivers.Signal{Kind: "text"}
	state := drivers.Signal{Kind: "fire_panel_alarm", Enum: map[string]int{"NORMAL": 0, "FIRE": 1}}
	for _, c := range []struct {
		name, typ, order, raw string
		sig                   drivers.Signal
		value                 float64
		says                  string
		reason                drivers.Reason
	}{
		{"a serial number", "string:6", "", "534E30303432", text, 0, "SN0042", ""},
		{"the other byte first", "string:6", "BA", "4E5330303234", text, 0, "SN0042", ""},
		{"an odd number of characters", "string:5", "", "534E303034FF", text, 0, "SN004", ""},
		{"to the first NUL, without spaces around", "string:8", "", "2056312E32200058", text, 0, "V1.2", ""},
		{"nothing", "string:2", "", "0000", text, 0, "", ""},
		{"what could speak to a terminal is left out", "string:8", "", "1B5B324A4F4B0A07", text, 0, "[2JOK", ""},
		{"what is no UTF-8 is left out", "string:4", "", "FFFE4F4B", text, 0, "OK", ""},
		{"a word of an enum", "string:6", "", "464952450000", state, 1, "", ""},
		{"another", "string:6", "", "4E4F524D414C", state, 0, "", ""},
		{"a word that the enum lacks is no reading", "string:6", "", "4641554C5400", state, 0, `"FAULT" is no word of the enum`, drivers.Decode},
	} {
		sig := c.sig
		sig.ID, sig.At, sig.Type, sig.Order, sig.Scale = "s", "holding:7", c.typ, c.order, 1
		r := decodeOne(sig, bytesOf(t, c.raw))
		good := r.Quality == drivers.Good
		if r.Value != c.value || r.Detail != c.says || r.Reason != c.reason || good != (c.reason == "") {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}
