package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// chromium is a headless browser, driven over the pipe of its DevTools: messages of JSON that end in a zero byte.
// Source: https://chromedevtools.github.io/devtools-protocol/, --remote-debugging-pipe.
type chromium struct {
	t       testing.TB
	out     *os.File
	session string

	mu      sync.Mutex // guards what follows
	id      int
	answers map[int]chan devtools
	errors  []string // of the console, of scripts, of loading
}

type devtools struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// startChromium starts the browser with one empty page, and ends it with the test.
func startChromium(t testing.TB) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs chromium (Debian package chromium)")
		}
		t.Skip("needs chromium (Debian package chromium)")
	}
	toBrowser, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // descriptors 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toBrowser.Close()
	fromBrowser.Close()
	c := &chromium{t: t, out: out, answers: map[int]chan devtools{}}
	read := make(chan struct{})
	go func() { defer close(read); c.read(in) }()
	t.Cleanup(func() {
		c.session = ""
		c.call("Browser.close", nil, nil)
		out.Close()
		cmd.Wait()
		<-read
		in.Close()
	})
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		c.call(domain+".enable", nil, nil)
	}
	return c
}

// read takes in answers, and keeps what the page complains of.
func (c *chromium) read(in *os.File) {
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
		switch {
		case m.ID != 0 && c.answers[m.ID] != nil:
			c.answers[m.ID] <- m
			delete(c.answers, m.ID)
		case m.Method == "Log.entryAdded" && !bytes.Contains(m.Params, []byte(`"level":"error"`)): // an icon that a new page cut off
		case m.Method == "Log.entryAdded", m.Method == "Runtime.exceptionThrown", m.Method == "Runtime.consoleAPICalled":
			c.errors = append(c.errors, string(m.Params))
		}
		c.mu.Unlock()
	}
}

// call sends one command and waits for its answer.
func (c *chromium) call(method string, params, result any) {
	c.t.Helper()
	c.mu.Lock()
	c.id++
	answer := make(chan devtools, 1)
	c.answers[c.id] = answer
	message := map[string]any{"id": c.id, "method": method}
	if params != nil {
		message["params"] = params
	}
	if c.session != "" {
		message["sessionId"] = c.session
	}
	data, err := json.Marshal(message)
	if err == nil {
		_, err = c.out.Write(append(data, 0))
	}
	c.mu.Unlock()
	if err != nil {
		c.t.Fatal(method, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			c.t.Fatalf("%s: %s", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				c.t.Fatal(method, err)
			}
		}
	case <-time.After(30 * time.Second):
		c.t.Fatalf("%s: no answer", method)
	}
}

// screen sets the size of the page, in CSS pixels, and its colours.
func (c *chromium) screen(width, height int, scheme string) {
	c.t.Helper()
	c.call("Emulation.setDeviceMetricsOverride",
		map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	c.call("Emulation.setEmulatedMedia",
		map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// open loads a page and waits until its scripts have run.
func (c *chromium) open(url string) {
	c.t.Helper()
	c.call("Page.navigate", map[string]any{"url": url}, nil)
	c.until("document.readyState === 'complete' && location.href === " + fmt.Sprintf("%q", url))
}

// value is what an expression is in the page.
func (c *chromium) value(expression string, into any) {
	c.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if into != nil {
		if err := json.Unmarshal(r.Result.Value, into); err != nil {
			c.t.Fatalf("%s: %v in %s", expression, err, r.Result.Value)
		}
	}
}

// until waits until an expression is true in the page.
func (c *chromium) until(expression string) {
	c.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var ok bool
		c.value("Boolean("+expression+")", &ok)
		if ok {
			return
		}
		if time.Now().After(deadline) {
			var text string
			c.value("document.body.innerText", &text)
			c.t.Fatalf("never became true: %s; the page reads:\n%s", expression, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// complaints are what the page has complained of since the last call.
func (c *chromium) complaints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	errors := c.errors
	c.errors = nil
	return errors
}

// keep writes a picture of the whole page into the folder that EMBERGATE_SHOTS names, if any.
func (c *chromium) keep(name string) {
	c.t.Helper()
	shots := os.Getenv("EMBERGATE_SHOTS")
	if shots == "" {
		return
	}
	var shot struct{ Data []byte } // in base64
	c.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	if err := os.WriteFile(filepath.Join(shots, name+".png"), shot.Data, 0o644); err != nil {
		c.t.Fatal(err)
	}
}
