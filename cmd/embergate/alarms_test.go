package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway"
	"embergate/gateway/alarm"
)

// spoken is a protocol whose one device says what the test says.
type spoken struct {
	drivers.Device
	say chan drivers.Reading
}

func (s *spoken) Devices() []drivers.Device { return []drivers.Device{s.Device} }

func (s *spoken) Run(ctx context.Context, emit func([]drivers.Reading)) error {
	emit(drivers.LinkUp("bus", time.Now()))
	for {
		select {
		case r := <-s.say:
			emit([]drivers.Reading{r})
		case <-ctx.Done():
			return nil
		}
	}
}

// standing is a running gateway with verbs that speak to it.
type standing struct {
	t    *testing.T
	file string
	url  string
	say  chan drivers.Reading
}

func (d *standing) reads(signal string, value float64) {
	d.say <- drivers.Reading{Signal: signal, Time: time.Now(), Value: value, Quality: drivers.Good}
}

// verb runs a verb and answers what it prints.
func (d *standing) verb(want int, args ...string) string {
	d.t.Helper()
	var out, errs bytes.Buffer
	if got := run(d.t.Context(), append(args, "--language", "en"), &out, &errs); got != want {
		d.t.Errorf("%v: exit status %d, want %d: %s%s", args, got, want, out.String(), errs.String())
	}
	return out.String() + errs.String()
}

func (d *standing) open() []alarm.Alarm {
	d.t.Helper()
	var list []alarm.Alarm
	if err := json.Unmarshal([]byte(d.verb(exitDone, "alarms", "list", "--json", "--url", d.url)), &list); err != nil {
		d.t.Fatal(err)
	}
	return list
}

// until waits for an open alarm in a state.
func (d *standing) until(rule string, state alarm.State) alarm.Alarm {
	d.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, a := range d.open() {
			if a.Rule == rule && a.State == state {
				return a
			}
		}
	}
	d.t.Fatalf("no alarm of %s is %s; open are %+v", rule, state, d.open())
	return alarm.Alarm{}
}

func startDaemon(t *testing.T, config string) *standing {
	t.Helper()
	dir := t.TempDir()
	d := &standing{t: t, file: filepath.Join(dir, "home.yaml"), say: make(chan drivers.Reading)}
	if err := os.WriteFile(d.file, []byte(strings.ReplaceAll(config, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	protocol := func(e drivers.Endpoint) drivers.Driver {
		e.Settings.Decode()
		device, _ := e.Device(e.Devices[0], "spoken", &struct{}{})
		return &spoken{device, d.say}
	}
	protocols["spoken"] = func() drivers.Protocol { return protocol }
	t.Cleanup(func() { delete(protocols, "spoken") })
	mayAsk(t, dir)
	d.url = runGateway(t, d.file, slog.NewTextHandler(t.Output(), nil))
	if r, err := http.Get(d.url + "/healthz"); err != nil { // answered once it has laid out the token of the shell
		t.Fatal(err)
	} else {
		r.Body.Close()
	}
	return d
}

// runGateway runs the gateway of a file on a port of its own until the test ends, and answers where.
func runGateway(t *testing.T, file string, log slog.Handler) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	root, err := conf.Load(file, conf.OS())
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(root, gateway.Options{Protocols: protocols, Log: slog.New(log), Listener: listener})
	if err != nil {
		t.Fatal(err)
	}
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); ended.Wait() })
	return "http://" + listener.Addr().String()
}

const kitchen = `
site: {id: home, language: en}
data: DIR
zones: [{id: kitchen, name: Kitchen}]
endpoints: [{id: bus, spoken: {}, devices: [{id: gas, zone: kitchen, every: 1h, signals: [{id: lel, kind: gas_lel}]}]}]
rules: {packs: [gas], override: [{rule: gas-high, for: 1h}]}
`

