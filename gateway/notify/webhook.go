package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
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
	*wire
	url    string
	secret []byte
}

func newWebhook(c webhookSettings, _ Options) Channel {
	w := &webhook{url: c.URL.Reveal(), secret: []byte(c.Secret.Reveal())}
	hide := []string{c.Secret.Reveal(), w.url}
	if u, err := url.Parse(w.url); err == nil {
		password, _ := u.User.Password()
		hide = append(hide, base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password)), u.RequestURI(), u.Path, u.RawQuery, u.Fragment, u.User.Username(), password)
		for _, values := range u.Query() {
			hide = append(hide, values...)
		}
	}
	w.wire = newWire("webhook", w.url, c.Timeout, hide...)
	return w
}

// Send posts the message, with the time of sending in its signature.
func (w *webhook) Send(ctx context.Context, m Message) (receipt string, err error) {
	body := m.encode()
	timestamp := strconv.FormatInt(w.now().Unix(), 10)
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("X-Embergate-Timestamp", timestamp)
	header.Set("X-Embergate-Event", m.ID)
	if len(w.secret) > 0 {
		header.Set("X-Embergate-Signature", sign(w.secret, timestamp, body))
	}
	a, err := w.post(ctx, w.url, body, header)
	if err != nil {
		return "", err
	}
	return "", w.byStatus(a)
}

func (w *webhook) preview(m Message) string {
	var b bytes.Buffer
	json.Indent(&b, m.encode(), "", "  ") // which is JSON
	return b.String()
}

// sign is the signature of a body that is sent at a time.
func sign(secret []byte, timestamp string, body []byte) string {
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(timestamp + "."))
	sum.Write(body)
	return "v1=" + hex.EncodeToString(sum.Sum(nil))
}
