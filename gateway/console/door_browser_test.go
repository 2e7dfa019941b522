package console

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
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
	fill := b.fill
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

// fill writes into fields; a selector and what to write alternate.
func (b *tab) fill(fields ...string) {
	b.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		b.value(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.focus(); e.value = %q; })()`, fields[i], fields[i+1]), nil)
	}
}

// one is a link to one alarm, for one person.
type one struct {
	alarm  alarm.Alarm
	answer chan string
}

func (o one) Link(context.Context, string) (Link, error) {
	return Link{Alarm: o.alarm, Person: "王五"}, nil
}

func (o one) Answer(_ context.Context, token, person string) (Link, error) {
	o.answer <- token + " by " + person
	now := time.Now()
	o.alarm.AcknowledgedAt, o.alarm.AcknowledgedBy = &now, "王五"
	return Link{Alarm: o.alarm, Person: "王五", Used: true}, nil
}

// TestBrowserComesInOverPlainHTTP (SE01, SE02, SE03): where a proxy passes on plain HTTP, or none speaks TLS, a browser says of a form
// only the Origin, and where the page forbids to say where it comes from, not even that. All forms work all the same.
func TestBrowserComesInOverPlainHTTP(t *testing.T) {
	t.Parallel()
	b := browser(t)
	link := one{home{i18n.English, time.Now()}.alarms()[1], make(chan string, 1)}
	g := gateOf(t, func(o *Options) {
		o.Proxies, o.Public, o.Links = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, "https://gateway.test", link
	})
	g.live = true
	server := httptest.NewServer(g)
	t.Cleanup(func() { b.close(); server.Close() })
	host := strings.Replace(server.URL, "127.0.0.1", "gateway.test", 1)

	b.open(host + "/setup?lang=en")
	var secure bool
	if b.value("isSecureContext", &secure); secure {
		t.Fatal("the browser trusts the name")
	}
	b.until(`document.querySelector('.banner')?.textContent.includes('not encrypted')`)
	_, code, _ := strings.Cut(g.log.String(), "code=")
	b.fill("#code", code[:14], "#user", "anna", "#password", password, "#again", password)
	b.click("main button")
	b.until(`location.pathname === '/' && document.querySelector('.who')?.textContent === 'anna'`)
	b.click("#ack-00000007") // a request of a script
	b.until(`document.getElementById('act').open`)
	b.click("#act-do")
	b.until(`!document.getElementById('act').open`)
	b.open(host + "/account?lang=en")
	b.click("form[action='/logout'] button")
	b.until(`location.pathname === '/login'`)
	b.fill("#user", "anna", "#password", password)
	b.click("main button")
	b.until(`location.pathname === '/' && document.querySelector('.who')`)
	b.open(host + "/a/t0ken?lang=en")
	b.click("main button")
	b.until(`document.querySelector('[role=status]')?.textContent.startsWith('王五 has acknowledged')`)
	if answer := <-link.answer; answer != "t0ken by " {
		t.Error(answer)
	}
	for _, complaint := range b.complaints() {
		t.Error(complaint)
	}
}
