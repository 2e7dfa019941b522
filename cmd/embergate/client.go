package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway"
	"embergate/gateway/access"
	"embergate/gateway/console"

	"github.com/spf13/cobra"
)

// client speaks to the API of a running daemon.
type client struct {
	base, tokenFile, config string
	lang                    i18n.Lang
	chosen                  bool // lang, by --language; it goes before the site's

	site  string        // id of the site of that configuration, for verbs that read
	local gateway.Local // the daemon of the configuration, where one was given
}

// usualURL is where the daemon of this machine is, if nobody says otherwise, and usualToken what it lays out there.
const (
	usualURL   = "http://127.0.0.1:8080"
	usualToken = "/var/lib/embergate/" + access.ShellFile
)

// Bounds of one request.
const (
	clientTimeout = 15 * time.Second
	longestAnswer = 64 << 20 // a report with its pictures
)

// flags are those of every verb that speaks to a daemon.
func (c *client) flags(cmd *cobra.Command) {
	cmd.PersistentPreRun = func(verb *cobra.Command, _ []string) { c.chosen = verb.Flags().Changed("language") }
	f := cmd.PersistentFlags()
	f.StringVar(&c.base, "url", "", "the console of the running daemon (default: that of the configuration, or "+usualURL+")")
	f.StringVar(&c.tokenFile, "token-file", os.Getenv("EMBERGATE_TOKEN_FILE"), "a file with the token to present (default: EMBERGATE_TOKEN_FILE, or what the daemon of this machine lays out)")
	f.StringVarP(&c.config, "config", "c", "", "the configuration of the daemon, which says where it is")
}

// flagsBesideConfig are those of a verb whose -c is its own.
func (c *client) flagsBesideConfig(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.base, "url", "", "the console of the running daemon (default: that of the configuration)")
	cmd.Flags().StringVar(&c.tokenFile, "token-file", os.Getenv("EMBERGATE_TOKEN_FILE"), "a file with the token to present to it")
}

// refused is what a daemon answered instead of doing it.
type refused struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`

	ours bool // it was a daemon that refused, and not something else at its address
}

func (r *refused) Error() string { return r.Detail }

// silent is the error of a daemon that does not answer.
type silent struct{ error }

// get reads an answer into v.
func (c *client) get(ctx context.Context, path string, v any) error {
	return c.call(ctx, http.MethodGet, path, nil, v)
}

// post sends a body and reads the answer into v, unless that is nil.
func (c *client) post(ctx context.Context, path string, body, v any) error {
	return c.call(ctx, http.MethodPost, path, body, v)
}

func (c *client) call(ctx context.Context, method, path string, body, v any) error {
	if err := c.locate(); err != nil {
		return err
	}
	base, err := url.Parse(c.base)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return invalid{errors.New(c.lang.Say("--url %s: write it as http://127.0.0.1:8080", c.base))}
	}
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	sign := "?"
	if strings.Contains(path, "?") {
		sign = "&"
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base, "/")+path+sign+"lang="+string(c.lang), nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", console.CLI+"/"+version)
	if body != nil {
		r.Body = io.NopCloser(bytes.NewReader(data))
		r.ContentLength = int64(len(data))
		r.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(r); err != nil {
		return err
	}
	way, done, err := c.way()
	if err != nil {
		return err
	}
	defer done()
	answer, err := way.Do(r)
	if err != nil {
		return silent{errors.New(c.lang.Say("no daemon answers at %s: %s", c.base, cause(err)))}
	}
	defer answer.Body.Close()
	return c.read(answer, path, v)
}

// read puts the body of an answer where v points, or says why the daemon refused.
func (c *client) read(answer *http.Response, path string, v any) error {
	data, err := io.ReadAll(io.LimitReader(answer.Body, longestAnswer))
	if err != nil {
		return silent{errors.New(c.lang.Say("no daemon answers at %s: %s", c.base, err))}
	}
	if answer.StatusCode/100 != 2 {
		why := &refused{Status: answer.StatusCode, ours: true}
		if json.Unmarshal(data, why) != nil || why.Detail == "" {
			why.Detail, why.ours = c.lang.Say("%s answers %s", c.base, answer.Status), false
		}
		return why
	}
	if v == nil {
		return nil
	}
	if page, ok := v.(*[]byte); ok { // not JSON
		*page = data
		return nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("answer of %s%s: %w", c.base, path, err)
	}
	return nil
}

// location is the time zone of the site, in which people read times; this machine's where the daemon does not say.
func (c *client) location(ctx context.Context) *time.Location {
	var site struct{ Timezone string }
	if err := c.get(ctx, "/api/v1/site", &site); err != nil || site.Timezone == "" {
		return time.Local
	}
	at, err := time.LoadLocation(site.Timezone)
	if err != nil {
		return time.Local
	}
	return at
}

// locate finds the daemon: --url, or where the configuration says that it listens.
func (c *client) locate() error {
	if c.config != "" && c.local.URL == "" {
		root, err := openConfig(c.lang, c.config)
		if err != nil {
			return err
		}
		g, err := gateway.New(root, verbOptions())
		if err != nil {
			return err
		}
		c.local = g.Local()
		if !c.chosen {
			c.lang = g.Language()
		}
	}
	c.base = cmp.Or(c.base, c.local.URL, usualURL)
	return nil
}

// authorize presents the token of --token-file; to the daemon of this machine the one that it lays out for whoever may
// read it.
func (c *client) authorize(r *http.Request) error {
	file := c.tokenFile
	if file == "" && loopback(r.URL.Hostname()) || file == "" && c.base == c.local.URL {
		file = cmp.Or(c.local.TokenFile, usualToken)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if file == "" {
		return nil
	}
	token, err := os.ReadFile(file)
	if err != nil {
		return invalid{errors.New(c.lang.Say("the token cannot be read: %s", err))}
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// way is how the daemon is spoken to. One whose configuration is at hand has the certificate that stands there, whatever
// name is in it; any other has one that the machine trusts.
func (c *client) way() (_ *http.Client, done func(), err error) {
	if c.local.Certificate == "" || c.base != c.local.URL {
		return http.DefaultClient, func() {}, nil
	}
	data, err := os.ReadFile(c.local.Certificate)
	if err != nil {
		return nil, nil, errors.New(c.lang.Say("the console's certificate cannot be read: %s", err))
	}
	block, _ := pem.Decode(data)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // what is presented must be the very certificate of the file
		VerifyConnection: func(s tls.ConnectionState) error {
			if block == nil || !bytes.Equal(s.PeerCertificates[0].Raw, block.Bytes) {
				return fmt.Errorf("the certificate is not that of %s", c.local.Certificate)
			}
			return nil
		},
	}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections, nil
}

// cause is an error of the client without the address that it repeats.
func cause(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
