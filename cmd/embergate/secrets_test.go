package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// canary makes the value of a secret that cannot be there by accident.
func canary(name string) string { return "canary-" + name + "-7f3a9c" }

// TestNoSecretIsShown (SE07, OP07): the reference configuration runs with a value of its own in each secret, every far side
// missing, so that there are errors to tell of. No page, answer of the API, metric, line of the log or of the journal holds
// one of them, nor a password, token or cookie that was used.
func TestNoSecretIsShown(t *testing.T) {
	dir := t.TempDir()
	reference, err := os.ReadFile("testdata/nursing-home.yaml")
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{canary("password")}
	for _, m := range regexp.MustCompile(`_file: \./secrets/(\w+)`).FindAllStringSubmatch(string(reference), -1) {
		if value := canary(m[1]); !slices.Contains(secrets, value) {
			secrets = append(secrets, value)
			if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "secrets", m[1]), []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(secrets) < 6 {
		t.Fatalf("the reference configuration has only these: %q", secrets)
	}
	// Addresses may hold secrets too. Nothing is sent to the vendors of the channels.
	text := regexp.MustCompile(`via: \[[^\]]*\]`).ReplaceAllString(string(reference), "via: [hook]")
	text = strings.Replace(text, "http://127.0.0.1:18086/hook", "http://hooker:"+canary("url")+"@127.0.0.1:1/"+canary("path"), 1)
	text = strings.Replace(text, "mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1", 1)
	text = strings.Replace(text, "http://127.0.0.1:18086/beat", "http://127.0.0.1:1/"+canary("beat"), 1)
	secrets = append(secrets, canary("url"), canary("path"), canary("beat"))
	file := filepath.Join(dir, "home.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &standing{t: t, file: file}
	var log lockedBuffer
	url := runGateway(t, file, slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var shown strings.Builder
	shown.WriteString(d.verb(exitDone, "user", "add", "-c", file, "anna", "--role", "admin", "--password-file", passwordFile(t, canary("password"))))
	said := strings.Fields(d.verb(exitDone, "token", "add", "-c", file, "--role", "admin", "grafana"))
	token := said[len(said)-1]
	_, _, cookie := asks(t, "POST", url+"/api/v1/login", fmt.Sprintf(`{"user":"anna","password":%q}`, canary("password")))
	asks(t, "POST", url+"/api/v1/login", fmt.Sprintf(`{"user":"anna","password":%q}`, canary("typed")))
	secrets = append(secrets, token, strings.SplitN(cookie, "=", 2)[1], canary("typed"), "argon2id")
	eventually(t, "the far sides are missed", func() error {
		status, body, _ := asks(t, "GET", url+"/api/v1/status", "", "Cookie", cookie)
		if status != 200 || !strings.Contains(body, `"name":"uplink platform","working":false`) || !strings.Contains(body, `"name":"endpoint zigbee","working":false`) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	for _, path := range everyPath(t, url) {
		status, body, _ := asks(t, "GET", url+path, "", "Cookie", cookie)
		if status == 401 || status == 403 || status >= 500 && path != "/readyz" && !strings.Contains(path, "/offline") {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
		leaks(t, path, body, secrets)
	}
	shown.WriteString(d.verb(exitDone, "check", "-c", file) + d.verb(exitDone, "config", "show", "-c", file))
	shown.WriteString(d.verb(exitDone, "journal", "export", "-c", file, "--format", "jsonl"))
	shown.WriteString(d.verb(exitDone, "user", "list", "-c", file, "--json") + d.verb(exitDone, "token", "list", "-c", file, "--json"))
	leaks(t, "verbs and journal", shown.String(), secrets)
	leaks(t, "the log", log.String(), secrets)
}

func leaks(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s shows %q: …%s…", where, secret, text[max(0, i-80):min(len(text), i+80)])
		}
	}
}

// everyPath are all that the API describes, and the pages that its first page leads to, with what the home has in place of
// parameters.
func everyPath(t *testing.T, url string) (paths []string) {
	t.Helper()
	_, text, _ := asks(t, "GET", url+"/api/v1/openapi.json", "")
	var described struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(text), &described); err != nil {
		t.Fatal(err)
	}
	for path, methods := range described.Paths {
		if _, ok := methods["get"]; !ok || path == "/api/v1/stream" {
			continue
		}
		for _, id := range []string{"kitchen-gas", "hook", "platform", "zigbee", "f1"} {
			filled := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, id)
			if !slices.Contains(paths, filled) {
				paths = append(paths, filled)
			}
		}
	}
	paths = append(paths, "/", "/?lang=en", "/alarms", "/places", "/devices/kitchen-gas", "/charts", "/duty", "/drills", "/hazards", "/reports", "/health", "/users", "/account", "/login", "/setup", "/wall")
	if len(paths) < 40 {
		t.Fatalf("only %q", paths)
	}
	return paths
}
