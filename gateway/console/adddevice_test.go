package console

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// The canned home's configuration can take one device: fresh, of unit 7.

func (c *canned) Choices() Choices {
	return Choices{File: "/etc/embergate/embergate.yaml", Models: []Model{
		{"eastron-sdm120", drivers.Name{ZH: "单相电能表", EN: "Single-phase energy meter"}, "modbus"},
		{"shelly-smoke", drivers.Name{ZH: "烟感", EN: "Smoke detector"}, "mqtt"},
	}}
}

func (c *canned) TryDevice(_ context.Context, d NewDevice, l i18n.Lang) (Tried, error) {
	if d.Unit != nil && *d.Unit != 7 {
		return Tried{}, &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("the configuration would have mistakes with this device; nothing is saved:\n%s", "unit")}
	}
	h := home{l, noon}
	return Tried{Lines: "- id: " + d.ID + "\n  unit: 7", Line: 12, Seen: "0123abcd", Signals: []Signal{
		h.good(h.signal("voltage", h.in("电压", "voltage"), "voltage"), 231.4),
		h.bad(h.signal("power", h.in("功率", "power"), "power"), drivers.Exception, 0, nil),
	}}, nil
}

func (c *canned) AddDevice(_ context.Context, d NewDevice, seen string, _ i18n.Lang, a alarm.Act) error {
	if seen != "0123abcd" {
		return &alarm.Refused{Cause: alarm.ErrState, Text: i18n.T("the device or the file is not what was tested: test it again, then save")}
	}
	c.mu.Lock()
	next := *c.now
	h := home{i18n.English, next.Time}
	online := true
	next.Devices = append(next.Devices[:len(next.Devices):len(next.Devices)], Device{ID: d.ID, Name: d.Name, Zone: d.Zone, Endpoint: d.Endpoint, Online: &online,
		Since: next.Time, Signals: []Signal{h.good(h.signal("voltage", "voltage", "voltage"), 231.4)}})
	c.now = &next
	c.mu.Unlock()
	return c.did(fmt.Sprintf("add to %s as %s, unit %d,", d.Endpoint, d.Profile, *d.Unit), d.ID, a)
}

// TestADeviceIsAddedAsItWasTested (UI09): by the API, in words, and never without a test.
func TestADeviceIsAddedAsItWasTested(t *testing.T) {
	c := freshEvening(i18n.English)
	h, d := consoleOf(t, c, i18n.English), described(t)
	const device = `"endpoint":"bus-1","profile":"eastron-sdm120","id":"fresh","name":"Laundry","unit":7,"by":"zhang"`
	for _, test := range []struct {
		name, route, body string
		status            int
		says              string
	}{
		{"a test", "/api/v1/devices/try", `{` + device + `}`, 200, `"said":"231.4","unit":"V","quality":"good","word":"good"},{"signal":"fresh.power","name":"power","value":null,"said":"no reading yet","unit":"kW","quality":"bad","word":"refused by the device"}],"lines":"- id: fresh\n  unit: 7","line":12,"seen":"0123abcd","said":"1 of 2 values are good. These lines would stand in /etc/embergate/embergate.yaml from line 12 on; nothing is saved yet."`},
		{"a unit that it cannot have", "/api/v1/devices/try", `{"endpoint":"bus-1","profile":"x","id":"fresh","unit":300,"by":"zhang"}`, 400, "would have mistakes"},
		{"a name of two lines", "/api/v1/devices/try", `{"endpoint":"bus-1","name":"a\nb","by":"zhang"}`, 400, "one line"},
		{"nobody", "/api/v1/devices/try", `{"endpoint":"bus-1"}`, 400, "by is missing"},
		{"a key that means nothing", "/api/v1/devices/try", `{"colour":1}`, 400, "colour"},
		{"saved without a test", "/api/v1/devices", `{` + device + `}`, 409, "test it first"},
		{"saved after something changed", "/api/v1/devices", `{` + device + `,"seen":"other"}`, 409, "test it again"},
		{"saved", "/api/v1/devices", `{` + device + `,"seen":"0123abcd"}`, 200, `"id":"fresh"`},
	} {
		rec := ask(t, h, "POST", test.route, test.body)
		d.answers(t, test.route, "POST", rec)
		if rec.Code != test.status || !strings.Contains(rec.Body.String(), test.says) {
			t.Errorf("%s: %d %s\nwant %d %s", test.name, rec.Code, rec.Body, test.status, test.says)
		}
	}
	if did := strings.Join(c.done, "\n"); did != "add to bus-1 as eastron-sdm120, unit 7, fresh by zhang via api: " {
		t.Error(did)
	}
	o := optionsOf(c, i18n.English)
	o.Adding = nil
	rec := ask(t, New(o), "POST", "/api/v1/devices/try", `{}`)
	if d.answers(t, "/api/v1/devices/try", "POST", rec); rec.Code != 404 {
		t.Error("without a file:", rec.Code)
	}
}

