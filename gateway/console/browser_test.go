package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// everyPage are addresses of all pages of the canned home; each row of the table of pages has one at least.
var everyPage = []string{
	"/", "/alarms", "/alarms?span=open&class=gas", "/alarms/00000007", "/zones", "/devices/kitchen-gas", "/devices/smoke-201",
	"/charts", "/charts?signal=kitchen-gas.lel", "/charts?device=main-meter&span=7d", "/new-device", "/new-device?endpoint=bus-1", "/drills", "/duty", "/hazards", "/reports", "/health", "/wall", "/no/such/page",
}

// TestBrowserShowsEveryPageAtEveryWidth (UI01, UI02, UI08, UI10) looks at each page with a real browser: nothing is cut off, nothing
// scrolls sideways, no request leaves the host, the page complains of nothing, and axe finds nothing serious, at 320 and 1440 px in Chinese and at 768 in English. With
// EMBERGATE_SHOTS=DIR the pictures are kept.
func TestBrowserShowsEveryPageAtEveryWidth(t *testing.T) {
	for _, l := range i18n.Langs {
		t.Run(string(l), func(t *testing.T) {
			t.Parallel()
			b := browser(t)
			s := home{l, time.Now().In(noon.Location())}.evening()
			s.Devices[1].Signals[3].Output = &Output{} // the valve of the kitchen can be set by hand
			c := newCanned(s)
			c.live = true
			server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
			defer server.Close()
			defer b.close()
			for _, path := range everyPage {
				lookAt(t, b, server.URL, path, l)
			}
		})
	}
}

// lookAt opens one page and looks at it on a phone, a tablet and a desk.
func lookAt(t *testing.T, b *tab, host, path string, l i18n.Lang) {
	t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for i, width := range []int{320, 768, 1440} {
		scheme := []string{"light", "dark"}[(i+len(path))%2]
		what := fmt.Sprintf("%s %s %d %s", path, l, width, scheme)
		b.screen(width, 900, scheme)
		if i == 0 {
			b.open(host + path + sep + "lang=" + string(l))
		}
		var overflow int
		b.value("document.documentElement.scrollWidth - innerWidth", &overflow)
		if overflow > 0 {
			var wide string
			b.value(`[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 120)).slice(0, 3).join('\n')`, &wide)
			t.Errorf("%s: the page is %d px too wide:\n%s", what, overflow, wide)
		}
		if axeSource() != "" && (l == i18n.Chinese) == (width != 768) { // each width, and each language, in the time that CI has
			b.until(`!document.documentElement.classList.contains('lost')`) // pale on purpose, where the machine is so busy that nothing comes
			for _, found := range b.axe() {
				t.Errorf("%s: %s", what, found)
			}
		}
		b.keep(strings.NewReplacer("/", "-", "?", "-", "&", "-", "=", "-", " ", "-").Replace(what))
	}
	for _, complaint := range b.complaints() {
		if path != "/no/such/page" || !strings.Contains(complaint, "404") {
			t.Errorf("%s: %s", path, complaint)
		}
	}
	for _, stray := range b.strays(host) {
		t.Errorf("%s asks for %s", path, stray)
	}
}

// TestEveryPageIsLookedAt keeps everyPage whole.
func TestEveryPageIsLookedAt(t *testing.T) {
	mux := http.NewServeMux()
	w := newWeb(optionsOf(newCanned(nil), i18n.Chinese))
	for _, r := range w.pageRoutes() {
		mux.HandleFunc(r.pattern, func(http.ResponseWriter, *http.Request) {})
	}
	looked := map[string]bool{}
	for _, path := range everyPage {
		_, pattern := mux.Handler(httptest.NewRequest("GET", path, nil))
		looked[pattern] = true
	}
	for _, r := range w.pageRoutes() {
		if !looked[r.pattern] {
			t.Errorf("no test looks at %s", r.pattern)
		}
	}
}

