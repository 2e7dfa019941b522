package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// dutyHome has one on duty around the clock, a supervisor, and a siren for when nobody can be told.
const dutyHome = `
site: {id: home, name: home, language: en}
data: /nowhere
zones: [{id: hall, name: Hall}]
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: smoke, zone: hall, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: gas, zone: hall, every: 1h, signals: [{id: lel, kind: gas_lel}]}
      - {id: siren, zone: hall, every: 1h, signals: [{id: on, kind: sounder, writable: true}]}
rules:
  packs: []
  inline:
    - {id: smoke, class: fire, level: alarm, signal: smoke.smoke, when: value == 1.0, latch: true}
    - {id: gas, class: gas, level: alarm, signal: gas.lel, when: value >= 25.0}
channels:
  - {id: group, webhook: {url: "http://127.0.0.1:1/"}}
  - {id: sms, aliyun_sms: {access_key_id: x, secret: x, sign_name: x, template: SMS_1}}
  - {id: voice, aliyun_voice: {access_key_id: x, secret: x, template: TTS_1}}
duty:
  people: [{id: li, name: 李四, phone: "+8613800000002"}, {id: wang, name: 王五, phone: "+8613800000003", role: supervisor}]
  shifts: [{name: all, from: "08:00", to: "08:00", people: [li]}]
  escalation:
    alarm:
      - {after: 0s, to: on-duty, via: [group]}
      - {after: 60s, to: on-duty, via: [sms]}
      - {after: 120s, to: supervisor, via: [sms, voice]}
    fault: [{after: 0s, to: on-duty, via: [group]}]
  sounder: [{write: siren.on}]
`

// dutyStory is a hub that a test tells the time, and the messages it made.
type dutyStory struct {
	t     *testing.T
	h     *hub
	begin time.Time
	at    time.Duration
	known map[int64]bool
}

func newDutyStory(t *testing.T, s *script, config string) *dutyStory {
	d := &dutyStory{t: t, h: idle(t, s, config), begin: time.Now(), known: map[int64]bool{}}
	d.h.take(d.now(), drivers.LinkUp("bus", d.now()))
	return d
}

func (d *dutyStory) now() time.Time { return d.begin.Add(d.at) }

// until lets the time go on, second by second.
func (d *dutyStory) until(at time.Duration) {
	for d.at < at {
		d.at += time.Second
		d.h.tick(d.now())
	}
}

func (d *dutyStory) reads(signal string, value float64) {
	d.h.take(d.now(), []drivers.Reading{{Signal: signal, Time: d.now(), Value: value, Quality: drivers.Good}})
}

// told is what was put into the outbox since the last call, as channel(people) kind.
func (d *dutyStory) told(want ...string) []store.Message {
	d.t.Helper()
	var fresh []store.Message
	var got []string
	for _, c := range d.h.g.channels.IDs() {
		all, err := d.h.outbox.DueMessages(d.t.Context(), store.Due{Channel: c, Now: d.now().Add(time.Hour)})
		if err != nil {
			d.t.Fatal(err)
		}
		for _, m := range all {
			if !d.known[m.ID] {
				d.known[m.ID] = true
				fresh = append(fresh, m)
				got = append(got, fmt.Sprintf("%s(%s) %s", m.Channel, m.To, m.Type))
			}
		}
	}
	if !slices.Equal(got, want) {
		d.t.Fatalf("at %v: told %q, want %q", d.at, got, want)
	}
	return fresh
}

func (d *dutyStory) act(act func(now time.Time) ([]alarm.Event, error)) {
	d.t.Helper()
	events, err := act(d.now())
	if err != nil {
		d.t.Fatal(err)
	}
	d.h.events = append(d.h.events, events...)
	d.h.commit(d.now())
}

func (d *dutyStory) open(rule string) string {
	d.t.Helper()
	for _, a := range d.h.board.Open() {
		if a.Rule == rule {
			return a.ID
		}
	}
	d.t.Fatalf("no alarm of %s is open", rule)
	return ""
}

