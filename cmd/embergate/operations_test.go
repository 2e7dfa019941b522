package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"embergate/gateway/alarm"
)

// systemd is the notify socket of a unit, as systemd holds it: it takes everything at once.
type systemd struct {
	t    *testing.T
	said chan string
	all  []string // what was heard
}

func newSystemd(t *testing.T) *systemd {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "200000")
	s := &systemd{t: t, said: make(chan string, 10_000)}
	go func() {
		for b := make([]byte, 500); ; {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			s.said <- string(b[:n])
		}
	}()
	return s
}

// hears waits for a message that begins so; those before it are in all.
func (s *systemd) hears(begins string) {
	s.t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		select {
		case message := <-s.said:
			s.all = append(s.all, message)
			if strings.HasPrefix(message, begins) {
				return
			}
		case <-deadline:
			s.t.Fatalf("%s was not said; what was: %q", begins, s.all)
		}
	}
}

const operated = `
site: {id: home, name: %s, language: en}
data: ./data
endpoints:
  - id: bus
    modbus: {url: "tcp://127.0.0.1:%d", timeout: 300ms}
    devices: [{id: meter, unit: 7, signals: [{id: s, kind: number, at: "holding:3"}]}]
console: {listen: "127.0.0.1:%d"}
%s`

// Rows OP05, OP11, OP12 and OP13: systemd hears that the daemon is ready, lives, reloads and stops, and never of a reload
// that it stops; what was taken by a reload is kept, and taken back by a verb; frames are logged for as long as asked.
func TestADaemonIsOperated(t *testing.T) {
	unit := newSystemd(t)
	port, wire := freePort(t), soleServer(t)
	file := filepath.Join(t.TempDir(), "home.yaml")
	write := func(name, more string) {
		if err := os.WriteFile(file, fmt.Appendf(nil, operated, name, wire, port, more), 0o600); err != nil {
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
	unit.hears("READY=1")
	unit.hears("WATCHDOG=1")

	write("second", "")
	hangup <- syscall.SIGHUP
	unit.hears("RELOADING=1\nMONOTONIC_USEC=")
	unit.hears("READY=1")
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	page(t, url+"/api/v1/site", "second")
	write("third", "nonsense: true")
	hangup <- syscall.SIGHUP
	unit.hears("RELOADING=1")
	unit.hears("READY=1")
	unit.hears("WATCHDOG=1")

	said := func(want int, words string, args ...string) {
		t.Helper()
		s, out, errs := verb(t, args...)
		if s != want || !strings.Contains(out+errs, words) {
			t.Errorf("%v: %d %s%s", args, s, out, errs)
		}
	}
	said(exitDone, "2  ", "config", "history", "-c", file)
	said(exitDone, "@ 2\n-site: {id: home, name: third, language: en}\n+site: {id: home, name: second, language: en}\n@ 9\n-nonsense: true", "config", "history", "2", "-c", file)
	said(exitDone, "the running daemon has taken it", "config", "rollback", "-c", file)
	page(t, url+"/api/v1/site", "second")
	said(exitInvalid, "version 3 has mistakes; nothing is changed", "config", "rollback", "3", "-c", file)
	said(exitFailed, "no such earlier version", "config", "rollback", "99", "-c", file)
	said(exitDone, "version 1 of", "config", "rollback", "-c", file) // the latest that can run and differs
	page(t, url+"/api/v1/site", "first")

	said(exitFailed, "there is no module", "log", "level", "drivers/nobody", "debug", "--url", url)
	said(exitInvalid, "log level MODULE LEVEL", "log", "level", "gateway")
	said(exitDone, "drivers/modbus  debug  until", "log", "level", "drivers/modbus", "debug", "--for", "10m", "--url", url)
	logged := func(words string) {
		t.Helper()
		eventually(t, "the log", func() error {
			if !strings.Contains(log.String(), words) {
				return errors.New(words)
			}
			return nil
		})
	}
	logged(`msg=frame`)
	said(exitDone, "every module logs at level info", "log", "level", "drivers/modbus", "debug", "--for", "0s", "--url", url)
	hangup <- syscall.SIGUSR1
	logged(`msg="every frame is logged"`)

	page(t, url+"/api/v1/events?after=0&limit=200", `"type":"config.reload"`, file+" is to be read anew", `"type":"log.level"`, "drivers/modbus logs at level DEBUG until") // row SE04
	stop()
	unit.hears("STOPPING=1")
	if s := <-status; s != exitDone {
		t.Errorf("status %d: %s", s, &log)
	}
	if n := strings.Count(strings.Join(unit.all, " "), "STOPPING=1"); n != 1 {
		t.Errorf("systemd heard %d times that the daemon stops: %q", n, unit.all)
	}
}

// Row OP12: a daemon that cannot start with its configuration says how to go back to the one that ran.
func TestADaemonThatCannotStartSaysHowToGoBack(t *testing.T) {
	file := configFile(t, "site: {id: home, language: en}\ndata: ./data\nrules: {packs: []}\nconsole: {listen: \"127.0.0.1:0\"}\n")
	ctx, stop := context.WithCancel(t.Context())
	unit, status := newSystemd(t), make(chan int)
	go func() { status <- run(ctx, []string{"run", "-c", file}, t.Output(), t.Output()) }()
	unit.hears("READY=1")
	stop()
	<-status
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("data: ./data\nsite: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, _, errs := verb(t, "run", "-c", file); s != exitInvalid || !strings.Contains(errs, "embergate config rollback -c "+file) {
		t.Errorf("%d %s", s, errs)
	}
	if s, out, errs := verb(t, "config", "rollback", "-c", file); s != exitDone {
		t.Errorf("%d %s%s", s, out, errs)
	}
	if now, _ := os.ReadFile(file); string(now) != string(good) {
		t.Errorf("%s", now)
	}
}

// Row OP12: a table that goes into the configuration itself leaves the one before it.
func TestAnImportKeepsTheConfigurationBefore(t *testing.T) {
	file := configFile(t, fmt.Sprintf(operated, "H", 1, 0, ""))
	table := filepath.Join(t.TempDir(), "t.csv")
	if s, _, errs := verb(t, "signals", "export", "-c", file, "-o", table); s != exitDone {
		t.Fatal(errs)
	}
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table, []byte(strings.ReplaceAll(string(text), "holding:3", "holding:4")), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, _, errs := verb(t, "signals", "import", "-c", file, table, "-o", file); s != exitDone {
		t.Fatal(errs)
	}
	if s, out, errs := verb(t, "config", "history", "1", "-c", file); s != exitDone || !strings.Contains(out, "holding:3") {
		t.Errorf("%d %s%s", s, out, errs)
	}
}

// A daemon that lets nobody ask is there: its wires are not opened beside it.
func TestADaemonThatBarsAVerbIsNotPassedBy(t *testing.T) {
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"status": 401, "detail": "nobody is logged in"}`)
	}))
	defer daemon.Close()
	for _, args := range [][]string{
		{"scan", "tcp://127.0.0.1:1", "--url", daemon.URL},
		{"read", "-c", configFile(t, fmt.Sprintf(operated, "H", 1, 1, "")), "--url", daemon.URL, "--wait", "2s"},
	} {
		if s, out, errs := verb(t, args...); s != exitFailed || !strings.Contains(errs, "--token-file") {
			t.Errorf("%v: %d %s%s", args, s, out, errs)
		}
	}
}

// Row AL08: an alarm of class fire is shelved from the shell by two people, of whom the second says so with a password.
func TestFireIsShelvedByTwoFromTheShell(t *testing.T) {
	d := startDaemon(t, `
site: {id: home, language: en}
data: DIR
endpoints: [{id: bus, spoken: {}, devices: [{id: hall, every: 1h, signals: [{id: smoke, kind: smoke}]}]}]
rules: {packs: [fire]}
`)
	password := passwordFile(t, "staple horse correct")
	d.verb(exitDone, "user", "add", "-c", d.file, "root", "--role", "admin", "--password-file", password)
	d.verb(exitDone, "user", "add", "-c", d.file, "li", "--role", "duty", "--password-file", password)
	d.reads("hall.smoke", 1)
	d.until("smoke", alarm.Unacknowledged)
	shelve := []string{"alarms", "shelve", "1", "--for", "1h", "--by", "zhang", "--note", "drill of the plumber", "--url", d.url}
	if got := d.verb(exitFailed, shelve...); !strings.Contains(got, "second") {
		t.Error(got)
	}
	shelve = append(shelve, "--second", "li")
	if got := d.verb(exitFailed, append(shelve, "--second-password-file", passwordFile(t, "wrong horse wrong horse"))...); !strings.Contains(got, "password of the second person is wrong") {
		t.Error(got)
	}
	d.verb(exitDone, append(shelve, "--second-password-file", password)...)
	if a := d.until("smoke", alarm.Unacknowledged); a.ShelvedUntil == nil {
		t.Errorf("%+v", a)
	}
}
