package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/alarm"
)

const writableHome = `
site: {id: home, name: home, language: en}
data: /nowhere
endpoints:
  - id: bus
    script: {}
    devices:
      - {id: smoke, every: 1h, signals: [{id: smoke, kind: smoke}]}
      - {id: siren, name: Siren, every: 1h, signals: [{id: sounder, kind: sounder, writable: true}]}
      - id: fan
        every: 1h
        signals:
          - {id: speed, kind: number, range: [0, 100], writable: true}
          - {id: mode, kind: status_word, enum: {off: 0, day: 1, night: 4}, writable: true}
          - {id: word, kind: status_word, writable: true}
          - {id: load, kind: number}
      - {id: old, every: 1h, disabled: true, signals: [{id: relay, kind: relay, writable: true}]}
rules:
  packs: []
  inline:
    - {id: smoke, name: Smoke, class: fire, level: alarm, signal: smoke.smoke, when: value == 1, outputs: [{write: siren.sounder, value: 1, stop: reset}]}
`

// byHand is the hub of a home with signals that people may write.
type byHand struct {
	*dutyStory
	script *script
}

func newByHand(t *testing.T) *byHand {
	s := newScript()
	b := &byHand{newDutyStory(t, s, writableHome), s}
	go b.h.run()
	return b
}

func (b *byHand) smokes(value float64) {
	b.h.emit([]drivers.Reading{{Signal: "smoke.smoke", Time: time.Now(), Value: value, Quality: drivers.Good}})
}

// writes sets a signal as somebody, and is what was said.
func (b *byHand) writes(by, key string, value float64) string {
	b.t.Helper()
	confirmed, err := b.h.WriteSignal(b.t.Context(), key, value, alarm.Act{By: by, From: "account of " + by, Via: "console"})
	var refused *alarm.Refused
	var often *access.Refused
	switch {
	case err == nil:
		return fmt.Sprint(confirmed)
	case errors.As(err, &refused):
		return refused.Text.String()
	case errors.As(err, &often) && often.After >= time.Second:
		return "too often"
	}
	return err.Error()
}

