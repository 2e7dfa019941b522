package gateway

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
)

// answering is the console of a hub that runs, as far as links are concerned.
type answering struct {
	*dutyStory
	handler http.Handler
}

const publicHome = dutyHome + "console: {public_url: \"https://fire.home.example\"}\n"

func newAnswering(t *testing.T) *answering {
	t.Helper()
	d := newDutyStory(t, newScript(), publicHome)
	d.reads("smoke.smoke", 1)
	a := &answering{dutyStory: d}
	a.start()
	return a
}

func (a *answering) start() {
	go a.h.run()
	a.handler = console.New(console.Options{
		Lang: i18n.English, Source: a.h, Acts: a.h, Links: a.h, Demo: true, Host: "fire.home.example", Metrics: http.NotFoundHandler(), Log: slog.New(slog.DiscardHandler),
	})
}

// again is a power cut and a start; the hub before it is stopped without being asked to write anything.
func (a *answering) again() {
	a.t.Helper()
	h, err := newHub(a.t.Context(), a.h.g, a.h.store)
	if err != nil {
		a.t.Fatal(err)
	}
	a.h.stop()
	a.h = h
	a.start()
}

// opens gets a link, or posts to it as a browser does.
func (a *answering) opens(method, link string, form ...string) (int, string) {
	a.t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	r := httptest.NewRequest(method, link, strings.NewReader(values.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method == http.MethodPost {
		r.Header.Set("Origin", "https://fire.home.example")
	}
	rec := httptest.NewRecorder()
	a.handler.ServeHTTP(rec, r)
	return rec.Code, rec.Body.String()
}

func (a *answering) state() alarm.Alarm {
	a.t.Helper()
	all, err := a.h.store.Alarms(a.t.Context(), store.AlarmQuery{Limit: 1})
	if err != nil || len(all) != 1 {
		a.t.Fatal(all, err)
	}
	return all[0]
}

const takes = `<button type="submit"`

// TestALinkAnswersOnceInThePersonsName (NO09, SE09): reading it does nothing, posting acknowledges through "link" in the name
// of whoever the message was for, once, also over a power cut.
func TestALinkAnswersOnceInThePersonsName(t *testing.T) {
	a := newAnswering(t)
	id := a.state().ID
	link := a.h.g.link(store.Message{Alarm: id, Type: alarm.EventRaised, To: "li"})
	if !strings.HasPrefix(link, "https://fire.home.example/a/") {
		t.Fatalf("the link is %q", link)
	}
	for range 3 { // previews
		if code, body := a.opens("GET", link); code != 200 || !strings.Contains(body, takes) || !strings.Contains(body, "I am on it: 李四") {
			t.Fatalf("%d %s", code, body)
		}
	}
	if s := a.state(); s.State != alarm.Unacknowledged {
		t.Fatalf("reading a link made the alarm %s", s.State)
	}
	if code, body := a.opens("POST", link, "person", "王五"); code != 200 || strings.Contains(body, takes) || !strings.Contains(body, "李四 has acknowledged at") {
		t.Fatalf("%d %s", code, body)
	}
	_, events, err := a.h.store.Alarm(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if last := events[len(events)-1]; last.Type != alarm.EventAcknowledged || last.By != "李四" || last.Via != "link" {
		t.Errorf("the journal has %+v", last)
	}
	other := a.h.g.link(store.Message{Alarm: id, Type: alarm.EventRaised, To: "wang"})
	if code, body := a.opens("GET", other); code != 200 || strings.Contains(body, takes) || !strings.Contains(body, "李四 has acknowledged at") {
		t.Errorf("another who was told reads %d %s", code, body)
	}

	a.again()
	if err := a.h.do(t.Context(), func(now time.Time) ([]alarm.Event, error) { return a.h.board.Escalate(now, id, alarm.Act{}) }); err != nil {
		t.Fatal(err)
	}
	if code, body := a.opens("POST", link); code != http.StatusGone || strings.Contains(body, takes) {
		t.Errorf("a link that was used is answered with %d %s", code, body)
	}
	if s := a.state(); s.State != alarm.Unacknowledged {
		t.Errorf("a link that was used made the alarm %s", s.State)
	}
	if code, _ := a.opens("POST", other); code != 200 || a.state().AcknowledgedBy != "王五" {
		t.Errorf("the other link: %d, %+v", code, a.state())
	}
	a.h.stop()
}

// TestALinkThatIsNotOursDoesNothing (SE09): changed, too old, too long, of another key, of no alarm.
func TestALinkThatIsNotOursDoesNothing(t *testing.T) {
	a := newAnswering(t)
	defer a.h.stop()
	id, ours := a.state().ID, a.h.duty.links
	token := ours.token(id, "li", time.Now().Add(time.Minute))
	other := &links{key: []byte(strings.Repeat("x", 32))}
	for name, token := range map[string]string{
		"changed":     token[:len(token)-2] + "AA",
		"cut":         token[:20],
		"nothing":     "x",
		"too old":     ours.token(id, "li", time.Now().Add(-time.Second)),
		"too long":    ours.token(id, "li", time.Now().Add(24*time.Hour)),
		"another key": other.token(id, "li", time.Now().Add(time.Minute)),
		"no alarm":    ours.token("99999999-1", "li", time.Now().Add(time.Minute)),
	} {
		for _, method := range []string{"GET", "POST"} {
			if code, body := a.opens(method, "https://fire.home.example/a/"+token); code != http.StatusGone || strings.Contains(body, takes) {
				t.Errorf("%s, %s: %d %s", name, method, code, body)
			}
		}
	}
	if s := a.state(); s.State != alarm.Unacknowledged {
		t.Errorf("the alarm is %s", s.State)
	}
	r := httptest.NewRequest("POST", "https://fire.home.example/a/"+token, nil)
	r.Header.Set("Origin", "https://elsewhere.example")
	rec := httptest.NewRecorder()
	if a.handler.ServeHTTP(rec, r); rec.Code != http.StatusForbidden {
		t.Errorf("a foreign page is answered with %d", rec.Code)
	}
}

// TestALinkOfAGroupAsksWhoAnswers (NO09): whoever reads a group's message says who they are, from the roster.
func TestALinkOfAGroupAsksWhoAnswers(t *testing.T) {
	a := newAnswering(t)
	defer a.h.stop()
	link := a.h.g.link(store.Message{Alarm: a.state().ID, Type: alarm.EventReminder, To: "li,wang"})
	if _, body := a.opens("GET", link); !strings.Contains(body, "<option>李四</option>") || !strings.Contains(body, "<option>王五</option>") {
		t.Errorf("the names are not there: %s", body)
	}
	if code, body := a.opens("POST", link, "person", "Mallory"); code != http.StatusBadRequest || !strings.Contains(body, "say who you are") {
		t.Errorf("somebody unknown is answered with %d %s", code, body)
	}
	if code, body := a.opens("POST", link, "person", "王五"); code != 200 || !strings.Contains(body, "王五 has acknowledged") || a.state().AcknowledgedBy != "王五" {
		t.Errorf("%d %s", code, body)
	}
}

func TestOnlyWhatCallsForSomebodyHasALink(t *testing.T) {
	a := newAnswering(t)
	defer a.h.stop()
	for kind, want := range map[string]bool{
		alarm.EventRaised: true, alarm.EventFaultRaised: true, alarm.EventReminder: true, alarm.EventEscalated: true,
		alarm.EventAcknowledged: false, alarm.EventCleared: false, alarm.EventClosed: false,
	} {
		if got := a.h.g.link(store.Message{Alarm: a.state().ID, Type: kind}) != ""; got != want {
			t.Errorf("%s has a link: %v", kind, got)
		}
	}
	if a.h.g.link(store.Message{Type: "test"}) != "" {
		t.Error("a test message has a link")
	}
}
