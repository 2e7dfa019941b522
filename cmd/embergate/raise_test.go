package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// prompt is a kitchen in which an alarm does not wait.
var prompt = strings.Replace(kitchen, ", override: [{rule: gas-high, for: 1h}]", "", 1)

// Row OP10: a test alarm goes the whole way, marked, and is over when the verb is; what does not come is said.
func TestATestAlarmGoesTheWholeWay(t *testing.T) {
	var mu sync.Mutex
	var texts []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var m struct{ Text string }
		json.Unmarshal(body, &m)
		mu.Lock()
		defer mu.Unlock()
		texts = append(texts, m.Text)
	}))
	defer hook.Close()
	d := startDaemon(t, prompt+"channels: [{id: hook, webhook: {url: \""+hook.URL+"\"}}]\n")
	d.reads("gas.lel", 1)
	got := d.verb(exitDone, "alarms", "raise", "--test", "--signal", "gas.lel", "--by", "anna", "--wait", "30s", "--url", d.url)
	if !strings.Contains(got, "alarm.raised") || !strings.Contains(got, "delivered  hook") || !strings.Contains(got, "drill ended") {
		t.Error(got)
	}
	mu.Lock()
	for _, text := range texts {
		if !strings.HasPrefix(text, "[DRILL]") {
			t.Errorf("a message is not marked: %s", text)
		}
	}
	if len(texts) == 0 {
		t.Error("nobody was told")
	}
	mu.Unlock()
	if got := d.verb(exitDone, "drill", "list", "--json", "--url", d.url); strings.Contains(got, `"ended": null`) {
		t.Errorf("it goes on: %s", got)
	}
	d.verb(exitInvalid, "alarms", "raise", "--signal", "gas.lel", "--by", "anna", "--url", d.url)
	d.verb(exitFailed, "alarms", "raise", "--test", "--signal", "nobody.here", "--by", "anna", "--url", d.url)
}

// Row OP10: an alarm of which nobody is told fails the test.
func TestATestAlarmThatReachesNobodyFails(t *testing.T) {
	d := startDaemon(t, prompt)
	d.reads("gas.lel", 1)
	got := d.verb(exitFailed, "alarms", "raise", "--test", "--signal", "gas.lel", "--by", "anna", "--wait", "1s", "--url", d.url)
	if !strings.Contains(got, "no channel took a message within 1s") {
		t.Error(got)
	}
}
