package sim

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func post(t *testing.T, url, body string, header map[string]string) (status int, answer string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestThePlatformCountsTheLinesItAccepts(t *testing.T) {
	h := start(t, Options{})
	base, token := h.Platform()
	url := base + "/api/v2/write?org=fire&bucket=sites&precision=ns"
	lines := "gas,site=a lel=1 1\ngas,site=a lel=2 2\n\n"
	for _, x := range []struct {
		name, body string
		header     map[string]string
		status     int
	}{
		{"plain lines", lines, map[string]string{"Authorization": "Token " + token}, 204},
		{"gzip", zipped(t, lines), map[string]string{"Authorization": "Token " + token, "Content-Encoding": "gzip"}, 204},
		{"no token", lines, nil, 401},
		{"another token", lines, map[string]string{"Authorization": "Token x"}, 401},
		{"says gzip and is not", lines, map[string]string{"Authorization": "Token " + token, "Content-Encoding": "gzip"}, 500},
		{"gzip that ends early", zipped(t, lines)[:20], map[string]string{"Authorization": "Token " + token, "Content-Encoding": "gzip"}, 400},
		{"a bomb", strings.Repeat(zipped(t, "gas,site="+strings.Repeat("a", 64<<10)+" lel=1 1\n"), 257), map[string]string{"Authorization": "Token " + token, "Content-Encoding": "gzip"}, 413},
	} {
		t.Run(x.name, func(t *testing.T) {
			status, answer, err := post(t, url, x.body, x.header)
			if err != nil || status != x.status {
				t.Errorf("got %d %s %v, want %d", status, answer, err, x.status)
			}
		})
	}
	if requests, got := h.Received(); requests != 2 || got != 4 {
		t.Errorf("received %d requests and %d lines, want 2 and 4", requests, got)
	}
}

func TestAPlatformThatIsDownBreaksOffEveryRequest(t *testing.T) {
	h := start(t, Options{})
	base, token := h.Platform()
	header := map[string]string{"Authorization": "Token " + token}
	h.SetPlatform(false)
	if status, _, err := post(t, base+"/api/v2/write", "a b=1 1\n", header); err == nil {
		t.Errorf("answered %d while it is down", status)
	}
	h.SetPlatform(true)
	if status, _, err := post(t, base+"/api/v2/write", "a b=1 1\n", header); err != nil || status != 204 {
		t.Errorf("got %d, %v after it came back", status, err)
	}
	for path, want := range map[string]int{"/ping": 204, "/health": 200} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestThePhoneTakesWhatIsSignedAndRefusesTheRest(t *testing.T) {
	h := start(t, Options{})
	url, secret := h.Phone()
	body := `{"event":"alarm.raised","id":"e1","late":false,"text":"厨房燃气","alarm":{"rule":"gas-high","signal":"kitchen-gas.lel","level":"alarm"}}`
	sign := func(secret, stamp, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		io.WriteString(mac, stamp+"."+body)
		return "v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	old := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	for _, x := range []struct {
		name, body, stamp, event, signature string
		status                              int
	}{
		{"signed", body, now, "e1", sign(secret, now, body), 200},
		{"signed with another secret", body, now, "e1", sign("x", now, body), 401},
		{"another body than was signed", strings.Replace(body, "e1", "e2", 1), now, "e1", sign(secret, now, body), 401},
		{"an hour old", body, old, "e1", sign(secret, old, body), 401},
		{"without an event", body, now, "", sign(secret, now, body), 401},
		{"without a time", body, "", "e1", sign(secret, "", body), 401},
		{"signed, but not JSON", "x", now, "e1", sign(secret, now, "x"), 400},
	} {
		t.Run(x.name, func(t *testing.T) {
			header := map[string]string{"X-Embergate-Timestamp": x.stamp, "X-Embergate-Event": x.event, "X-Embergate-Signature": x.signature}
			status, answer, err := post(t, url, x.body, header)
			if err != nil || status != x.status {
				t.Errorf("got %d %s %v, want %d", status, answer, err, x.status)
			}
		})
	}
	got := h.Messages()
	if len(got) != 1 || got[0].Event != "alarm.raised" || got[0].Text != "厨房燃气" || got[0].Alarm.Signal != "kitchen-gas.lel" {
		t.Errorf("the phone has %+v", got)
	}
}

// The signature's vector of another implementation: facts on push services, webhook with HMAC.
func TestTheSignatureIsThatOfTheContract(t *testing.T) {
	p := &phone{secret: "whsec_demo"}
	body := `{"event":"alarm.raised","id":"01J9ZX0000000000000000TEST","device":"smoke-301","level":"critical"}`
	header := http.Header{}
	header.Set("X-Embergate-Timestamp", "1760000000")
	header.Set("X-Embergate-Event", "01J9ZX0000000000000000TEST")
	header.Set("X-Embergate-Signature", "v1=c0d456c22f87ee92c7a63e177f69fe68b51b4f16104d402d1b10861870eac776")
	if err := p.verify(header, []byte(body), time.Unix(1760000000, 0)); err != nil {
		t.Error(err)
	}
}
