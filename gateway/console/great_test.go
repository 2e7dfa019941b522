package console

import (
	"strings"
	"testing"

	"embergate/drivers"
	"embergate/drivers/i18n"
)

func TestAGreatHomeShowsWhatNeedsALookAndCountsTheRest(t *testing.T) {
	h := home{i18n.English, noon}
	s := h.great()
	s.Devices[7].Online = pointer(false)
	s.Devices[11].Signals[3] = h.bad(s.Devices[11].Signals[3], drivers.CRC, 0, nil)
	s.Devices[23].Signals[0] = h.good(h.signal("smoke", "smoke", "smoke"), 1)
	w := newWeb(optionsOf(newCanned(s), i18n.English))
	now, _, err := w.renderPage(w.nowPage(), s, &look{Now: noon, Lang: i18n.English})
	if err != nil {
		t.Fatal(err)
	}
	page := string(now.plain)
	for _, id := range []string{s.Devices[7].ID, s.Devices[11].ID, s.Devices[23].ID} {
		if !strings.Contains(page, `id="device-`+id+`"`) {
			t.Errorf("%s is not shown", id)
		}
	}
	if n := strings.Count(page, `id="device-`); n != 3 {
		t.Errorf("%d devices are shown", n)
	}
	if n, m := strings.Count(page, "5 devices, all well"), strings.Count(page, "4 devices, all well"); n != 37 || m != 3 {
		t.Errorf("%d and %d places count their devices", n, m)
	}
	all, _, err := w.renderPage(w.placePages()[0], s, &look{Now: noon, Lang: i18n.English})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(all.plain), `id="device-`); n != 200 {
		t.Errorf("the list has %d devices", n)
	}
}
