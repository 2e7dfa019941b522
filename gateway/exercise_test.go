package gateway

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/notify"
)

// outside is everything beyond the site: a channel's server and a platform, with what they were sent.
type outside struct {
	*httptest.Server
	mu       sync.Mutex
	messages []notify.Message
	lines    string
}

func newOutside(t *testing.T) *outside {
	o := &outside{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unpacked
		}
		data, _ := io.ReadAll(body)
		o.mu.Lock()
		defer o.mu.Unlock()
		if r.URL.Path != "/hook" {
			o.lines += string(data)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		var m notify.Message
		if err := json.Unmarshal(data, &m); err != nil {
			t.Error(err)
		}
		o.messages = append(o.messages, m)
	}))
	t.Cleanup(o.Close)
	return o
}

// heard are the messages so far, as "type rule".
func (o *outside) heard() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, m := range o.messages {
		line := m.Event
		if m.Alarm != nil {
			line += " " + m.Alarm.Rule
		}
		list = append(list, line)
	}
	return strings.Join(list, ", ")
}

func (o *outside) series() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines
}

const wholeHome = `
site: {id: home, name: home, language: en}
data: %s
zones: [{id: f1, name: Ground floor}, {id: kitchen, name: Kitchen, in: f1}, {id: hall, name: Hall, in: f1}]
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: smoke, name: Kitchen smoke, zone: kitchen, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: hall, name: Hall smoke, zone: hall, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: siren, zone: hall, every: 1h, signals: [{id: sounder, kind: sounder, writable: true}]}
rules:
  packs: [fire]
  override: [{rule: smoke, outputs: [{write: siren.sounder, value: 1}]}]
channels: [{id: hook, webhook: {url: "%[2]s/hook"}}]
uplinks: [{id: platform, influxdb: {url: "%[2]s", org: o, bucket: b, token: t}}]
`

