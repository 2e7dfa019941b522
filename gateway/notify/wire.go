package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	connecting = 5 * time.Second  // at most, of a request
	asking     = 10 * time.Second // at most, of a request as a whole
	maxAnswer  = 64 << 10         // bytes of an answer that are read
	maxLater   = time.Hour        // the longest that a server may ask to be left alone
	sameClock  = 60 * time.Second // clocks that differ by less agree
)

// wire is the way to one far side that speaks HTTP.
type wire struct {
	name   string // of the kind and the host: what may be shown of the address
	origin string // scheme and host
	client *http.Client
	mask   *strings.Replacer
	now    func() time.Time
	timed  bool         // the far side refuses a signature whose time is wrong
	off    atomic.Int64 // by how much our clock was behind at the last answer, in ns; 0 where the clocks agree
}

// reply is what a far side answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// newWire is the way to an address, of which nothing but scheme and host is ever said, nor anything of hide.
func newWire(kind, address string, timeout time.Duration, hide ...string) *wire {
	w := &wire{name: kind, now: time.Now}
	if u, err := url.Parse(address); err == nil {
		w.origin = u.Scheme + "://" + u.Host
		w.name = kind + " " + w.origin
	}
	w.mask = masking(hide)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: connecting, KeepAlive: 30 * time.Second}).DialContext
	transport.TLSHandshakeTimeout = connecting
	transport.MaxIdleConnsPerHost = 1
	transport.IdleConnTimeout = time.Minute
	w.client = &http.Client{Timeout: timeout, Transport: transport, CheckRedirect: stayThere}
	return w
}

// newTimedWire is the way to a far side that wants the time in its signatures.
func newTimedWire(kind, address string, hide ...string) *wire {
	w := newWire(kind, address, asking, hide...)
	w.timed = true
	return w
}

// clockOff is by how much our clock is behind that of a far side which cares, ahead where it is less than 0.
func (w *wire) clockOff() time.Duration {
	if !w.timed {
		return 0
	}
	return time.Duration(w.off.Load())
}

// close lets go of connections that are kept for the next message.
func (w *wire) close() { w.client.CloseIdleConnections() }