// TestPeopleActOnAlarmsFromTheShell (AL04, AL06, AL07, AL08): each verb is an act of its own, with who and why; what the
// alarm does not allow is refused in words.
func TestPeopleActOnAlarmsFromTheShell(t *testing.T) {
	d := startDaemon(t, kitchen)
	d.reads("gas.lel", 12)
	a := d.until("gas-low", alarm.Unacknowledged)
	if got := d.verb(exitDone, "alarms", "list", "--url", d.url); !strings.Contains(got, a.ID) || !strings.Contains(got, "Kitchen gas") || !strings.Contains(got, "12 %LEL") {
		t.Error(got)
	}
	shanghai, _ := time.LoadLocation("Asia/Shanghai") // the site's zone, whatever this machine's is
	if got := d.verb(exitDone, "alarms", "list", "--url", d.url); !strings.Contains(got, a.RaisedAt.In(shanghai).Format(time.DateTime)) {
		t.Errorf("raised at %s: %s", a.RaisedAt, got)
	}
	if got := d.verb(exitFailed, "alarms", "ack", a.ID, "--url", d.url); !strings.Contains(got, "by is missing") {
		t.Error(got)
	}
	d.verb(exitDone, "alarms", "silence", "1", "--by", "zhang", "--url", d.url) // the number that the id begins with
	if got := d.verb(exitDone, "journal", "export", "-c", d.file, "--format", "jsonl"); !strings.Contains(got, `"type":"alarm.silenced"`) || !strings.Contains(got, `"by":"zhang","via":"cli"`) {
		t.Error(got)
	}
	if got := d.verb(exitDone, "alarms", "ack", "1", "--by", "zhang", "--note", "on my way", "--url", d.url); !strings.Contains(got, "zhang is on it") {
		t.Error(got)
	}
	d.verb(exitInvalid, "alarms", "shelve", "1", "--by", "zhang", "--url", d.url)
	d.verb(exitFailed, "alarms", "shelve", "1", "--by", "zhang", "--for", "9h", "--note", "cooking", "--url", d.url)
	d.verb(exitDone, "alarms", "shelve", "1", "--by", "zhang", "--for", "1h", "--note", "cooking", "--url", d.url)
	if a := d.until("gas-low", alarm.Acknowledged); !a.Silenced || a.ShelvedUntil == nil || a.AcknowledgedBy != "zhang" {
		t.Errorf("%+v", a)
	}
	if got := d.verb(exitFailed, "alarms", "reset", "1", "--by", "zhang", "--url", d.url); !strings.Contains(got, "still active") {
		t.Error(got)
	}
	d.reads("gas.lel", 5)
	d.until("gas-low", alarm.Latched) // it waits for the end of its shelf
	d.verb(exitInvalid, "alarms", "verdict", "1", "--by", "zhang", "--url", d.url)
	d.verb(exitDone, "alarms", "verdict", "1", "--by", "zhang", "--as", "false:steam", "--url", d.url)
	d.verb(exitDone, "alarms", "reset", "1", "--by", "zhang", "--url", d.url)
	if got := d.verb(exitDone, "alarms", "list", "--url", d.url); got != "no alarm is open\n" {
		t.Error(got)
	}
	if got := d.verb(exitDone, "alarms", "list", "--all", "--url", d.url); !strings.Contains(got, "closed") {
		t.Error(got)
	}
	if got := d.verb(exitFailed, "alarms", "ack", "7", "--by", "zhang", "--url", d.url); !strings.Contains(got, "there is no alarm 7") {
		t.Error(got)
	}
	d.verb(exitInvalid, "alarms", "list", "--url", "nowhere")
	d.verb(exitInvalid, "alarms", "list", "--token-file", filepath.Join(t.TempDir(), "none"), "--url", d.url)
	if got := d.verb(exitFailed, "alarms", "list", "--url", "http://127.0.0.1:1"); !strings.Contains(got, "no daemon answers") {
		t.Error(got)
	}
}

// TestExplainSaysWhatARuleNeedsNow: with the daemon's values while it answers, from the configuration alone where it does
// not, and which of the two.
func TestExplainSaysWhatARuleNeedsNow(t *testing.T) {
	d := startDaemon(t, kitchen)
	explain := func(url string) string {
		return d.verb(exitDone, "rules", "explain", "-c", d.file, "gas-high", "--url", url)
	}
	if got := explain(d.url); !strings.Contains(got, "it is unknown") || !strings.Contains(got, "value = unknown") {
		t.Errorf("before any reading: %s", got)
	}
	d.reads("gas.lel", 12)
	d.until("gas-low", alarm.Unacknowledged)
	if got := explain(d.url); !strings.Contains(got, "value >= 50") || !strings.Contains(got, "value = 12") || !strings.Contains(got, "it does not hold") || !strings.Contains(got, "it must hold for 1h0m0s") {
		t.Errorf("below the limit: %s", got)
	}
	if got := d.verb(exitDone, "rules", "explain", "-c", d.file, "gas-low@gas.lel", "--url", d.url); !strings.Contains(got, "is open since") {
		t.Errorf("raised: %s", got)
	}
	d.reads("gas.lel", 60)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(explain(d.url), "it holds for "); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("above it: %s", explain(d.url))
		}
	}
	got := explain("http://127.0.0.1:1")
	if !strings.Contains(got, "no daemon answers at http://127.0.0.1:1") || !strings.Contains(got, "at gas.lel, reads gas.lel") || strings.Contains(got, "value = ") {
		t.Errorf("without a daemon: %s", got)
	}
	if got := d.verb(exitFailed, "rules", "explain", "-c", d.file, "gas-hihg", "--url", d.url); !strings.Contains(got, "has no rule") {
		t.Error(got)
	}
	if got := d.verb(exitDone, "rules", "list", "-c", d.file); !strings.Contains(got, "gas-high") || !strings.Contains(got, "at 1 sources") {
		t.Error(got)
	}
	var list []gateway.RuleInForce
	if err := json.Unmarshal([]byte(d.verb(exitDone, "rules", "list", "-c", d.file, "--json")), &list); err != nil || len(list) < 5 || list[0].Sources[0].Inputs[0] != "gas.lel" {
		t.Errorf("%v %+v", err, list)
	}
}

// TestRulesTestFailsWithAStory (RU14): exit status 0, 1 and 2, for CI.
func TestRulesTestFailsWithAStory(t *testing.T) {
	d := &standing{t: t}
	file := filepath.Join(t.TempDir(), "gas.txt")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rules: {packs: [gas]}\nseries: {k.lel: 0 12}\nexpect: {at 1s: raised gas-low}\n")
	if got := d.verb(exitDone, "rules", "test", file); !strings.Contains(got, "all 1 expectations came true") {
		t.Error(got)
	}
	write("rules: {packs: [gas]}\nseries: {k.lel: 0 12}\nexpect: {at 1s: raised gas-high}\n")
	if got := d.verb(exitFailed, "rules", "test", file, "../../rules/packs/gas.txt"); !strings.Contains(got, "gas.txt:3:17: at 1s: expected raised gas-high") || !strings.Contains(got, "1s raised gas-low@k.lel") || !strings.Contains(got, "1 of 2 files failed") {
		t.Error(got)
	}
	write("series: {k.lel: 0 12}\nexpect: {at 1s: rised gas-high}\n")
	if got := d.verb(exitInvalid, "rules", "test", file); !strings.Contains(got, "did you mean raised?") {
		t.Error(got)
	}
	d.verb(exitInvalid, "rules", "test", filepath.Join(t.TempDir(), "none"))
	d.verb(exitInvalid, "rules", "test")
}
