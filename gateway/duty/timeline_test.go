package duty

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"embergate/drivers/conf"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// TestTimelines plays the stories of testdata/*.txt: a `duty:` section, a line "---", when the story begins in China, and
// what happens then at the time since. After "->" stands all that this and the time since the line before led to: each
// event that somebody or nobody is told of, with the channels and their people. What is not expected is a failure.
//
//	2026-11-21 02:00:00
//	0s   raise smoke fire alarm -> raised: group(li) hook(li)
//	60s  -> escalated: sms(li)
//	61s  ack smoke 李四 -> acknowledged: group() hook()
//	     also: clear, remind, escalate, reset, shelve NAME 1h, unshelve NAME, silence NAME
//	70s  refuses sms smoke li       the channel will never take the latest event of the alarm; takes CHANNEL NAME
//	80s  fails group hook           those channels take nothing; fails: all work
//	90s  cut                        power; boot: it is back; restart: an orderly one; clock +1h: somebody sets the clock
//	     = smoke calling 2 nobody   how the telling stands: steps taken, and why the whole list was told
func TestTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no timelines: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file) })
	}
}

// story is a story being played: an escalation with a board, and a store that keeps what both give it.
type story struct {
	t      *testing.T
	plan   *Plan
	start  time.Time
	clock  time.Duration // by which the clock on the wall was set
	at     time.Duration // since start
	e      *Escalation   // nil: the power is off
	board  *alarm.Board
	alarms map[string]alarm.Record
	calls  map[string]string
	rules  map[string]*rules.Rule
	ids    map[string]string // of alarms by name
	latest map[string]string // events by alarm
	fails  []string
	got    []string
}

var channels = []Channel{{ID: "group"}, {ID: "hook"}, {ID: "sms", OneByOne: true}, {ID: "voice", OneByOne: true, Rings: true}}

func play(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	yaml, lines, _ := strings.Cut(string(data), "\n---\n")
	s := &story{
		t: t, alarms: map[string]alarm.Record{}, calls: map[string]string{}, rules: map[string]*rules.Rule{}, ids: map[string]string{}, latest: map[string]string{},
	}
	s.plan = read(t, yaml)
	s.board, s.e = alarm.NewBoard(), NewEscalation(s.plan)
	for n, line := range strings.Split(lines, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if begin, err := time.ParseInLocation(time.DateTime, line, s.plan.Location); err == nil {
			s.start = time.Now()
			s.clock = begin.Sub(s.start)
			continue
		}
		action, want, _ := strings.Cut(line, "->")
		if got := s.line(strings.Fields(action)); got != strings.Join(strings.Fields(want), " ") {
			t.Fatalf("%s:%d: %s\ngot  %q", file, n+2+strings.Count(yaml, "\n"), line, got)
		}
	}
}

func read(t testing.TB, yaml string) *Plan {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	root := conf.Parse("duty.yaml", []byte(yaml), conf.OS())
	p := Read(root, Options{Channels: channels, Location: zone})
	if problems := root.Problems(); problems != nil {
		t.Fatal(problems)
	}
	return p
}

// now is the time of the story: its wall clock can be set, its monotonic one not. Package time offers no such thing, so it
// reaches into time.Time (wall, ext, loc), and checks what it got.
func (s *story) now() time.Time {
	from := s.start.Add(s.at)
	moved := from.Add(s.clock)
	(*struct {
		wall uint64
		ext  int64
	})(unsafe.Pointer(&moved)).ext -= int64(s.clock)
	if moved.Sub(from) != 0 || moved.Round(0).Sub(from.Round(0)) != s.clock {
		s.t.Fatalf("time.Time is not what this test thinks: %v, %v", from, moved)
	}
	return moved
}

// line lets the time go on to a line's, does what it says, and tells who was told.
func (s *story) line(words []string) string {
	target, err := time.ParseDuration(words[0])
	if err != nil {
		s.t.Fatal(err)
	}
	for s.e != nil && s.at < target {
		next := s.e.Next(s.now()).Sub(s.now())
		if s.e.Next(s.now()).IsZero() || next > time.Second {
			next = time.Second // as the hub turns
		}
		s.at = min(s.at+max(next, 0), target)
		s.tick()
	}
	s.at = target
	answer := ""
	if len(words) > 1 {
		answer = s.do(words[1], words[2:])
	}
	s.tick()
	var now []string
	for _, got := range s.got {
		at, what, _ := strings.Cut(got, " ")
		if at != target.String() {
			what = got // too soon
		}
		now = append(now, what)
	}
	s.got = nil
	return strings.TrimSpace(strings.Join(now, "; ") + " " + answer)
}

// tick does what the time brings.
func (s *story) tick() {
	if s.e == nil {
		return
	}
	s.e.Failing(func(channel string) bool { return slices.Contains(s.fails, channel) })
	for rounds := 0; ; rounds++ {
		needs := s.e.Due(s.now())
		if len(needs) == 0 {
			break
		}
		if rounds > 10 {
			s.t.Fatalf("at %v the escalation wants without end: %+v", s.at, needs)
		}
		for _, n := range needs {
			act := s.board.Remind
			if n.Event == alarm.EventEscalated {
				act = s.board.Escalate
			}
			events, err := act(s.now(), n.Alarm, alarm.Act{})
			if err != nil {
				s.t.Fatal(err)
			}
			s.take(events)
		}
	}
	s.commit()
}

