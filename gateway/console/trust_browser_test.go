package console

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"embergate/drivers/i18n"
)

// serveCanned is a process of its own that shows a home that is well, until its standard input ends. It says where it listens.
func serveCanned(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr())
	c := newCanned(home{i18n.English, time.Now()}.well())
	c.live = true
	go func() { io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	fmt.Println(Serve(context.Background(), l, New(optionsOf(c, i18n.English)), slog.New(slog.DiscardHandler)))
}

// process starts such a process, which ends with the test, and is where it listens.
func process(t *testing.T, address string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EMBERGATE_CANNED="+address)
	stdin, err := cmd.StdinPipe() // so that it does not outlive us
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); stdin.Close() })
	said, err := bufio.NewReader(stdout).ReadString('\n')
	said = strings.TrimSpace(said)
	if _, _, bad := net.SplitHostPort(said); err != nil || bad != nil {
		t.Fatal(said, err)
	}
	return cmd, said
}

// TestBrowserShowsAGatewayThatWasKilledAndOneThatHangs (UI03): a process that is gone refuses what the page asks, one that is stopped keeps
// the connections open and says nothing. Both leave the banner with the age of what is shown, and both are forgotten when it is back.
func TestBrowserShowsAGatewayThatWasKilledAndOneThatHangs(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{"killed": syscall.SIGKILL, "hanging": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := browser(t)
			gateway, address := process(t, "127.0.0.1:0")
			t.Cleanup(b.close)
			b.open("http://" + address + "/?lang=en")
			b.value(`fresh = lost = 0; document.addEventListener('refreshed', () => { fresh = performance.now(); });
				new MutationObserver(() => { lost = performance.now(); }).observe(document.getElementById('lost'), {attributes: true, attributeFilter: ['hidden']})`, nil)
			b.until(`fresh > 0 && document.getElementById('lost').hidden`)
			if err := gateway.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			b.until(`!document.getElementById('lost').hidden && getComputedStyle(document.getElementById('live')).filter === 'grayscale(1)'`)
			var after float64
			b.value(`lost - fresh`, &after)
			t.Logf("the banner came %.1f s after the page was last fetched", after/1000)
			b.until(`/^([4-9]|\d\d+) s ago$/.test(document.getElementById('lost-age').textContent)`)
			b.until(`!document.querySelector('.glance[data-mood=well] .mark').checkVisibility({visibilityProperty: true})`) // the green mark is gone
			if signal == syscall.SIGKILL {
				gateway.Wait()
				process(t, address)
			} else if err := gateway.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			b.until(`document.getElementById('lost').hidden && document.title.includes('All is well')`)
		})
	}
}

// TestThePageKnowsALostGatewayWithinFiveSeconds (UI03): by its own figures, which no load of a machine changes.
func TestThePageKnowsALostGatewayWithinFiveSeconds(t *testing.T) {
	script, err := files.ReadFile("assets/live.js")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, figure := range []string{`const lostAfter = (\d+); // ms`, `setInterval\(tick, (\d+)\)`} {
		m := regexp.MustCompile(figure).FindSubmatch(script)
		if m == nil {
			t.Fatalf("live.js has no %s", figure)
		}
		n, _ := strconv.Atoi(string(m[1]))
		sum += n
	}
	if sum > 5000 {
		t.Errorf("a page that was just fetched may look well for %d ms", sum)
	}
}

// happen writes events of one alarm into the journal, and shows it.
func (c *canned) happen(h home, from, to int64) {
	next := h.well()
	next.Time, next.Seq = time.Now(), to
	next.Alarms = h.alarms()[1:2]
	c.mu.Lock()
	for seq := from; seq <= to; seq++ {
		c.journal = append(c.journal, event(seq, &next.Alarms[0]))
	}
	c.mu.Unlock()
	c.set(next)
}

