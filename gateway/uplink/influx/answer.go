package influx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// verdict sorts the answers of a server by what is to be done about the batch.
type verdict uint8

const (
	accepted  verdict = iota // everything was taken
	retry                    // the network, or a server that says later or stumbles: the same again
	hold                     // the server wants something of a person first: token, bucket, address
	tooLarge                 // the same in halves
	lineLost                 // lines are at fault, and nothing of the body was kept
	linesKept                // lines are at fault, and the others were kept
	unclear                  // refused in words that do not tell whether lines are at fault
)

// outcomes are the verdicts as the metric embergate_uplink_batches_total names them.
var outcomes = [...]string{accepted: "accepted", retry: "retry", hold: "hold", tooLarge: "too_large",
	lineLost: "refused", linesKept: "partial", unclear: "refused"}

// refusal is an answer other than "accepted". As an error it is what the server said.
type refusal struct {
	verdict verdict
	status  int    // HTTP; 0 where there was no answer
	words   string // of the server, or of the network
	after   time.Duration
	lines   []refusedLine // where the server names them all
	dropped int           // how many lines it says it dropped; 0 where it does not say
}

// refusedLine is a line that the server refused by its number.
type refusedLine struct {
	number int // from 1, in the body
	words  string
}

// Error says what the server said.
func (r *refusal) Error() string {
	if r.status == 0 {
		return r.words
	}
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), r.words)
}

// maxAnswer is the most of an answer that is read; maxWait the longest that a server may ask to be left alone.
const (
	maxAnswer = 64 << 10
	maxWait   = time.Hour
)

// post sends one gzip body. It returns nil when the server took all of it.
func (u *Uplink) post(ctx context.Context, body []byte) *refusal {
	ctx, cancel := context.WithTimeout(ctx, u.settings.Timeout)
	defer cancel()
	if !u.settings.GZip {
		plain, err := expand(body)
		if err != nil {
			return &refusal{verdict: lineLost, words: err.Error()}
		}
		body = plain
	}
	u.wire.forget()
	failed := u.service.DoPostRequest(ctx, u.writeURL, bytes.NewReader(body), func(r *http.Request) {
		r.Header.Set("Content-Type", "text/plain; charset=utf-8")
		if u.settings.GZip {
			r.Header.Set("Content-Encoding", "gzip")
		}
	}, u.wire.confirm)
	if failed == nil { // compared as *http.Error: in an error it would never be nil
		return nil
	}
	if failed.StatusCode == 0 {
		return &refusal{verdict: retry, words: network(failed)}
	}
	return sort(failed.StatusCode, u.wire.header, u.wire.body)
}

// network says what went wrong on the way; the address in a url.Error is known anyway.
func network(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		if of.Timeout() {
			return "no answer in time"
		}
		err = of.Err
	}
	return err.Error()
}

// wire remembers the answer to the request at hand, at most 64 KiB of it: the client library reads without a bound, and
// does not know the shape of InfluxDB 3.
type wire struct {
	next   http.RoundTripper
	header http.Header
	body   []byte
}

func (w *wire) forget() { w.header, w.body = nil, nil }

func (w *wire) close() {
	if t, ok := w.next.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.header = answer.Header
	w.body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	answer.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(w.body))
	return answer, nil
}

// confirm looks twice at success: a page for people is a portal or a proxy, not a database.
func (w *wire) confirm(answer *http.Response) error {
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind == "text/html" {
		return errors.New("a web page answered in place of the server; is the url right, or a login page in between?")
	}
	return nil
}

// sort tells what an answer means. Status codes are InfluxDB 2.7's as measured, 1.8's and 3's where they differ.
func sort(status int, header http.Header, body []byte) *refusal {
	r := &refusal{status: status}
	said := read(body)
	r.words = said.words(header)
	switch {
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests || status >= 500:
		r.verdict = retry
		r.after = retryAfter(header, time.Now())
	case status == http.StatusRequestEntityTooLarge:
		r.verdict = tooLarge
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		r.verdict = said.sort(r)
	default: // 401, 403, 404, a redirect, 415
		r.verdict = hold
	}
	return r
}

// reply is the body of an error: code and message of InfluxDB 2, error of 1.8, error and data of 3.
type reply struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Error   string          `json:"error"`
	Data    json.RawMessage `json:"data"` // of 3: one refused line, or a list of at most 100
	plain   string
	refused []struct {
		Line  int    `json:"line_number"`
		Words string `json:"error_message"`
	}
}

func read(body []byte) reply {
	var r reply
	if json.Unmarshal(body, &r) != nil {
		r = reply{plain: strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), 500)]), "?"))}
	}
	if data := bytes.TrimSpace(r.Data); len(data) > 0 {
		if data[0] == '{' {
			data = append(append([]byte{'['}, data...), ']')
		}
		if json.Unmarshal(data, &r.refused) != nil {
			r.refused = nil
		}
	}
	return r
}

func (r reply) words(header http.Header) string {
	words := r.Message
	if words == "" {
		words = r.Error
	}
	if words == "" {
		words = header.Get("X-Influxdb-Error")
	}
	if words == "" {
		words = r.plain
	}
	if len(r.refused) > 0 {
		words += ": " + r.refused[0].Words
	}
	if words == "" {
		return "no reason given"
	}
	return words
}

var (
	partialWords = regexp.MustCompile(`(?i)partial write`)
	parseWords   = regexp.MustCompile(`(?i)unable to parse|pars(e|ing)\b.*(line protocol|write_lp)|line protocol pars|missing (field|tag) value|invalid (number|boolean|field format)`)
	droppedWords = regexp.MustCompile(`dropped[ =](\d+)`)

	// InfluxDB 3 answers 400 to these too, on the path of 2 (its http.rs, V2WriteApiError); no line is at fault.
	laterWords = regexp.MustCompile(`(?i)overloaded|try again later|error from (wal|persister)`)
	holdWords  = regexp.MustCompile(`(?i)access denied|(read|compactor)-only server`)
)

// sort tells refusals of lines apart: some lost and the others kept, or nothing kept.
func (r reply) sort(into *refusal) verdict {
	switch {
	case partialWords.MatchString(into.words):
		if m := droppedWords.FindStringSubmatch(into.words); m != nil {
			into.dropped, _ = strconv.Atoi(m[1])
		}
		if len(r.refused) < 100 {
			for _, l := range r.refused {
				into.lines = append(into.lines, refusedLine{l.Line, l.Words})
			}
		}
		return linesKept
	case parseWords.MatchString(into.words) || len(r.refused) > 0:
		return lineLost
	case laterWords.MatchString(into.words):
		return retry
	case holdWords.MatchString(into.words):
		return hold
	}
	return unclear
}

// retryAfter reads both forms of Retry-After (RFC 9110, 10.2.3). A date is taken by the server's clock where it tells
// its time, since ours may be wrong. 0 is none.
func retryAfter(header http.Header, now time.Time) time.Duration {
	v := header.Get("Retry-After")
	if s, err := strconv.ParseUint(v, 10, 31); err == nil {
		return min(time.Duration(s)*time.Second, maxWait)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if server, err := http.ParseTime(header.Get("Date")); err == nil {
		now = server
	}
	return min(max(at.Sub(now), 0), maxWait)
}