// TestBrowserShowsAWallAtNight (UI05): the dim colours can still be read, and are gone as soon as there is an alarm. It is two o'clock
// somewhere.
func TestBrowserShowsAWallAtNight(t *testing.T) {
	t.Parallel()
	b := browser(t)
	now := time.Now().UTC()
	there := time.FixedZone("", (26-now.Hour())%24*3600)
	for _, l := range i18n.Langs {
		h := home{l, now.In(there)}
		s := h.well()
		s.Devices[0].Signals[0] = h.bad(s.Devices[0].Signals[0], drivers.Timeout, 3*time.Minute, pointer(231.0)) // dim, and not all well
		c := newCanned(s)
		c.live = true
		server := httptest.NewServer(consoleOf(t, c, l))
		lookAt(t, b, server.URL, "/wall", l)
		b.screen(1920, 1080, "light")
		b.until(`document.querySelector('.wall[data-night]') && getComputedStyle(document.body).backgroundColor === 'rgb(0, 0, 0)'`)
		b.keep("wall-night-" + string(l))
		alarmed := h.well()
		alarmed.Alarms = h.alarms()[1:2]
		c.set(alarmed)
		b.until(`!document.querySelector('.wall[data-night]') && getComputedStyle(document.body).backgroundColor === 'rgb(246, 244, 240)'`)
		b.close()
		b.strays(server.URL)
		server.Close()
	}
}

func TestBrowserShowsAWallWithoutScrolling(t *testing.T) {
	t.Parallel()
	b := browser(t)
	h := home{i18n.Chinese, time.Now().In(noon.Location())}
	full := h.great()
	full.Alarms = h.alarms()
	for name, s := range map[string]*Snapshot{"evening": h.evening(), "great": h.great(), "great with alarms": full} {
		c := newCanned(s)
		c.live = true
		server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
		b.screen(1920, 1080, "light")
		b.open(server.URL + "/wall?lang=zh")
		var over int
		b.value("document.documentElement.scrollHeight - innerHeight", &over)
		if over > 0 {
			t.Errorf("%s: the wall is %d px too high", name, over)
		}
		b.keep("wall-" + name)
		b.close()
		server.Close()
	}
}

// TestBrowserShowsTheActOfAnAlarmOnAPhoneAtOnce (UI02, UI07): the button is there without scrolling.
func TestBrowserShowsTheActOfAnAlarmOnAPhoneAtOnce(t *testing.T) {
	t.Parallel()
	b := browser(t)
	browse(t, b, newCanned(home{i18n.Chinese, time.Now()}.evening()), i18n.Chinese)
	b.screen(320, 568, "light")
	b.until(`(() => { const a = document.getElementById('top-00000007').getBoundingClientRect(), n = document.getElementById('nav').getBoundingClientRect(); return a.top > 0 && a.bottom <= n.top; })()`)
}

func TestBrowserShowsAHomeThatIsWellAndOneThatStarts(t *testing.T) {
	t.Parallel()
	b := browser(t)
	for name, s := range map[string]*Snapshot{"well": home{i18n.Chinese, time.Now().In(noon.Location())}.well(), "start": nil} {
		c := newCanned(s)
		c.live = true
		server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
		for _, path := range []string{"/", "/zones", "/health", "/wall"} {
			lookAt(t, b, server.URL, path, i18n.Chinese)
		}
		b.keep(name)
		b.close()
		server.Close()
	}
}

// browse opens the page of a canned home that lives, in a window as wide as a phone.
func browse(t *testing.T, b *tab, c *canned, l i18n.Lang) *httptest.Server {
	t.Helper()
	c.live = true
	server := httptest.NewServer(consoleOf(t, c, l))
	t.Cleanup(server.Close)
	t.Cleanup(b.close)
	b.screen(375, 800, "light")
	b.open(server.URL + "/?lang=" + string(l))
	return server
}

