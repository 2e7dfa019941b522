package alarm

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"embergate/drivers"
	"embergate/rules"
)

// TestTimelines plays the stories of testdata/*.txt. Their first lines are rules, one a source:
//
//	rule SOURCE class=fire level=alarm for=2s hold=10s latch until
//
// and then what happens, at the time since the start: an action, "->" and all that it and the time since the line before
// led to. What is not expected is a failure.
//
//	0s   when true [until false] [value 30 | bad] [level alarm] [by a+b] [retained] [drill] [test] [at SOURCE]
//	2s   -> raised                   a delay ends
//	3s   ack zhang -> acknowledged   also silence, reset; verdict zhang real; remind; escalate
//	4s   shelve zhang 1h with li because painters -> shelved
//	5s   reset zhang -> refused: still active
//	6s   = acknowledged count=1      the open alarm of the source; "= none"
//	7s   board gas, smoke            the open alarms in their order
//	8s   cut                         power; boot [without SOURCE]: it is back; restart: an orderly one; clock +1h; reload [without SOURCE]
//	9s   drill-ends -> cleared closed; test-ends -> closed
func TestTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no timelines: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) { play(t, file) })
	}
}

// timeline is a story being played: a board, and a store that keeps what the board gives it.
type timeline struct {
	t      *testing.T
	start  time.Time
	clock  time.Duration // by which the clock on the wall was set
	at     time.Duration // since start
	board  *Board        // nil: the power is off
	store  map[string][]byte
	rules  map[string]*rules.Rule
	names  []string // of the sources, as written
	latest map[string]string
	got    []string
}

func play(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tl := &timeline{
		t: t, start: time.Now(), board: NewBoard(),
		store: map[string][]byte{}, rules: map[string]*rules.Rule{}, latest: map[string]string{},
	}
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		line, _, _ := strings.Cut(scan.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "rule "); ok {
			tl.rule(strings.Fields(rest))
			continue
		}
		action, want, _ := strings.Cut(line, "->")
		if got := tl.line(strings.Fields(action)); got != strings.Join(strings.Fields(want), " ") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(want), "refused:"); ok && strings.HasPrefix(got, "refused:") && strings.Contains(got, strings.TrimSpace(text)) {
				continue
			}
			t.Fatalf("%s:%d: %s\ngot  %q", file, n, line, got)
		}
	}
}

func (tl *timeline) rule(words []string) {
	r := &rules.Rule{ID: words[0], Class: "supervisory", Level: rules.LevelAlarm}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "class":
			r.Class = rules.Class(value)
		case "level":
			r.Level = rules.Level(value)
		case "for":
			r.For = tl.duration(value)
		case "hold":
			r.Hold = tl.duration(value)
		case "latch":
			r.Latch = true
		case "until":
			r.Until = "as told"
		default:
			tl.t.Fatalf("rule: what is %q?", word)
		}
	}
	if tl.rules[r.ID] == nil {
		tl.names = append(tl.names, r.ID)
	}
	tl.rules[r.ID] = r
}

// line lets the time go on to a line's, does what it says, and tells what happened.
func (tl *timeline) line(words []string) string {
	target := tl.duration(words[0])
	for tl.board != nil {
		next := tl.board.Next()
		if at := next.Sub(tl.start); next.IsZero() || at > target {
			break
		} else if at > tl.at {
			tl.at = at
		}
		tl.happened(tl.board.Tick(tl.now()))
		if again := tl.board.Next(); !again.IsZero() && !again.After(tl.now()) {
			tl.t.Fatalf("after Tick at %v the board still wants to be woken", tl.at)
		}
	}
	tl.at = target
	answer := ""
	if len(words) > 1 {
		answer = tl.do(words[1], words[2:])
	}
	var now []string
	for _, got := range tl.got {
		at, what, _ := strings.Cut(got, " ")
		if at != target.String() {
			what = got // too soon
		}
		now = append(now, what)
	}
	tl.got = nil
	return strings.TrimSpace(strings.Join(now, " ") + " " + answer)
}

