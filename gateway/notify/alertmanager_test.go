package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestAlertmanagerLabelsStay (NO01): whatever happens to an alarm, its labels are the same, and its alert ends when its
// condition does.
func TestAlertmanagerLabelsStay(t *testing.T) {
	var sent []alert
	h, s := serve(t, nil)
	am := sender(t, "alertmanager", `url: "%s", username: gw, password: pa55w0rd`, s.URL+"/").(*alertmanager)
	am.now = noonClock
	cleared := noon.Add(time.Minute)
	for i, event := range []string{"alarm.raised", "alarm.reminder", "alarm.acknowledged", "alarm.cleared", "alarm.closed"} {
		m := alarmed(event)
		m.Link = "https://gw.local/a/Zx81"
		m.Site.Region = "370305"
		if i >= 3 {
			m.Alarm.State, m.Alarm.ClearedAt = "returned", &cleared
		}
		if _, err := am.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		var got []alert
		all := h.requests()
		last := all[len(all)-1]
		if err := json.Unmarshal(last.body, &got); err != nil || len(got) != 1 || last.uri != "/api/v2/alerts" || !strings.HasPrefix(last.header.Get("Authorization"), "Basic ") {
			t.Fatalf("%v, %s %s", err, last.uri, last.body)
		}
		sent = append(sent, got[0])
	}
	want := map[string]string{"alertname": "gas-high", "source": "embergate", "site": "zb-1", "region": "370305", "alarm": "A1", "class": "gas", "severity": "alarm",
		"zone": "f1-kitchen", "device": "kitchen-gas", "signal": "kitchen-gas.lel"}
	for i, a := range sent {
		if !reflect.DeepEqual(a.Labels, want) || !a.StartsAt.Equal(noon) || a.GeneratorURL != "https://gw.local/a/Zx81" || !strings.HasPrefix(a.Annotations["summary"], "一层 / 厨房 厨房燃气探测器 燃气高报") {
			t.Errorf("%d: %+v", i, a)
		}
		if over := a.EndsAt.Equal(cleared); over != (i >= 3) {
			t.Errorf("%d ends %s", i, a.EndsAt)
		}
	}
}

// TestAlertmanagerAnswers: 200 says nothing; a page of something else in between is no success.
func TestAlertmanagerAnswers(t *testing.T) {
	keys := `url: "%s"`
	m := alarmed("alarm.raised")
	checkAnswers(t, "alertmanager", keys, m, []answered{{200, ``, "accepted"}, {200, `{"status":"success"}`, "accepted"}, {200, `<html>log in</html>`, "retry"},
		{400, `"start time must be before end time"`, "never"}, {401, ``, "never"}, {404, ``, "never"}, {500, `"x"`, "retry"}, {503, ``, "retry"}, {302, ``, "retry"}})
	for _, m := range []Message{{Event: "test", ID: "test/1", Time: noon, Text: "测试消息"}, {Event: "drill.started", Drill: true, Time: noon}} {
		a := (&alertmanager{wire: &wire{now: noonClock}}).alert(m)
		if a.Labels["alertname"] != m.Event || !a.EndsAt.Equal(noon.Add(announcement)) || (a.Labels["drill"] == "true") != m.Drill {
			t.Errorf("%+v", a)
		}
	}
	back := alarmed("alarm.cleared")
	early := noon.Add(-time.Hour)
	back.Alarm.State, back.Alarm.ClearedAt = "returned", &early
	if a := (&alertmanager{wire: &wire{now: noonClock}}).alert(back); a.EndsAt.Before(a.StartsAt) {
		t.Errorf("ends before it starts: %+v", a)
	}
}

// TestRealAlertmanager: Debian's takes what is sent, shows one active alert for an alarm however often it is told, and none
// when it is over.
func TestRealAlertmanager(t *testing.T) {
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		needed(t, "needs prometheus-alertmanager (Debian package prometheus-alertmanager)")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte("route: {receiver: none}\nreceivers: [{name: none}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	server := exec.Command(program, "--config.file="+config, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	ready := func(path string) bool {
		r, err := http.Get("http://" + address + path)
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == 200
	}
	await(t, "the server is ready", func() bool { return ready("/-/ready") })
	am := sender(t, "alertmanager", `url: "%s"`, "http://"+address)
	active := func() (names []string) {
		var all []struct{ Labels, Annotations map[string]string }
		r, err := http.Get("http://" + address + "/api/v2/alerts")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if err := json.NewDecoder(r.Body).Decode(&all); err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			names = append(names, a.Labels["alertname"]+" "+a.Annotations["place"])
		}
		return names
	}
	m := alarmed("alarm.raised")
	m.Alarm.RaisedAt = time.Now().Add(-time.Minute)
	for _, event := range []string{"alarm.raised", "alarm.reminder"} {
		m.Event = event
		if _, err := am.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "one alert is active", func() bool { return fmt.Sprint(active()) == "[gas-high 一层 / 厨房 厨房燃气探测器]" })
	now := time.Now()
	m.Event, m.Alarm.State, m.Alarm.ClearedAt = "alarm.cleared", "returned", &now
	if _, err := am.Send(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	await(t, "no alert is active", func() bool { return len(active()) == 0 })
	if _, err := am.Send(context.Background(), Message{Event: "test", Time: time.Now(), Text: "x"}); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// await waits for a server that is not ours.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time: " + what)
		}
	}
}

// needed skips a test whose peer is not installed; where everything is to be tested, it fails.
func needed(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// freeAddress is an address of this machine that nobody uses.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
