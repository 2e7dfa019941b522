package console

import (
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// pictures are those of the manuals, drawn by this test with UPDATE=1: the same pages that the other tests look at.
var pictures = []struct {
	file, path    string
	lang          i18n.Lang
	width, height int
	scheme        string
	scale         float64
}{
	{"now-light.png", "/", i18n.Chinese, 1280, 860, "light", 0.75},
	{"now-dark.png", "/", i18n.Chinese, 1280, 860, "dark", 0.75},
	{"phone.png", "/", i18n.English, 375, 812, "light", 1},
	{"device.png", "/devices/smoke-201", i18n.English, 1100, 760, "light", 0.75},
	{"chart.png", "/charts?signal=kitchen-gas.lel", i18n.Chinese, 1100, 700, "light", 0.75},
	{"wall.png", "/wall", i18n.Chinese, 1920, 1080, "dark", 0.5},
}

const mostPicture = 100_000 // bytes

func TestThePicturesOfTheManualsAreThere(t *testing.T) {
	dir := filepath.Join("..", "..", "deploy", "pictures")
	manuals := ""
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		data, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		manuals += string(data)
	}
	if os.Getenv("UPDATE") != "" {
		draws(t, dir)
	}
	for _, p := range pictures {
		info, err := os.Stat(filepath.Join(dir, p.file))
		if err != nil {
			t.Errorf("%v; UPDATE=1 draws it", err)
		} else if info.Size() > mostPicture {
			t.Errorf("%s has %d bytes", p.file, info.Size())
		}
		if !strings.Contains(manuals, "deploy/pictures/"+p.file) {
			t.Errorf("no manual shows %s", p.file)
		}
	}
}

func draws(t *testing.T, dir string) {
	b := browser(t)
	for _, p := range pictures {
		c := newCanned(drawn(p.lang))
		c.live, c.past = true, gasOfADay
		server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
		b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": p.width, "height": p.height, "deviceScaleFactor": p.scale, "mobile": p.width < 500}, nil)
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": p.scheme}}}, nil)
		sep := "?"
		if strings.Contains(p.path, "?") {
			sep = "&"
		}
		b.open(server.URL + p.path + sep + "lang=" + string(p.lang))
		b.value(`document.getElementById('sound').hidden = true`, nil) // nobody has tapped
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, p.file), b.picture(false), 0o644); err != nil {
			t.Fatal(err)
		}
		b.close()
		server.Close()
	}
}

// drawn is a home with more places than the canned one, on the evening of the gas alarm.
func drawn(l i18n.Lang) *Snapshot {
	h := home{l, time.Now().In(noon.Location())}
	s := h.evening()
	s.Alarms = []alarm.Alarm{s.Alarms[1], s.Alarms[2]}
	s.Uplinks = h.well().Uplinks
	s.Components = h.well().Components
	s.Phone[0].Text = strings.Replace(s.Phone[0].Text, "16:52:39", h.before(41*time.Second).Format("15:04:05"), 1)
	s.Phone[1].Text = strings.Replace(s.Phone[1].Text, "16:47:20", h.before(6*time.Minute).Format("15:04:05"), 1)
	s.Health = Health{ClockOK: true, Chain: &Chain{At: h.before(7 * time.Hour), Took: 2100 * time.Millisecond, Told: 2, Of: 2}}
	for i, room := range []string{"202", "203", "204", "205", "206", "301", "302", "303", "304", "305", "306"} {
		id := "r" + room
		name := h.in(room+"室", "room "+room)
		s.Zones = append(s.Zones, Zone{ID: id, Name: name, Path: h.in([]string{"二层 / ", "三层 / "}[i/5%2], []string{"2nd floor / ", "3rd floor / "}[i/5%2]) + name})
		s.Devices = append(s.Devices, Device{
			ID: "smoke-" + room, Name: h.in(room+"室烟感", "Smoke detector "+room), Zone: id, Endpoint: "zigbee", Online: pointer(true), Since: h.before(26 * time.Hour),
			Signals: []Signal{h.good(h.signal("smoke", h.in("烟雾", "smoke"), "smoke"), 0), h.good(h.signal("battery", h.in("电池", "battery"), "battery"), 95-float64(i))},
		})
	}
	s.Devices[4].Profile, s.Devices[4].Errors = "zigbee2mqtt", []ErrorCount{{drivers.Timeout, 3}, {drivers.Stale, 1}}
	return s
}

// gasOfADay is a day of a kitchen: meals, a night, an hour in which the detector was stale, one that the gateway was off, and
// the gas of this evening.
func gasOfADay(_ string, from, to time.Time, points int) []Step {
	steps := make([]Step, points)
	now := time.Now()
	for i := range steps {
		at := from.Add(to.Sub(from) * time.Duration(i) / time.Duration(points))
		steps[i].Time = at
		length := to.Sub(from).Seconds() / float64(points)
		switch ago := now.Sub(at).Hours(); {
		case ago > 15 && ago < 16:
			continue
		case ago > 9 && ago < 10:
			steps[i].Bad, steps[i].Why = length, drivers.Stale
			continue
		case ago > 5.5 && ago < 5.8:
			steps[i].Bad, steps[i].Why = length, drivers.Timeout
			continue
		}
		hour := float64(at.In(noon.Location()).Hour()) + float64(at.Minute())/60
		v := 0.0
		for _, meal := range []float64{6.5, 11.5, 17.5} {
			v += 5 * math.Exp(-(hour-meal)*(hour-meal)*3)
		}
		if late := now.Sub(at).Minutes(); late < 12 && late >= 0 {
			v += 31 * math.Exp(-late/6)
		}
		low, high := max(v*0.8, 0), v*1.15
		steps[i].Min, steps[i].Mean, steps[i].Max, steps[i].Last, steps[i].Good = &low, &v, &high, &v, length
	}
	return steps
}
