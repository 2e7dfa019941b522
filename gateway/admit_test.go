package gateway

import (
	"cmp"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"embergate/gateway/access"
)

// shell is how these tests speak to their homes: as the verbs of the machine do, with the token that a home lays out in its
// data directory.
type shell struct {
	sync.Map // host → data directory
}

var homes shell

func init() { http.DefaultClient = &http.Client{Transport: &homes} }

// of notes where a home keeps the token.
func (s *shell) of(host, data string) { s.Store(host, data) }

// RoundTrip presents the token to hosts that are homes. One that has just started lays it out before it answers.
func (s *shell) RoundTrip(r *http.Request) (*http.Response, error) {
	data, ok := s.Load(r.URL.Host)
	if !ok || r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
		return http.DefaultTransport.RoundTrip(r)
	}
	answer, err := http.DefaultTransport.RoundTrip(presenting(r, data.(string)))
	if err != nil || answer.StatusCode != http.StatusUnauthorized {
		return answer, err
	}
	answer.Body.Close()
	again := presenting(r, data.(string))
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return http.DefaultTransport.RoundTrip(again)
}

// presenting is a request with the token of a home, which is beside the data directory where that cannot be used.
func presenting(r *http.Request, data string) *http.Request {
	r = r.Clone(r.Context())
	elsewhere, _ := filepath.Glob(filepath.Join(cmp.Or(os.Getenv("RUNTIME_DIRECTORY"), os.TempDir()), "embergate-*", access.ShellFile))
	for _, file := range append([]string{filepath.Join(data, access.ShellFile)}, elsewhere...) {
		if token, err := os.ReadFile(file); err == nil {
			r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			break
		}
	}
	return r
}

// user adds somebody who may log in, with the password "correct horse"; the first is an administrator.
func (h *home) user(id, role string) {
	h.t.Helper()
	h.post("/api/v1/users", `{"id":"`+id+`","role":"`+role+`","password":"correct horse"}`, http.StatusOK)
}
