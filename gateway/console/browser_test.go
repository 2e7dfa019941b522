package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// TestBrowserShowsThePageAtEveryWidth looks at the page with a real browser: nothing is cut off, nothing scrolls sideways,
// and the page complains of nothing. With EMBERGATE_SHOTS=DIR the pictures are kept.
func TestBrowserShowsThePageAtEveryWidth(t *testing.T) {
	b := startChromium(t)
	for _, l := range i18n.Langs {
		h := home{l, time.Now().In(noon.Location())}
		for name, s := range map[string]*Snapshot{"well": h.well(), "evening": h.evening(), "start": nil} {
			c := newCanned(s)
			c.live = true
			server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
			for _, width := range []int{320, 768, 1440} {
				for _, scheme := range []string{"light", "dark"} {
					what := fmt.Sprintf("%s-%s-%d-%s", name, l, width, scheme)
					b.screen(width, 900, scheme)
					b.open(server.URL + "/?lang=" + string(l))
					var overflow int
					b.value("document.documentElement.scrollWidth - innerWidth", &overflow)
					if overflow > 0 {
						t.Errorf("%s: the page is %d px too wide", what, overflow)
					}
					for _, complaint := range b.complaints() {
						t.Errorf("%s: %s", what, complaint)
					}
					b.keep(what)
				}
			}
			b.open("about:blank")
			server.Close()
		}
	}
}

// browse opens the page of a canned home that lives, in a window as wide as a phone.
func browse(t *testing.T, b *chromium, c *canned, l i18n.Lang) *httptest.Server {
	t.Helper()
	c.live = true
	server := httptest.NewServer(consoleOf(t, c, l))
	t.Cleanup(func() { b.call("Page.navigate", map[string]any{"url": "about:blank"}, nil); server.Close() })
	b.screen(375, 800, "light")
	b.open(server.URL + "/?lang=" + string(l))
	return server
}

func TestBrowserFollowsTheGatewayAndActsInTwoTaps(t *testing.T) {
	b := startChromium(t)
	now := home{i18n.Chinese, time.Now()}
	c := newCanned(now.well())
	browse(t, b, c, i18n.Chinese)
	b.until(`document.getElementById('glance').dataset.mood === 'well'`)

	c.set(now.evening())
	b.until(`document.getElementById('headline').textContent === '一层 / 厨房：厨房燃气高报，联动切断'`)
	b.until(`document.title.startsWith('一层 / 厨房') && document.getElementById('live').dataset.sound === 'alarm'`)
	b.until(`document.querySelector('#device-kitchen-gas .value').textContent === '31.6 %LEL'`)
	b.value(`document.querySelector('#more-kitchen-gas summary').click()`, nil)
	c.set(now.evening())
	b.value(`refreshes = 0; document.addEventListener('refreshed', () => refreshes++)`, nil)
	b.until(`refreshes > 1 && document.getElementById('more-kitchen-gas').open`) // what a person unfolded stays

	// The first time the page asks for a name; the act is then done by one tap more.
	b.value(`document.getElementById('ack-00000007').click()`, nil)
	b.until(`document.getElementById('act').open && document.activeElement.id === 'act-by'`)
	b.value(`document.getElementById('act-do').click()`, nil) // without a name the browser does not let it go
	b.value(`document.getElementById('act-by').value = '张三'; document.getElementById('act-do').click()`, nil)
	b.until(`!document.getElementById('act').open`)

	// What the gateway refuses is said in the dialog, which stays.
	b.value(`document.getElementById('silence-00000007').click()`, nil)
	b.until(`document.activeElement.id === 'act-do'`) // the name is known: the second tap does it
	c.mu.Lock()
	c.refuse = &alarm.Refused{Cause: alarm.ErrState, Text: i18n.T("closed")}
	c.mu.Unlock()
	for _, complaint := range b.complaints() {
		t.Error(complaint)
	}
	b.value(`document.getElementById('act-do').click()`, nil)
	b.until(`document.getElementById('act-error').textContent === '已结束'`)
	b.keep("dialog-zh")
	c.mu.Lock()
	c.refuse = nil
	c.mu.Unlock()
	b.value(`document.getElementById('act-do').click()`, nil)
	b.until(`!document.getElementById('act').open`)
	c.mu.Lock()
	defer c.mu.Unlock()
	want := []string{"ack 00000007 by 张三 via console: ", "silence 00000007 by 张三 via console: "}
	if !slices.Equal(c.done, want) {
		t.Errorf("done %q, want %q", c.done, want)
	}
}

func TestBrowserNeverTurnsOneButtonIntoAnother(t *testing.T) {
	b := startChromium(t)
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

func TestBrowserShowsALostGatewayAndOneThatIsBack(t *testing.T) {
	b := startChromium(t)
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
	defer b.call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	b.open(server.URL + "/?lang=en")
	b.until(`document.getElementById('lost').hidden`)
	lost.Store(true)
	server.CloseClientConnections()
	began := time.Now()
	b.until(`!document.getElementById('lost').hidden && document.documentElement.classList.contains('lost')`)
	t.Logf("the banner was there after %.1f s", time.Since(began).Seconds())
	b.until(`getComputedStyle(document.getElementById('live')).filter === 'grayscale(1)'`)
	b.until(`/^\d+ s ago$/.test(document.getElementById('lost-age').textContent)`)
	b.until(`document.title === 'No connection to the gateway'`)
	b.until(`getComputedStyle(document.getElementById('headline')).textDecorationLine === 'line-through'`) // it said that all is well
	b.keep("lost-en")
	lost.Store(false)
	b.until(`document.getElementById('lost').hidden && !document.documentElement.classList.contains('lost') && document.title.startsWith('All is well')`)

	c.mu.Lock()
	c.live = false // the gateway answers, but its hub stands still
	c.mu.Unlock()
	b.until(`document.getElementById('glance').dataset.mood === 'unknown' && document.getElementById('live').hasAttribute('data-frozen')`)
}

func TestBrowserWithoutScriptShowsTheTruth(t *testing.T) {
	b := startChromium(t)
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	c := newCanned(home{i18n.Chinese, time.Now()}.evening())
	server := httptest.NewServer(consoleOf(t, c, i18n.Chinese))
	defer server.Close()
	b.screen(375, 800, "light")
	b.open(server.URL + "/")
	b.until(`document.body.innerText.includes('没有 JavaScript，本页不会自动更新')`)
	b.until(`document.getElementById('headline').innerText === '一层 / 厨房：厨房燃气高报，联动切断'`)
	b.until(`document.getElementById('sound').hidden`)
	b.call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
}

func TestBrowserSaysThatSoundIsOffUntilSomebodyTaps(t *testing.T) {
	b := startChromium(t)
	browse(t, b, newCanned(home{i18n.Chinese, time.Now()}.evening()), i18n.Chinese)
	b.until(`document.getElementById('sound').textContent === '声音未开，点此开启'`)
	var at struct{ X, Y float64 }
	b.value(`(() => { const r = document.getElementById('sound').getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2}; })()`, &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
	b.until(`document.getElementById('sound').textContent === '声音已开'`)
}