// post does an act by the API and answers its JSON.
func (h *home) post(path, body string, want int) string {
	h.t.Helper()
	answer, err := http.Post(h.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != want {
		h.t.Fatalf("%s %s: %s %s", path, body, answer.Status, data)
	}
	return string(data)
}

func (h *home) get(path string, v any) {
	h.t.Helper()
	answer, err := http.Get(h.url + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(v); err != nil {
		h.t.Fatal(err)
	}
}

// TestADrillRunsTheWholeChainMarked (AL10): outputs, channels and platform; it survives a restart, and its end closes what
// it raised and writes its timing down.
func TestADrillRunsTheWholeChainMarked(t *testing.T) {
	dir, s, out := t.TempDir(), newScript(), newOutside(t)
	h := startConfig(t, s, dir, fmt.Sprintf(wholeHome, dir, out.URL))
	s.reads("smoke.smoke", 0)
	h.post("/api/v1/drills", `{"by":"li","signal":"nobody.smoke"}`, http.StatusBadRequest)
	h.post("/api/v1/drills", `{"by":"li"}`, http.StatusBadRequest)
	h.post("/api/v1/drills/stop", `{"by":"li"}`, http.StatusConflict)
	h.post("/api/v1/drills", `{"by":"li","signal":"smoke.smoke","note":"night shift"}`, http.StatusOK)
	h.alarms("smoke unacknowledged")
	eventually(t, "the siren sounds", func() bool { return s.outputs() == "siren.sounder=1" })
	eventually(t, "people are told", func() bool {
		return strings.Contains(out.heard(), "drill.started") && strings.Contains(out.heard(), "alarm.raised smoke")
	})
	h.post("/api/v1/drills", `{"by":"li","signal":"hall.smoke"}`, http.StatusConflict)
	h.act("smoke", "ack")
	h.stop()

	s = newScript()
	h = startConfig(t, s, dir, fmt.Sprintf(wholeHome, dir, out.URL))
	s.reads("smoke.smoke", 0)
	h.alarms("smoke acknowledged")
	h.post("/api/v1/drills/stop", `{"by":"li"}`, http.StatusOK)
	h.alarms("")
	eventually(t, "the end is told", func() bool { return strings.HasSuffix(out.heard(), "drill.ended") })
	out.mu.Lock()
	for _, m := range out.messages {
		if !strings.HasPrefix(m.Text, "[DRILL] ") || m.Alarm != nil && !m.Alarm.Drill {
			t.Errorf("a message of the drill is not marked: %s", m.Text)
		}
	}
	last := out.messages[len(out.messages)-1].Text
	out.mu.Unlock()
	for _, want := range []string{"Kitchen smoke smoke.smoke, begun by li, lasted ", "s raised: Smoke", "s delivered through hook", "s acknowledged by zhang: Smoke", "End: li ended it"} {
		if !strings.Contains(last, want) {
			t.Errorf("the record lacks %q: %s", want, last)
		}
	}
	var drills []console.Drill
	h.get("/api/v1/drills", &drills)
	if len(drills) != 1 || drills[0].Ended == nil || len(drills[0].Steps) != 3 {
		t.Errorf("drills: %+v", drills)
	}
	var all []alarm.Alarm
	h.get("/api/v1/alarms?state=all", &all)
	if len(all) != 1 || all[0].Verdict != "drill" || !all[0].Drill {
		t.Errorf("alarms: %+v", all)
	}
	eventually(t, "the platform has it as a drill", func() bool { return strings.Contains(out.series(), "drill=1i") })
}

// TestAShelvedAlarmIsToldOfAgainWhenItsShelfEnds (AL06): what it does meanwhile is in the journal, and the sounder is quiet. As it
// is of class fire, people hear of it all the same (NO16).
func TestAShelvedAlarmIsToldOfAgainWhenItsShelfEnds(t *testing.T) {
	dir, s, out := t.TempDir(), newScript(), newOutside(t)
	h := startConfig(t, s, dir, fmt.Sprintf(wholeHome, dir, out.URL))
	s.reads("smoke.smoke", 1)
	h.alarms("smoke unacknowledged")
	var open []alarm.Alarm
	h.get("/api/v1/alarms", &open)
	h.user("anna", "admin")
	h.user("wang", "duty")
	until := time.Now().Add(3 * time.Second).Format(time.RFC3339Nano)
	h.post("/api/v1/alarms/"+open[0].ID+"/shelve", fmt.Sprintf(`{"by":"li","second":"wang","second_password":"correct horse","note":"painters","until":%q}`, until), http.StatusOK)
	s.reads("smoke.smoke", 0)
	h.alarms("smoke returned")
	s.reads("smoke.smoke", 1)
	h.alarms("smoke unacknowledged")
	eventually(t, "the end of the shelf is told", func() bool {
		return out.heard() == "alarm.raised smoke, alarm.cleared smoke, alarm.raised smoke, alarm.reminder smoke"
	})
	eventually(t, "it is quiet, and sounds again", func() bool { return s.outputs() == "siren.sounder=1 siren.sounder=0 siren.sounder=1" })
	if got := strings.ReplaceAll(strings.Join(h.journal(), ", "), "output.written, ", ""); !strings.Contains(got, "alarm.shelved smoke, alarm.cleared smoke, alarm.counted smoke, alarm.unshelved smoke") {
		t.Errorf("journal: %s", got)
	}
}

// TestARealAlarmEndsADrill: at the drilled signal or elsewhere, and no drill begins over one.
func TestARealAlarmEndsADrill(t *testing.T) {
	for _, signal := range []string{"smoke.smoke", "hall.smoke"} {
		dir, s, out := t.TempDir(), newScript(), newOutside(t)
		h := startConfig(t, s, dir, fmt.Sprintf(wholeHome, dir, out.URL))
		h.post("/api/v1/drills", `{"by":"li","signal":"smoke.smoke"}`, http.StatusOK)
		h.alarms("smoke unacknowledged")
		s.reads(signal, 1)
		eventually(t, "the drill has ended", func() bool {
			var drills []console.Drill
			h.get("/api/v1/drills", &drills)
			return drills[0].Ended != nil && strings.HasPrefix(drills[0].Why, "a real alarm came: Ground floor / ")
		})
		h.alarms("smoke unacknowledged")
		var open []alarm.Alarm
		h.get("/api/v1/alarms", &open)
		if open[0].Drill || open[0].Signal != signal {
			t.Errorf("open is %+v", open[0])
		}
		if got := h.post("/api/v1/drills", `{"by":"li","signal":"smoke.smoke"}`, http.StatusConflict); !strings.Contains(got, "must not hide it") {
			t.Error(got)
		}
		h.stop()
	}
}

// TestNothingOfATestLeavesTheSite (AL09): the alarm of a zone under test is on the board and in the journal, marked; no
// channel, platform or output hears of it. What still holds when the test ends is raised as meant.
func TestNothingOfATestLeavesTheSite(t *testing.T) {
	dir, s, out := t.TempDir(), newScript(), newOutside(t)
	h := startConfig(t, s, dir, fmt.Sprintf(wholeHome, dir, out.URL))
	s.reads("smoke.smoke", 0)
	eventually(t, "the platform hears of the kitchen", func() bool { return strings.Contains(out.series(), "device=smoke") })
	h.post("/api/v1/zones/cellar/test", `{"by":"li"}`, http.StatusNotFound)
	h.post("/api/v1/zones/f1/test", fmt.Sprintf(`{"by":"li","until":%q}`, time.Now().Add(9*time.Hour).Format(time.RFC3339)), http.StatusBadRequest)
	h.post("/api/v1/zones/f1/test", `{"by":"li","note":"walk test"}`, http.StatusOK)
	s.reads("smoke.smoke", 1)
	h.alarms("smoke unacknowledged")
	var open []alarm.Alarm
	h.get("/api/v1/alarms", &open)
	if !open[0].Test {
		t.Errorf("not marked: %+v", open[0])
	}
	page, err := http.Get(h.url + "/?lang=en")
	if err != nil {
		t.Fatal(err)
	}
	html, _ := io.ReadAll(page.Body)
	page.Body.Close()
	if !strings.Contains(string(html), "Under test: Ground floor") {
		t.Error("the page does not say that the zone is under test")
	}
	h.stop()

	// It is under test after a restart too, and ends on command.
	s = newScript()
	h = startConfig(t, s, dir, fmt.Sprintf(wholeHome, dir, out.URL))
	s.reads("hall.smoke", 1)
	s.reads("smoke.smoke", 1)
	h.alarms("smoke unacknowledged, smoke unacknowledged, fire-confirmed unacknowledged")
	if got := s.outputs(); got != "" {
		t.Errorf("a test switched %s", got)
	}
	if got := out.heard(); got != "" {
		t.Errorf("people were told of a test: %s", got)
	}
	s.reads("hall.smoke", 0)
	h.alarms("smoke unacknowledged, smoke returned, fire-confirmed unacknowledged")
	h.post("/api/v1/zones/f1/test/end", `{"by":"li"}`, http.StatusOK)
	eventually(t, "what still holds is told", func() bool { return strings.Contains(out.heard(), "alarm.raised smoke") })
	eventually(t, "and the siren sounds", func() bool { return s.outputs() == "siren.sounder=1" })
	eventually(t, "and the platform has it", func() bool { return strings.Contains(out.series(), "event=\"alarm.raised\"") })
	if got := out.series(); strings.Count(got, "event=\"alarm.raised\"") != 1 || strings.Contains(got, "smoke=1i") {
		t.Errorf("the platform heard of the test:\n%s", got)
	}
	var tests []console.ZoneTest
	h.get("/api/v1/tests", &tests)
	if len(tests) != 0 {
		t.Errorf("still under test: %+v", tests)
	}
	h.alarms("smoke unacknowledged") // the one that holds; what was only tried is closed
	events := strings.Join(h.journal(), ", ")
	if !strings.Contains(events, "test.started, alarm.raised smoke") || !strings.Contains(events, "test.ended, ") {
		t.Errorf("journal: %s", events)
	}
}
