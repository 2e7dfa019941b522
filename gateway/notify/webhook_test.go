package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/drivers/conf"
	"embergate/gateway/alarm"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec-Zx81"

// received is one request as a receiver sees it.
type received struct {
	header http.Header
	body   []byte
	method string
	uri    string
}

// receiver is a webhook's far side.
type receiver struct {
	mu     sync.Mutex
	got    []received
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func (h *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.got = append(h.got, received{r.Header.Clone(), body, r.Method, r.URL.RequestURI()})
	n := len(h.got)
	h.mu.Unlock()
	if h.answer != nil {
		h.answer(n, w, r)
	}
}

func (h *receiver) count() int { return len(h.requests()) }

// requests are those that came so far.
func (h *receiver) requests() []received {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

// status answers with a status and pairs of header names and values.
func status(code int, header ...string) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, "you said %s with %s and %s", r.URL.RequestURI(), secret, r.Header.Get("Authorization"))
	}
}

func serve(t *testing.T, answer func(int, http.ResponseWriter, *http.Request)) (*receiver, *httptest.Server) {
	h := &receiver{answer: answer}
	s := httptest.NewServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	t.Cleanup(s.Close)
	return h, s
}

// hook is a webhook to a url, with the test's secret.
func hook(t *testing.T, url string, timeout time.Duration) *webhook {
	w := newWebhook(webhookSettings{URL: conf.NewSecret(url), Secret: conf.NewSecret(secret), Timeout: timeout}, Options{}).(*webhook)
	t.Cleanup(w.close)
	return w
}

var (
	noon   = time.Date(2026, 11, 21, 4, 0, 5, 0, time.UTC)
	county = time.FixedZone("CST", 8*3600)
)

// gas is a gas alarm in a kitchen.
func gas() *alarm.Alarm {
	v := 32.5
	return &alarm.Alarm{ID: "A1", Rule: "gas-high", Name: "燃气高报", Class: "gas", Level: "alarm", State: alarm.Unacknowledged,
		Zone: "f1-kitchen", ZonePath: "一层 / 厨房", Device: "kitchen-gas", DeviceName: "厨房燃气探测器", Signal: "kitchen-gas.lel",
		Value: &v, Unit: "%LEL", Quality: "good", RaisedAt: noon, Count: 1, Message: "阀门已切断，开窗，勿动电器"}
}

// TestWebhookIsAsTheContractSays verifies the request, and the signature by its definition.
func TestWebhookIsAsTheContractSays(t *testing.T) {
	h, s := serve(t, status(204))
	c := read(t, fmt.Sprintf(`[{id: hook, webhook: {url: "%s/hook", secret: %s}}]`, s.URL, secret), Options{
		Site: Site{ID: "zb-1", Name: "颐康养老院", Region: "370305"}, Lang: "zh", Location: county})
	messages := c.Compose(alarm.Event{Seq: 5, ID: "A1/1", Time: noon, Type: "alarm.raised", Alarm: gas()}, noon, nil)
	if len(messages) != 1 || messages[0].Channel != "hook" || messages[0].Event != "A1/1" || messages[0].Alarm != "A1" || !messages[0].Urgent {
		t.Fatalf("composed %+v", messages)
	}
	if _, err := c.list[0].sender.Send(context.Background(), Said(messages[0])); err != nil {
		t.Fatal(err)
	}
	c.list[0].sender.(*webhook).close()
	got := h.requests()[0]
	stamp := got.header.Get("X-Embergate-Timestamp")
	sent, err := strconv.ParseInt(stamp, 10, 64)
	if age := time.Since(time.Unix(sent, 0)); err != nil || age < -time.Second || age > 30*time.Second {
		t.Errorf("timestamp %q", stamp)
	}
	sum := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(sum, "%s.%s", stamp, got.body)
	if want := "v1=" + hex.EncodeToString(sum.Sum(nil)); got.header.Get("X-Embergate-Signature") != want {
		t.Errorf("signature %s, want %s", got.header.Get("X-Embergate-Signature"), want)
	}
	if got.method != "POST" || got.header.Get("Content-Type") != "application/json" || got.header.Get("X-Embergate-Event") != "A1/1" {
		t.Errorf("%s %v", got.method, got.header)
	}
	want := `{"event":"alarm.raised","id":"A1/1","time":"2026-11-21T12:00:05+08:00","late":false,` +
		`"site":{"id":"zb-1","name":"颐康养老院","region":"370305"},"alarm":{"id":"A1","rule":"gas-high","name":"燃气高报","class":"gas",` +
		`"level":"alarm","state":"unacknowledged","shelved_until":null,"zone":"f1-kitchen","zone_path":"一层 / 厨房","device":"kitchen-gas",` +
		`"device_name":"厨房燃气探测器","signal":"kitchen-gas.lel","value":32.5,"unit":"%LEL","quality":"good","raised_at":"2026-11-21T04:00:05Z",` +
		`"acknowledged_at":null,"acknowledged_by":"","cleared_at":null,"closed_at":null,"count":1,"drill":false,"verdict":"",` +
		`"message":"阀门已切断，开窗，勿动电器"},"text":"一层 / 厨房 厨房燃气探测器 燃气高报 32.5%LEL 报警 12:00:05。阀门已切断，开窗，勿动电器"}`
	var g, w map[string]any
	if json.Unmarshal(got.body, &g) != nil || json.Unmarshal([]byte(want), &w) != nil {
		t.Fatalf("body %s", got.body)
	}
	for key := range g["alarm"].(map[string]any) {
		if _, ok := w["alarm"].(map[string]any)[key]; !ok {
			delete(g["alarm"].(map[string]any), key) // an alarm may say more
		}
	}
	if fmt.Sprint(g) != fmt.Sprint(w) {
		t.Errorf("body\n%s\nwant\n%s", got.body, want)
	}
}