// kill is a power cut and a start over the same disk.
func (d *dutyStory) kill(t *testing.T) {
	t.Helper()
	h, err := newHub(t.Context(), d.h.g, d.h.store)
	if err != nil {
		t.Fatal(err)
	}
	d.h = h
	d.begin = time.Now().Add(-d.at) // which is what the hub took for now
}

// written lets the writes of outputs end that are under way.
func (d *dutyStory) written() {
	done := make(chan struct{})
	go func() { d.h.writes.Wait(); close(done) }()
	for {
		select {
		case act := <-d.h.acts:
			act(d.now())
		case <-done:
			return
		}
	}
}

// TestEscalationSurvivesACutMidStep (NO06, AL04): the whole hub, cut between the steps; nothing is skipped, nothing is
// told twice, and an answer takes back what was not yet sent.
func TestEscalationSurvivesACutMidStep(t *testing.T) {
	d := newDutyStory(t, newScript(), dutyHome)
	d.reads("smoke.smoke", 1)
	d.told("group(li) alarm.raised")
	d.until(30 * time.Second)
	d.told()
	d.kill(t)
	d.until(59 * time.Second)
	d.told()
	d.until(71 * time.Second) // the cut took at most ten seconds from the clock
	d.told("sms(li) alarm.escalated")
	d.kill(t)
	d.kill(t)
	d.until(150 * time.Second)
	d.told("sms(wang) alarm.escalated", "voice(wang) alarm.escalated")

	// Nothing of it was sent yet. Somebody answers: what only reminds is taken back, the others hear who has it.
	d.act(func(now time.Time) ([]alarm.Event, error) {
		return d.h.board.Acknowledge(now, d.open("smoke"), alarm.Act{By: "李四"})
	})
	var left []string
	clear(d.known)
	for _, m := range d.told("group(li) alarm.raised", "group() alarm.acknowledged", "sms(wang) alarm.acknowledged") {
		left = append(left, m.Type)
	}
	if slices.Contains(left, alarm.EventEscalated) {
		t.Errorf("an escalation waits still: %v", left)
	}
	d.kill(t)
	d.until(10 * time.Minute)
	d.told()
}

// TestANewTurnHasTheStepsOfTheSameTransaction (NO06): there is no moment at which a message is on disk and the step is not,
// so that a cut at any moment neither skips nor repeats: both are in the state that a copy of the store sees.
func TestTheStepIsOnDiskWithItsMessage(t *testing.T) {
	d := newDutyStory(t, newScript(), dutyHome)
	d.reads("gas.lel", 30)
	for range 130 {
		d.until(d.at + time.Second)
		calls, err := d.h.store.Settings(t.Context(), dutyKey)
		if err != nil {
			t.Fatal(err)
		}
		pending, err := d.h.store.PendingMessages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		step := 1 + min(1, pending["sms"].Records) + min(1, pending["voice"].Records)
		if !strings.Contains(calls[d.open("gas")], fmt.Sprintf(`"step":%d`, step)) {
			t.Fatalf("at %v %d steps are told, and the disk has %v", d.at, step, calls)
		}
	}
}

// TestNobodyOnDutySoundsTheSiren (NO08): the whole list by every channel of the level, the local sounder until somebody
// answers, and a component that does not work.
func TestNobodyOnDutySoundsTheSiren(t *testing.T) {
	gone := time.Now().Add(-20 * time.Hour).In(time.FixedZone("CST", 8*3600)).Format("15:04")
	config := strings.Replace(dutyHome, `{name: all, from: "08:00", to: "08:00", people: [li]}`, fmt.Sprintf(`{name: short, from: %q, to: %q, people: [li]}`, gone, plusMinutes(gone, 5)), 1)
	s := newScript()
	d := newDutyStory(t, s, config)
	if len(d.h.g.Warnings()) == 0 {
		t.Error("a roster with gaps has no warning")
	}
	d.reads("smoke.smoke", 1)
	d.told("group(li,wang) alarm.raised", "sms(li) alarm.raised", "sms(wang) alarm.raised", "voice(li) alarm.raised", "voice(wang) alarm.raised")
	d.written()
	if s.outputs() != "siren.on=1" {
		t.Errorf("outputs are %q", s.outputs())
	}
	if why := d.h.duty.alone(d.now()); !strings.Contains(why.String(), "nobody was on duty") {
		t.Errorf("the banner says %q", why)
	}
	d.act(func(now time.Time) ([]alarm.Event, error) {
		return d.h.board.Acknowledge(now, d.open("smoke"), alarm.Act{By: "李四"})
	})
	d.until(d.at + time.Second)
	d.written()
	if s.outputs() != "siren.on=1 siren.on=0" {
		t.Errorf("after the answer outputs are %q", s.outputs())
	}
}

