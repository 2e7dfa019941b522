package console

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
	"embergate/gateway/store"

	"golang.org/x/crypto/argon2"
)

const password = "correct horse battery"

// gate is a console of a canned home that asks who comes in.
type gate struct {
	http.Handler
	*canned
	t   *testing.T
	a   *access.Access
	st  *store.Store
	log *strings.Builder
}

var (
	test   = access.Identity{ID: "test", Name: "test", Role: Admin}
	roster = []access.Person{{ID: "zhang", Name: "张三"}, {ID: "wang", Name: "王五"}}
)

func gateOf(t *testing.T, change ...func(*Options)) *gate {
	t.Helper()
	g := &gate{canned: freshEvening(i18n.English), t: t, log: &strings.Builder{}}
	log := slog.New(slog.NewTextHandler(g.log, nil))
	var err error
	if g.st, err = store.Open(t.TempDir(), log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.st.Close() })
	g.a = access.New(g.st, roster, log)
	o := optionsOf(g.canned, i18n.English)
	o.Access, o.Log, o.Demo = g.a, log, false
	for _, c := range change {
		c(&o)
	}
	g.Handler = New(o)
	return g
}

// with adds users, each "id role name"; a name that begins with + is a shared account's.
func (g *gate) with(users ...string) *gate {
	g.t.Helper()
	for _, u := range users {
		f := strings.Fields(u + " ")
		n := store.User{ID: f[0], Name: f[0], Role: f[1], Password: cheaply(password), Created: time.Now(), Changed: time.Now()}
		if len(f) > 2 {
			n.Name, n.Shared = strings.TrimPrefix(f[2], "+"), strings.HasPrefix(f[2], "+")
		}
		if err := g.st.AddUser(g.t.Context(), n, alarm.Event{ID: "user " + n.ID, Type: "user.added"}); err != nil {
			g.t.Fatal(err)
		}
	}
	return g
}

// cheaply is the hash of a password that costs a test little; package access reads from it what it costs.
func cheaply(password string) string {
	salt := []byte("0123456789abcdef")
	b64 := base64.RawStdEncoding
	return "$argon2id$v=19$m=64,t=1,p=1$" + b64.EncodeToString(salt) + "$" + b64.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32))
}

// login is the cookie of somebody, as a header.
func (g *gate) login(user string) string {
	g.t.Helper()
	rec := ask(g.t, g, "POST", "/api/v1/login", fmt.Sprintf(`{"user":%q,"password":%q}`, user, password))
	if rec.Code != 200 || len(rec.Result().Cookies()) != 1 {
		g.t.Fatalf("login of %s: %d %s", user, rec.Code, rec.Body)
	}
	c := rec.Result().Cookies()[0]
	return c.Name + "=" + c.Value
}

func (g *gate) token(role Role) string {
	g.t.Helper()
	token, err := g.a.AddToken(g.t.Context(), time.Now(), "program-"+string(role), role, test, access.Origin{})
	if err != nil {
		g.t.Fatal(err)
	}
	return "Bearer " + token
}