// TestSignatureVector is an independently computed vector (facts/push.md, 11) through the code that signs.
func TestSignatureVector(t *testing.T) {
	sum := sign([]byte("whsec_demo"), "1760000000", []byte(`{"event":"alarm.raised","id":"01J9ZX0000000000000000TEST","device":"smoke-301","level":"critical"}`))
	if want := "v1=c0d456c22f87ee92c7a63e177f69fe68b51b4f16104d402d1b10861870eac776"; sum != want {
		t.Errorf("%s, want %s", sum, want)
	}
}

// TestAnswersAreSorted: each status is accepted, tried again, refused for good, or the end.
func TestAnswersAreSorted(t *testing.T) {
	for code := 200; code < 600; code++ {
		want := "refused"
		switch {
		case code < 300:
			want = "accepted"
		case code < 400, code >= 500, code == 408, code == 425, code == 429:
			want = "retry"
		case code == 410:
			want = "gone"
		}
		w := hook(t, "http://127.0.0.1:1/", time.Second)
		err := w.byStatus(reply{status: code, header: http.Header{}})
		got, refused := "retry", (*Refused)(nil)
		switch {
		case err == nil:
			got = "accepted"
		case errors.As(err, &refused) && refused.Gone:
			got = "gone"
		case errors.As(err, &refused):
			got = "refused"
		}
		if got != want {
			t.Errorf("%d is %s, want %s", code, got, want)
		}
	}
}