// noted are the journal's lines about what people wrote, as "type by: note".
func (b *byHand) noted() (list []string) {
	b.t.Helper()
	events, err := b.h.store.Events(b.t.Context(), 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range events {
		if strings.HasPrefix(e.Type, "signal.") {
			list = append(list, fmt.Sprintf("%s %s: %s", e.Type, e.By, e.Note))
		}
	}
	return list
}

// TestPeopleWriteOnlyWhatIsWritable (SE05): in range and of the right type; each act and each refusal is in the journal.
func TestPeopleWriteOnlyWhatIsWritable(t *testing.T) {
	b := newByHand(t)
	b.h.emit([]drivers.Reading{{Signal: "fan.speed", Time: time.Now(), Value: 40, Quality: drivers.Good}})
	var want []string
	for i, c := range []struct {
		name, signal string
		value        float64
		said, noted  string
	}{
		{"a state", "siren.sounder", 1, "1", "signal.written %s: Siren siren.sounder = 1; read back 1"},
		{"a number", "fan.speed", 12.5, "12.5", "signal.written %s: fan fan.speed = 12.5, before 40; read back 12.5"},
		{"a word of an enum", "fan.mode", 4, "4", "signal.written %s: fan fan.mode = 4; read back 4"},
		{"below its range", "fan.speed", -1, "-1 is outside its range, 0 to 100", "signal.refused %s: fan fan.speed = -1: -1 is outside its range, 0 to 100"},
		{"above its range", "fan.speed", 100.1, "100.1 is outside its range, 0 to 100", "signal.refused %s: fan fan.speed = 100.1: 100.1 is outside its range, 0 to 100"},
		{"a state that is none", "siren.sounder", 2, "a state is 0 or 1, not 2", "signal.refused %s: Siren siren.sounder = 2: a state is 0 or 1, not 2"},
		{"a code that is none", "fan.word", 1.5, "a code is a whole number, not 1.5", "signal.refused %s: fan fan.word = 1.5: a code is a whole number, not 1.5"},
		{"no word of its enum", "fan.mode", 2, "2 is none of its values", "signal.refused %s: fan fan.mode = 2: 2 is none of its values"},
		{"not writable", "fan.load", 1, "the configuration does not make it writable", "signal.refused %s: fan fan.load = 1: the configuration does not make it writable"},
		{"of the gateway's own", "fan.online", 1, "the configuration does not make it writable", "signal.refused %s: fan fan.online = 1: the configuration does not make it writable"},
		{"out of service", "old.relay", 1, "its device is taken out of service", "signal.refused %s: old old.relay = 1: its device is taken out of service"},
		{"of an endpoint", "bus.link", 1, `there is no signal "bus.link"`, `signal.refused %s: bus.link = 1: there is no signal "bus.link"`},
		{"not there", "fan.nothing", 1, `there is no signal "fan.nothing"`, `signal.refused %s: fan.nothing = 1: there is no signal "fan.nothing"`},
	} {
		by := fmt.Sprintf("person-%d", i)
		if said := b.writes(by, c.signal, c.value); said != c.said {
			t.Errorf("%s: %q, want %q", c.name, said, c.said)
		}
		want = append(want, fmt.Sprintf(c.noted, by))
	}
	b.script.mu.Lock()
	b.script.refuse = 1
	b.script.mu.Unlock()
	if said := b.writes("zhang", "fan.speed", 20); said != "the device did not take it: the relay does not answer" {
		t.Error(said)
	}
	want = append(want, "signal.failed zhang: fan fan.speed = 20, before 40: the device did not take it: the relay does not answer")
	if err := b.h.WriteDenied(t.Context(), "fan.speed", alarm.Act{By: "wang"}, i18n.T("nobody has answered yet")); err != nil {
		t.Error(err)
	}
	want = append(want, "signal.refused wang: fan.speed: nobody has answered yet")
	if got := b.noted(); !slices.Equal(got, want) {
		t.Errorf("the journal has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := b.script.outputs(); got != "siren.sounder=1 fan.speed=12.5 fan.mode=4" {
		t.Error("written:", got)
	}
}

// TestPeopleWriteNotTooOften (SE05): neither a signal, whoever writes it, nor one person, whatever it is.
func TestPeopleWriteNotTooOften(t *testing.T) {
	b := newByHand(t)
	for i := range int(signalWrites.Burst) {
		if said := b.writes(fmt.Sprint("person ", i), "siren.sounder", 1); said != "1" {
			t.Error(said)
		}
	}
	if said := b.writes("another", "siren.sounder", 0); said != "too often" {
		t.Error("a signal:", said)
	}
	for range int(personWrites.Burst) {
		b.writes("zhang", "fan.load", 1)
	}
	if said := b.writes("zhang", "fan.speed", 1); said != "too often" {
		t.Error("a person:", said)
	}
	if said := b.writes("wang", "fan.speed", 1); said != "1" {
		t.Error("somebody else:", said)
	}
	for i := range 3 * int(refusalLines.Burst) {
		b.writes(fmt.Sprint("stranger ", i), "fan.load", 1)
	}
	if n := len(b.noted()); n > int(signalWrites.Burst+refusalLines.Burst)+2 {
		t.Errorf("%d lines in the journal", n)
	}
}

// TestAnAlarmGoesBeforePeople (SE05): what it holds nobody writes, and what somebody is writing it takes.
func TestAnAlarmGoesBeforePeople(t *testing.T) {
	b := newByHand(t)
	b.script.mu.Lock()
	b.script.hang = 1
	b.script.mu.Unlock()
	said := make(chan string)
	go func() { said <- b.writes("zhang", "siren.sounder", 0) }()
	eventually(t, "a write hangs", func() bool { b.script.mu.Lock(); defer b.script.mu.Unlock(); return b.script.hanging == 1 })
	if got := b.writes("wang", "siren.sounder", 1); got != "somebody else is writing it just now" {
		t.Error(got)
	}
	b.smokes(1)
	if got := <-said; got != "an alarm took the signal meanwhile" {
		t.Error(got)
	}
	eventually(t, "the alarm's output is written", func() bool { return b.script.outputs() == "siren.sounder=1" })
	eventually(t, "it is held", func() bool {
		return b.writes(fmt.Sprint(time.Now()), "siren.sounder", 0) == "an alarm holds it at 1 until it is over: Smoke"
	})
	if got := b.script.outputs(); got != "siren.sounder=1" {
		t.Error(got)
	}
	b.smokes(0)
	var id string
	if err := b.h.ask(t.Context(), func(time.Time) { id = b.open("smoke") }); err != nil {
		t.Fatal(err)
	}
	if err := b.h.Acknowledge(t.Context(), id, alarm.Act{By: "li"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it went back, and is free", func() bool { return b.writes(fmt.Sprint(time.Now()), "siren.sounder", 1) == "1" })
	if got := b.script.outputs(); got != "siren.sounder=1 siren.sounder=0 siren.sounder=1" {
		t.Error(got)
	}
}
