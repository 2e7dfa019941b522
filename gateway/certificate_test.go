package gateway

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"embergate/drivers/conf"
)

// ownAt makes a certificate of our own in a folder, as if at some time.
func ownAt(t *testing.T, dir string, at time.Time) *certificate {
	t.Helper()
	c := newCertificate(Console{Listen: "127.0.0.1:1", TLS: TLS{SelfSigned: true}, PublicURL: "https://fire.example"}, dir, slog.New(slog.DiscardHandler))
	if err := c.make(at); err != nil {
		t.Fatal(err)
	}
	return c
}

// print is the fingerprint of what is presented now.
func (c *certificate) print(t *testing.T) string {
	t.Helper()
	got, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	return fingerprint(got.Leaf)
}

// TestACertificateOfOurOwn: for the names and addresses of the machine, its key readable for nobody else; the same one after
// a restart, another one before it ends (SE03).
func TestACertificateOfOurOwn(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	c := ownAt(t, dir, now)
	if err := c.ready(); err != nil {
		t.Fatal(err)
	}
	first := c.print(t)
	leaf := c.use().Leaf
	for _, name := range []string{"localhost", "127.0.0.1", "fire.example"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if lasts := leaf.NotAfter.Sub(leaf.NotBefore); lasts > 825*24*time.Hour {
		t.Errorf("it lasts %v, which browsers do not take", lasts)
	}
	if info, err := os.Stat(filepath.Join(dir, ownKey)); err != nil || info.Mode() != 0o600 {
		t.Error(info, err)
	}
	again := newCertificate(Console{TLS: TLS{SelfSigned: true}}, dir, slog.New(slog.DiscardHandler))
	if err := again.ready(); err != nil || again.print(t) != first {
		t.Error("after a restart:", err)
	}
	old := ownAt(t, t.TempDir(), now.Add(-ownLasts+endsSoon))
	before := fingerprintOf(t, old.cert, old.key)
	if err := old.ready(); err != nil || old.print(t) == before {
		t.Error("a month before its end it is not made anew:", err)
	}
	if _, ends := old.trouble(now, time.UTC); ends {
		t.Error("an own certificate is a fault")
	}
}

func fingerprintOf(t *testing.T, cert, key string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return fingerprint(pair.Leaf)
}

// TestACertificateThatChangesIsTakenOver, without a restart; what cannot be read leaves the one in use, and is said (SE03).
func TestACertificateThatChangesIsTakenOver(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	made := ownAt(t, dir, now)
	c := newCertificate(Console{TLS: TLS{Cert: conf.Path(made.cert), Key: conf.Path(made.key)}}, "", slog.New(slog.DiscardHandler))
	if err := c.ready(); err != nil {
		t.Fatal(err)
	}
	first := c.print(t)
	change := func(do func()) string {
		t.Helper()
		do()
		later := now.Add(time.Minute)
		now = later
		if err := os.Chtimes(c.cert, later, later); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		c.looked = time.Time{}
		c.mu.Unlock()
		return c.print(t)
	}
	second := change(func() { made.make(now) })
	if second == first {
		t.Error("the new one is not presented")
	}
	if got := change(func() { os.WriteFile(c.cert, []byte("nonsense"), 0o600) }); got != second {
		t.Error("a file that cannot be read took the place of one that can")
	}
	if why, bad := c.trouble(now, time.UTC); !bad || !strings.Contains(why.String(), "cannot be read") {
		t.Error(why, bad)
	}
	if got := change(func() { made.make(now) }); got == second || got == first {
		t.Error("mended, it is not presented")
	}
	if why, bad := c.trouble(now, time.UTC); bad {
		t.Error(why)
	}
	none := newCertificate(Console{TLS: TLS{Cert: "/none.crt", Key: "/none.key"}}, "", slog.New(slog.DiscardHandler))
	if err := none.ready(); err == nil || !strings.Contains(err.Error(), "/none.crt") {
		t.Error(err)
	}
}

// TestTheConsoleOverTLS: TLS 1.2 at the least, the fingerprint in the log; a certificate that ends soon is a fault, and not
// ready (SE03).
func TestTheConsoleOverTLS(t *testing.T) {
	dir := t.TempDir()
	files := ownAt(t, t.TempDir(), time.Now().Add(-ownLasts+10*24*time.Hour))
	h := startConfig(t, newScript(), dir, fmt.Sprintf(hall(dir)+"\nconsole: {tls: {cert: %s, key: %s}}\n", files.cert, files.key))
	ask := func(version uint16, path string) (string, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MaxVersion: version}, DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(h.url, "http://", "https://", 1)+path, nil)
		if err != nil {
			return "", err
		}
		answer, err := client.Do(presenting(r, dir))
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}
	eventually(t, "it says that the certificate ends", func() bool {
		body, err := ask(0, "/readyz")
		return err == nil && strings.Contains(body, `{"name":"certificate","working":false`) && strings.Contains(body, "renew it")
	})
	if _, err := ask(tls.VersionTLS12, "/healthz"); err != nil {
		t.Error("TLS 1.2:", err)
	}
	if _, err := ask(tls.VersionTLS11, "/healthz"); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	eventually(t, "it is a fault", func() bool {
		body, err := ask(0, "/api/v1/alarms")
		return err == nil && strings.Contains(body, `"rule":"gateway-certificate"`) && strings.Contains(body, "renew it")
	})
	if body, err := ask(0, "/metrics"); err != nil || !strings.Contains(body, "embergate_certificate_end_timestamp_seconds 1.") {
		t.Error(body, err)
	}
}

