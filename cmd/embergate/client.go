package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/console"

	"github.com/spf13/cobra"
)

// client speaks to the API of a running daemon.
type client struct {
	base, tokenFile string
	lang            i18n.Lang
}

// Bounds of one request.
const (
	clientTimeout = 15 * time.Second
	longestAnswer = 16 << 20
)

// flags are those of every verb that speaks to a daemon.
func (c *client) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&c.base, "url", "http://127.0.0.1:8080", "the console of the running daemon")
	f.StringVar(&c.tokenFile, "token-file", "", "a file with the token to present")
}

// refused is what a daemon answered instead of doing it.
type refused struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
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
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return silent{errors.New(c.lang.Say("no daemon answers at %s: %s", c.base, cause(err)))}
	}
	defer answer.Body.Close()
	data, err = io.ReadAll(io.LimitReader(answer.Body, longestAnswer))
	if err != nil {
		return silent{errors.New(c.lang.Say("no daemon answers at %s: %s", c.base, err))}
	}
	if answer.StatusCode/100 != 2 {
		why := &refused{Status: answer.StatusCode}
		if json.Unmarshal(data, why) != nil || why.Detail == "" {
			why.Detail = c.lang.Say("%s answers %s", c.base, answer.Status)
		}
		return why
	}
	if v == nil {
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

// authorize presents the token of --token-file.
func (c *client) authorize(r *http.Request) error {
	if c.tokenFile == "" {
		return nil
	}
	token, err := os.ReadFile(c.tokenFile)
	if err != nil {
		return invalid{errors.New(c.lang.Say("the token cannot be read: %s", err))}
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return nil
}

// cause is an error of the client without the address that it repeats.
func cause(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}
