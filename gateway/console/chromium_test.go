package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// chromium is a headless browser, driven over the pipe of its DevTools: messages of JSON that end in a zero byte.
// Source: https://chromedevtools.github.io/devtools-protocol/, --remote-debugging-pipe.
type chromium struct {
	cmd  *exec.Cmd
	out  *os.File
	read chan struct{} // closed when it has ended
	dir  string

	mu      sync.Mutex // guards what follows
	id      int
	answers map[int]chan devtools
	tabs    map[string]*tab // by session
}

type devtools struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// theBrowser is started by the first test that needs it, and ended after the last.
var theBrowser struct {
	once sync.Once
	c    *chromium
	err  error
}

// browsing are the tests, and then the end of the browser.
type browsing struct{ *testing.M }

func (b browsing) Run() int {
	status := b.M.Run()
	if theBrowser.c != nil {
		theBrowser.c.stop()
	}
	return status
}

func startChromium() (*chromium, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, err
	}
	toBrowser, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	in, fromBrowser, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "embergate-chromium-")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding",
		"--host-resolver-rules=MAP gateway.test 127.0.0.1", // a name that it does not trust over plain HTTP, as it trusts no address but loopback
		"--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+dir, "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	toBrowser.Close()
	fromBrowser.Close()
	c := &chromium{cmd: cmd, out: out, read: make(chan struct{}), dir: dir, answers: map[int]chan devtools{}, tabs: map[string]*tab{}}
	go func() { defer close(c.read); defer in.Close(); c.receive(in) }()
	return c, nil
}

func (c *chromium) stop() {
	c.send("", "Browser.close", nil)
	c.cmd.Wait()
	c.out.Close()
	<-c.read
	os.RemoveAll(c.dir)
}

// receive takes in answers, and gives each tab what its page tells.
func (c *chromium) receive(in *os.File) {
	for r := bufio.NewReader(in); ; {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m devtools
		if err := json.Unmarshal(line[:len(line)-1], &m); err != nil {
			continue
		}
		c.mu.Lock()
		if m.ID != 0 && c.answers[m.ID] != nil {
			c.answers[m.ID] <- m
			delete(c.answers, m.ID)
		} else if t := c.tabs[m.SessionID]; t != nil {
			t.told(m)
		}
		c.mu.Unlock()
	}
}

// send sends one command; its answer comes on the channel.
func (c *chromium) send(session, method string, params any) (<-chan devtools, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id++
	answer := make(chan devtools, 1)
	c.answers[c.id] = answer
	message := map[string]any{"id": c.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if session != "" {
		message["sessionId"] = session
	}
	data, err := json.Marshal(message)
	if err == nil {
		_, err = c.out.Write(append(data, 0))
	}
	return answer, err
}

// tab is one page of the browser, with cookies and memory of its own.
type tab struct {
	*chromium
	t       testing.TB
	session string

	errors   []string // of the console, of scripts, of loading; guarded by chromium.mu, as is what follows
	requests []string // URLs
}

// browser opens an empty page, which is closed with the test.
func browser(t testing.TB) *tab {
	t.Helper()
	theBrowser.once.Do(func() { theBrowser.c, theBrowser.err = startChromium() })
	c := theBrowser.c
	if c == nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs chromium (Debian package chromium)", theBrowser.err)
		}
		t.Skip("needs chromium (Debian package chromium)", theBrowser.err)
	}
	b := &tab{chromium: c, t: t}
	var context struct{ BrowserContextID string }
	b.call("Target.createBrowserContext", nil, &context)
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.mu.Lock()
	b.session = attached.SessionID
	c.tabs[b.session] = b
	c.mu.Unlock()
	t.Cleanup(func() {
		c.mu.Lock()
		delete(c.tabs, b.session)
		c.mu.Unlock()
		b.session = ""
		b.call("Target.disposeBrowserContext", map[string]any{"browserContextId": context.BrowserContextID}, nil)
	})
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// told keeps what the page complains of, and what it asks for.
func (b *tab) told(m devtools) {
	switch {
	case m.Method == "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		if json.Unmarshal(m.Params, &p) == nil {
			b.requests = append(b.requests, p.Request.URL)
		}
	case m.Method == "Log.entryAdded" && !bytes.Contains(m.Params, []byte(`"level":"error"`)): // an icon that a new page cut off
	case m.Method == "Log.entryAdded", m.Method == "Runtime.exceptionThrown", m.Method == "Runtime.consoleAPICalled":
		b.errors = append(b.errors, string(m.Params))
	}
}

// call sends one command and waits for its answer.
func (b *tab) call(method string, params, result any) {
	b.t.Helper()
	if err := b.ask(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

func (b *tab) ask(method string, params, result any) error {
	answer, err := b.send(b.session, method, params)
	if err != nil {
		return err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s", m.Error)
		}
		if result != nil {
			return json.Unmarshal(m.Result, result)
		}
		return nil
	case <-time.After(30 * time.Second):
		return errors.New("no answer")
	}
}

// screen sets the size of the page, in CSS pixels, and its colours.
func (b *tab) screen(width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride",
		map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call("Emulation.setEmulatedMedia",
		map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}}}, nil)
}

// open loads a page and waits until its scripts have run.
func (b *tab) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.until("document.readyState === 'complete' && location.href === " + fmt.Sprintf("%q", url))
}

// close leaves the page, so that nothing of it is under way any more.
func (b *tab) close() {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
}

// value is what an expression is in the page.
func (b *tab) value(expression string, into any) {
	b.t.Helper()
	if err := b.evaluate(expression, into); err != nil {
		b.t.Fatalf("%s: %v", expression[:min(len(expression), 200)], err)
	}
}

func (b *tab) evaluate(expression string, into any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	err := b.ask("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if err == nil && r.ExceptionDetails != nil {
		err = fmt.Errorf("%s", r.ExceptionDetails)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(r.Result.Value, into)
	}
	return err
}

// until waits until an expression is true in the page, or in the one that comes after it.
func (b *tab) until(expression string) {
	b.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var ok bool
		err := b.evaluate("Boolean("+expression+")", &ok)
		if ok {
			return
		}
		if err != nil && !strings.Contains(err.Error(), "Inspected target navigated or closed") {
			b.t.Fatalf("%s: %v", expression, err)
		}
		if time.Now().After(deadline) {
			var text string
			b.value("document.body.innerText", &text)
			b.t.Fatalf("never became true: %s; the page reads:\n%s", expression, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// click taps the middle of an element, as a finger does, once the page's scripts have run: who is faster gets the form without them.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.until("document.readyState === 'complete'")
	var at struct{ X, Y float64 }
	b.value(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2}; })()`, selector), &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		b.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// complaints are what the page has complained of since the last call.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	errors := b.errors
	b.errors = nil
	return errors
}

// strays are the requests since the last call that did not go to the host.
func (b *tab) strays(host string) (urls []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.requests {
		if !strings.HasPrefix(u, host+"/") && u != "about:blank" {
			urls = append(urls, u)
		}
	}
	b.requests = nil
	return urls
}

// picture is the page as it looks, in PNG.
func (b *tab) picture(whole bool) []byte {
	b.t.Helper()
	var shot struct{ Data []byte } // in base64
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": whole}, &shot)
	return shot.Data
}

// keep writes a picture of the whole page into the folder that EMBERGATE_SHOTS names, if any.
func (b *tab) keep(name string) {
	b.t.Helper()
	shots := os.Getenv("EMBERGATE_SHOTS")
	if shots == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(shots, name+".png"), b.picture(true), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