// TestEveryRouteAsksForItsRole (SE04, UI11): every route, asked by nobody, by a session and by a token of each role.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	g := gateOf(t).with("an-admin admin", "a-maintainer maintainer", "a-duty duty", "a-viewer viewer")
	type asker struct {
		name, header, value string
		role                Role
	}
	askers := []asker{{name: "nobody"}, {"a session that is none", "Cookie", plainCookie + "=AAAA", Public}, {"a token that is none", "Authorization", "Bearer eg_AAAA", Public}}
	for _, role := range access.Roles {
		user := map[Role]string{Admin: "an-admin", Maintainer: "a-maintainer", Duty: "a-duty", Viewer: "a-viewer"}[role]
		askers = append(askers, asker{"a session of " + string(role), "Cookie", g.login(user), role}, asker{"a token of " + string(role), "Authorization", g.token(role), role})
	}
	o := optionsOf(g.canned, i18n.English)
	o.Access = g.a
	w := newWeb(o)
	routes := w.all()
	if len(routes) < 60 {
		t.Fatalf("only %d routes", len(routes))
	}
	const through = 299
	for i := range routes {
		routes[i].serve = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(through) }
	}
	h := w.handler(routes)
	for _, rt := range routes {
		if rt.role != Public && !slices.Contains(access.Roles, rt.role) {
			t.Errorf("%s: the role %q", rt.pattern, rt.role)
		}
		method, path, _ := strings.Cut(rt.pattern, " ")
		path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(strings.Replace(path, "{$}", "", 1), "x")
		for _, who := range askers {
			r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
			r.Host, r.RemoteAddr = "127.0.0.1:8080", "192.0.2.1:1000"
			if who.header != "" {
				r.Header.Set(who.header, who.value)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			want := through
			switch known := who.role != Public; {
			case who.role.May(rt.role):
			case known:
				want = http.StatusForbidden
			case method == "GET" && !strings.HasPrefix(path, "/api/") && path != "/metrics":
				want = http.StatusSeeOther
			default:
				want = http.StatusUnauthorized
			}
			if rec.Code != want || want == http.StatusSeeOther && !strings.HasPrefix(rec.Header().Get("Location"), "/login?next=") {
				t.Errorf("%s asked by %s: %d %s %s, want %d", rt.pattern, who.name, rec.Code, rec.Header().Get("Location"), rec.Body, want)
			}
			if rec.Code == http.StatusUnauthorized && rec.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: 401 without a challenge", rt.pattern)
			}
		}
	}
}

// TestPublicRoutesAreThese: a new one that nobody needs a role for is a decision.
func TestPublicRoutesAreThese(t *testing.T) {
	var public []string
	for _, rt := range newWeb(Options{Metrics: http.NotFoundHandler()}).all() {
		if rt.role == Public {
			public = append(public, rt.pattern)
		}
	}
	slices.Sort(public)
	want := []string{"GET /api/v1/openapi.json", "GET /assets/{name}", "GET /healthz", "GET /login", "GET /offline", "GET /readyz", "GET /setup", "GET /sw.js",
		"POST /api/v1/login", "POST /login", "POST /logout", "POST /setup"}
	public = slices.DeleteFunc(public, func(p string) bool { return strings.Contains(p, " /a/{") }) // links in messages carry their own proof
	if !slices.Equal(public, want) {
		t.Errorf("public are %q\nwant %q", public, want)
	}
}

// form posts a form as a browser does.
func (g *gate) form(path string, headers []string, fields ...string) *httptest.ResponseRecorder {
	g.t.Helper()
	v := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		v.Set(fields[i], fields[i+1])
	}
	return ask(g.t, g, "POST", path, v.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:8080"}, headers...)...)
}

