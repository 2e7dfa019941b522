package notify

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"embergate/drivers/conf"
)

// Row OP04: every kind of channel can be tried.
func TestEveryKindCanBeTried(t *testing.T) {
	for name, k := range kinds {
		if _, ok := k.read(conf.Parse(name, []byte("{}"), conf.OS()), Options{}).(prober); !ok {
			t.Errorf("%s cannot be tried", name)
		}
	}
}

// Row OP04: a channel is tried, with its key where the server knows it, and nobody is told anything.
func TestAChannelIsTriedAndNobodyIsTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet:
			t.Errorf("%s %s", r.Method, r.URL)
		case r.URL.Path == "/bot77:right/getMe":
			w.Write([]byte(`{"ok":true,"result":{"id":77}}`))
		case r.URL.Path == "/bot77:wrong/getMe":
			w.Write([]byte(`{"ok":false,"error_code":401,"description":"Unauthorized"}`))
		case r.URL.Path == "/fire/auth" && r.Header.Get("Authorization") != "Bearer right":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v2/status":
			if user, password, _ := r.BasicAuth(); user != "gw" || password != "right" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}
	}))
	defer server.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	text := strings.NewReplacer("URL", server.URL, "GONE", "http://"+gone.Addr().String()).Replace(`
- {id: hook, webhook: {url: "URL/secret-path"}}
- {id: hook-gone, webhook: {url: "GONE/secret-path"}}
- {id: wecom, wecom: {url: "URL", key: secret-key}}
- {id: telegram, telegram: {url: "URL", token: "77:right", chat_id: 1}}
- {id: telegram-wrong, telegram: {url: "URL", token: "77:wrong", chat_id: 1}}
- {id: ntfy, ntfy: {url: "URL", topic: fire, token: right}}
- {id: ntfy-wrong, ntfy: {url: "URL", topic: fire, token: wrong}}
- {id: am, alertmanager: {url: "URL", username: gw, password: right}}
- {id: am-wrong, alertmanager: {url: "URL", username: gw, password: wrong}}
- {id: am-open, alertmanager: {url: "GONE"}}
`)
	root := conf.Parse("home.yaml", []byte(text), conf.OS())
	c := New(root, Options{})
	if root.Problems() != nil {
		t.Fatal(root.Problems())
	}
	want := map[string]Proof{"hook": Reached, "wecom": Reached, "telegram": LoggedIn, "ntfy": LoggedIn, "am": LoggedIn}
	for _, p := range c.Probe(t.Context()) {
		if (p.Err == nil) != (want[p.ID] != 0) || p.Err == nil && p.Proof != want[p.ID] {
			t.Errorf("%s: %d, %v", p.ID, p.Proof, p.Err)
		}
		if p.Err != nil && (strings.Contains(p.Err.Error(), "secret") || strings.Contains(p.Err.Error(), "77:wrong")) {
			t.Errorf("%v", p.Err)
		}
	}
}

// Row OP04: a mail server is logged in to, and gets no mail.
func TestAMailServerIsTriedWithoutAMail(t *testing.T) {
	s := startMailServer(t)
	for _, address := range []string{s.starttls, s.secure} {
		if proof, err := s.mailer(t, emailKeys, address).probe(t.Context()); proof != LoggedIn || err != nil {
			t.Errorf("%s: %d, %v", address, proof, err)
		}
		_, err := s.mailer(t, strings.Replace(emailKeys, "pa55w0rd", "wr0ngw0rd", 1), address).probe(t.Context())
		if err == nil || strings.Contains(err.Error(), "wr0ngw0rd") {
			t.Errorf("%s: %v", address, err)
		}
	}
	m := alarmed("alarm.raised")
	m.To = nil
	if _, err := s.mailer(t, emailKeys, s.starttls).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if to, _ := s.received(t); to != "list@example.org" { // the first mail of all
		t.Errorf("a mail to %s", to)
	}
}