// TestWhatAConsoleMayBeToldOfItsAddress: nothing beyond this machine without TLS or a proxy.
func TestWhatAConsoleMayBeToldOfItsAddress(t *testing.T) {
	for console, want := range map[string]string{
		`{listen: "127.0.0.1:8080"}`:                                            "",
		`{listen: "[::1]:8080"}`:                                                "",
		`{listen: "0.0.0.0:8080"}`:                                              "can be reached from outside",
		`{listen: ":8080"}`:                                                     "can be reached from outside",
		`{listen: "0.0.0.0:8443", tls: {self_signed: true}}`:                    "",
		`{listen: "0.0.0.0:8443", tls: {cert: a, key: b}}`:                      "",
		`{listen: "0.0.0.0:8443", tls: {cert: a}}`:                              "both cert and key",
		`{tls: {cert: a, key: b, self_signed: true}}`:                           "either cert and key, or self_signed",
		`{listen: "192.168.1.9:80", behind_proxy: true}`:                        "",
		`{behind_proxy: true, trusted_proxies: [10.0.0.0/8, "::1"]}`:            "",
		`{behind_proxy: true, trusted_proxies: [proxy.example]}`:                "no address and no range",
		`{public_url: "https://fire.example:8443"}`:                             "",
		`{public_url: "fire.example"}`:                                          "no address of a console",
		`{public_url: "https://fire.example/console"}`:                          "no address of a console",
		`{public_url: "https://user:secret@fire.example"}`:                      "no address of a console",
		`{listen: "127.0.0.1:8080", tls: {cert: a, key: b, verify: somewhere}}`: "unknown key",
	} {
		root := conf.Parse("home.yaml", []byte("site: {id: home}\nconsole: "+console), conf.OS())
		if _, err := New(root, Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		problems := root.Problems()
		if (problems == nil) != (want == "") || problems != nil && !strings.Contains(problems.Error(), want) {
			t.Errorf("%s: %v, want %q", console, problems, want)
		}
	}
}

// TestEveryActSaysWhoAndFromWhere (SE04): in the journal, whatever was done.
func TestEveryActSaysWhoAndFromWhere(t *testing.T) {
	dir, s, out := t.TempDir(), newScript(), newOutside(t)
	h := startConfig(t, s, dir, fmt.Sprintf(wholeHome, dir, out.URL))
	s.reads("smoke.smoke", 0)
	h.post("/api/v1/drills", `{"by":"li","signal":"smoke.smoke"}`, http.StatusOK)
	h.alarms("smoke unacknowledged")
	h.act("smoke", "ack")
	h.post("/api/v1/drills/stop", `{"by":"li"}`, http.StatusOK)
	h.post("/api/v1/zones/f1/test", `{"by":"li"}`, http.StatusOK)
	h.post("/api/v1/zones/f1/test/end", `{"by":"li"}`, http.StatusOK)
	h.user("anna", "admin")
	var events []struct{ Type, By, Via, From string }
	h.get("/api/v1/events?limit=1000", &events)
	acts := 0
	for _, e := range events {
		if e.By == "" {
			continue
		}
		acts++
		if e.Via == "" || e.From != "shell, 127.0.0.1" {
			t.Errorf("%+v", e)
		}
	}
	if acts < 6 {
		t.Errorf("only %d acts: %+v", acts, events)
	}
}
