package influx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/gateway/uplink"
	"embergate/gateway/uplink/uplinktest"
)

// platform is a server that fails as its test wishes. It is a RoundTripper for tests in synctest, and a Handler.
type platform struct {
	t  testing.TB
	mu sync.Mutex
	// answer is asked for every post: the answer, and the lines that are kept. nil takes everything.
	answer func(post int, lines []string) (answer, []string)
	posts  []time.Time
	bodies [][]string
	kept   map[string]int // line to how often it was kept
	auth   string
	query  string
}

type answer struct {
	status int // 0 is a connection that breaks
	body   string
	header http.Header
}

var taken = answer{status: 204}

func said(status int, body string, header ...string) answer {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return answer{status, body, h}
}

func (p *platform) post(r *http.Request) answer {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Error(err)
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		if body, err = expand(body); err != nil {
			return said(500, `{"code":"internal error","message":"gzip: invalid header"}`) // InfluxDB 2.7 does so
		}
	}
	lines := strings.SplitAfter(string(body), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return l == "" })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.auth, p.query = r.Header.Get("Authorization"), r.URL.RequestURI()
	p.posts = append(p.posts, time.Now())
	p.bodies = append(p.bodies, lines)
	a, kept := taken, lines
	if p.answer != nil {
		a, kept = p.answer(len(p.posts), lines)
	}
	for _, l := range kept {
		if p.kept == nil {
			p.kept = map[string]int{}
		}
		p.kept[strings.TrimSuffix(l, "\n")]++
	}
	return a
}

func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	a := p.post(r)
	if a.status == 0 {
		return nil, errors.New("connection reset by peer")
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	return &http.Response{StatusCode: a.status, Status: strconv.Itoa(a.status), Header: a.header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := p.post(r)
	if a.status == 0 {
		panic(http.ErrAbortHandler)
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
}

// times are when posts came, since the first.
func (p *platform) times() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var at []time.Duration
	for _, t := range p.posts {
		at = append(at, t.Sub(p.posts[0]))
	}
	return at
}

// queue is a queue in memory that can be full, and fail to remove.
type queue struct {
	mu       sync.Mutex
	batches  []store.Batch
	last     int64
	dead     []letter
	appended int
	full     bool // Append fails
	stuck    bool // Remove and DeadLetter fail
}

type letter struct {
	line, reason string
}

var errFull = errors.New("no space left on device")

func (q *queue) Append(_ context.Context, b store.Batch) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full {
		return errFull
	}
	q.last++
	b.ID = q.last
	q.batches = append(q.batches, b)
	q.appended++
	return nil
}

func (q *queue) Newest(context.Context) (store.Batch, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.batches) == 0 {
		return store.Batch{}, false, nil
	}
	return q.batches[len(q.batches)-1], true, nil
}

func (q *queue) Oldest(_ context.Context, n int) ([]store.Batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.batches[:min(n, len(q.batches))]), nil
}

func (q *queue) Remove(_ context.Context, ids ...int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stuck {
		return errFull
	}
	q.batches = slices.DeleteFunc(q.batches, func(b store.Batch) bool { return slices.Contains(ids, b.ID) })
	return nil
}

func (q *queue) DeadLetter(_ context.Context, lines []byte, reason string, _ time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stuck {
		return errFull
	}
	if !utf8.Valid(lines) {
		q.dead = append(q.dead, letter{"damaged", reason})
		return nil
	}
	for l := range strings.Lines(string(lines)) {
		q.dead = append(q.dead, letter{strings.TrimSuffix(l, "\n"), reason})
	}
	return nil
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.batches)
}

// lines is how many lines wait.
func (q *queue) lines() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.batches {
		n += b.Lines
	}
	return n
}

func (q *queue) deadLines() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var lines []string
	for _, l := range q.dead {
		lines = append(lines, l.line)
	}
	slices.Sort(lines)
	return lines
}

// put stores lines as one batch, as an earlier run left it.
func (q *queue) put(lines ...string) {
	q.Append(context.Background(), store.Batch{Lines: len(lines), Oldest: noon, Body: newCompressor().compress([]byte(strings.Join(lines, "\n") + "\n"))})
}

// journal is a journal in memory.
type journal struct{ uplinktest.Journal }

func (j *journal) add(kind, id string) {
	a := alarm.Alarm{ID: id, Rule: "smoke", Class: "fire", Level: "alarm", RaisedAt: noon}
	j.Add(func(seq int64) alarm.Event {
		return alarm.Event{ID: fmt.Sprint(id, "/", seq), Time: noon, Type: kind, Alarm: &a}
	})
}

// logged collects log lines.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// newUplink makes an uplink of a configuration, with transport in place of the network where it is not nil.
func newUplink(t testing.TB, keys string, transport http.RoundTripper, log io.Writer) *Uplink {
	t.Helper()
	root := conf.Parse("c.yaml", []byte(keys), conf.Environment{})
	u := New(root, Options{ID: "platform", Site: "zb-1", Region: "370305", Log: slog.New(slog.NewTextHandler(log, nil))})
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	if transport != nil {
		u.wire.next = transport
	}
	return u
}

const standard = `{url: "http://127.0.0.1:8086", org: fire, bucket: sites, token: s3cret}`

// start runs an uplink and returns what stops it and waits.
func start(t testing.TB, u *Uplink, q Queue, j uplink.Journal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := u.Run(ctx, q, j); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

// meter is a device with one number; sample is its n-th reading, every one a line of its own.
var meter = drivers.Device{ID: "meter", Zone: "f1", Signals: []drivers.Signal{{ID: "v", Kind: "voltage"}}}

func sample(n int) []drivers.Reading {
	return []drivers.Reading{{Signal: "meter.v", Time: noon.Add(time.Duration(n) * time.Millisecond), Value: float64(n), Quality: drivers.Good}}
}

func sampleLine(n int) string {
	return strings.TrimSuffix(string(func() []byte {
		b, _ := newSeries("zb-1", "370305", meter).append(nil, sample(n))
		return b
	}()), "\n")
}

// batchOf is a batch with a body of so many bytes.
func batchOf(size int) *store.Batch { return &store.Batch{Lines: 1, Body: make([]byte, size)} }