// masking replaces what must not be seen in what a server or the network says. Words of one or two letters hide nothing.
func masking(hide []string) *strings.Replacer {
	var pairs []string
	for _, h := range hide {
		for _, form := range []string{h, url.QueryEscape(h), url.PathEscape(h)} {
			if len(form) > 2 {
				pairs = append(pairs, form, "***")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// stayThere follows a redirect that keeps the message and stays on the host: the signature is for nobody else.
func stayThere(next *http.Request, via []*http.Request) error {
	first := via[0]
	if next.Method != http.MethodPost || next.URL.Host != first.URL.Host || next.URL.Scheme != first.URL.Scheme || len(via) > 3 {
		return http.ErrUseLastResponse
	}
	return nil
}

// post sends a body. An error is of the network, and may be tried again; it holds no address.
func (w *wire) post(ctx context.Context, address string, body []byte, header http.Header) (reply, error) {
	return w.send(ctx, http.MethodPost, address, body, header)
}

func (w *wire) send(ctx context.Context, method, address string, body []byte, header http.Header) (reply, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return reply{}, &Refused{Detail: w.name + ": the url cannot be used"}
	}
	for key, values := range header {
		r.Header[key] = values
	}
	r.Header.Set("User-Agent", "embergate")
	got, err := w.client.Do(r)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %s", w.name, w.failure(err))
	}
	defer got.Body.Close()
	said, err := io.ReadAll(io.LimitReader(got.Body, maxAnswer))
	if err != nil && len(said) == 0 && got.StatusCode < 300 {
		return reply{}, fmt.Errorf("%s: %s", w.name, w.failure(err))
	}
	a := reply{got.StatusCode, got.Header, said}
	w.off.Store(int64(w.behind(a)))
	return a, nil
}

// postJSON sends a value as JSON. It fails for no value of this package.
func (w *wire) postJSON(ctx context.Context, address string, value any) (reply, error) {
	return w.post(ctx, address, compact(value), http.Header{"Content-Type": {"application/json; charset=utf-8"}})
}

// compact is a value of this package as JSON, with < and > as they are.
func compact(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(value)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// failure says what went wrong on the way, without the address that an error of the client holds.
func (w *wire) failure(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		if of.Timeout() {
			return "no answer in time"
		}
		err = of.Err
	}
	return w.mask.Replace(err.Error())
}

// words are the first of what a far side said, in one line and without secrets.
func (w *wire) words(said string) string {
	return cut(oneLine(w.mask.Replace(said)), 200)
}

// byStatus sorts an answer by its status alone: 2xx is accepted; 408, 425, 429, 5xx and redirects are tried again, since a
// login page in between redirects too; any other 4xx is a refusal for good, and 410 the end of the channel.
func (w *wire) byStatus(a reply) error {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	detail := strings.TrimSuffix(fmt.Sprintf("%s: %d %s: %s", w.name, a.status, http.StatusText(a.status), w.words(string(a.body))), ": ")
	switch {
	case a.status == http.StatusRequestTimeout || a.status == http.StatusTooEarly || a.status == http.StatusTooManyRequests || a.status < 400 || a.status >= 500:
		return w.later(errors.New(detail), retryAfter(a.header, w.now()))
	default:
		return &Refused{Detail: detail, Gone: a.status == http.StatusGone}
	}
}

// later is a failure after which to wait, if for any time at all.
func (w *wire) later(err error, wait time.Duration) error {
	if wait <= 0 {
		return err
	}
	return &Later{wait, err}
}

// retryAfter reads both forms of Retry-After (RFC 9110, 10.2.3). A date is taken by the server's clock where it tells
// its time, since ours may be wrong. 0 is none.
func retryAfter(header http.Header, now time.Time) time.Duration {
	v := header.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, maxLater)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if server, err := http.ParseTime(header.Get("Date")); err == nil {
		now = server
	}
	return min(max(at.Sub(now), 0), maxLater)
}

// class is what a far side's code means for a message.
type class int

const (
	accepted class = iota
	retry          // it may be taken later, after wait where one is given
	never          // it will not be taken as it is, however often it is sent
	clock          // the time of its signature was refused
)

// code is one row of a far side's table of codes.
type code struct {
	code string // one that ends with * is any that begins so
	says string // and what its words contain; "" is any
	class
	wait time.Duration // of a retry
}

// codes is the table of a far side; the first row that fits holds.
type codes []code

// find is the row of a code that came with words; false where the table has none.
func (c codes) find(got, says string) (code, bool) {
	for _, row := range c {
		prefix, open := strings.CutSuffix(row.code, "*")
		if (row.code == got || open && strings.HasPrefix(got, prefix)) && strings.Contains(strings.ToLower(says), row.says) {
			return row, true
		}
	}
	return code{}, false
}

// wrongTime is the refusal of a signature that a wrong clock explains.
type wrongTime struct {
	detail string
	behind time.Duration // our clock against that of the far side; 0 where they agree or nothing is known
}

func (w *wrongTime) Error() string { return w.detail }

// judge sorts an answer by the code in its body. An answer without a code is no success, whatever its status: it comes
// from something in between. A code that the table lacks is tried again.
func (w *wire) judge(a reply, got, says string, table codes) error {
	fine := a.status >= 200 && a.status < 300
	row, known := table.find(got, says)
	if got == "" || !fine && (!known || row.class == accepted) {
		if err := w.byStatus(a); err != nil {
			return err
		}
		return fmt.Errorf("%s: %d without a code: %s", w.name, a.status, w.words(string(a.body)))
	}
	detail := strings.TrimSpace(fmt.Sprintf("%s: %s %s", w.name, w.words(got), w.words(says)))
	switch {
	case !known:
		return errors.New(detail)
	case row.class == accepted:
		return nil
	case row.class == never:
		return &Refused{Detail: detail}
	case row.class == clock:
		return &wrongTime{detail, w.behind(a)}
	default:
		return w.later(errors.New(detail), max(row.wait, retryAfter(a.header, w.now())))
	}
}

// behind is by how much our clock is behind the far side's; 0 where it says nothing or they agree.
func (w *wire) behind(a reply) time.Duration {
	theirs, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return 0
	}
	if d := theirs.Sub(w.now()); d.Abs() >= sameClock {
		return d.Round(time.Second)
	}
	return 0
}

// signed sends what is signed with the time. Where that time is refused it sends once more, with the time of the far side,
// so that a wrong clock keeps no alarm from anybody; then it is refused, and the clock is named.
func (w *wire) signed(send func(now time.Time) (receipt string, err error)) (receipt string, err error) {
	receipt, err = send(w.now())
	var wrong *wrongTime
	if !errors.As(err, &wrong) {
		return receipt, err
	}
	behind := wrong.behind
	receipt, err = send(w.now().Add(behind))
	off := fmt.Sprintf("the clock of this machine is wrong by %s", behind.Abs())
	switch {
	case err == nil && behind != 0:
		return strings.TrimSpace(receipt + " (" + off + ")"), nil
	case !errors.As(err, &wrong):
		return receipt, err
	case behind == 0:
		off = fmt.Sprintf("check the secret, and the clock of this machine, which says %s", w.now().UTC().Format(time.RFC3339))
	}
	return "", &Refused{Detail: wrong.detail + "; " + off}
}