// TestTheFirstAdministratorIsMadeAtTheDoor (SE01): with the code of the log; then there is the login, and no second code.
func TestTheFirstAdministratorIsMadeAtTheDoor(t *testing.T) {
	g := gateOf(t)
	leads := func(path, to string) {
		t.Helper()
		if rec := ask(t, g, "GET", path, ""); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != to {
			t.Errorf("%s leads to %d %s, want %s", path, rec.Code, rec.Header().Get("Location"), to)
		}
	}
	leads("/?lang=en", "/setup?next=%2F%3Flang%3Den")
	leads("/login", "/setup")
	if rec := ask(t, g, "GET", "/api/v1/site", ""); rec.Code != 401 {
		t.Error("the API before there is anybody:", rec.Code)
	}
	page := ask(t, g, "GET", "/setup?lang=zh", "").Body.String()
	if !strings.Contains(page, "一次性代码") || !strings.Contains(page, `action="/setup?lang=zh"`) || strings.Contains(page, "<script") {
		t.Error(page)
	}
	_, code, _ := strings.Cut(g.log.String(), "code=")
	code = code[:14]
	for name, fields := range map[string][]string{
		"no code":       {"user", "anna", "password", password, "again", password},
		"another code":  {"code", "AAAA-BBBB-CCCC", "user", "anna", "password", password, "again", password},
		"two passwords": {"code", code, "user", "anna", "password", password, "again", "other " + password},
		"a short one":   {"code", code, "user", "anna", "password", "1234567", "again", "1234567"},
	} {
		if rec := g.form("/setup", nil, fields...); rec.Code < 400 || !strings.Contains(rec.Body.String(), `role="alert"`) || strings.Contains(rec.Body.String(), password) {
			t.Errorf("%s: %d %s", name, rec.Code, rec.Body)
		}
	}
	rec := g.form("/setup", nil, "code", code, "user", "Anna", "name", "安娜", "password", password, "again", password)
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/" {
		t.Fatal(rec.Code, rec.Body)
	}
	c := rec.Result().Cookies()[0]
	if c.Name != plainCookie || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.Path != "/" || c.MaxAge < 6*24*3600 || c.MaxAge > 7*24*3600 {
		t.Errorf("%+v", c)
	}
	if rec := ask(t, g, "GET", "/", "", "Cookie", c.Name+"="+c.Value); rec.Code != 200 || !strings.Contains(rec.Body.String(), "安娜") {
		t.Error("she is in:", rec.Code, rec.Body)
	}
	leads("/setup", "/login")
	leads("/", "/login?next=%2F")
	if rec := g.form("/setup", nil, "code", code, "user", "eve", "password", password, "again", password); rec.Code != http.StatusConflict {
		t.Error("the code a second time:", rec.Code)
	}
	if strings.Contains(g.log.String(), password) {
		t.Error("the log holds the password")
	}
}

// TestTheDoorLeadsBackInside, and nowhere else.
func TestTheDoorLeadsBackInside(t *testing.T) {
	g := gateOf(t).with("anna admin")
	for next, want := range map[string]string{
		"/alarms?x=1": "/alarms?x=1", "": "/", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "/\tevil": "/",
	} {
		rec := g.form("/login", nil, "user", "anna", "password", password, "next", next)
		if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != want {
			t.Errorf("%q leads to %d %q, want %q", next, rec.Code, rec.Header().Get("Location"), want)
		}
	}
	rec := g.form("/login?lang=en", nil, "user", "anna", "password", "wrong password", "next", "/alarms")
	if rec.Code != 401 || !strings.Contains(rec.Body.String(), "name or password is wrong") || !strings.Contains(rec.Body.String(), `value="/alarms"`) || strings.Contains(rec.Body.String(), "wrong password") {
		t.Error(rec.Code, rec.Body)
	}
	if rec := g.form("/login", []string{"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"}, "user", "anna", "password", password); rec.Code != 403 {
		t.Error("a form of another site:", rec.Code)
	}
	cookie := g.login("anna")
	if rec := g.form("/logout", []string{"Cookie", cookie}); rec.Code != http.StatusSeeOther || rec.Result().Cookies()[0].MaxAge >= 0 {
		t.Error(rec.Code, rec.Header())
	}
	if rec := ask(t, g, "GET", "/api/v1/me", "", "Cookie", cookie); rec.Code != 401 {
		t.Error("after logout:", rec.Code)
	}
	if page := ask(t, g, "GET", "/login", "", "Host", "192.168.1.9").Body.String(); !strings.Contains(page, "not encrypted") {
		t.Error("says nothing of the open network:", page)
	}
}

// TestFailedLoginsAreToldToWait (SE02): 429, with how long.
func TestFailedLoginsAreToldToWait(t *testing.T) {
	g := gateOf(t).with("anna admin")
	var rec *httptest.ResponseRecorder
	for range 7 {
		rec = ask(t, g, "POST", "/api/v1/login", `{"user":"anna","password":"guess"}`)
	}
	if wait := rec.Header().Get("Retry-After"); rec.Code != 429 || wait == "" || wait == "0" {
		t.Error(rec.Code, wait, rec.Body)
	}
	described(t).answers(t, "/api/v1/login", "POST", rec)
}

