package console

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
)

// TestBrowserComesInByTheDoor (SE01, UI02, UI12): the first administrator is made, adds somebody and a program, and is led to
// the login as soon as the session has ended. The pages of access fit every width, and axe finds nothing serious.
func TestBrowserComesInByTheDoor(t *testing.T) {
	t.Parallel()
	b := browser(t)
	g := gateOf(t)
	g.live = true
	server := httptest.NewServer(g)
	t.Cleanup(func() { b.close(); server.Close() })
	for _, l := range i18n.Langs {
		lookAt(t, b, server.URL, "/setup", l)
	}
	_, code, _ := strings.Cut(g.log.String(), "code=")
	fill := func(fields ...string) {
		t.Helper()
		for i := 0; i < len(fields); i += 2 {
			b.value(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.focus(); e.value = %q; })()`, fields[i], fields[i+1]), nil)
		}
	}
	fill("#code", code[:14], "#user", "anna", "#name", "安娜", "#password", password, "#again", password)
	b.click("main button")
	b.until(`location.pathname === '/' && document.querySelector('.who')?.textContent === '安娜'`)
	for _, l := range i18n.Langs {
		for _, path := range []string{"/users", "/account"} {
			lookAt(t, b, server.URL, path, l)
		}
	}
	b.open(server.URL + "/users?lang=en")
	fill("#add-user [name=id]", "李四", "#add-user [name=password]", password)
	b.value(`document.querySelector('#add-user [name=role]').value = 'duty'`, nil)
	b.value(`document.getElementById("add-user").requestSubmit()`, nil)
	b.until(`document.getElementById('user-李四') && document.querySelector('#add-user [name=password]')?.value === ''`)
	fill("#add-token [name=name]", "grafana")
	b.value(`document.getElementById("add-token").requestSubmit()`, nil)
	b.until(`document.querySelector('#add-token output')?.textContent.startsWith('eg_') && document.getElementById('token-grafana')`)
	b.keep("users-with-token")
	if u, err := g.a.User(t.Context(), "李四"); err != nil || u.Role != "duty" {
		t.Error(u, err)
	}
	for _, complaint := range b.complaints() {
		t.Error(complaint)
	}
	sessions, err := g.a.Sessions(t.Context(), time.Now(), "anna")
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	if err := g.a.EndSession(t.Context(), time.Now(), test, sessions[0].ID, access.Origin{}); err != nil {
		t.Fatal(err)
	}
	b.until(`location.pathname === '/login' && document.querySelector('input[name=next]')?.value.startsWith('/users')`)
	b.complaints() // of the refusals that led here
	lookAt(t, b, server.URL, "/login", i18n.Chinese)
	fill("#user", "李四", "#password", password)
	b.click("main button")
	b.until(`location.pathname === '/' && !document.querySelector('a[href="/users"]')`) // who is on duty has no page of users
	b.open(server.URL + "/account?lang=en")
	b.click("form[action='/logout'] button")
	b.until(`location.pathname === '/login'`)
	b.complaints()
}
