package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// channelFile is a configuration with a channel to a server, and one that reaches one person at a time.
func channelFile(t *testing.T, to string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "home.yaml")
	text := `
site: {id: home, name: 颐康养老院, language: en}
data: ` + t.TempDir() + `
zones: [{id: kitchen, name: 厨房}]
channels:
  - {id: hook, webhook: {url: "` + to + `"}}
  - {id: sms, aliyun_sms: {access_key_id: x, secret: x, sign_name: x, template: SMS_1}}
duty:
  people: [{id: li, name: 李四, phone: "+8613800000002"}]
  shifts: [{name: all, from: "08:00", to: "08:00", people: [li]}]
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAChannelIsTestedWithoutADaemon (NO13): accepted, refused for good, or no such channel, each with its status.
func TestAChannelIsTestedWithoutADaemon(t *testing.T) {
	status := 200
	far := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(status) }))
	defer far.Close()
	file := channelFile(t, far.URL)
	for _, test := range []struct {
		name   string
		status int
		args   []string
		exit   int
		says   string
	}{
		{"accepted", 200, []string{"hook"}, exitDone, "hook: accepted after"},
		{"refused", 404, []string{"hook"}, exitFailed, "refused, and would be every time"},
		{"not now", 503, []string{"hook"}, exitFailed, "would be tried again"},
		{"no such channel", 200, []string{"hok"}, exitInvalid, `no channel "hok"`},
		{"to whom", 200, []string{"sms"}, exitInvalid, "say whom"},
		{"to a stranger", 200, []string{"sms", "--to", "wang"}, exitInvalid, `"wang"`},
	} {
		status = test.status
		var out, errs strings.Builder
		got := run(t.Context(), append([]string{"notify", "test", "-c", file, "--language", "en"}, test.args...), &out, &errs)
		if got != test.exit || !strings.Contains(out.String()+errs.String(), test.says) {
			t.Errorf("%s: status %d, %s%s", test.name, got, &out, &errs)
		}
	}
}

// TestMessagesArePreviewed (NO15): each channel, place first; a level or class that there is not is wrong usage.
func TestMessagesArePreviewed(t *testing.T) {
	file := channelFile(t, "http://127.0.0.1:1")
	var out, errs strings.Builder
	if got := run(t.Context(), []string{"notify", "preview", "-c", file, "--class", "gas", "--language", "zh"}, &out, &errs); got != exitDone {
		t.Fatalf("status %d: %s", got, &errs)
	}
	for _, want := range []string{"── hook (webhook)", `"event": "alarm.raised"`, "── sms (aliyun_sms)", "place = "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if got := run(t.Context(), []string{"notify", "preview", "-c", file, "--class", "smoke"}, &out, &errs); got != exitInvalid || !strings.Contains(errs.String(), "fire, gas") {
		t.Errorf("status %d: %s", got, &errs)
	}
}