// TestBrowserFollowsTheGatewayAndActsInTwoTaps (UI07): an alarm is shown and read out, and taken by two taps in the name that was given once.
func TestBrowserFollowsTheGatewayAndActsInTwoTaps(t *testing.T) {
	t.Parallel()
	b := browser(t)
	now := home{i18n.Chinese, time.Now()}
	c := newCanned(now.well())
	server := browse(t, b, c, i18n.Chinese)
	b.until(`document.getElementById('glance').dataset.mood === 'well'`)
	b.until(`document.getElementById('news').textContent === ''`)

	c.set(now.evening())
	b.until(`document.getElementById('headline').textContent === '一层 / 厨房：厨房燃气高报，联动切断'`)
	b.until(`document.title.startsWith('一层 / 厨房') && document.getElementById('live').dataset.sound === 'alarm'`)
	b.until(`document.querySelector('#device-kitchen-gas .value').textContent === '31.6 %LEL'`)
	b.until(`document.getElementById('news').textContent.startsWith('一层 / 厨房')`) // read out

	// The first time the page asks for a name; the act is then done by one tap more.
	b.click("#ack-00000007")
	b.until(`document.getElementById('act').open && document.activeElement.id === 'act-by'`)
	b.value(`document.getElementById('act-do').click()`, nil) // without a name the browser does not let it go
	b.value(`document.getElementById('act-by').value = '张三'`, nil)
	b.click("#act-do")
	b.until(`!document.getElementById('act').open`)

	// What the gateway refuses is said in the dialog, which stays.
	b.click("#silence-00000007")
	b.until(`document.activeElement.id === 'act-do'`) // the name is known: the second tap does it
	c.mu.Lock()
	c.refuse = &alarm.Refused{Cause: alarm.ErrState, Text: i18n.T("Too long")}
	c.mu.Unlock()
	for _, complaint := range b.complaints() {
		t.Error(complaint)
	}
	b.click("#act-do")
	b.until(`document.getElementById('act-error').textContent === '太长'`)
	b.keep("dialog-zh")
	c.mu.Lock()
	c.refuse = nil
	c.mu.Unlock()
	b.click("#act-do")
	b.until(`!document.getElementById('act').open`)
	b.open(server.URL + "/alarms/00000003?lang=zh") // over, and waits for its verdict
	b.click("#verdict-00000003")
	b.value(`document.getElementById('act-verdict').value = 'false:cooking'`, nil)
	b.click("#act-do")
	b.until(`!document.getElementById('act').open`)
	b.click("#shelve-00000003")
	b.until(`document.getElementById('act-note').required && !document.getElementById('act-until').closest('[data-for]').hidden`)
	b.click("#act-cancel")
	c.mu.Lock()
	defer c.mu.Unlock()
	want := []string{"ack 00000007 by 张三 via console: ", "silence 00000007 by 张三 via console: ", "verdict false:cooking 00000003 by 张三 via console: "}
	if !slices.Equal(c.done, want) {
		t.Errorf("done %q, want %q", c.done, want)
	}
}

func TestBrowserGoesFromPageToPageWithoutLosingTheStream(t *testing.T) {
	t.Parallel()
	b := browser(t)
	c := newCanned(home{i18n.English, time.Now()}.evening())
	browse(t, b, c, i18n.English)
	b.screen(1280, 800, "light")
	b.value(`stays = true`, nil) // a variable of this document
	for _, step := range []struct{ tap, there string }{
		{`#nav a[href="/zones"]`, `location.pathname === '/zones' && document.querySelector('#nav [aria-current]').textContent === 'Places'`},
		{`#device-kitchen-gas a`, `location.pathname === '/devices/kitchen-gas' && document.title.startsWith('Kitchen gas detector')`},
		{`a[href="/charts?signal=kitchen-gas.lel"]`, `location.pathname === '/charts' && document.querySelector('.chart .mean')`},
		{`#strip a`, `location.pathname === '/' && document.getElementById('glance')`},
	} {
		b.click(step.tap)
		b.until(step.there)
		b.until(`document.activeElement.id === 'live' && stays`)
	}
	b.value(`history.back()`, nil)
	b.until(`location.pathname === '/charts' && document.querySelector('.chart .mean') && stays`)
	b.value(`document.querySelector('#language').click()`, nil)
	b.until(`document.readyState === 'complete' && document.documentElement.lang === 'zh-CN' && location.pathname === '/charts'`)
	b.click(`#nav a[href="/health"]`)
	b.until(`document.documentElement.lang === 'zh-CN' && document.querySelector('h1').textContent === '系统状态'`) // it is remembered
	for _, complaint := range b.complaints() {
		t.Error(complaint)
	}
}

