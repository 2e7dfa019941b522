package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDemo runs the demo without any server: its first alarm is on the page, on the duty phone and in the log, and it
// leaves nothing behind.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, log lockedBuffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"demo", "--listen", "127.0.0.1:0", "--language", "en"}, &out, &log)
	}()
	var url string
	eventually(t, "the demo says where to look", func() error {
		if url = regexp.MustCompile(`http://\S+`).FindString(out.String()); url == "" {
			return fmt.Errorf("it says %q", &out)
		}
		return nil
	})
	page(t, url+"/api/v1/alarms", `"rule":"gas-low"`)
	page(t, url+"/", "Kitchen", "Ground floor")
	eventually(t, "the notification is in the log", func() error {
		if !strings.Contains(log.String(), "msg=notification") {
			return fmt.Errorf("log: %s", &log)
		}
		return nil
	})
	stop()
	if s := <-status; s != exitDone {
		t.Errorf("status %d: %s", s, &log)
	}
	if left, _ := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); len(left) > 0 {
		t.Errorf("the demo left %v", left)
	}
}

func TestDemoEndsByItself(t *testing.T) {
	var out, log lockedBuffer
	if status := run(t.Context(), []string{"demo", "--listen", "127.0.0.1:0", "--for", "3s"}, &out, &log); status != exitDone {
		t.Errorf("status %d: %s", status, &log)
	}
}

func TestDemoSaysThatItsAddressIsTaken(t *testing.T) {
	taken := newHook(t).Listener.Addr().String()
	var out, errs lockedBuffer
	if status := run(t.Context(), []string{"demo", "--listen", taken, "--language", "en"}, &out, &errs); status != exitFailed {
		t.Errorf("status %d", status)
	}
	if !strings.Contains(errs.String(), "--listen") {
		t.Errorf("it says %q", &errs)
	}
}

// TestReload (OP05): a configuration with a mistake changes nothing, a good one takes over, and an open alarm is open afterwards,
// with the same id.
func TestReload(t *testing.T) {
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "home.yaml")
	write := func(name, extra string) {
		text := fmt.Sprintf(`
site: {id: home, name: %s, language: en}
data: ./data
endpoints:
  - id: nowhere
    modbus: {url: "tcp://127.0.0.1:%d"}
    devices: [{id: gas, unit: 7, signals: [{id: lel, kind: gas_lel, at: "holding:0", type: uint16}]}]
console: {listen: "127.0.0.1:%d"}
%s`, name, freePort(t), port, extra)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mayAsk(t, filepath.Join(filepath.Dir(file), "data"))
	hangup := make(chan os.Signal, 1)
	write("first", "")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log lockedBuffer
	status := make(chan int, 1)
	go func() { status <- runWith(ctx, []string{"run", "-c", file}, &log, &log, hangup) }()
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	page(t, url+"/api/v1/site", "first")
	page(t, url+"/api/v1/alarms", `"rule":"endpoint-lost"`)
	before := openAlarm(t, url)

	write("second", "nonsense: true\n")
	hangup <- os.Interrupt
	eventually(t, "the bad configuration is refused", func() error {
		if !strings.Contains(log.String(), "the running one stays") || !strings.Contains(log.String(), "nonsense") {
			return fmt.Errorf("log: %s", &log)
		}
		return nil
	})
	page(t, url+"/api/v1/site", "first")

	write("third", "")
	hangup <- os.Interrupt
	page(t, url+"/api/v1/site", "third")
	if after := openAlarm(t, url); after != before {
		t.Errorf("the open alarm was %s, after the reload it is %s", before, after)
	}
	stop()
	if s := <-status; s != exitDone {
		t.Errorf("status %d: %s", s, &log)
	}
}

// openAlarm is the id of the one open alarm.
func openAlarm(t *testing.T, url string) (id string) {
	t.Helper()
	eventually(t, "one open alarm", func() error {
		body, _, err := get(url + "/api/v1/alarms")
		if err != nil {
			return err
		}
		var alarms []struct{ ID string }
		if err := json.Unmarshal([]byte(body), &alarms); err != nil {
			return err
		}
		if len(alarms) != 1 {
			return fmt.Errorf("%d alarms", len(alarms))
		}
		id = alarms[0].ID
		return nil
	})
	return id
}

// TestARelativeConfigurationKeepsItsStateBesideIt: as a user types it, in the folder of the file.
func TestARelativeConfigurationKeepsItsStateBesideIt(t *testing.T) {
	t.Chdir(t.TempDir())
	port := freePort(t)
	text := fmt.Sprintf("site: {id: home, language: en}\ndata: ./data\nconsole: {listen: \"127.0.0.1:%d\"}\n", port)
	if err := os.WriteFile("home.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log lockedBuffer
	status := make(chan int, 1)
	go func() { status <- run(ctx, []string{"run", "-c", "home.yaml"}, &log, &log) }()
	page(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", port), `"ready":true`)
	stop()
	if s := <-status; s != exitDone {
		t.Errorf("status %d: %s", s, &log)
	}
	if _, err := os.Stat(filepath.Join("data", "state.db")); err != nil {
		t.Error(err)
	}
	var out lockedBuffer
	if s := run(t.Context(), []string{"journal", "verify", "-c", "home.yaml"}, &out, &out); s != exitDone {
		t.Errorf("journal verify: status %d: %s", s, &out)
	}
}