// do does one action. What comes back is for the line to expect: a refusal, or what is not as written.
func (tl *timeline) do(verb string, args []string) string {
	source := tl.names[0]
	if n := len(args); n > 1 && args[n-2] == "at" {
		source, args = args[n-1], args[:n-2]
	}
	switch verb {
	case "when":
		tl.happened(tl.board.Step(tl.now(), tl.condition(source, args)))
	case "=":
		return tl.stands(source, strings.Join(args, " "))
	case "board":
		var open []string
		for _, a := range tl.board.Open() {
			open = append(open, a.Rule)
		}
		if got, want := strings.Join(open, ", "), strings.Join(args, " "); got != want {
			return "the board is " + got
		}
	case "cut":
		tl.board = nil
	case "boot":
		tl.boot(args...)
	case "restart":
		tl.board.Checkpoint(tl.now())
		tl.happened(nil)
		tl.boot()
	case "clock":
		tl.clock += tl.duration(args[0])
	case "test-ends":
		tl.happened(tl.board.EndTests(tl.now(), func(string) bool { return true }))
	case "drill-ends":
		tl.happened(tl.board.EndDrill(tl.now(), Act{}))
	case "reload":
		tl.board.Retain(tl.keys(args...))
		tl.happened(nil)
	default:
		events, err := tl.act(verb, tl.latest[source], args)
		if err != nil {
			var refused *Refused
			if !errors.As(err, &refused) {
				tl.t.Fatalf("%s: the error is no refusal: %v", verb, err)
			}
			return "refused: " + refused.Text.String()
		}
		tl.happened(events)
	}
	return ""
}

// act is one act of a person, or of duty.
func (tl *timeline) act(verb, id string, args []string) ([]Event, error) {
	now, a := tl.now(), Act{Via: "console"}
	if len(args) > 0 {
		a.By = args[0]
	}
	switch verb {
	case "ack":
		return tl.board.Acknowledge(now, id, a)
	case "silence":
		return tl.board.Silence(now, id, a)
	case "reset":
		return tl.board.Reset(now, id, a)
	case "verdict":
		return tl.board.Verdict(now, id, args[1], a)
	case "remind":
		return tl.board.Remind(now, id, a)
	case "escalate":
		return tl.board.Escalate(now, id, a)
	case "shelve":
		text, note, _ := strings.Cut(strings.Join(args[1:], " "), "because ")
		span, second, _ := strings.Cut(text, "with ")
		a.Note = note
		until := now.Round(0).Add(tl.duration(strings.TrimSpace(span))) // as from a form: by the clock on the wall
		return tl.board.Shelve(now, id, a, until, second)
	}
	tl.t.Fatalf("what is %q?", verb)
	return nil, nil
}

func (tl *timeline) condition(source string, args []string) Condition {
	r := tl.rules[source]
	if r == nil {
		tl.t.Fatalf("no rule for %q", source)
	}
	value := map[string]rules.Value{"true": rules.True, "false": rules.False, "unknown": rules.Unknown}
	c := Condition{
		Key: source, Rule: r, When: value[args[0]], HasUntil: r.Until != "", Signal: "d." + source, Name: source,
		Reading: drivers.Reading{Signal: "d." + source, Time: tl.now(), Quality: drivers.Good},
	}
	for i, word := range args {
		switch word {
		case "until":
			c.Until = value[args[i+1]]
		case "value":
			c.Reading.Value, _ = strconv.ParseFloat(args[i+1], 64)
		case "bad":
			c.Reading.Quality = drivers.Bad
		case "retained":
			c.Retained = true
		case "drill":
			c.Drill = true
		case "test":
			c.Test = true
		case "by": // the paths that find it
			c.Sources = strings.Split(args[i+1], "+")
		case "level": // alarm; or prealarm..alarm, where the reading that would tell is missing
			least, most, both := strings.Cut(args[i+1], "..")
			if c.Least, c.Most = rules.Level(least), rules.Level(most); !both {
				c.Most = c.Least
			}
		}
	}
	return c
}