func TestBrowserSendsFormsAndFoldsTheNavigationOfAPhone(t *testing.T) {
	t.Parallel()
	b := browser(t)
	c := newCanned(home{i18n.English, time.Now()}.well())
	server := browse(t, b, c, i18n.English)
	b.until(`getComputedStyle(document.querySelector('#nav .rest')).display === 'none'`)
	b.click("#more")
	b.until(`getComputedStyle(document.querySelector('#nav .rest')).display !== 'none' && document.getElementById('more').ariaExpanded === 'true'`)
	b.click(`#nav a[href="/drills"]`)
	b.until(`location.pathname === '/drills' && document.getElementById('more').ariaExpanded === 'false'`)
	b.value(`(() => { const f = document.getElementById('start-drill'); f.elements.signal.value = 'smoke-201.smoke'; f.elements.by.value = 'Li'; f.elements.note.value = 'night'; })()`, nil)
	b.click("#start-drill button")
	b.until(`document.querySelector('#start-drill button').textContent === 'Really? Everybody is called.'`)
	b.click("#start-drill button")
	b.until(`document.getElementById('start-drill').elements.note.value === ''`)
	b.value(`document.querySelector('#start-test [data-to]').value = 'f2'`, nil)
	b.until(`document.querySelector('#start-test [name=by]').value === 'Li'`) // who acts is remembered
	b.click("#start-test button")
	b.until(`document.querySelector('#start-test [data-to]').value === ''`)
	b.open(server.URL + "/devices/nobody")
	b.until(`document.body.innerText.includes('Not found')`)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.done) != 2 || !strings.HasPrefix(c.done[0], "drill until 20") || !strings.HasSuffix(c.done[0], " smoke-201.smoke by Li via console: night") || !strings.Contains(c.done[1], " f2 by Li via console") {
		t.Errorf("done %q", c.done)
	}
}

func TestBrowserNeverTurnsOneButtonIntoAnother(t *testing.T) {
	t.Parallel()
	b := browser(t)
	now := home{i18n.Chinese, time.Now()}
	c := newCanned(now.evening())
	browse(t, b, c, i18n.Chinese)
	b.value(`silence = document.getElementById('silence-00000007'); silence.focus()`, nil)
	taken := now.evening()
	taken.Alarms = taken.Alarms[1:2] // those around it are gone, and somebody has taken it elsewhere
	taken.Alarms[0].State, taken.Alarms[0].AcknowledgedBy = alarm.Returned, "李四"
	c.set(taken)
	b.until(`document.querySelectorAll('.alarm').length === 1`)
	b.until(`document.activeElement === silence && silence.isConnected && silence.dataset.act === 'silence'`)
}

// TestBrowserShowsALostGatewayAndOneThatIsBack (UI03): on every sort of page.
func TestBrowserShowsALostGatewayAndOneThatIsBack(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/devices/kitchen-gas", "/wall"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			loseTheGateway(t, path)
		})
	}
}

