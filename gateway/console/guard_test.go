package console

import (
	"net/http"
	"strings"
	"testing"

	"embergate/drivers/i18n"
)

func TestRequestsOfForeignPagesAndNamesAreRefused(t *testing.T) {
	const ack = "/api/v1/alarms/00000007/ack"
	for _, test := range []struct {
		name, method, target string
		headers              []string
		status               int
	}{
		{"by address", "GET", "/healthz", []string{"Host", "127.0.0.1:8080"}, 200},
		{"by IPv6 address", "GET", "/healthz", []string{"Host", "[::1]:8080"}, 200},
		{"by name", "GET", "/healthz", []string{"Host", "LocalHost"}, 200},
		{"by the name it listens on", "GET", "/healthz", []string{"Host", "gateway.lan:8080"}, 200},
		{"by a name that was made to resolve to this machine", "GET", "/healthz", []string{"Host", "rebound.example:8080"}, 421},
		{"by a name that only starts like ours", "GET", "/healthz", []string{"Host", "127.0.0.1.example.org"}, 421},
		{"by an address of elsewhere", "GET", "/healthz", []string{"Host", "192.168.1.9"}, 421},
		{"by no name", "GET", "/healthz", []string{"Host", ""}, 421},
		{"an act of a program", "POST", ack, nil, 200},
		{"an act of our page", "POST", ack, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080"}, 200},
		{"an act of a foreign page", "POST", ack, []string{"Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example"}, 403},
		{"an act of a foreign page in an old browser", "POST", ack, []string{"Origin", "http://evil.example"}, 403},
		{"an act of a page without an origin", "POST", ack, []string{"Origin", "null"}, 403},
		{"a body that a form can send", "POST", ack, []string{"Content-Type", "text/plain"}, 415},
		{"the wrong method", "DELETE", ack, nil, 405},
		{"an act by GET", "GET", ack, nil, 405},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := freshEvening(i18n.Chinese)
			o := Options{Lang: i18n.Chinese, Source: c, Acts: c, Metrics: http.NotFoundHandler(), Host: "gateway.lan"}
			body := ""
			if test.method == "POST" {
				body = `{"by":"张三"}`
			}
			rec := ask(t, New(o), test.method, test.target, body, test.headers...)
			if rec.Code != test.status {
				t.Errorf("%d %s, want %d", rec.Code, rec.Body, test.status)
			}
			if acted := len(c.done) > 0; acted != (test.method == "POST" && test.status == 200) {
				t.Errorf("acted: %v", c.done)
			}
			if test.status >= 400 && rec.Header().Get("Content-Type") != "application/problem+json; charset=utf-8" {
				t.Error(rec.Header())
			}
			if test.status == 405 && rec.Header().Get("Allow") == "" {
				t.Error("does not say what is allowed")
			}
		})
	}
}

func TestEveryAnswerHasTheHeadersThatProtect(t *testing.T) {
	h := consoleOf(t, freshEvening(i18n.Chinese), i18n.Chinese)
	for _, target := range []string{"/", "/api/v1/site", "/nothing", "/readyz"} {
		header := ask(t, h, "GET", target, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
		csp := header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "data:") {
			t.Errorf("%s: %s", target, csp)
		}
	}
}
