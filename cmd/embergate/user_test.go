package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const goodPassword = "correct horse battery"

// passwordFile is a file with a password, as an editor leaves it.
func passwordFile(t *testing.T, password string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// asks sends a request to a console and answers status, body and cookie.
func asks(t *testing.T, method, url, body string, headers ...string) (status int, text, cookie string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range answer.Cookies() {
		cookie = c.Name + "=" + c.Value
	}
	return answer.StatusCode, string(data), cookie
}

// TestPeopleAndTokensFromTheShell (SE01): before the daemon runs, and while it does; what changes holds at once, and each
// change is in the journal.
func TestPeopleAndTokensFromTheShell(t *testing.T) {
	d := &standing{t: t}
	dir := t.TempDir()
	d.file = filepath.Join(dir, "home.yaml")
	if err := os.WriteFile(d.file, []byte("site: {id: home, language: en}\ndata: ./data\nduty: {people: [{id: zhang, name: 张三}], shifts: [{name: all, from: \"00:00\", to: \"24:00\", people: [zhang]}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	password := passwordFile(t, goodPassword)
	if got := d.verb(exitFailed, "user", "add", "-c", d.file, "li", "--role", "duty", "--password-file", password); !strings.Contains(got, "one administrator must be left") {
		t.Error(got)
	}
	d.verb(exitInvalid, "user", "add", "-c", d.file, "anna", "--role", "root", "--password-file", password)
	d.verb(exitInvalid, "user", "add", "-c", d.file, "anna", "--role", "admin", "--password-file", passwordFile(t, "short"))
	d.verb(exitInvalid, "user", "add", "-c", d.file, "anna", "--role", "admin", "--password-file", filepath.Join(dir, "none"))
	if got := d.verb(exitDone, "user", "add", "-c", d.file, "anna", "--role", "admin", "--password-file", password); !strings.Contains(got, "anna may log in now") {
		t.Error(got)
	}

	running := startDaemon(t, kitchen) // in a folder of its own, with nobody in it
	d = &standing{t: t, file: running.file}
	d.verb(exitDone, "user", "add", "-c", d.file, "anna", "--role", "admin", "--password-file", password)
	d.verb(exitDone, "user", "add", "-c", d.file, "tablet", "--role", "duty", "--shared", "--name", "一层平板", "--password-file", password)
	login := func(user, password string) int {
		status, _, _ := asks(t, "POST", running.url+"/api/v1/login", fmt.Sprintf(`{"user":%q,"password":%q}`, user, password))
		return status
	}
	if got := login("anna", goodPassword); got != 200 {
		t.Error("login:", got)
	}
	d.verb(exitDone, "user", "password", "-c", d.file, "anna", "--password-file", passwordFile(t, "another password"))
	if was, is := login("anna", goodPassword), login("anna", "another password"); was != 401 || is != 200 {
		t.Error("a new password:", was, is)
	}
	var users []struct {
		ID, Role, Name string
		Shared         bool
	}
	if err := json.Unmarshal([]byte(d.verb(exitDone, "user", "list", "-c", d.file, "--json")), &users); err != nil || len(users) != 2 || !users[1].Shared || users[1].Name != "一层平板" {
		t.Error(users, err)
	}
	if got := d.verb(exitDone, "user", "list", "-c", d.file); !strings.Contains(got, "tablet") || strings.Contains(got, "argon2") {
		t.Error(got)
	}
	d.verb(exitFailed, "user", "remove", "-c", d.file, "anna")
	d.verb(exitDone, "user", "remove", "-c", d.file, "tablet")

	said := strings.Fields(d.verb(exitDone, "token", "add", "-c", d.file, "--role", "viewer", "grafana"))
	token := said[len(said)-1]
	if !strings.HasPrefix(token, "eg_") {
		t.Fatal(said)
	}
	bearer := func() int {
		status, _, _ := asks(t, "GET", running.url+"/api/v1/alarms", "", "Authorization", "Bearer "+token)
		return status
	}
	if got := bearer(); got != 200 {
		t.Error(got)
	}
	d.verb(exitInvalid, "token", "add", "-c", d.file, "grafana2")
	d.verb(exitFailed, "token", "add", "-c", d.file, "--role", "viewer", "grafana")
	if got := d.verb(exitDone, "token", "list", "-c", d.file); !strings.Contains(got, "grafana") || !strings.Contains(got, "127.0.0.1") || strings.Contains(got, token) {
		t.Error(got)
	}
	d.verb(exitDone, "token", "remove", "-c", d.file, "grafana")
	if got := bearer(); got != 401 {
		t.Error("a token that was removed:", got)
	}
	journal := d.verb(exitDone, "journal", "export", "-c", d.file, "--format", "jsonl")
	for _, want := range []string{`"type":"user.added"`, `"type":"user.password"`, `"type":"user.removed"`, `"type":"token.added"`, `"type":"token.removed"`, `"via":"cli"`, `"from":"shell, localhost"`, `"type":"login"`, `"type":"login.failed"`} {
		if !strings.Contains(journal, want) {
			t.Errorf("the journal lacks %s", want)
		}
	}
	for _, secret := range []string{token, goodPassword, "another password", "argon2"} {
		if strings.Contains(journal, secret) {
			t.Errorf("the journal holds %q", secret)
		}
	}
}

// TestTheVerbsFindTheDaemonByItsConfiguration: its address and the token that it lays out; a stranger's URL is given neither.
func TestTheVerbsFindTheDaemonByItsConfiguration(t *testing.T) {
	port := freePort(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "home.yaml")
	text := fmt.Sprintf("site: {id: home, language: en}\ndata: ./data\nconsole: {listen: \"127.0.0.1:%d\", tls: {self_signed: true}}\n", port)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	done := make(chan int, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { done <- run(ctx, []string{"run", "-c", file}, io.Discard, &log) }()
	defer func() { stop(); <-done }()
	eventually(t, "the daemon listens", func() error {
		var out bytes.Buffer
		if got := run(t.Context(), []string{"alarms", "list", "-c", file, "--language", "en"}, &out, &out); got != exitDone {
			return fmt.Errorf("%d: %s", got, &out)
		}
		return nil
	})
	var out bytes.Buffer
	if got := run(t.Context(), []string{"alarms", "list", "-c", file}, &out, &out); got != exitDone || out.String() != "no alarm is open\n" {
		t.Errorf("in the language of the site: %d %q", got, &out)
	}
	if !strings.Contains(log.String(), "self_signed=true sha256=") {
		t.Error("the log names no fingerprint:", &log)
	}
	for url, told := range map[string]bool{"http://localhost:1": true, "https://127.0.0.1:1": true, "http://[::1]:1": true, "https://fire.example": false, "http://127.0.0.1.example": false} {
		c := client{base: url, config: file}
		if err := c.locate(); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.authorize(r); err != nil || strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eg_") != told {
			t.Errorf("%s is told %q, %v", url, r.Header.Get("Authorization"), err)
		}
	}
}

// TestAPasswordIsAskedForTwiceAndNotShown, on a terminal.
func TestAPasswordIsAskedForTwiceAndNotShown(t *testing.T) {
	keyboard, terminal := openTerminal(t)
	for _, test := range []struct{ name, typed, want, problem string }{
		{"the same twice", "secret 密码\nsecret 密码\n", "secret 密码", ""},
		{"two that differ", "secret 1\nsecret 2\n", "", "not the same"},
	} {
		var prompts bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetIn(terminal)
		cmd.SetErr(&prompts)
		if _, err := keyboard.WriteString(test.typed); err != nil {
			t.Fatal(err)
		}
		got, err := newPassword(cmd, i18n.English, "")
		if got != test.want || (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
		if strings.Count(prompts.String(), ": ") != 2 || strings.Contains(prompts.String(), "secret") {
			t.Errorf("%s: prompts %q", test.name, &prompts)
		}
	}
	if was, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS); err != nil || was.Lflag&unix.ECHO == 0 {
		t.Error("the terminal does not echo any more:", err)
	}
}

// openTerminal is a terminal, and the keyboard of it.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs /dev/ptmx:", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := terminal.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Log("no deadline:", err)
	}
	return keyboard, terminal
}
