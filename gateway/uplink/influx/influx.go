// Package influx forwards readings, alarm events and the gateway's own measurements to InfluxDB 1.8, 2 and 3 and to what
// speaks their write API, such as VictoriaMetrics. The series are those of the contract, section 7.
//
//	hub ──Readings, Point──▶ memory ──each second, one gzip batch──▶ Queue ──▶ live lane ──┐
//	                                                                    └────▶ backlog ────┼─▶ POST api/v2/write
//	journal ──from a cursor of its own──────────────────────────────────────▶ events lane ─┘
//
// # Delivery
//
// At least once, with identity: every point has a time of its own, so a batch that is sent twice overwrites itself. A
// batch leaves the queue, and the cursor moves on, only when the server has taken what it will ever take. Alarm events go
// first, then the newest batch, then the backlog in order, which gets at most half of the time. The lanes fail apart: a
// batch that a server chokes on holds up neither alarms nor live data.
//
// # Concurrency
//
// Readings, Point, Wake and Status may be called from any goroutine and return at once. Run runs once at a time.
package influx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/gateway/store"
	"embergate/gateway/uplink"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// Options are what the gateway gives an uplink besides its configuration.
type Options struct {
	ID           string
	Site, Region string // the tags of every series
	Log          *slog.Logger
	Observe      func(outcome string) // told the outcome of every request; may be nil
}

// Queue keeps batches until they are sent; *store.Queue is one. Newest and Oldest do not remove.
type Queue interface {
	Append(ctx context.Context, b store.Batch) error
	Newest(ctx context.Context) (store.Batch, bool, error)
	Oldest(ctx context.Context, n int) ([]store.Batch, error)
	Remove(ctx context.Context, ids ...int64) error
	DeadLetter(ctx context.Context, lines []byte, reason string, at time.Time) error
}

// settings are the keys under influxdb: of an uplink.
type settings struct {
	URL     string        `yaml:"url"`
	Org     string        `yaml:"org"`    // InfluxDB 2; the others ignore it
	Bucket  string        `yaml:"bucket"` // InfluxDB 1.8: database/retention-policy; 3: database
	Token   conf.Secret   `yaml:"token"`  // InfluxDB 1.8: user:password
	Timeout time.Duration `yaml:"timeout"`
	GZip    bool          `yaml:"gzip"` // false: bodies are sent plain, for a proxy that cannot read them
}

// Uplink sends to one server. The zero value is of no use: New makes it.
type Uplink struct {
	uplink.Bell
	o        Options
	settings settings
	writeURL string
	service  influxhttp.Service
	wire     *wire
	memory   memory
	stand    *uplink.Stand
}

// New reads the influxdb: keys of an uplink and reports every mistake at its place. It touches neither disk nor network.
func New(s conf.Section, o Options) *Uplink {
	u := &Uplink{o: o, settings: settings{Timeout: 10 * time.Second, GZip: true}, Bell: uplink.NewBell()}
	if o.Log == nil {
		u.o.Log = slog.New(slog.DiscardHandler)
	}
	s.Decode(&u.settings)
	u.memory.open(o.Site, o.Region)
	u.stand = uplink.NewStand(u.o.Log, "nothing sent yet")
	base, err := url.Parse(u.settings.URL)
	switch {
	case u.settings.URL == "":
		s.At("url").Problem("the uplink needs the url of the server, such as http://127.0.0.1:8086")
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		s.At("url").Problem("the url of the server begins with http:// or https:// and has a host")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		s.At("url").Problem("the url of the server is only its address; org, bucket and token have keys of their own")
	}
	if u.settings.Bucket == "" {
		s.At("bucket").Problem("the uplink needs a bucket; for InfluxDB 1.8 it is database/retention-policy")
	}
	if t := u.settings.Timeout; t < 100*time.Millisecond || t > 5*time.Minute {
		s.At("timeout").Problem("the timeout of a request is between %s and %s", 100*time.Millisecond, 5*time.Minute)
	}
	u.connect()
	return u
}

// connect prepares the client; nothing is dialled before Run.
func (u *Uplink) connect() {
	transport := http.DefaultTransport.(*http.Transport).Clone() // verifies certificates, obeys the proxy of the environment
	transport.MaxIdleConnsPerHost = 1
	u.wire = &wire{next: transport}
	options := influxhttp.DefaultOptions().SetApplicationName("embergate").SetHTTPDoer(&http.Client{
		Transport: u.wire,
		// A redirected POST would become a GET, and its answer look like success.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	token := u.settings.Token.Reveal()
	if token != "" {
		token = "Token " + token
	}
	// The client's service alone: its whole API would be two megabytes of program.
	u.service = influxhttp.NewService(strings.TrimSuffix(u.settings.URL, "/")+"/", token, options)
	u.writeURL = u.service.ServerAPIURL() + "write?" + url.Values{
		"org": {u.settings.Org}, "bucket": {u.settings.Bucket}, "precision": {"ns"},
	}.Encode()
}

// Readings takes the readings of one poll of a device. It never blocks and never fails.
func (u *Uplink) Readings(d drivers.Device, batch []drivers.Reading) {
	u.memory.readings(d, batch)
}

// Point takes a point of the gateway itself, under the same rule.
func (u *Uplink) Point(p Point) {
	p.Tags = append([][2]string{{"site", u.o.Site}, {"region", u.o.Region}}, p.Tags...)
	u.memory.point(p)
}

// Status is how the uplink stands.
func (u *Uplink) Status() uplink.Status {
	s := u.stand.Status()
	s.Dropped = u.memory.droppedLines()
	return s
}

// Run groups, stores and sends until ctx ends, and returns nil. What is in memory then goes to the queue. A panic ends it
// with an error that wraps drivers.ErrPanic; it may then be run again.
func (u *Uplink) Run(ctx context.Context, q Queue, j uplink.Journal) error {
	defer u.wire.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var sender sync.WaitGroup
	var sent error
	sender.Go(func() {
		defer stop()
		sent = recovered(func() { newSender(u, q, j).run(ctx) })
	})
	grouped := recovered(func() { u.group(ctx, q) })
	stop()
	sender.Wait()
	return errors.Join(grouped, sent)
}

// recovered makes a panic an error, with its stack.
func recovered(run func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", drivers.ErrPanic, p, debug.Stack())
		}
	}()
	run()
	return nil
}

// failed notes that the server took nothing.
func (u *Uplink) failed(now time.Time, r *refusal) { u.stand.Failed(now, strconv.Itoa(r.status), r) }

func (u *Uplink) observe(outcome string) {
	if u.o.Observe != nil {
		u.o.Observe(outcome)
	}
}