func loseTheGateway(t *testing.T, path string) {
	b := browser(t)
	c := newCanned(home{i18n.English, time.Now()}.well())
	c.live = true
	var lost atomic.Bool // a cable that is pulled: nothing is refused, nothing arrives
	inner := consoleOf(t, c, i18n.English)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if lost.Load() {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	defer server.Close()
	defer b.close()
	b.open(server.URL + path + "?lang=en")
	b.until(`document.getElementById('lost').hidden`)
	lost.Store(true)
	server.CloseClientConnections()
	began := time.Now()
	b.until(`!document.getElementById('lost').hidden && document.documentElement.classList.contains('lost')`)
	t.Logf("the banner was there after %.1f s", time.Since(began).Seconds())
	b.until(`getComputedStyle(document.getElementById('live')).filter === 'grayscale(1)'`)
	b.until(`/^\d+ s ago$/.test(document.getElementById('lost-age').textContent)`)
	b.until(`document.title === 'No connection to the gateway'`)
	b.until(`getComputedStyle(document.querySelector('#headline, .strip a span')).textDecorationLine === 'line-through'`) // it said that all is well
	b.keep("lost-en")
	lost.Store(false)
	b.until(`document.getElementById('lost').hidden && !document.documentElement.classList.contains('lost') && document.title.includes('All is well')`)

	c.mu.Lock()
	c.live = false // the gateway answers, but its hub stands still
	c.mu.Unlock()
	b.until(`document.getElementById('live').dataset.mood === 'unknown' && document.getElementById('live').hasAttribute('data-frozen')`)
}

func TestBrowserWithoutScriptShowsTheTruth(t *testing.T) {
	t.Parallel()
	b := browser(t)
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	c := newCanned(home{i18n.Chinese, time.Now()}.evening())
	server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
	defer server.Close()
	defer b.close()
	b.screen(375, 800, "light")
	b.open(server.URL + "/")
	b.until(`document.body.innerText.includes('没有 JavaScript，本页不会自动更新')`)
	b.until(`document.getElementById('headline').innerText === '一层 / 厨房：厨房燃气高报，联动切断'`)
	b.until(`document.getElementById('sound').hidden`)
	b.until(`getComputedStyle(document.querySelector('#nav .rest')).display !== 'none'`) // nothing is folded away for good
}

// TestBrowserSaysThatSoundIsOffUntilSomebodyTaps (UI04): a browser allows none before, and a tap holds from page to page.
func TestBrowserSaysThatSoundIsOffUntilSomebodyTaps(t *testing.T) {
	t.Parallel()
	b := browser(t)
	browse(t, b, newCanned(home{i18n.Chinese, time.Now()}.evening()), i18n.Chinese)
	b.until(`document.getElementById('sound').textContent === '声音未开，点此开启'`)
	b.value(`shaken = 0; navigator.vibrate = () => { shaken++; return true; }`, nil)
	b.click("#sound")
	b.until(`document.getElementById('sound').textContent === '声音已开' && shaken > 0`)
	b.click(`#nav a[href="/zones"]`)
	b.until(`location.pathname === '/zones' && document.getElementById('sound').textContent === '声音已开'`)
}

// TestBrowserSaysPlainlyWhenThereIsNoConnection (UI02, UI03): the installed page shows nothing that is old.
func TestBrowserSaysPlainlyWhenThereIsNoConnection(t *testing.T) {
	t.Parallel()
	b := browser(t)
	c := newCanned(home{i18n.English, time.Now()}.well())
	c.live = true
	server := httptest.NewUnstartedServer(consoleOf(t, c, i18n.English))
	server.Start()
	address := server.Listener.Addr().String()
	b.open(server.URL + "/?lang=en")
	b.until(`navigator.serviceWorker.controller`)
	b.close()
	server.Close()
	b.call("Page.navigate", map[string]any{"url": "http://" + address + "/"}, nil)
	b.until(`document.querySelector('h1') && document.querySelector('h1').textContent === 'No connection to the gateway'`)
	b.until(`!document.body.innerText.includes('All is well')`)
	b.keep("offline")
	b.close()
}
