package duty

import (
	"errors"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// TestAHazardIsClosedByASecondPerson goes the way of a hazard: found, put right, looked at by somebody else.
func TestAHazardIsClosedByASecondPerson(t *testing.T) {
	hz := NewHazards(checked(t, "hazards: {owner: wang, due: 48h}\n"), nil)
	h, err := hz.NewHazard(monday, Hazard{Title: " exit blocked ", Zone: "f1"}, "张三")
	if err != nil || h.Title != "exit blocked" || h.Owner != "wang" || !h.Due.Equal(monday.Add(48*time.Hour)) || h.Source != FromInspection {
		t.Fatalf("%+v, %v", h, err)
	}
	steps := []struct {
		act   HazardAct
		cause error
		state HazardState
	}{
		{HazardAct{Act: "close", By: "王五"}, alarm.ErrState, HazardOpen},
		{HazardAct{Act: "fix"}, alarm.ErrInput, HazardOpen},
		{HazardAct{Act: "fix", By: "李四", Note: "cleared", Photo: "p1"}, nil, HazardFixed},
		{HazardAct{Act: "fix", By: "李四"}, alarm.ErrState, HazardFixed},
		{HazardAct{Act: "close", By: "李四"}, alarm.ErrState, HazardFixed},
		{HazardAct{Act: "reject", By: "王五"}, alarm.ErrInput, HazardFixed},
		{HazardAct{Act: "reject", By: "王五", Note: "still there"}, nil, HazardOpen},
		{HazardAct{Act: "change", By: "王五", Owner: "nobody"}, alarm.ErrInput, HazardOpen},
		{HazardAct{Act: "change", By: "王五", Owner: "zhang"}, nil, HazardOpen},
		{HazardAct{Act: "fix", By: "张三"}, nil, HazardFixed},
		{HazardAct{Act: "close", By: "王五"}, nil, HazardClosed},
		{HazardAct{Act: "note", By: "王五", Note: "more"}, alarm.ErrState, HazardClosed},
		{HazardAct{Act: "burn", By: "王五"}, alarm.ErrInput, HazardClosed},
	}
	for i, s := range steps {
		_, err := hz.Do(monday.Add(time.Duration(i)*time.Minute), h.ID, s.act)
		if s.cause == nil && err != nil || s.cause != nil && !errors.Is(err, s.cause) {
			t.Errorf("%d %s by %q: %v, want %v", i, s.act.Act, s.act.By, err, s.cause)
		}
		if got := hz.List(monday)[0]; got.State != s.state {
			t.Errorf("%d %s: %s, want %s", i, s.act.Act, got.State, s.state)
		}
	}
	if got := hz.List(monday)[0]; got.Owner != "zhang" || got.ClosedBy != "王五" || len(got.Photos) != 1 || len(got.Notes) != 6 {
		t.Errorf("%+v", got)
	}
	if _, err := hz.Do(monday, "hazard-0", HazardAct{Act: "note", By: "x", Note: "y"}); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("a hazard that is not there: %v", err)
	}
}

// TestAFaultThatStaysBecomesAHazardOnce: also over a restart, and never of a drill or a test.
func TestAFaultThatStaysBecomesAHazardOnce(t *testing.T) {
	p := checked(t, "hazards: {after: 24h}\n")
	hz := NewHazards(p, nil)
	fault := alarm.Alarm{ID: "1", Level: rules.LevelFault, State: alarm.Unacknowledged, RaisedAt: monday, Name: "no answer", DeviceName: "201"}
	drill, over, fire := fault, fault, fault
	drill.ID, drill.Drill = "2", true
	over.ID, over.State = "3", alarm.Returned
	fire.ID, fire.Level = "4", rules.LevelAlarm
	open := []alarm.Alarm{fault, drill, over, fire}
	age := func(d time.Duration) func(alarm.Alarm) time.Duration {
		return func(alarm.Alarm) time.Duration { return d }
	}
	if made := hz.Faults(monday.Add(23*time.Hour), open, age(23*time.Hour)); made != nil {
		t.Errorf("%+v within 24 h", made)
	}
	made := hz.Faults(monday.Add(24*time.Hour), open, age(24*time.Hour))
	if len(made) != 1 || made[0].Alarm != "1" || made[0].Title != "201 no answer" || made[0].Source != FromFault {
		t.Fatalf("%+v", made)
	}
	if again := NewHazards(p, hz.List(monday)).Faults(monday.Add(48*time.Hour), open, age(48*time.Hour)); again != nil {
		t.Errorf("%+v once more", again)
	}
}

func TestAHazardIsOverdueOnce(t *testing.T) {
	hz := NewHazards(checked(t, ""), nil)
	h, _ := hz.NewHazard(monday, Hazard{Title: "extinguisher empty", Due: monday.Add(time.Hour)}, "张三")
	if late := hz.Overdue(monday.Add(time.Hour)); late != nil {
		t.Errorf("%+v in time", late)
	}
	if late := hz.Overdue(monday.Add(time.Hour + 1)); len(late) != 1 || late[0].ID != h.ID {
		t.Errorf("%+v", late)
	}
	if late := hz.Overdue(monday.Add(2 * time.Hour)); late != nil {
		t.Errorf("%+v once more", late)
	}
	hz.Do(monday.Add(2*time.Hour), h.ID, HazardAct{Act: "change", By: "王五", Due: monday.Add(5 * time.Hour)})
	if late := hz.Overdue(monday.Add(6 * time.Hour)); len(late) != 1 {
		t.Errorf("%+v after the new due time", late)
	}
}