// TestRetryAfter in both forms; a date counts by the server's clock.
func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header []string
		want   time.Duration
	}{
		"seconds":  {[]string{"Retry-After", "7"}, 7 * time.Second},
		"date":     {[]string{"Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT", "Date", "Sat, 01 Jan 2000 00:00:00 GMT"}, 9 * time.Second},
		"past":     {[]string{"Retry-After", "Sat, 01 Jan 2000 00:00:00 GMT"}, 0},
		"absurd":   {[]string{"Retry-After", "999999999"}, maxLater},
		"nonsense": {[]string{"Retry-After", "soon"}, 0},
		"none":     {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			_, s := serve(t, status(429, c.header...))
			_, err := hook(t, s.URL, time.Second).Send(context.Background(), Message{})
			var later *Later
			if errors.As(err, &later); (later != nil) != (c.want > 0) || later != nil && later.After != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// TestBrokenFarSides: each is an error that is tried again, in time, whatever the far side does.
func TestBrokenFarSides(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for name, answer := range map[string]func(int, http.ResponseWriter, *http.Request){
		"says nothing": func(_ int, _ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		},
		"breaks the connection": func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"talks without end": func(_ int, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 32<<10)); err != nil {
					return
				}
			}
		},
		"redirects to another host": status(307, "Location", "http://127.0.0.2:9/elsewhere"),
		"redirects as GET":          status(302, "Location", "/login"),
		"redirects in a circle":     status(308, "Location", "/"),
	} {
		t.Run(name, func(t *testing.T) {
			h, s := serve(t, answer)
			_, err := hook(t, s.URL, 300*time.Millisecond).Send(context.Background(), Message{ID: "e"})
			var refused *Refused
			if err == nil || errors.As(err, &refused) || len(err.Error()) > 600 {
				t.Errorf("%v", err)
			}
			for _, r := range h.requests() {
				if r.method != "POST" {
					t.Errorf("a %s went out", r.method)
				}
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		_, s := serve(t, nil)
		s.Close()
		if _, err := hook(t, s.URL, time.Second).Send(context.Background(), Message{}); err == nil {
			t.Error("accepted by nobody")
		}
	})
}

// TestRedirectOnTheSameHost keeps method, body and signature.
func TestRedirectOnTheSameHost(t *testing.T) {
	h, s := serve(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			w.Header().Set("Location", "/moved")
			w.WriteHeader(307)
		}
	})
	if _, err := hook(t, s.URL, time.Second).Send(context.Background(), Message{ID: "e"}); err != nil {
		t.Fatal(err)
	}
	if got := h.requests(); len(got) != 2 || !bytes.Equal(got[0].body, got[1].body) || got[1].header.Get("X-Embergate-Signature") == "" {
		t.Errorf("%d requests: %+v", len(got), got)
	}
}

// TestNoSecretIsSaid: no error, log line or status holds the secret, the password or the query of the url, not even where
// the far side repeats them.
func TestNoSecretIsSaid(t *testing.T) {
	const user, password, key = "robot77", "pa55w0rd", "k3y0fqu3ry"
	var heard strings.Builder
	hide := []string{secret, password, key, user, "cm9ib3Q3NzpwYTU1dzByZA=="}
	note := func(_ string, err error) {
		if err != nil {
			fmt.Fprintf(&heard, "%v\n%+v\n%#v\n", err, err, err)
		}
	}
	for _, code := range []int{302, 400, 403, 410, 429, 500} {
		_, s := serve(t, status(code))
		note(hook(t, strings.Replace(s.URL, "http://", "http://"+user+":"+password+"@", 1)+"/in/"+key+"?key="+key, time.Second).
			Send(context.Background(), Message{}))
		s.Close()
		note(hook(t, strings.Replace(s.URL, "http://", "http://"+user+":"+password+"@", 1)+"/?key="+key, time.Second).
			Send(context.Background(), Message{}))
	}
	note(hook(t, "http://"+user+":"+password+"@127.0.0.1:1/?key="+key+"%zz\x7f", time.Second).Send(context.Background(), Message{}))
	for _, code := range []int{400, 410, 503} {
		var log bytes.Buffer
		_, s := serve(t, status(code))
		address := strings.Replace(s.URL, "http://", "http://"+user+":"+password+"@", 1) + "/?key=" + key
		c := read(t, fmt.Sprintf(`[{id: h, webhook: {url: %q, secret: %s}}]`, address, secret), Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		box := &outbox{}
		box.put(c.Compose(alarm.Event{ID: "e", Type: "test", Time: noon}, noon, nil)...)
		stop := start(t, c, box)
		for deadline := time.Now().Add(20 * time.Second); c.Status()[0].LastError == "" && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		}
		stop()
		fmt.Fprintf(&heard, "%s %+v %+v", log.String(), c.Status(), box.messages)
	}
	root := conf.Parse("c.yaml", []byte(fmt.Sprintf(`[{id: h, webhook: {url: "ftp://%s:%s@h/?key=%s", secret: %s, timeout: 1h}}]`, user, password, key, secret)), conf.Environment{})
	c := New(root, Options{})
	heard.WriteString(root.Problems().Error())
	fmt.Fprintf(&heard, "%v %+v", c.Status(), webhookSettings{URL: conf.NewSecret(key), Secret: conf.NewSecret(secret)})
	if len(root.Problems()) != 2 || !strings.Contains(heard.String(), "you said ***") || !strings.Contains(heard.String(), "message refused") {
		t.Errorf("heard too little:\n%s", heard.String())
	}
	for _, h := range hide {
		if strings.Contains(heard.String(), h) {
			t.Errorf("%q was said:\n%s", h, heard.String())
		}
	}
}
