package duty

import (
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// TestAnAlarmGoesOnWithANewRoster (NO06, NO08): between two starts people, channels and steps go. The alarm goes on by what
// there is now, and nobody is told who is gone.
func TestAnAlarmGoesOnWithANewRoster(t *testing.T) {
	const people = `people: [{id: zhang, name: 张三}, {id: li, name: 李四}]
escalation:
  alarm:
    - {after: 0s, to: zhang, via: [group, sms]}
    - {after: 1m, to: zhang, via: [sms]}
    - {after: 2m, to: li, via: [voice]}
`
	was := read(t, people)
	now := time.Now()
	board := alarm.NewBoard()
	raised := board.Step(now, alarm.Condition{Key: "smoke", Rule: &rules.Rule{ID: "smoke", Class: "fire", Level: rules.LevelAlarm}, When: rules.True})
	e := NewEscalation(was)
	e.Take(now, raised[0])
	for now = now.Add(3 * time.Minute); len(e.Due(now)) > 0; {
		events, _ := board.Escalate(now, raised[0].Alarm.ID, alarm.Act{})
		e.Take(now, events[0])
	}
	stored := map[string]string{}
	for _, r := range e.Changed(now) {
		stored[r.Alarm] = r.Body
	}
	is := read(t, "people: [{id: li, name: 李四}]\nescalation: {alarm: [{after: 0s, to: li, via: [group]}]}\n")
	is.Channels = is.Channels[:3] // no voice
	e, err := Restore(now, is, stored, board.Open())
	if err != nil {
		t.Fatal(err)
	}
	e.Failing(func(string) bool { return true })
	if due := e.Due(now); len(due) != 1 || due[0].Why != ChannelsFail {
		t.Fatalf("due is %+v", due)
	}
	events, _ := board.Escalate(now, raised[0].Alarm.ID, alarm.Act{})
	if to := e.Take(now, events[0]); len(to) != 1 || to[0].Channel != "group" || strings.Join(to[0].People, ",") != "li" {
		t.Errorf("the whole list is %v", to)
	}
	events, _ = board.Acknowledge(now, raised[0].Alarm.ID, alarm.Act{By: "王五"})
	for _, a := range e.Take(now, events[0]) {
		if strings.Contains(strings.Join(a.People, ","), "zhang") || a.Channel == "voice" {
			t.Errorf("%v hear who has it", a)
		}
	}
}
