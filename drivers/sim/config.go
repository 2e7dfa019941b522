package sim

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"text/template"

	"embergate/drivers/i18n"
)

//go:embed home.yaml.tmpl
var configuration string

// meterBus is one bus of further meters, as the configuration has it.
type meterBus struct {
	Number  int
	Address string
	Units   []meterUnit
}

type meterUnit struct {
	Device string
	Unit   uint8
	First  bool // the first of all: its signals are written out, the others refer to them
}

// Config is a complete configuration of a gateway for this home, with comments: all its devices, all rule packs, a rule
// that closes the gas valve, the phone as a channel and the platform as an uplink. Its secrets are inline: they are worth
// nothing elsewhere. data is the gateway's folder, listen the address of its console.
func (h *Home) Config(lang i18n.Lang, data, listen string) []byte {
	values := struct {
		Lang                           i18n.Lang
		Data, Listen                   string
		Bus, Broker, User, Password    string
		Phone, Secret, Platform, Token string
		Meters                         []meterBus
	}{Lang: lang, Data: data, Listen: listen, Bus: h.Buses()[0]}
	h.mu.Lock()
	h.console, h.lang = listen, lang
	h.mu.Unlock()
	values.Broker, values.User, values.Password = h.Broker()
	values.Phone, values.Secret = h.Phone()
	values.Platform, values.Token = h.Platform()
	for i, address := range h.Buses()[1:] {
		b := meterBus{Number: i + 1, Address: address}
		for unit := range metersOnABus {
			if u, ok := h.buses[i+1].units[uint8(unit+1)]; ok {
				b.Units = append(b.Units, meterUnit{u.device, u.id, i == 0 && unit == 0})
			}
		}
		values.Meters = append(values.Meters, b)
	}
	t := template.Must(template.New("home.yaml").Funcs(template.FuncMap{
		"say":   func(sentence string) string { return lang.Say(sentence) },
		"name":  func(sentence string) string { return quote(lang.Say(sentence)) },
		"quote": quote,
		"still": func(zone string) string { return quote(h.Camera(zone)) },
	}).Parse(configuration))
	var out bytes.Buffer
	if err := t.Execute(&out, values); err != nil {
		panic(fmt.Sprintf("sim: home.yaml.tmpl: %v", err)) // our own embedded file
	}
	return out.Bytes()
}

// quote writes a text as YAML reads it back: JSON is YAML.
func quote(text string) string {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string can always be encoded
	return string(bytes.TrimRight(out.Bytes(), "\n"))
}