// TestBrowserShowsAPageThatWasFrozenAsOld (UI03): a browser puts a page aside and shows it again hours later, as it was. It looks old from
// the moment it is put aside until it has caught up; then no event of the stream is missing, and none came twice.
func TestBrowserShowsAPageThatWasFrozenAsOld(t *testing.T) {
	t.Parallel()
	b := browser(t)
	h := home{i18n.English, time.Now()}
	c := newCanned(h.well())
	c.live = true
	inner := consoleOf(t, c, i18n.English)
	var far atomic.Bool // the network is not back yet
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if far.Load() {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		inner.ServeHTTP(rw, r)
	}))
	t.Cleanup(func() { b.close(); server.Close() })
	b.open(server.URL + "/?lang=en")
	b.value(`got = []; healthy = 0; es = new EventSource('/api/v1/stream?events=alarm'); es.addEventListener('alarm', (e) => got.push(Number(e.lastEventId)));
		was = true; new MutationObserver(() => { const is = document.getElementById('lost').hidden; if (is && !was) healthy++; was = is; }).observe(document.getElementById('lost'), {attributes: true})`, nil)
	b.until(`es.readyState === 1 && document.getElementById('lost').hidden`)
	c.happen(h, 41, 41)
	b.until(`got.length === 1 && document.querySelectorAll('.alarm').length === 1`)
	b.call("Page.setWebLifecycleState", map[string]any{"state": "frozen"}, nil)
	old := func(when string) {
		t.Helper()
		var is bool
		if b.value(`healthy === 0 && !document.getElementById('lost').hidden && document.documentElement.classList.contains('lost')`, &is); !is {
			t.Errorf("%s the page looks as if it were new", when)
		}
	}
	old("while it is frozen")
	far.Store(true)
	server.CloseClientConnections()
	c.happen(h, 42, 60)
	b.call("Page.setWebLifecycleState", map[string]any{"state": "active"}, nil)
	old("when it is shown again")
	far.Store(false)
	c.happen(h, 61, 61)
	b.until(`document.getElementById('lost').hidden && healthy === 1`)
	b.until(`got.length >= 21`)
	var inOrder bool
	if b.value(`got.length === 21 && got.every((n, i) => n === 41 + i)`, &inOrder); !inOrder {
		var got string
		b.value(`got.join(' ')`, &got)
		t.Errorf("the stream brought %s", got)
	}

	far.Store(true) // a machine slept: its clock went on, and nothing told the page
	b.value(`(() => { const now = Date.now; Date.now = () => now() + 3600000; })()`, nil)
	b.until(`!document.getElementById('lost').hidden && document.getElementById('lost-age').textContent === '1 h ago'`)
	far.Store(false)
	b.until(`document.getElementById('lost').hidden`)
}

// TestBrowserSaysThatItCannotSound (UI04): also where no tap helps.
func TestBrowserSaysThatItCannotSound(t *testing.T) {
	t.Parallel()
	b := browser(t)
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": "delete window.AudioContext; delete window.webkitAudioContext"}, nil)
	browse(t, b, newCanned(home{i18n.Chinese, time.Now()}.evening()), i18n.Chinese)
	b.until(`document.getElementById('sound').checkVisibility() && document.getElementById('sound').textContent === '此浏览器不能发声，请勿依赖'`)
	for _, complaint := range b.complaints() {
		t.Error(complaint)
	}
}

// TestBrowserShowsWhatHappenedWhileItFetchedThePage: a page that was rendered before an alarm arrives after the stream has told of it. It
// is fetched once more, though the stream says nothing again.
func TestBrowserShowsWhatHappenedWhileItFetchedThePage(t *testing.T) {
	t.Parallel()
	b := browser(t)
	h := home{i18n.English, time.Now()}
	c := newCanned(h.well())
	c.live = true
	inner := consoleOf(t, c, i18n.English)
	beats, rendered, release := make(chan int64), make(chan struct{}), make(chan struct{})
	var streams atomic.Int32
	var hold atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/v1/stream":
			rw.Header().Set("Content-Type", "text/event-stream")
			http.NewResponseController(rw).Flush()
			mine := beats
			if streams.Add(1) > 1 {
				mine = nil // whoever asks again hears nothing
			}
			for {
				select {
				case seq := <-mine:
					fmt.Fprintf(rw, "event: beat\ndata: {\"now\": %q, \"seq\": %d}\n\n", time.Now().Format(time.RFC3339), seq)
					http.NewResponseController(rw).Flush()
				case <-r.Context().Done():
					return
				}
			}
		case r.URL.Path == "/" && hold.CompareAndSwap(true, false):
			rec := httptest.NewRecorder()
			inner.ServeHTTP(rec, r)
			close(rendered)
			<-release
			for name, values := range rec.Header() {
				rw.Header()[name] = values
			}
			rw.Write(rec.Body.Bytes())
		default:
			inner.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(func() { b.close(); server.Close() })
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `heard = 0;
		EventSource = class extends EventSource { constructor(...a) { super(...a); this.addEventListener('beat', () => heard++); } }`}, nil)
	b.open(server.URL + "/?lang=en")
	hold.Store(true)
	beats <- 40
	<-rendered
	next := h.evening()
	next.Seq = 41
	c.set(next)
	beats <- 41
	b.until(`heard === 2`)
	close(release)
	b.until(`document.getElementById('glance').dataset.mood === 'alarm'`)
}
