package gateway

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/duty"
	"embergate/gateway/monthly"
	"embergate/gateway/store"
)

// doing runs what asks the hub, which here turns only when the story says so.
func (d *dutyStory) doing(call func() error) error {
	d.t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	for {
		select {
		case act := <-d.h.acts:
			act(d.now())
		case err := <-done:
			return err
		}
	}
}

// journal is what happened, by type.
func (d *dutyStory) journal(kind string) (events []alarm.Event) {
	d.t.Helper()
	all, err := d.h.store.FindEvents(d.t.Context(), store.EventQuery{})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range slices.Backward(all) {
		if e.Type == kind {
			events = append(events, e)
		}
	}
	return events
}

const checkedHome = dutyHome + `
  checks: {per_shift: 12, answer: 10m, missed: supervisor}
  hazards: {after: 24h, owner: supervisor}
`

// asked lets time go on until somebody is asked.
func (d *dutyStory) asked() *console.DutyCheck {
	d.t.Helper()
	for range 24 * 60 {
		d.at += time.Minute
		d.h.tick(d.now())
		if c := d.h.rounds.asked(); c != nil {
			return c
		}
	}
	d.t.Fatal("nobody was asked in a day")
	return nil
}

// TestAMissedDutyCheckIsToldToTheSupervisor: those on duty are asked, nobody answers, the supervisor hears of it; a power
// cut in between changes nothing. Row NO19.
func TestAMissedDutyCheckIsToldToTheSupervisor(t *testing.T) {
	d := newDutyStory(t, &script{}, checkedHome)
	c := d.asked()
	d.told("group(li) duty.check")
	if c.People[0] != "李四" || c.Until.Sub(c.Asked) != 10*time.Minute {
		t.Errorf("%+v", c)
	}
	d.kill(t)
	if again := d.h.rounds.asked(); again == nil || again.ID != c.ID {
		t.Fatalf("after the power cut %+v is open", again)
	}
	d.until(d.at + 9*time.Minute)
	d.told()
	d.until(d.at + 61*time.Second)
	d.told("group(wang) duty.missed", "sms(wang) duty.missed", "voice(wang) duty.missed")
	if missed := d.journal("duty.missed"); len(missed) != 1 || missed[0].ID != c.ID+"/missed" || !strings.Contains(missed[0].Note, "李四") {
		t.Errorf("%+v", missed)
	}
}

// TestADutyCheckIsAnswered. Row NO19.
func TestADutyCheckIsAnswered(t *testing.T) {
	d := newDutyStory(t, &script{}, checkedHome)
	c := d.asked()
	answer := func(id, by string) error {
		return d.doing(func() error {
			_, err := d.h.AnswerCheck(t.Context(), id, alarm.Act{By: by, Via: "console"})
			return err
		})
	}
	if err := answer(c.ID, " "); !errors.Is(err, alarm.ErrInput) {
		t.Errorf("by nobody: %v", err)
	}
	if err := answer("check-0", "李四"); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("another check: %v", err)
	}
	if err := answer(c.ID, "李四"); err != nil {
		t.Fatal(err)
	}
	if err := answer(c.ID, "李四"); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
	done := d.journal("duty.answered")
	if len(done) != 1 || done[0].By != "李四" || done[0].Via != "console" || done[0].ID != c.ID+"/answered" {
		t.Errorf("%+v", done)
	}
	d.told("group(li) duty.check")
}

