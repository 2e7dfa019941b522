package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"embergate/drivers/conf"
)

// webhookSettings are the keys of a webhook.
type webhookSettings struct {
	URL     conf.Secret   `yaml:"url"`    // may hold a password or a key, so it is one of the secrets
	Secret  conf.Secret   `yaml:"secret"` // of the signature; without it the messages are not signed
	Timeout time.Duration `yaml:"timeout"`
}

func (c *webhookSettings) check(s conf.Section) {
	needSecret(s, "url", c.URL)
	if c.URL.IsSet() {
		needURL(s, "url", c.URL.Reveal())
	}
	if c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute {
		s.At("timeout").Problem("the timeout of a request is between %s and %s", 100*time.Millisecond, time.Minute)
	}
}

// webhook posts messages to a server of one's own, as the contract's section 6 says.
//
//	POST url
//	X-Embergate-Timestamp: 1790000000             seconds, when it was sent
//	X-Embergate-Event: 01J…/1                     id of the event
//	X-Embergate-Signature: v1=hex(HMAC-SHA256(secret, timestamp + "." + body))
type webhook struct {
	url    string
	host   string // what may be shown of the url
	secret []byte
	client *http.Client
	mask   *strings.Replacer
}

const (
	maxAnswer = 64 << 10  // bytes of an answer that are read
	maxLater  = time.Hour // the longest that a server may ask to be left alone
)

func newWebhook(c webhookSettings) Channel {
	w := &webhook{url: c.URL.Reveal(), secret: []byte(c.Secret.Reveal())}
	hide := []string{c.Secret.Reveal(), w.url}
	if u, err := url.Parse(w.url); err == nil {
		w.host = u.Scheme + "://" + u.Host
		password, _ := u.User.Password()
		hide = append(hide, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)), u.RequestURI(), u.Path, u.RawQuery, u.Fragment, u.User.Username(), password)
		for _, values := range u.Query() {
			hide = append(hide, values...)
		}
	}
	w.mask = masking(hide)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 1
	transport.IdleConnTimeout = time.Minute
	w.client = &http.Client{Timeout: c.Timeout, Transport: transport, CheckRedirect: stayThere}
	return w
}

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

// Send posts the message, with the time of sending in its signature.
func (w *webhook) Send(ctx context.Context, m Message) (receipt string, err error) {
	body := m.encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return "", &Refused{Detail: "webhook: the url cannot be used"}
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "embergate")
	r.Header.Set("X-Embergate-Timestamp", timestamp)
	r.Header.Set("X-Embergate-Event", m.ID)
	if len(w.secret) > 0 {
		r.Header.Set("X-Embergate-Signature", sign(w.secret, timestamp, body))
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return "", fmt.Errorf("webhook %s: %s", w.host, w.failure(err))
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	return "", w.judge(answer, said)
}

// sign is the signature of a body that is sent at a time.
func sign(secret []byte, timestamp string, body []byte) string {
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(timestamp + "."))
	sum.Write(body)
	return "v1=" + hex.EncodeToString(sum.Sum(nil))
}

// close lets go of connections that are kept for the next message.
func (w *webhook) close() { w.client.CloseIdleConnections() }

// failure says what went wrong on the way, without the address that an error of the client holds.
func (w *webhook) failure(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		if of.Timeout() {
			return "no answer in time"
		}
		err = of.Err
	}
	return w.mask.Replace(err.Error())
}

// judge sorts an answer: 2xx is accepted; 408, 425, 429, 5xx and redirects are tried again, since a login page in between
// redirects too; any other 4xx is a refusal for good, and 410 the end of the channel.
func (w *webhook) judge(answer *http.Response, said []byte) error {
	status := answer.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	words := strings.Join(strings.Fields(strings.ToValidUTF8(string(said[:min(len(said), 200)]), "?")), " ")
	detail := strings.TrimSuffix(fmt.Sprintf("webhook %s: %d %s: %s", w.host, status, http.StatusText(status), w.mask.Replace(words)), ": ")
	switch {
	case status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests || status < 400 || status >= 500:
		if after := retryAfter(answer.Header, time.Now()); after > 0 {
			return &Later{after, errors.New(detail)}
		}
		return errors.New(detail)
	default:
		return &Refused{Detail: detail, Gone: status == http.StatusGone}
	}
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