// take hands events to the escalation, and stores what changed by them.
func (s *story) take(events []alarm.Event) {
	for _, ev := range events {
		to := s.e.Take(s.now(), ev)
		s.latest[ev.Alarm.Rule] = ev.ID
		if _, what, _ := strings.Cut(ev.Type, "."); !slices.Contains([]string{"silenced", "shelved", "verdict"}, what) {
			s.say(what, to)
		}
	}
	s.commit()
}

func (s *story) say(what string, to []Address) {
	said := []string{s.at.String(), what + ":"}
	for _, a := range to {
		said = append(said, fmt.Sprintf("%s(%s)", a.Channel, strings.Join(a.People, ",")))
	}
	if len(to) == 0 {
		said = append(said, "nobody")
	}
	s.got = append(s.got, strings.Join(said, " "))
}

func (s *story) commit() {
	for _, r := range s.board.Changed() {
		s.alarms[r.Key] = r
	}
	for _, r := range s.e.Changed(s.now()) {
		s.calls[r.Alarm] = r.Body
		if r.Body == "" {
			delete(s.calls, r.Alarm)
		}
	}
}

// do does one action. What comes back is for the line to expect.
func (s *story) do(verb string, args []string) string {
	switch verb {
	case "cut":
		s.e = nil
	case "boot":
		s.boot()
	case "restart":
		s.board.Checkpoint(s.now())
		s.e.Checkpoint()
		s.commit()
		s.boot()
	case "clock":
		d, err := time.ParseDuration(strings.TrimPrefix(args[0], "+"))
		if err != nil {
			s.t.Fatal(err)
		}
		s.clock += d
	case "fails":
		s.fails = args
	case "takes":
		s.e.Accepted(s.ids[args[1]], s.latest[args[1]])
	case "refuses":
		to := s.e.Refused(s.now(), s.ids[args[1]], s.latest[args[1]], args[0], args[2:])
		s.say("instead", to)
	case "=":
		return s.stands(args)
	default:
		events, err := s.act(verb, args)
		if err != nil {
			var refused *alarm.Refused
			if !errors.As(err, &refused) {
				s.t.Fatal(err)
			}
			return "refused: " + refused.Text.String()
		}
		s.take(events)
	}
	return ""
}

func (s *story) act(verb string, args []string) ([]alarm.Event, error) {
	name := args[0]
	id := s.ids[name]
	who := func() alarm.Act { return alarm.Act{By: args[1], Note: "painters"} }
	switch verb {
	case "raise":
		r := s.rules[name]
		if len(args) > 1 {
			r = &rules.Rule{ID: name, Class: rules.Class(args[1]), Level: rules.Level(args[2]), Latch: slices.Contains(args, "latch")}
			s.rules[name] = r
		}
		events := s.board.Step(s.now(), alarm.Condition{Key: name, Rule: r, When: rules.True})
		for _, ev := range events {
			s.ids[name] = ev.Alarm.ID
		}
		return events, nil
	case "clear":
		return s.board.Step(s.now(), alarm.Condition{Key: name, Rule: s.rules[name], When: rules.False}), nil
	case "ack":
		return s.board.Acknowledge(s.now(), id, who())
	case "reset":
		return s.board.Reset(s.now(), id, who())
	case "silence":
		return s.board.Silence(s.now(), id, who())
	case "shelve":
		d, err := time.ParseDuration(args[1])
		if err != nil {
			s.t.Fatal(err)
		}
		return s.board.Shelve(s.now(), id, alarm.Act{By: "li", Note: "painters"}, s.now().Add(d), "wang")
	case "unshelve":
		return s.board.Tick(s.now()), nil
	case "escalate":
		return s.board.Escalate(s.now(), id, alarm.Act{})
	}
	s.t.Fatalf("what is %q?", verb)
	return nil, nil
}

// boot is a start with what is stored. The monotonic clock begins anew with it, as far as the escalation can see.
func (s *story) boot() {
	s.board = alarm.Restore(s.now(), slices.Collect(func(yield func(alarm.Record) bool) {
		for _, r := range s.alarms {
			if !yield(r) {
				return
			}
		}
	}))
	s.board.Retain(s.rules)
	e, err := Restore(s.now(), s.plan, s.calls, s.board.Open())
	if err != nil {
		s.t.Fatal(err)
	}
	s.e = e
}

func (s *story) stands(args []string) string {
	got := args[0] + " gone"
	if c := s.e.calls[s.ids[args[0]]]; c != nil {
		got = strings.TrimSpace(fmt.Sprintf("%s %s %d %s", args[0], c.Stand, c.Step, c.Fallback))
	}
	if want := strings.Join(args, " "); got != want {
		return "it is " + got
	}
	return ""
}
