package console

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/access"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

var blank = regexp.MustCompile(`\s*\n\s*`)

// golden compares what was rendered with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.TrimSpace(blank.ReplaceAllString(got, "\n")) + "\n"
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; with -update it is written anew:\n%s", path, got)
	}
}

func pieces(t *testing.T, l i18n.Lang, template string, views ...any) string {
	t.Helper()
	var b bytes.Buffer
	for _, v := range views {
		if err := anyPage(l).ExecuteTemplate(&b, template, v); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// anyPage is the templates in a language.
func anyPage(l i18n.Lang) *template.Template {
	w := &web{}
	return parsePages(loadAssets(new(press)), w.allPages())[l].all()
}

// nowOf is the first page of a snapshot as its template sees it.
func nowOf(s *Snapshot, now time.Time, l i18n.Lang) (frameView, nowView) {
	w := &web{Options: Options{Demo: true}}
	q := &look{Snapshot: s, Now: now, Lang: l, Who: visitor{Role: Duty}}
	if s == nil {
		q.Snapshot = &Snapshot{Time: now}
	}
	v, _ := w.seeNow(q)
	return w.frame(w.nowPage(), s, q), v.(nowView)
}

func TestPiecesOfThePage(t *testing.T) {
	for _, l := range i18n.Langs {
		h := home{l, noon}
		well, wellNow := nowOf(h.well(), noon, l)
		evening, eveningNow := nowOf(h.evening(), noon, l)
		start, _ := nowOf(nil, noon, l)
		frozen, _ := nowOf(h.well(), noon.Add(time.Minute), l)
		golden(t, fmt.Sprintf("glance.%s.html", l), pieces(t, l, "glance.html", well, evening, start, frozen))
		golden(t, fmt.Sprintf("strip.%s.html", l), pieces(t, l, "strip.html", well, evening, start, frozen))
		golden(t, fmt.Sprintf("alarms.%s.html", l), pieces(t, l, "alarms.html", eveningNow, wellNow))
		golden(t, fmt.Sprintf("links.%s.html", l), pieces(t, l, "links.html", wellNow, eveningNow))
		golden(t, fmt.Sprintf("phone.%s.html", l), pieces(t, l, "phone.html", eveningNow, wellNow))

		lel := h.signal("lel", "", "gas_lel")
		doubtful := h.good(lel, 3.2)
		doubtful.Quality, doubtful.Reason = drivers.Uncertain, drivers.Range
		refused := h.bad(lel, drivers.Exception, time.Minute, pointer(3.2))
		refused.Detail = "exception 2: illegal data address"
		flags := h.good(h.signal("status", "", "status_word"), 6)
		flags.Label = "low_alarm, high_alarm"
		var signals []any
		for _, s := range []Signal{
			h.good(lel, 3.2), h.good(lel, 0), doubtful, refused,
			h.bad(lel, drivers.Stale, 4*time.Minute, pointer(0.0)), h.bad(lel, drivers.Timeout, 26*time.Hour, nil),
			h.bad(lel, drivers.Disabled, time.Hour, pointer(3.2)), {Name: "never", Kind: "gas_lel"},
			h.good(h.signal("smoke", "", "smoke"), 0), h.good(h.signal("smoke", "", "smoke"), 1),
			h.good(h.signal("relay", "", "relay"), 1), h.good(h.signal("mains", "", "mains"), 0), flags,
		} {
			signals = append(signals, seeSignal(s, noon, l))
		}
		golden(t, fmt.Sprintf("signals.%s.html", l), pieces(t, l, "signal", signals...))
	}
}

func TestNoTwoLooksOfAValueAreAlike(t *testing.T) {
	h := home{i18n.Chinese, noon}
	lel := h.signal("lel", "", "gas_lel")
	looks := map[string]string{}
	for name, s := range map[string]Signal{
		"a zero": h.good(lel, 0), "never read": h.bad(lel, drivers.Timeout, time.Hour, nil), "stale": h.bad(lel, drivers.Stale, time.Hour, pointer(0.0)),
		"bad": h.bad(lel, drivers.CRC, time.Hour, pointer(0.0)), "off": h.bad(lel, drivers.Disabled, time.Hour, pointer(0.0)),
	} {
		v := seeSignal(s, noon, h.lang)
		if other, ok := looks[v.Look]; ok {
			t.Errorf("%s looks like %s", name, other)
		}
		looks[v.Look] = name
		if name != "a zero" && (v.Value == "0" || v.Word == "") {
			t.Errorf("%s reads %q %q", name, v.Value, v.Word)
		}
	}
}

func TestADeviceFoldsOnlyWhatIsGoodAndOfLessInterest(t *testing.T) {
	h := home{i18n.English, noon}
	volt := func(id string) Signal { return h.good(h.signal(id, id, "voltage"), 230) }
	battery, low := h.signal("battery", "battery", "battery"), h.signal("low", "low", "battery_low")
	for _, test := range []struct {
		name          string
		signals       []Signal
		shown, folded string
	}{
		{"few values", []Signal{volt("a"), volt("b")}, "a b", ""},
		{"many", []Signal{volt("a"), volt("b"), volt("c"), volt("d"), volt("e"), volt("f")}, "a b c d", "e f"},
		{"the state of the device itself", []Signal{volt("a"), h.good(battery, 90), h.good(low, 0)}, "a", "battery low"},
		{"one is not worth a fold", []Signal{volt("a"), h.good(battery, 90)}, "a battery", ""},
		{"what asks to be looked at", []Signal{volt("a"), h.good(battery, 9), h.good(low, 1), volt("b"), h.good(battery, 9)}, "a low b", "battery battery"},
		{"what is missing", []Signal{volt("a"), volt("b"), volt("c"), volt("d"), h.bad(volt("e"), drivers.CRC, 0, nil), h.bad(battery, drivers.CRC, 0, nil)}, "a b c d e battery", ""},
		{"a device that has nothing else", []Signal{h.good(battery, 9), h.good(low, 0), h.good(battery, 9), h.good(battery, 9), h.good(low, 0), h.good(low, 0)},
			"battery low battery battery", "low low"},
		{"no values at all", nil, "", ""},
	} {
		v := seeDevice(Device{ID: "d", Signals: test.signals}, noon, h.lang)
		if idsOf(v.Signals) != test.shown || idsOf(v.Folded) != test.folded {
			t.Errorf("%s: shows %q, folds %q; want %q, %q", test.name, idsOf(v.Signals), idsOf(v.Folded), test.shown, test.folded)
		}
	}
}

func idsOf(signals []signalView) string {
	var list []string
	for _, s := range signals {
		list = append(list, s.Name)
	}
	return strings.Join(list, " ")
}

func TestThePageIsInTheLanguageAskedForAndNoOther(t *testing.T) {
	h := consoleOf(t, freshEvening(i18n.Chinese), i18n.Chinese)
	for target, want := range map[string]string{"/": "zh-CN", "/?lang=en": "en", "/?lang=zh": "zh-CN", "/?lang=fr": "zh-CN"} {
		rec := ask(t, h, "GET", target, "", "Accept-Language", "en-GB,en;q=0.9")
		if !strings.Contains(rec.Body.String(), `<html lang="`+want+`"`) || rec.Header().Get("Content-Language") != want[:2] {
			t.Errorf("%s is not in %s", target, want)
		}
	}
	english := consoleOf(t, newCanned(home{i18n.English, time.Now()}.evening()), i18n.English)
	page := strings.ReplaceAll(ask(t, english, "GET", "/", "").Body.String(), "中文", "")
	if found := regexp.MustCompile(`.{0,40}\p{Han}.{0,40}`).FindString(page); found != "" {
		t.Errorf("Chinese on the English page: %s", found)
	}
}

func TestNamesCannotBecomeMarkup(t *testing.T) {
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	s := home{i18n.Chinese, time.Now()}.evening()
	s.Site.Name, s.Site.Contact, s.Version = evil, evil, evil
	for i := range s.Zones {
		s.Zones[i].Path, s.Zones[i].ID = evil, evil
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		d.Name, d.ID, d.Zone = evil, evil, evil
		for j := range d.Signals {
			sig := &d.Signals[j]
			sig.Name, sig.Unit, sig.Label, sig.Detail, sig.Reason = evil, evil, evil, evil, drivers.Reason(evil)
		}
	}
	for i := range s.Alarms {
		a := &s.Alarms[i]
		a.ID, a.Name, a.ZonePath, a.DeviceName, a.Message, a.Unit, a.AcknowledgedBy = evil, evil, evil, evil, evil, evil, evil
	}
	s.Endpoints[0] = Endpoint{ID: evil, Protocol: evil, URL: "javascript:alert(1)", Since: noon, Error: evil, Unclaimed: []Unclaimed{{evil, evil}}}
	s.Uplinks[0].LastError, s.Channels[0].ID = evil, evil
	s.Phone[0] = PhoneMessage{Time: noon, Channel: evil, Text: evil, Outcome: evil, Event: evil}
	page := ask(t, consoleOf(t, newCanned(s), i18n.Chinese), "GET", "/", "").Body.String()
	if strings.Contains(page, "<script>") || strings.Contains(page, "<img") || strings.Contains(page, `"'>`) {
		t.Error("a name became markup")
	}
	for _, inline := range []string{` style=`, `<style`, ` onclick=`, `javascript:alert(1)"`, `="http`, `="//`} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %s", inline)
		}
	}
}