func plusMinutes(clock string, n int) string {
	at, _ := time.Parse("15:04", clock)
	return at.Add(time.Duration(n) * time.Minute).Format("15:04")
}

// TestARefusalIsToldByTheNextChannelAtOnce (NO08, NO02): the same people, by the channel of the next step.
func TestARefusalIsToldByTheNextChannelAtOnce(t *testing.T) {
	d := newDutyStory(t, newScript(), dutyHome)
	d.reads("smoke.smoke", 1)
	told := d.told("group(li) alarm.raised")
	d.h.duty.refused(d.now(), told[0])
	again := d.told("sms(li) alarm.raised")
	if again[0].Event != told[0].Event || string(again[0].Body) != string(told[0].Body) {
		t.Error("another channel says something else")
	}
	d.h.duty.refused(d.now(), again[0])
	d.told("voice(li) alarm.raised")
}

// TestAShelfDoesNotKeepFireFromPeople (NO16), with a roster and without one.
func TestAShelfDoesNotKeepFireFromPeople(t *testing.T) {
	for _, roster := range []bool{true, false} {
		config, _, _ := strings.Cut(dutyHome, "\nduty:")
		if roster {
			config = dutyHome
		}
		d := newDutyStory(t, newScript(), config)
		d.reads("smoke.smoke", 1)
		d.reads("gas.lel", 30)
		for _, rule := range []string{"smoke", "gas"} {
			d.act(func(now time.Time) ([]alarm.Event, error) {
				return d.h.board.Shelve(now, d.open(rule), alarm.Act{By: "li", Note: "painters"}, now.Add(time.Hour), "wang")
			})
		}
		d.act(func(now time.Time) ([]alarm.Event, error) {
			return d.h.board.Acknowledge(now, d.open("smoke"), alarm.Act{By: "李四"})
		})
		clearKnown := func() {
			for _, c := range d.h.g.channels.IDs() {
				all, _ := d.h.outbox.DueMessages(t.Context(), store.Due{Channel: c, Now: d.now()})
				for _, m := range all {
					d.known[m.ID] = true
				}
			}
		}
		d.reads("smoke.smoke", 0)
		d.reads("gas.lel", 0)
		clearKnown()
		d.reads("gas.lel", 30)
		d.told()
		d.reads("smoke.smoke", 1)
		if roster {
			d.told("group(li) alarm.raised")
		} else {
			d.told("group() alarm.raised", "sms() alarm.raised", "voice() alarm.raised")
		}
	}
}

// TestTheSounderOfOneIsNotThatOfARule: the outputs of a rule stay as they are when somebody answers.
func TestAnAnswerLeavesTheOutputsOfRules(t *testing.T) {
	s := newScript()
	config := strings.Replace(dutyHome, "value == 1.0, latch: true}", "value == 1.0, latch: true, outputs: [{write: siren.on, value: 1}]}", 1)
	d := newDutyStory(t, s, config)
	d.reads("smoke.smoke", 1)
	d.act(func(now time.Time) ([]alarm.Event, error) {
		return d.h.board.Acknowledge(now, d.open("smoke"), alarm.Act{By: "李四"})
	})
	d.until(5 * time.Second)
	d.written()
	if s.outputs() != "siren.on=1" {
		t.Errorf("outputs are %q", s.outputs())
	}
	if in := d.h.g.rules.Instance("smoke@smoke.smoke"); in == nil || in.Rule.Outputs[0].Stop != rules.StopOnSilence {
		t.Error("the siren of the rule does not stop on silence, so that this test shows nothing")
	}
}