// TestAFaultThatStaysIsAHazardUntilASecondPersonClosesIt: over a power cut, with a picture, and every act in the journal.
func TestAFaultThatStaysIsAHazardUntilASecondPersonClosesIt(t *testing.T) {
	d := newDutyStory(t, &script{}, checkedHome)
	var h duty.Hazard
	do := func(act, by, note string) error {
		return d.doing(func() error {
			_, err := d.h.DoHazard(t.Context(), h.ID, duty.HazardAct{Act: act}, alarm.Act{By: by, Note: note})
			return err
		})
	}
	err := d.doing(func() (err error) {
		h, err = d.h.AddHazard(t.Context(), duty.Hazard{Title: "exit blocked", Zone: "hall"}, alarm.Act{By: "李四", Via: "console"})
		return err
	})
	if err != nil || h.ZonePath != "Hall" || h.Owner != "supervisor" {
		t.Fatalf("%+v, %v", h, err)
	}
	if err := d.doing(func() error {
		_, err := d.h.AddHazard(t.Context(), duty.Hazard{Title: "x", Zone: "roof"}, alarm.Act{By: "李四"})
		return err
	}); !errors.Is(err, alarm.ErrInput) {
		t.Errorf("in a zone that is not there: %v", err)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	if err := d.doing(func() (err error) {
		h, err = d.h.AddHazardPhoto(t.Context(), h.ID, picture.Bytes(), alarm.Act{By: "李四"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := d.doing(func() error {
		kind, data, err := d.h.HazardPhoto(t.Context(), h.ID, 1)
		if err == nil && (kind != "image/png" || len(data) == 0) {
			t.Errorf("%s, %d bytes", kind, len(data))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if err := d.doing(func() error { _, _, err := d.h.HazardPhoto(t.Context(), h.ID, 2); return err }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second picture: %v", err)
	}
	if err := do("fix", "李四", "cleared"); err != nil {
		t.Fatal(err)
	}
	d.h.commit(d.now())
	d.kill(t)
	if err := do("close", "李四", ""); !errors.Is(err, alarm.ErrState) {
		t.Errorf("closed by whoever put it right: %v", err)
	}
	if err := do("close", "王五", ""); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"hazard.opened", "hazard.noted", "hazard.fixed", "hazard.closed"} {
		if n := len(d.journal(kind)); n != 1 {
			t.Errorf("%d events %s", n, kind)
		}
	}
}

// TestAShiftIsHandedOverWithBothNames: what is open stands in it and in the journal. Row NO18.
func TestAShiftIsHandedOverWithBothNames(t *testing.T) {
	d := newDutyStory(t, &script{}, checkedHome)
	d.reads("smoke.smoke", 1)
	hand := func(from, to string) (over console.HandOver, err error) {
		err = d.doing(func() (err error) {
			over, err = d.h.HandOver(t.Context(), to, alarm.Act{By: from, Note: "pump is loud"})
			return err
		})
		return over, err
	}
	for _, names := range [][2]string{{"李四", ""}, {"", "王五"}, {"李四", "李四"}} {
		if _, err := hand(names[0], names[1]); !errors.Is(err, alarm.ErrInput) {
			t.Errorf("from %q to %q: %v", names[0], names[1], err)
		}
	}
	over, err := hand("李四", "王五")
	if err != nil || len(over.Open) != 1 || !strings.Contains(over.Open[0], "Hall") || len(over.Silent) == 0 {
		t.Fatalf("%+v, %v", over, err)
	}
	signed := d.journal("duty.handover")
	if len(signed) != 1 || signed[0].By != "李四" || signed[0].Second != "王五" || !strings.Contains(signed[0].Note, "pump is loud") {
		t.Errorf("%+v", signed)
	}
	d.kill(t)
	var list []console.HandOver
	if err := d.doing(func() (err error) { list, err = d.h.HandOvers(t.Context()); return err }); err != nil || len(list) != 1 {
		t.Errorf("after a power cut %+v, %v", list, err)
	}
}

// TestTheMonthlyReportIsOfTheJournal: a month that was lived through stands in the report, availability over a restart
// included.
func TestTheMonthlyReportIsOfTheJournal(t *testing.T) {
	d := newDutyStory(t, &script{}, checkedHome)
	d.reads("smoke.smoke", 1)
	id := d.open("smoke")
	d.until(30 * time.Second)
	d.act(func(now time.Time) ([]alarm.Event, error) {
		return d.h.board.Acknowledge(now, id, alarm.Act{By: "李四"})
	})
	d.h.remember(t.Context())
	d.kill(t)
	d.until(d.at + 5*time.Second)
	var r monthly.Report
	if err := d.doing(func() (err error) { r, err = d.h.MonthlyReport(t.Context(), ""); return err }); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Availability, func(a monthly.Availability) bool { return a.Device == "smoke" })
	if i < 0 || r.Availability[i].Online < 30 || len(r.Availability) != 3 {
		t.Errorf("availability %+v", r.Availability)
	}
	if r.Alarms[0].Total != 1 || r.Answers.Alarms != 1 || r.Answers.Answered != 1 || r.Coverage.Total == 0 || r.Whole {
		t.Errorf("%+v", r)
	}
	for month, cause := range map[string]error{"2999-01": alarm.ErrInput, "october": alarm.ErrInput} {
		if err := d.doing(func() error { _, err := d.h.MonthlyReport(t.Context(), month); return err }); !errors.Is(err, cause) {
			t.Errorf("%s: %v", month, err)
		}
	}
	if err := d.doing(func() (err error) { r, err = d.h.MonthlyReport(t.Context(), "2001-02"); return err }); err != nil || r.Average != nil || !r.Whole {
		t.Errorf("a month of which nothing is known: %+v, %v", r, err)
	}
}

// TestAWalkTestHasItsSheet: of three signals that raise alarms, one is tried in a test of the zone; the sheet says which, over
// a power cut, and the journal too.
func TestAWalkTestHasItsSheet(t *testing.T) {
	d := newDutyStory(t, &script{}, checkedHome)
	act := alarm.Act{By: "张三"}
	if err := d.doing(func() error { _, err := d.h.TestZone(t.Context(), "hall", time.Time{}, act); return err }); err != nil {
		t.Fatal(err)
	}
	d.reads("smoke.smoke", 1)
	d.until(2 * time.Second)
	d.kill(t)
	sheets := func() (list []console.WalkTest) {
		t.Helper()
		if err := d.doing(func() (err error) { list, err = d.h.WalkTests(t.Context()); return err }); err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list
	}
	if w := sheets()[0]; w.Ended != nil || w.Tried != 1 || len(w.Lines) != 2 {
		t.Errorf("while it is on: %+v", w)
	}
	if err := d.doing(func() error { _, err := d.h.EndTest(t.Context(), "hall", act); return err }); err != nil {
		t.Fatal(err)
	}
	d.kill(t)
	w := sheets()[0]
	if w.Ended == nil || w.Tried != 1 || w.Lines[0].Signal != "gas.lel" || w.Lines[0].Tried != nil || w.Lines[1].Signal != "smoke.smoke" || w.Lines[1].Tried == nil {
		t.Errorf("%+v", w)
	}
	if over := d.journal("test.ended"); len(over) != 1 || !strings.Contains(over[0].Note, "1 of 2") || !strings.Contains(over[0].Note, "not tried: Hall gas gas.lel") {
		t.Errorf("%+v", over)
	}
}