func TestThePageSaysTheTruthWithoutScript(t *testing.T) {
	page := ask(t, consoleOf(t, freshEvening(i18n.English), i18n.English), "GET", "/", "").Body.String()
	for _, want := range []string{
		`<noscript><meta http-equiv="refresh" content="10"></noscript>`,
		"This page does not update by itself without JavaScript. It shows the state at ",
		`<h1 id="headline">1st floor / kitchen: Kitchen gas high, valve shut</h1>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("lacks %s", want)
		}
	}
}

func TestThePageIsSmallAndItsAssetsAreKept(t *testing.T) {
	h := consoleOf(t, freshEvening(i18n.Chinese), i18n.Chinese)
	page := ask(t, h, "GET", "/", "", "Accept-Encoding", "br, gzip;q=0.9")
	compressed := page.Body.Len()
	total := compressed
	z, err := gzip.NewReader(page.Body)
	if err != nil {
		t.Fatal(err)
	}
	html, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if plain := ask(t, h, "GET", "/", "", "Accept-Encoding", "gzip;q=0").Body.String(); plain != string(html) {
		t.Error("the compressed page is another")
	}
	assets := regexp.MustCompile(`/assets/[^"]+`).FindAllString(string(html), -1)
	if len(assets) != 8 {
		t.Errorf("assets: %v", assets)
	}
	for _, path := range assets {
		rec := ask(t, h, "GET", path, "", "Accept-Encoding", "gzip")
		if rec.Code != 200 || rec.Header().Get("Content-Type") == "" || rec.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Error(path, rec.Code, rec.Header())
		}
		total += rec.Body.Len()
	}
	if total > 60_000 {
		t.Errorf("the first page takes %d bytes", total)
	}
	t.Logf("%d bytes, of them %d of HTML", total, compressed)
	manifest := ask(t, h, "GET", regexp.MustCompile(`/assets/manifest[^"]+`).FindString(string(html)), "").Body.String()
	for _, icon := range regexp.MustCompile(`/assets/icon[^"]+`).FindAllString(manifest, -1) {
		if rec := ask(t, h, "GET", icon, ""); rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), "image/") {
			t.Errorf("the manifest names %s: %d", icon, rec.Code)
		}
	}
	if n := strings.Count(manifest, "/assets/icon"); n != 3 {
		t.Errorf("the manifest names %d icons: %s", n, manifest)
	}
	worker := ask(t, h, "GET", "/sw.js", "").Body.String()
	for _, path := range regexp.MustCompile(`'(/[^']*)'`).FindAllStringSubmatch(worker, -1) {
		if rec := ask(t, h, "GET", path[1], ""); rec.Code != 200 {
			t.Errorf("the service worker keeps %s: %d", path[1], rec.Code)
		}
	}
	if strings.Contains(worker, "VERSION") || !strings.Contains(worker, "/assets/console.") {
		t.Error("the service worker does not know its version, or its files")
	}
}

