package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestEveryMistakeIsReportedAtOnce (OP02, OP03) walks testdata/bad: NAME.yaml is a configuration, NAME.txt what `check` says of it.
// UPDATE=1 writes what it says now.
func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			var out, errs bytes.Buffer
			if status := run(t.Context(), []string{"check", "-c", file, "--language", "en"}, &out, &errs); status != exitInvalid {
				t.Errorf("status %d", status)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, errs.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if errs.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", &errs, want)
			}
			var zh bytes.Buffer
			run(t.Context(), []string{"check", "-c", file, "--language", "zh"}, &out, &zh)
			if got, want := strings.Count(zh.String(), "\n"), strings.Count(errs.String(), "\n"); got != want {
				t.Errorf("%d lines in Chinese, %d in English", got, want)
			}
		})
	}
}

// TestReferenceConfiguration: check accepts the reference configuration as it stands, with its secret files, and run runs
// it, though nothing that it names is there.
func TestReferenceConfiguration(t *testing.T) {
	data, err := os.ReadFile("testdata/nursing-home.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nursing-home.yaml")
	if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mqtt", "wecom", "aliyun", "hook", "influx"} {
		if err := os.WriteFile(filepath.Join(dir, "secrets", name), []byte("a-secret-for-"+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if status := run(t.Context(), []string{"check", "-c", file}, &out, &errs); status != exitDone {
		t.Fatalf("check: status %d\n%s", status, &errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("check touched the disk")
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log := &until{word: "gateway started", then: stop}
	if status := run(ctx, []string{"run", "-c", file}, &out, log); status != exitDone {
		t.Errorf("run: status %d\n%s", status, log)
	}
	if !strings.Contains(log.String(), "gateway stopped") {
		t.Errorf("run did not run:\n%s", log)
	}
	errs.WriteString(log.String())
	if strings.Contains(out.String()+errs.String(), "a-secret-for-") {
		t.Error("a secret is shown")
	}
}

// until is a log that calls then once it has a word.
type until struct {
	mu   sync.Mutex
	text strings.Builder
	word string
	then func()
}

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.text.Write(p)
	if strings.Contains(u.text.String(), u.word) {
		u.then()
	}
	return len(p), nil
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no configuration":         {[]string{"run"}, exitInvalid, "-c"},
		"a file that is not":       {[]string{"check", "-c", "nowhere.yaml", "--language", "en"}, exitInvalid, "nowhere.yaml"},
		"an unknown verb":          {[]string{"runn"}, exitInvalid, "runn"},
		"an unknown flag":          {[]string{"check", "--config2"}, exitInvalid, "config2"},
		"too many words":           {[]string{"version", "now"}, exitInvalid, "now"},
		"an unknown language":      {[]string{"check", "-c", "x", "--language", "fr"}, exitInvalid, "zh"},
		"the version":              {[]string{"version"}, exitDone, "embergate dev"},
		"the models":               {[]string{"profiles", "list"}, exitDone, "chint-dtsu666"},
		"the models for a program": {[]string{"profiles", "list", "--json"}, exitDone, `"id": "chint-dtsu666"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if status := run(t.Context(), c.args, &out, &out); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("%q does not say %q", &out, c.says)
			}
		})
	}
}

// Row OP09: what init writes has no mistake, and a second init leaves it alone.
func TestInitWritesAConfigurationThatIsValid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	var out bytes.Buffer
	if status := run(t.Context(), []string{"init", dir}, &out, &out); status != exitDone {
		t.Fatal(status, &out)
	}
	if status := run(t.Context(), []string{"check", "-c", filepath.Join(dir, "embergate.yaml")}, &out, &out); status != exitDone {
		t.Fatal(status, &out)
	}
	if status := run(t.Context(), []string{"init", dir}, &out, &out); status != exitFailed {
		t.Error("a second init overwrote the file")
	}
}
