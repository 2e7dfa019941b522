package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"embergate/gateway/access"
)

// needs finds a program of a Debian package. Without it the test is skipped, and fails in CI.
func needs(t *testing.T, program, debian string) string {
	t.Helper()
	for _, path := range []string{program, "/usr/sbin/" + program, "/usr/bin/" + program} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("needs %s (Debian package %s)", program, debian)
	}
	t.Skipf("needs %s (Debian package %s)", program, debian)
	return ""
}

// needsPymodbus finds a Python that has pymodbus: Debian's, not the first in PATH.
func needsPymodbus(t *testing.T) string {
	t.Helper()
	python := needs(t, "/usr/bin/python3", "python3-pymodbus")
	if err := exec.Command(python, "-c", "import pymodbus.server").Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs pymodbus (Debian package python3-pymodbus)")
		}
		t.Skip("needs pymodbus (Debian package python3-pymodbus)")
	}
	return python
}

// freePort is a port on loopback that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs a server until the test ends, and waits until its port answers.
func start(t *testing.T, port int, program string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	eventually(t, fmt.Sprintf("%s listens on %d", filepath.Base(program), port), func() error {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return stop
}

// eventually waits for something that a server of another make does in its own time.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("not within 30 s: %s: %v", what, err)
}

// do runs a client program and answers what it prints.
func do(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// get is the body and status of a page.
func get(url string) (string, int, error) {
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", 0, err
	}
	if token, err := os.ReadFile(os.Getenv("EMBERGATE_TOKEN_FILE")); err == nil { // of the home of this test; others ignore it
		q.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return "", 0, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return string(body), r.StatusCode, err
}

// page waits until a page of the console holds all the words.
func page(t *testing.T, url string, words ...string) string {
	t.Helper()
	var body string
	eventually(t, fmt.Sprintf("%s holds %q", url, words), func() error {
		var err error
		body, _, err = get(url)
		if err != nil {
			return err
		}
		for _, w := range words {
			if !strings.Contains(body, w) {
				return fmt.Errorf("no %q in\n%.2000s", w, body)
			}
		}
		return nil
	})
	return body
}

// mayAsk lets get and the verbs of a test present the token that the daemon lays out in its data directory.
func mayAsk(t *testing.T, data string) {
	t.Setenv("EMBERGATE_TOKEN_FILE", filepath.Join(data, access.ShellFile))
}

// runDaemonOn runs `embergate run` in this process until the test ends or stop is called.
func runDaemonOn(t *testing.T, config string) (stop func() (status int, log string)) {
	t.Helper()
	return runDaemonAt(t, filepath.Join(t.TempDir(), "home.yaml"), config)
}

// runDaemonAt is runDaemonOn with the configuration in a file of the test's choice.
func runDaemonAt(t *testing.T, file, config string) (stop func() (status int, log string)) {
	t.Helper()
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if data := regexp.MustCompile(`(?m)^data: (\S+)`).FindStringSubmatch(config); data != nil {
		mayAsk(t, data[1])
	}
	ctx, cancel := context.WithCancel(context.Background())
	var log lockedBuffer
	status := make(chan int, 1)
	go func() { status <- run(ctx, []string{"run", "-c", file}, io.Discard, &log) }()
	done := false
	stop = func() (int, string) {
		cancel()
		if done {
			return 0, log.String()
		}
		done = true
		return <-status, log.String()
	}
	t.Cleanup(func() {
		if _, text := stop(); t.Failed() {
			t.Logf("log of the daemon:\n%s", text)
		}
	})
	return stop
}
