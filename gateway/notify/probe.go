package notify

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// Proof is how far a channel was found to work without telling anybody anything.
type Proof int

// What a probe proves. Most vendors say whether they know a key only when it sends.
const (
	Reached  Proof = iota + 1 // the server answers: names, network, certificates and proxies are right
	LoggedIn                  // and it takes user and password, or the token
)

// Probed is what came of probing a channel.
type Probed struct {
	ID    string
	Proof Proof
	Err   error // why it does not work; nil where it does
}

// prober is a channel that can be tried without telling anybody anything.
type prober interface {
	probe(ctx context.Context) (Proof, error)
}

// Probe tries all channels at the same time, within the time that a request may take; nothing is sent to anybody.
func (c *Channels) Probe(ctx context.Context) []Probed {
	ctx, cancel := context.WithTimeout(ctx, asking)
	defer cancel()
	all := make([]Probed, len(c.list))
	var running sync.WaitGroup
	for i, l := range c.list {
		running.Go(func() {
			all[i].ID = l.id
			all[i].Proof, all[i].Err = l.sender.(prober).probe(ctx)
		})
	}
	running.Wait()
	return all
}

// probe asks the server for its first page: whatever it says proves that it is there.
func (w *wire) probe(ctx context.Context) (Proof, error) {
	_, err := w.get(ctx, w.origin+"/", nil)
	return Reached, err
}

// get asks for a page.
func (w *wire) get(ctx context.Context, address string, header http.Header) (reply, error) {
	return w.send(ctx, http.MethodGet, address, nil, header)
}

// probe logs in and out.
func (e *email) probe(ctx context.Context) (Proof, error) {
	_, hangUp, err := e.dial(ctx)
	hangUp()
	if err != nil {
		return 0, e.sort(err)
	}
	if e.c.Username == "" {
		return Reached, nil
	}
	return LoggedIn, nil
}

// probe asks the bot who it is.
func (t *telegram) probe(ctx context.Context) (Proof, error) {
	a, err := t.get(ctx, strings.TrimSuffix(t.url, "sendMessage")+"getMe", nil)
	if err != nil {
		return 0, err
	}
	got := readTelegram(a.body)
	return LoggedIn, t.judge(a, got.code, got.says, telegramCodes)
}

// probe asks whether this user may read the topic, which is known of those who may write as a rule.
func (n *ntfy) probe(ctx context.Context) (Proof, error) {
	a, err := n.get(ctx, strings.TrimRight(n.url, "/")+"/"+n.topic+"/auth", n.header)
	switch {
	case err != nil:
		return 0, err
	case a.status == http.StatusUnauthorized: // a 403 may be of a user who only writes
		return 0, fmt.Errorf("%s: %d %s", n.name, a.status, http.StatusText(a.status))
	case n.header.Get("Authorization") == "":
		return Reached, nil
	}
	return LoggedIn, nil
}

// probe asks for the state of the server.
func (am *alertmanager) probe(ctx context.Context) (Proof, error) {
	a, err := am.get(ctx, strings.TrimSuffix(am.url, "alerts")+"status", am.header)
	if err == nil {
		err = am.byStatus(a)
	}
	if err != nil || am.header.Get("Authorization") == "" {
		return Reached, err
	}
	return LoggedIn, nil
}