// TestBrowserAddsADevice (UI09): a connection, a model found by typing, a test whose values are shown, and a second tap to save; then
// the page of the device follows. A signal is set by hand the same way (SE05).
func TestBrowserAddsADevice(t *testing.T) {
	t.Parallel()
	b := browser(t)
	press := func(selector string) { b.value(fmt.Sprintf("document.querySelector(%q).click()", selector), nil) }
	for l, width := range map[i18n.Lang]int{i18n.Chinese: 320, i18n.English: 1440} { // every page at every width is looked at elsewhere
		s := home{l, time.Now().In(noon.Location())}.evening()
		s.Devices[1].Signals[3].Output = &Output{}
		c := newCanned(s)
		c.live = true
		server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
		b.screen(width, 900, "light")
		b.open(server.URL + "/new-device?lang=" + string(l))
		press(`a[href="/new-device?endpoint=bus-1"]`)
		b.until(`document.querySelector('#models option')?.value === 'eastron-sdm120' && !document.querySelector('#models option[value=shelly-smoke]')`)
		for field, value := range map[string]string{"profile": "eastron-sdm120", "unit": "7", "id": "fresh", "name": "Laundry", "by": "张三"} {
			b.value(fmt.Sprintf(`document.querySelector('#add-device [name=%s]').value = %q`, field, value), nil)
		}
		press("#add-device button:not([data-post])")
		b.until(`document.querySelectorAll('#add-device tbody tr').length === 2 && document.querySelector('#add-device pre').textContent.startsWith('- id: fresh') && document.querySelector('#add-device tbody').textContent.includes('231.4')`)
		var overflow int
		if b.value("document.documentElement.scrollWidth - innerWidth", &overflow); overflow > 0 {
			t.Errorf("%s %d: %d px too wide", l, width, overflow)
		}
		b.keep(fmt.Sprintf("add-device-%s-%d", l, width))
		press("#add-device button[data-follow]")
		b.until(`document.querySelector('#add-device button[data-follow]').dataset.sure`)
		if len(c.acts()) != 0 {
			t.Error("saved by one tap")
		}
		press("#add-device button[data-follow]")
		b.until(`location.pathname === '/devices/fresh' && document.querySelector('h1')?.textContent === 'Laundry'`)
		b.open(server.URL + "/devices/kitchen-gas?lang=" + string(l))
		b.value(`document.querySelector('#set-valve select').value = '1'; document.querySelector('#set-valve [name=by]').value = '张三'`, nil)
		press("#set-valve button")
		b.until(`document.querySelector('#set-valve button').dataset.sure`)
		press("#set-valve button")
		b.until(`document.querySelector('#set-valve output').textContent.length > 3`)
		b.keep(fmt.Sprintf("set-by-hand-%s-%d", l, width))
		if did := strings.Join(c.acts(), "\n"); did != "add to bus-1 as eastron-sdm120, unit 7, fresh by 张三 via console: \nwrite 1 kitchen-gas.valve by 张三 via console: " {
			t.Error(did)
		}
		for _, complaint := range b.complaints() {
			t.Errorf("%s %d: %s", l, width, complaint)
		}
		b.close()
		server.Close()
	}
}

// acts are what was done.
func (c *canned) acts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// TestThePlacesLeadToIt (UI09): whoever may add a device, where there is a file to add it to.
func TestThePlacesLeadToIt(t *testing.T) {
	g := gateOf(t).with("anna admin", "max maintainer", "duty duty")
	for user, want := range map[string]bool{"anna": true, "max": true, "duty": false} {
		page := ask(t, g, "GET", "/zones", "", "Cookie", g.login(user)).Body.String()
		if got := strings.Contains(page, `href="/new-device"`); got != want {
			t.Errorf("%s: %v", user, got)
		}
	}
	demo := ask(t, consoleOf(t, freshEvening(i18n.English), i18n.English), "GET", "/zones", "").Body.String()
	if strings.Contains(demo, "/new-device") {
		t.Error("the demonstration has no file")
	}
}