func TestEverybodyWhoSeesOneSnapshotGetsOneRendering(t *testing.T) {
	c := newCanned(home{i18n.Chinese, noon}.well())
	w := newWeb(Options{Lang: i18n.Chinese, Source: c, Metrics: http.NotFoundHandler()})
	render := func(now time.Time, who visitor) rendered {
		body, _, err := w.renderPage(w.nowPage(), c.now, &look{Now: now, Lang: i18n.Chinese, Who: who})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	first := render(noon, visitor{Role: Viewer})
	if again := render(noon.Add(time.Second), visitor{Role: Viewer}); &again.plain[0] != &first.plain[0] {
		t.Error("rendered twice")
	}
	if other := render(noon, visitor{Name: "Zhang", Role: Duty}); bytes.Equal(other.plain, first.plain) || !bytes.Contains(other.plain, []byte("Zhang")) {
		t.Error("somebody sees the page of somebody else")
	}
	if later := render(noon.Add(time.Minute), visitor{Role: Viewer}); !bytes.Contains(later.plain, []byte("data-frozen")) {
		t.Error("a snapshot that became old is shown as fresh")
	}
}

func TestPeopleAreCalledByTheirNames(t *testing.T) {
	d := &DutyState{
		Now:   []DutyTurn{{People: []access.Person{{ID: "zhang", Name: "张三"}}}},
		Calls: []Escalation{{Told: []DutyAddress{{People: []access.Person{{ID: "wang", Name: "王五"}}}}}},
	}
	w := &web{}
	for ids, want := range map[string]string{"": "", "zhang": "张三", "zhang,wang,li": "张三, 王五, li"} {
		if got := w.called(ids, d); got != want {
			t.Errorf("%q: %q", ids, got)
		}
	}
	if got := w.called("zhang", nil); got != "zhang" {
		t.Error(got)
	}
}

func TestWhoMayNotActSeesNoButtons(t *testing.T) {
	s := home{i18n.English, noon}.evening()
	c := newCanned(s)
	w := newWeb(optionsOf(c, i18n.English))
	for _, path := range []string{"/", "/alarms/00000007", "/devices/kitchen-gas"} {
		for role, want := range map[Role]bool{Viewer: false, Duty: true} {
			r := httptest.NewRequest("GET", path, nil)
			r.SetPathValue("id", path[strings.LastIndex(path, "/")+1:])
			i := slices.IndexFunc(w.table, func(p page) bool { return p.path == path || p.path == path[:strings.LastIndex(path, "/")+1]+"{id}" })
			body, _, err := w.renderPage(w.table[i], s, &look{Request: r, Now: noon, Lang: i18n.English, Who: visitor{Role: role}})
			if err != nil {
				t.Fatal(err)
			}
			if has := bytes.Contains(body.plain, []byte(`data-act="`)); has != want {
				t.Errorf("%s for %s has buttons: %v", path, role, has)
			}
		}
	}
}

func BenchmarkPageOf500Devices(b *testing.B) {
	s := home{i18n.Chinese, noon}.evening()
	for len(s.Devices) < 500 {
		d := s.Devices[len(s.Devices)%5]
		d.ID = fmt.Sprint("device-", len(s.Devices))
		s.Devices = append(s.Devices, d)
	}
	w := newWeb(Options{Lang: i18n.Chinese, Metrics: http.NotFoundHandler()})
	size := 0
	for b.Loop() {
		next := *s // as new as the first
		page, _, err := w.renderPage(w.nowPage(), &next, &look{Now: noon, Lang: i18n.Chinese})
		if err != nil {
			b.Fatal(err)
		}
		size = len(page.gzip)
	}
	b.ReportMetric(float64(size), "gzip-bytes")
}