// stands compares the open alarm of a source with what is said of it, word by word.
func (tl *timeline) stands(source, want string) string {
	got := "none"
	for _, a := range tl.board.Open() {
		if a.Rule == source {
			got = describe(a)
		}
	}
	words := " " + got + " "
	for _, word := range strings.Fields(want) {
		if not, ok := strings.CutPrefix(word, "not-"); ok && !strings.Contains(words, " "+not+" ") {
			continue
		}
		if !strings.Contains(words, " "+word+" ") {
			return "it stands " + got
		}
	}
	return ""
}

func describe(a Alarm) string {
	text := fmt.Sprintf("%s count=%d level=%s quality=%s", a.State, a.Count, a.Level, a.Quality)
	if a.Value != nil {
		text += fmt.Sprintf(" value=%v", *a.Value)
	}
	if a.AcknowledgedBy != "" {
		text += " by=" + a.AcknowledgedBy
	}
	if a.Verdict != "" {
		text += " verdict=" + a.Verdict
	}
	if a.Sources != nil {
		text += " by=" + strings.Join(a.Sources, "+")
	}
	for word, is := range map[string]bool{
		"silenced": a.Silenced, "shelved": a.ShelvedUntil != nil, "drill": a.Drill, "test": a.Test,
		"unstable": a.Unstable, "rule-gone": a.RuleGone,
	} {
		if is {
			text += " " + word
		}
	}
	return text
}

// happened takes in events, and stores what changed, as the hub does after each turn.
func (tl *timeline) happened(events []Event) {
	for _, e := range events {
		what := strings.TrimPrefix(e.Type, "alarm.")
		if len(tl.rules) > 1 {
			what = e.Alarm.Rule + ":" + what
		}
		tl.got = append(tl.got, tl.at.String()+" "+what)
		tl.latest[e.Alarm.Rule] = e.Alarm.ID
	}
	keepRecords(tl.t, tl.store, tl.board.Changed())
}

func (tl *timeline) boot(without ...string) {
	tl.board = Restore(tl.now(), storedRecords(tl.t, tl.store))
	tl.board.Retain(tl.keys(without...))
	tl.happened(nil)
}

// keys are the rules in force: all, or all without one.
func (tl *timeline) keys(without ...string) map[string]*rules.Rule {
	keys := maps.Clone(tl.rules)
	if len(without) == 2 {
		delete(keys, without[1])
	}
	return keys
}

// now is the time since the start by the monotonic clock, and by a clock on the wall that may have been set.
func (tl *timeline) now() time.Time { return setClock(tl.start.Add(tl.at), tl.clock) }

func (tl *timeline) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		tl.t.Fatal(err)
	}
	return d
}

// setClock is what time.Now gives after the clock on the wall was set: another time of day, the same monotonic reading.
// The seconds of a time with a monotonic reading are in bits 30 to 62 of its first word (package time, type Time).
func setClock(t time.Time, by time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(int64(by/time.Second)) << 30
	return t
}

func TestSetClockChangesTheTimeOfDayAlone(t *testing.T) {
	before := time.Now()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		after := setClock(before.Add(time.Second), by)
		if got := after.Sub(before); got != time.Second {
			t.Errorf("monotonic: got %v, want 1s", got)
		}
		if got := after.Round(0).Sub(before.Round(0)); got != time.Second+by {
			t.Errorf("on the wall: got %v, want %v", got, time.Second+by)
		}
	}
}

func keepRecords(t testing.TB, store map[string][]byte, records []Record) {
	for _, r := range records {
		if r.Gone {
			delete(store, r.Key)
			continue
		}
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		store[r.Key] = data
	}
}

func storedRecords(t testing.TB, store map[string][]byte) (records []Record) {
	for _, data := range store {
		var r Record
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}
