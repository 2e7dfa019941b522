package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/drivers/sim"
)

// TestNothingIsLostOverKills kills daemons with SIGKILL at random moments while they read a simulated home over real
// sockets, and a tally whose readings are numbered, while the platform is down half of the time. Afterwards it counts at
// the platform: every reading that was committed is there and the same, no number is missing below the highest, no event
// of the journal is missing, what came twice came with the same identity; and every alarm was told, again at most once for each
// kill, in the moment between its delivery and the note of it.
//
// EMBERGATE_KILLS=1000 go test -run Kills -timeout 1h ./cmd/embergate repeats it longer.
//
// Rows SF01, SF05, SF10, RE06, AL11 of the list of features.
func TestNothingIsLostOverKills(t *testing.T) {
	t.Parallel()
	const homes = 4
	kills := 52
	if text := os.Getenv("EMBERGATE_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("EMBERGATE_KILLS: %v", err)
		}
	} else if testing.Short() {
		kills = homes
	}
	var all sync.WaitGroup
	for home := range homes { // at the same time whatever -parallel says, since they mostly wait
		all.Go(func() {
			t.Run(fmt.Sprint("home ", home+1), func(t *testing.T) { killHome(t, (kills+homes-1)/homes) })
		})
	}
	all.Wait()
}

func killHome(t *testing.T, kills int) {
	p := newReceiver(t)
	a := newAccount(t)
	config := talliedHome(t, a.dir, p.URL, p.URL)
	stopToggling := toggle(p)
	for number := 1; number <= kills; number++ {
		d := startLife(t, config, number)
		if number == 1 { // it lives until the tally is at the platform, so that there is something to count
			eventually(t, "two devices of the tally are at the platform", func() error {
				if n := tallies(p.copy()); n < 2 {
					return fmt.Errorf("%d: %s", n, d.complaint())
				}
				return nil
			})
		}
		d.killAt(number)
		a.take(number, d)
	}
	stopToggling()
	a.settle(p, config)
	if n := p.repeated(); n > kills { // one message is on its way at a time: a death repeats no more
		t.Errorf("%d messages came once more than they had to, after %d kills", n, kills)
	}
}

// talliedHome writes the configuration of a simulated home that runs until the test ends, with a tally as one more
// endpoint, and answers its file.
func talliedHome(t *testing.T, dir, platform, phone string) string {
	t.Helper()
	home, err := sim.Start(sim.Options{Meters: 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- home.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; home.Close() })
	text := string(home.Config(i18n.English, dir, "127.0.0.1:0"))
	ownPlatform, _ := home.Platform()
	ownPhone, _ := home.Phone()
	tallies := "\nendpoints:\n  - id: tally\n    tally: {every: 20ms}\n    devices:\n"
	for i := range 8 {
		more := ""
		if i == 0 {
			more = ", {id: smoke, kind: smoke}"
		}
		tallies += fmt.Sprintf("      - {id: tally-%d, every: 1m, signals: [{id: n, kind: number}, {id: life, kind: status_word}%s]}\n", i+1, more)
	}
	for old, replacement := range map[string]string{
		ownPlatform:    platform,
		ownPhone:       phone + "/hook",
		"\nendpoints:": tallies,
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("the configuration of the simulated home has %q %d times", old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	file := filepath.Join(t.TempDir(), "home.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// toggle takes the platform down and up again, each for 300 to 900 ms, until stopped; then it is up.
func toggle(p *receiver) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer p.down.Store(up)
		for down := false; ; down = !down {
			p.down.Store(up)
			if down {
				p.down.Store(1 + rand.Int32N(ways-1))
			}
			select {
			case <-time.After(300*time.Millisecond + rand.N(600*time.Millisecond)):
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// life is one run of the daemon in a process of its own.
type life struct {
	t      *testing.T
	cmd    *exec.Cmd
	errors lockedBuffer
	ready  chan struct{} // closed when its driver runs
	ended  chan struct{} // closed when its output has ended
	raised atomic.Int64  // alarms that it reported as committed

	goroutines atomic.Int64 // as it last reported
}

func startLife(t *testing.T, config string, number int) *life {
	t.Helper()
	d := &life{t: t, cmd: exec.Command(os.Args[0], "run", "-c", config), ready: make(chan struct{}), ended: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", daemonLife, number))
	d.cmd.Stderr = &d.errors
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.cmd.Process.Kill() })
	go d.listen(out)
	return d
}

func (d *life) listen(out io.Reader) {
	defer close(d.ended)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			close(d.ready)
		}
		var n int64
		if _, err := fmt.Sscanf(lines.Text(), "raised %d", &n); err == nil {
			d.raised.Store(n)
		}
		if _, err := fmt.Sscanf(lines.Text(), "goroutines %d", &n); err == nil {
			d.goroutines.Store(n)
		}
	}
}

// killAt kills the process at a random moment: mostly within 2.5 s after its driver began to run, so that some batches are
// on disk and some on their way, sometimes while it starts.
func (d *life) killAt(number int) {
	d.t.Helper()
	if number%8 == 0 {
		time.Sleep(rand.N(300 * time.Millisecond))
	} else {
		d.isReady()
		time.Sleep(rand.N(2500 * time.Millisecond))
	}
	d.kill(number)
}

// kill ends the process as a power cut does.
func (d *life) kill(number int) {
	d.t.Helper()
	d.cmd.Process.Kill()
	<-d.ended
	if err := d.cmd.Wait(); err == nil || d.cmd.ProcessState.ExitCode() != -1 {
		d.t.Fatalf("life %d ended before it was killed: %v\n%s", number, err, d.complaint())
	}
}

func (d *life) isReady() {
	d.t.Helper()
	select {
	case <-d.ready:
	case <-d.ended:
		d.t.Fatalf("the daemon did not start:\n%s", d.complaint())
	case <-time.After(30 * time.Second):
		d.t.Fatalf("the daemon did not start within 30 s:\n%s", d.complaint())
	}
}

// stop ends the daemon as systemd does.
func (d *life) stop() error {
	d.cmd.Process.Signal(syscall.SIGTERM)
	<-d.ended
	return d.cmd.Wait()
}

func (d *life) complaint() string {
	text := d.errors.String()
	return text[max(0, len(text)-4000):]
}