// TestCookiesBelongToTheHostUnderTLS (SE02), where TLS is ours, or where a proxy that we trust says so.
func TestCookiesBelongToTheHostUnderTLS(t *testing.T) {
	g := gateOf(t, func(o *Options) {
		o.Proxies, o.Public = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "https://fire.example"
	}).with("anna admin")
	for _, test := range []struct {
		name, remote, proto string
		secure              bool
	}{
		{"by the proxy, over TLS", "10.1.2.3:1000", "https", true},
		{"by the proxy, in the clear", "10.1.2.3:1000", "http", false},
		{"by somebody who only says so", "192.0.2.1:1000", "https", false},
	} {
		r := httptest.NewRequest("POST", "/api/v1/login", strings.NewReader(`{"user":"anna","password":"`+password+`"}`))
		r.Host, r.RemoteAddr = "fire.example", test.remote
		for k, v := range map[string]string{"Content-Type": "application/json", "X-Forwarded-Proto": test.proto, "Origin": "https://fire.example"} {
			r.Header.Set(k, v)
		}
		rec := httptest.NewRecorder()
		g.ServeHTTP(rec, r)
		if rec.Code != 200 {
			t.Fatal(test.name, rec.Code, rec.Body)
		}
		c := rec.Result().Cookies()[0]
		if c.Secure != test.secure || strings.HasPrefix(c.Name, "__Host-") != test.secure || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: %+v", test.name, c)
		}
	}
}

func TestWhereARequestComesFrom(t *testing.T) {
	w := &web{Options: Options{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}}
	for _, test := range []struct {
		name, remote, forwarded, want string
	}{
		{"without a proxy", "192.0.2.1:1000", "", "192.0.2.1"},
		{"somebody who makes one up", "192.0.2.1:1000", "203.0.113.9", "192.0.2.1"},
		{"by the proxy", "127.0.0.1:1000", "203.0.113.9", "203.0.113.9"},
		{"by two proxies, and what the first was told", "127.0.0.1:1000", "1.1.1.1, 203.0.113.9, 10.2.2.2", "203.0.113.9"},
		{"only proxies", "127.0.0.1:1000", "10.2.2.2", "10.2.2.2"},
		{"a proxy that says nothing", "127.0.0.1:1000", "", "127.0.0.1"},
		{"a proxy that says nonsense", "127.0.0.1:1000", "unknown", "127.0.0.1"},
		{"IPv6", "[2001:db8::1]:1000", "", "2001:db8::1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.remote
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := w.address(r); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestMetricsAreOpenToThisMachine, and to nobody else without a token.
func TestMetricsAreOpenToThisMachine(t *testing.T) {
	g := gateOf(t).with("anna admin")
	behind := gateOf(t, func(o *Options) { o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	for _, test := range []struct {
		name         string
		g            *gate
		remote, host string
		status       int
	}{
		{"this machine", g, "127.0.0.1:1000", "127.0.0.1:8080", 200},
		{"another machine", g, "192.0.2.1:1000", "127.0.0.1:8080", 401},
		{"this machine's browser, on a hostile page", g, "127.0.0.1:1000", "192.168.1.9", 401},
		{"anybody, by the proxy of this machine", behind, "127.0.0.1:1000", "127.0.0.1:8080", 401},
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.RemoteAddr, r.Host = test.remote, test.host
		rec := httptest.NewRecorder()
		test.g.ServeHTTP(rec, r)
		if rec.Code != test.status {
			t.Errorf("%s: %d, want %d", test.name, rec.Code, test.status)
		}
	}
}

// TestActsCarryTheNameOfWhoeverIsLoggedIn (UI07), and where several share an account, the name given.
func TestActsCarryTheNameOfWhoeverIsLoggedIn(t *testing.T) {
	g := gateOf(t).with("anna admin", "li duty 李四", "tablet duty +一层平板")
	const ack = "/api/v1/alarms/00000007/ack"
	li, tablet, pager := []string{"Cookie", g.login("li"), "Origin", "http://127.0.0.1:8080"}, []string{"Cookie", g.login("tablet")}, []string{"Authorization", g.token(Duty)}
	for _, test := range []struct {
		name    string
		headers []string
		body    string
		status  int
		done    string
	}{
		{"one's own, unsaid", li, `{}`, 200, "ack 00000007 by 李四 via console: "},
		{"one's own, said", li, `{"by":"李四","note":"on my way"}`, 200, "ack 00000007 by 李四 via console: on my way"},
		{"another's", li, `{"by":"张三"}`, 409, ""},
		{"a shared tablet", tablet, `{"by":"张三"}`, 200, "ack 00000007 by 张三 via api: "},
		{"a shared tablet that does not say", tablet, `{}`, 400, ""},
		{"a shared tablet and a stranger", tablet, `{"by":"eve"}`, 400, ""},
		{"a program", pager, `{}`, 200, "ack 00000007 by program-duty via api: "},
		{"a program that says another", pager, `{"by":"张三"}`, 409, ""},
	} {
		g.done = nil
		rec := ask(t, g, "POST", ack, test.body, test.headers...)
		if got := strings.Join(g.done, ""); rec.Code != test.status || got != test.done {
			t.Errorf("%s: %d %s, did %q", test.name, rec.Code, rec.Body, got)
		}
		described(t).answers(t, "/api/v1/alarms/{id}/ack", "POST", rec)
	}
}

// TestASecondPersonAgreesWithAPassword (AL06): another user, with an account of their own.
func TestASecondPersonAgreesWithAPassword(t *testing.T) {
	g := gateOf(t).with("anna admin", "li duty 李四", "wang duty 王五", "eve viewer", "tablet duty +一层平板")
	li := g.login("li")
	for _, test := range []struct {
		name, second, password string
		status                 int
		with                   string
	}{
		{"another on duty", "wang", password, 200, "王五"},
		{"nobody", "", "", 200, ""}, // the alarm machine refuses where it takes two
		{"another, with a wrong password", "wang", "guess", 400, ""},
		{"a name alone", "王五", "", 400, ""},
		{"oneself", "li", password, 400, ""},
		{"a viewer", "eve", password, 400, ""},
		{"a tablet", "tablet", password, 400, ""},
	} {
		g.done = nil
		body := fmt.Sprintf(`{"until":%q,"note":"painters","second":%q,"second_password":%q}`, noon.Format(time.RFC3339), test.second, test.password)
		rec := ask(t, g, "POST", "/api/v1/alarms/00000007/shelve", body, "Cookie", li)
		if rec.Code != test.status || rec.Code == 200 && !strings.Contains(g.done[0], "with "+test.with+" 00000007 by 李四") || rec.Code != 200 && len(g.done) > 0 {
			t.Errorf("%s: %d %s, did %q", test.name, rec.Code, rec.Body, g.done)
		}
	}
}

// TestAStreamEndsWithItsSession: a screen that was logged out sees nothing more.
func TestAStreamEndsWithItsSession(t *testing.T) {
	g := gateOf(t).with("anna admin")
	cookie := g.login("anna")
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/v1/stream?events=status", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", cookie)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "event: status") {
	}
	if answer.StatusCode != 200 || lines.Text() == "" {
		t.Fatal(answer.Status, lines.Err())
	}
	if rec := ask(t, g, "POST", "/api/v1/logout", "{}", "Cookie", cookie); rec.Code != 200 {
		t.Fatal(rec.Code, rec.Body)
	}
	ended := make(chan error, 1)
	go func() {
		for lines.Scan() {
		}
		ended <- lines.Err()
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the stream goes on")
	}
}

// TestOneAccountCannotTakeAllStreams: whatever a program or a browser of one account does, the screens of others stay live.
func TestOneAccountCannotTakeAllStreams(t *testing.T) {
	g := gateOf(t).with("anna admin", "vera viewer")
	vera, anna := g.login("vera"), g.login("anna")
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	open := func(cookie string) (status int, leave func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1/stream?events=beat", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookie)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, func() { cancel(); answer.Body.Close() }
	}
	var last func()
	for i := range mostOfOne {
		status, leave := open(vera)
		if status != 200 {
			t.Fatal(i, status)
		}
		defer leave()
		last = leave
	}
	if status, leave := open(vera); status != 503 {
		t.Error("one more of the same account:", status)
		leave()
	}
	status, leave := open(anna)
	if status != 200 {
		t.Error("another account:", status)
	}
	leave()
	last()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		status, leave := open(vera)
		leave()
		if status == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("where one has left there is a place again:", status)
		}
	}
}

// TestPeopleSessionsAndTokensByTheAPI: all of it as described, and nothing that opens is shown.
func TestPeopleSessionsAndTokensByTheAPI(t *testing.T) {
	g := gateOf(t).with("anna admin")
	d := described(t)
	anna := g.login("anna")
	var shown strings.Builder
	do := func(status int, method, route, id, body string) map[string]any {
		t.Helper()
		rec := ask(t, g, method, strings.Replace(route, "{id}", url.PathEscape(id), 1), body, "Cookie", anna)
		path, _, _ := strings.Cut(route, "?")
		shown.WriteString(rec.Body.String())
		if rec.Code != status {
			t.Fatalf("%s %s %s: %d %s", method, route, body, rec.Code, rec.Body)
		}
		v, _ := d.answers(t, path, method, rec).(map[string]any)
		return v
	}
	add := fmt.Sprintf(`{"id":"李四","role":"duty","person":"wang","password":%q}`, password)
	if u := do(200, "POST", "/api/v1/users", "", add); u["id"] != "李四" || u["role"] != "duty" || u["name"] != "李四" {
		t.Error(u)
	}
	do(409, "POST", "/api/v1/users", "", add)
	do(400, "POST", "/api/v1/users", "", `{"id":"x","role":"root","password":"12345678"}`)
	do(400, "POST", "/api/v1/users", "", `{"id":"x","role":"duty","password":"12345678","colour":"red"}`)
	if u := do(200, "PUT", "/api/v1/users/{id}", "李四", `{"name":"小李","role":"viewer","shared":true}`); u["name"] != "小李" || u["shared"] != true {
		t.Error(u)
	}
	do(409, "PUT", "/api/v1/users/{id}", "anna", `{"role":"viewer"}`)
	do(404, "PUT", "/api/v1/users/{id}", "eve", `{"role":"viewer"}`)
	do(200, "POST", "/api/v1/users/{id}/password", "李四", `{"password":"another password"}`)
	do(200, "GET", "/api/v1/users", "", "")
	do(200, "DELETE", "/api/v1/users/{id}", "李四", "")
	do(404, "DELETE", "/api/v1/users/{id}", "李四", "")
	do(409, "DELETE", "/api/v1/users/{id}", "anna", "")

	made := do(200, "POST", "/api/v1/tokens", "", `{"name":"grafana","role":"viewer"}`)
	do(409, "POST", "/api/v1/tokens", "", `{"name":"grafana","role":"viewer"}`)
	token, _ := made["token"].(string)
	if rec := ask(t, g, "GET", "/api/v1/me", "", "Authorization", "Bearer "+token); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"kind":"token","id":"grafana"`) {
		t.Error(rec.Code, rec.Body)
	}
	shown.Reset() // the one time that a token is shown
	do(200, "GET", "/api/v1/tokens", "", "")
	do(200, "DELETE", "/api/v1/tokens/{id}", "grafana", "")
	if rec := ask(t, g, "GET", "/api/v1/me", "", "Authorization", "Bearer "+token); rec.Code != 401 {
		t.Error("a token that was removed:", rec.Code)
	}

	other := g.login("anna")
	do(200, "GET", "/api/v1/sessions?of=all", "", "")
	var mine []sessionJSON
	if err := json.Unmarshal(ask(t, g, "GET", "/api/v1/sessions", "", "Cookie", other).Body.Bytes(), &mine); err != nil || len(mine) != 2 {
		t.Fatal(mine, err)
	}
	i := slices.IndexFunc(mine, func(s sessionJSON) bool { return s.Own })
	do(200, "DELETE", "/api/v1/sessions/{id}", mine[i].ID, "")
	if rec := ask(t, g, "GET", "/api/v1/me", "", "Cookie", other); rec.Code != 401 {
		t.Error("a session that was ended:", rec.Code)
	}
	do(404, "DELETE", "/api/v1/sessions/{id}", "nobody", "")
	namesake, err := g.a.AddToken(t.Context(), time.Now(), "anna", Viewer, test, access.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	own := mine[1-i].ID
	if rec := ask(t, g, "GET", "/api/v1/sessions", "", "Authorization", "Bearer "+namesake); strings.TrimSpace(rec.Body.String()) != "[]" {
		t.Error("a token sees the sessions of the person whose name it has:", rec.Body)
	}
	if rec := ask(t, g, "DELETE", "/api/v1/sessions/"+own, "", "Authorization", "Bearer "+namesake); rec.Code != 404 {
		t.Error("and ends them:", rec.Code, rec.Body)
	}
	do(401, "POST", "/api/v1/me/password", "", `{"password":"guess","new":"another password"}`)
	do(200, "POST", "/api/v1/me/password", "", fmt.Sprintf(`{"password":%q,"new":"another password"}`, password))
	if me := do(200, "GET", "/api/v1/me", "", ""); me["name"] != "anna" || me["role"] != "admin" || me["login"] != true {
		t.Error(me)
	}
	do(200, "POST", "/api/v1/logout", "", "{}")
	for _, secret := range []string{password, "another password", token, "argon2id", strings.TrimPrefix(anna, plainCookie+"="), strings.TrimPrefix(other, plainCookie+"=")} {
		if strings.Contains(shown.String(), secret) || strings.Contains(g.log.String(), secret) {
			t.Errorf("%q is shown", secret)
		}
	}
}

// TestADemonstrationAsksNobody (UI13): who is asked is everybody, and there are no people to add.
func TestADemonstrationAsksNobody(t *testing.T) {
	h := consoleOf(t, freshEvening(i18n.English), i18n.English)
	if rec := ask(t, h, "GET", "/api/v1/me", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), `"login":false`) || !strings.Contains(rec.Body.String(), `"shared":true`) {
		t.Error(rec.Code, rec.Body)
	}
	for _, path := range []string{"/login", "/setup"} {
		if rec := ask(t, h, "GET", path, ""); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/" {
			t.Error(path, rec.Code, rec.Header())
		}
	}
	if rec := ask(t, h, "GET", "/api/v1/users", ""); rec.Code != 404 {
		t.Error(rec.Code, rec.Body)
	}
}

// TestTheHostsOfAConsoleThatAsksWhoComesIn: addresses and its public name; any name under TLS; never a rebound one.
func TestTheHostsOfAConsoleThatAsksWhoComesIn(t *testing.T) {
	g := gateOf(t, func(o *Options) { o.Public = "https://fire.example:8443" })
	for host, status := range map[string]int{"192.168.1.9:8080": 200, "[fd00::9]": 200, "fire.example": 200, "Fire.Example:8443": 200, "rebound.example": 421, "": 421} {
		if rec := ask(t, g, "GET", "/healthz", "", "Host", host); rec.Code != status {
			t.Errorf("%q: %d, want %d", host, rec.Code, status)
		}
	}
}
