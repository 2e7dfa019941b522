package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// read makes channels of a channels: section without mistakes.
func read(t testing.TB, yaml string, o Options) *Channels {
	t.Helper()
	root := conf.Parse("c.yaml", []byte(yaml), conf.Environment{})
	c := New(root, o)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	return c
}

// TestTextsReadLikeThis compares what people are told with testdata/texts.txt.
func TestTextsReadLikeThis(t *testing.T) {
	cleared := gas()
	cleared.State, cleared.ClearedAt = alarm.Returned, &noon
	fire := gas()
	one := 1.0
	fire.Class, fire.Name, fire.Value, fire.Unit, fire.Message, fire.Drill = "fire", "烟感报警", &one, "", "", true
	zone := &alarm.Alarm{Name: "Two smokes", Level: "alarm", State: alarm.Unacknowledged, ZonePath: "Floor 2", RaisedAt: noon, Message: "evacuate\n the floor"}
	odd := &alarm.Alarm{Name: "n", Level: "?", State: alarm.Acknowledged, Value: new(float64), Unit: "V", RaisedAt: noon}
	*odd.Value = math.NaN()
	level := func(l rules.Level) *alarm.Alarm {
		a := gas()
		v := 1.0 / 3
		a.Level, a.Message, a.Value, a.Unit = l, "", &v, "MPa"
		return a
	}
	events := []alarm.Event{
		{Type: alarm.EventRaised, Alarm: gas()}, {Type: alarm.EventRaised, Alarm: fire}, {Type: alarm.EventRaised, Alarm: zone},
		{Type: alarm.EventRaised, Alarm: level("prealarm")}, {Type: alarm.EventFaultRaised, Alarm: level("fault")}, {Type: alarm.EventRaised, Alarm: level("notice")},
		{Type: alarm.EventRaised, Alarm: odd}, {Type: alarm.EventCounted, Alarm: gas()},
		{Type: alarm.EventReminder, Alarm: gas()}, {Type: alarm.EventEscalated, Alarm: gas()}, {Type: alarm.EventAcknowledged, Alarm: gas(), By: "张三", Note: "去看"},
		{Type: alarm.EventCleared, Alarm: cleared}, {Type: alarm.EventReset, Alarm: cleared, By: "li"}, {Type: alarm.EventClosed, Alarm: cleared},
		{Type: alarm.EventFaultCleared, Alarm: cleared}, {Type: "test"}, {Type: "drill.started", Note: "二层"}, {Type: "drill.ended"},
		{Type: "duty.check"}, {Type: "duty.missed"}, {Type: "gateway.started"}, {Type: alarm.EventSilenced, Alarm: gas()},
	}
	var got strings.Builder
	for _, e := range events {
		e.Time = noon.In(county)
		for _, lang := range i18n.Langs {
			fmt.Fprintf(&got, "%s: %s\n", lang, Text(e, lang))
		}
	}
	if os.Getenv("GOLDEN") != "" {
		os.WriteFile("testdata/texts.txt", []byte(got.String()), 0o644)
	}
	want, err := os.ReadFile("testdata/texts.txt")
	if err != nil || got.String() != string(want) {
		t.Errorf("%v, got\n%s", err, got.String())
	}
}

// TestEventsForPeople: the events of the contract make a message a channel; what comes back is raised again; the others
// stay in the journal.
func TestEventsForPeople(t *testing.T) {
	c := read(t, `[{id: a, webhook: {url: "http://h"}}, {id: b, webhook: {url: "http://h"}}]`, Options{})
	for kind, want := range map[string]string{
		"alarm.raised": "alarm.raised", "alarm.counted": "alarm.raised", "alarm.cleared": "alarm.cleared", "alarm.reminder": "alarm.reminder",
		"alarm.escalated": "alarm.escalated", "alarm.acknowledged": "alarm.acknowledged", "alarm.reset": "alarm.reset", "alarm.closed": "alarm.closed",
		"fault.raised": "fault.raised", "fault.cleared": "fault.cleared", "test": "test", "drill.started": "drill.started", "drill.ended": "drill.ended",
		"duty.check": "duty.check", "duty.missed": "duty.missed", "alarm.silenced": "", "alarm.shelved": "", "alarm.verdict": "", "gateway.started": "",
	} {
		got := c.Compose(alarm.Event{ID: "e", Type: kind, Alarm: gas(), Time: noon}, noon)
		if want == "" && len(got) != 0 || want != "" && (len(got) != 2 || got[0].Type != want || Said(got[1]).Event != want || got[1].Channel != "b") {
			t.Errorf("%s made %+v", kind, got)
		}
	}
	nan, a := math.NaN(), gas()
	a.Value = &nan
	if m := c.Compose(alarm.Event{ID: "e", Type: "alarm.raised", Alarm: a, Time: noon}, noon); Said(m[0]).Alarm == nil || Said(m[0]).Text == "" {
		t.Errorf("an alarm without a value that JSON can say made %s", m[0].Body)
	}
	if m := Said(store.Message{Body: []byte("{"), Event: "e", Type: "alarm.raised"}); m.ID != "e" || m.Text == "" {
		t.Errorf("a damaged message says %+v", m)
	}
}

// TestMistakesAreReportedAtTheirPlace, of every kind of channel, in both languages.
func TestMistakesAreReportedAtTheirPlace(t *testing.T) {
	for yaml, want := range map[string]string{
		`[{id: X, webhook: {url: "http://h"}}]`:                            `id: an id is 1 to 40 of a-z, 0-9 and -, not "X"`,
		`[{id: a, webhook: {url: "http://h"}}, {id: a, ntfy: {topic: t}}]`: `[1].id: the channel "a" is there twice`,
		`[{id: a}]`: `[0]: a channel has exactly one kind: alertmanager, aliyun_sms, `,
		`[{id: a, ntfy: {topic: t}, webhook: {url: "http://h"}}]`:            `[0]: a channel has exactly one kind: `,
		`[{id: a, webhok: {url: "http://h"}}]`:                               `did you mean webhook?`,
		`{id: a}`:                                                            `must be a list`,
		`[{id: a, webhook: }]`:                                               `must be a map of keys`,
		`[{id: a, webhook: {}}]`:                                             `[0].webhook.url: url is needed, as url or url_file`,
		`[{id: a, webhook: {url: "h:80/x"}}]`:                                `url begins with http:// or https:// and has a host`,
		`[{id: a, webhook: {url: "http://h", timeout: 2h}}]`:                 `the timeout of a request is between 100ms and 1m0s`,
		`[{id: a, wecom: {}}]`:                                               `key is needed, as key or key_file`,
		`[{id: a, dingtalk: {secret: s}}]`:                                   `token is needed`,
		`[{id: a, feishu: {}}]`:                                              `token is needed`,
		`[{id: a, aliyun_sms: {access_key_id: i, secret: s, sign_name: n}}]`: `[0].aliyun_sms.template: template is needed`,
		`[{id: a, aliyun_voice: {access_key_id: i, secret: s, template: t, play_times: 4}}]`: `a call is played 1 to 3 times`,
		`[{id: a, tencent_sms: {secret_id: i, secret: s, sign_name: n, template: t}}]`:       `app_id is needed`,
		`[{id: a, email: {server: mail, from: "a@b"}}]`:                                      `the mail server is host:port`,
		`[{id: a, email: {server: "mail:465", from: "a@b", to: [c]}}]`:                       `"c" is not a mail address`,
		`[{id: a, email: {server: "mail:465", from: "a@b", username: u}}]`:                   `username and password come together`,
		`[{id: a, ntfy: {topic: t, token: x, username: u}}]`:                                 `a token or a username, not both`,
		`[{id: a, bark: {key: k, level: loud}}]`:                                             `"loud" is not known; allowed: active`,
		`[{id: a, telegram: {token: t}}]`:                                                    `chat_id is needed`,
		`[{id: a, alertmanager: {}}]`:                                                        `url begins with http://`,
	} {
		root := conf.Parse("c.yaml", []byte(yaml), conf.Environment{})
		New(root, Options{})
		got := root.Problems()
		if len(got) == 0 || !strings.Contains(got.Error(), want) || !strings.HasPrefix(got.Error(), "c.yaml:1:") {
			t.Errorf("%s\n got %v\nwant %s", yaml, got, want)
		}
		for _, p := range got {
			if !i18n.Has(p.What.Format) && !strings.Contains(p.What.Format, "an id is") && !strings.Contains(p.What.Format, "must be") && !strings.Contains(p.What.Format, "known") && !strings.Contains(p.What.Format, "unknown") {
				t.Errorf("no Chinese for %q", p.What.Format)
			}
		}
	}
}

// TestEveryKindIsAcceptedWhole, and a kind without a sender is named.
func TestEveryKindIsAcceptedWhole(t *testing.T) {
	c := read(t, `
- {id: hook, webhook: {url: "http://127.0.0.1:18086/hook", secret: s, timeout: 2s}}
- {id: wecom, wecom: {key: k, mention: ["@all"]}}
- {id: dingtalk, dingtalk: {token: t, secret: SEC1, keyword: 消防, mention: ["13800000001"]}}
- {id: feishu, feishu: {token: t, secret: s, keyword: 消防, lark: true}}
- {id: sms, aliyun_sms: {access_key_id: LTAI, secret: s, sign_name: 消防值班, template: SMS_100000001}}
- {id: voice, aliyun_voice: {access_key_id: LTAI, secret: s, template: TTS_100000001, show_number: "05331", play_times: 3}}
- {id: tencent, tencent_sms: {secret_id: i, secret: s, app_id: "1400000001", sign_name: n, template: "1000001", region: ap-beijing}}
- {id: mail, email: {server: "smtp.example.org:465", username: u, password: p, from: a@example.org, to: [b@example.org]}}
- {id: ntfy, ntfy: {url: "https://ntfy.example.org", topic: duty, token: tk}}
- {id: bark, bark: {url: "https://bark.example.org", key: k, level: timeSensitive}}
- {id: telegram, telegram: {url: "https://t.example.org", token: t, chat_id: -1001234567890}}
- {id: am, alertmanager: {url: "http://127.0.0.1:9093", username: u, password: p}}
`, Options{})
	ids := []string{"hook", "wecom", "dingtalk", "feishu", "sms", "voice", "tencent", "mail", "ntfy", "bark", "telegram", "am"}
	if !slices.Equal(c.IDs(), ids) || len(c.IDs()) != len(kinds) {
		t.Errorf("ids %v", c.IDs())
	}
	if u := c.Unbuilt(); len(u) != len(ids)-1 || i18n.Chinese.Say(u[0].Format, u[0].Args...) != "通知通道 wecom：本版本不含 wecom" {
		t.Errorf("unbuilt %v", c.Unbuilt())
	}
	if len(read(t, `[]`, Options{}).IDs()) != 0 {
		t.Error("no channels are some")
	}
}

// far is a far side in memory.
type far struct {
	mu   sync.Mutex
	got  []Message
	at   []time.Time
	fate func(n int, m Message) error
}

func (f *far) Send(_ context.Context, m Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, m)
	f.at = append(f.at, time.Now())
	if f.fate == nil {
		return nil
	}
	return f.fate(len(f.got), m)
}

func (f *far) ids() (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.got {
		ids = append(ids, m.ID)
	}
	return ids
}

// outbox is the store's in memory: its order and its rule that what ends an alarm waits.
type outbox struct {
	mu       sync.Mutex
	messages []store.Message
	ledger   []string
	last     int64
	broken   bool // nothing can be written
}

func (o *outbox) put(messages ...store.Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range messages {
		o.last++
		m.ID = o.last
		o.messages = append(o.messages, m)
	}
}

func (o *outbox) DueMessages(_ context.Context, channel string, now time.Time, limit int) (due []store.Message, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	open := map[string]bool{}
	for _, m := range o.messages {
		if m.Channel != channel {
			continue
		}
		if !m.NotBefore.After(now) && !(open[m.Alarm] && (strings.HasSuffix(m.Type, ".cleared") || strings.HasSuffix(m.Type, ".closed"))) {
			due = append(due, m)
		}
		open[m.Alarm] = m.Alarm != ""
	}
	slices.SortStableFunc(due, func(a, b store.Message) int {
		switch {
		case a.Class == "fire" && b.Class != "fire":
			return -1
		case a.Class != "fire" && b.Class == "fire":
			return 1
		}
		return 0
	})
	return due[:min(limit, len(due))], nil
}

func (o *outbox) PendingMessages(context.Context) (map[string]store.QueueStats, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pending := map[string]store.QueueStats{}
	for _, m := range o.messages {
		s := pending[m.Channel]
		s.Records++
		pending[m.Channel] = s
	}
	return pending, nil
}

func (o *outbox) SettleMessage(_ context.Context, id int64, outcome store.Outcome, detail string, _ time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return errors.New("disk full")
	}
	n := len(o.messages)
	o.messages = slices.DeleteFunc(o.messages, func(m store.Message) bool { return m.ID == id })
	if len(o.messages) == n {
		return store.ErrNotFound
	}
	o.ledger = append(o.ledger, string(outcome))
	return nil
}

func (o *outbox) RetryMessage(_ context.Context, id int64, notBefore time.Time, why string, _ time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return errors.New("disk full")
	}
	for i := range o.messages {
		if o.messages[i].ID == id {
			o.messages[i].NotBefore, o.messages[i].LastError = notBefore, why
			o.messages[i].Attempts++
		}
	}
	o.ledger = append(o.ledger, "retry")
	return nil
}

func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.messages)
}

// channels are some with a far side each in place of the network.
func channels(t testing.TB, o Options, fars ...*far) *Channels {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	c := &Channels{o: o}
	for i, f := range fars {
		c.list = append(c.list, newLine(string(rune('a'+i)), "far", f, o))
	}
	return c
}

func start(t testing.TB, c *Channels, o Outbox) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx, o); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

// event is an event of an alarm of its own, or of a given one.
func event(id, kind, of string, class rules.Class) alarm.Event {
	a := gas()
	a.ID, a.Class = of, class
	return alarm.Event{ID: id, Type: kind, Time: time.Now(), Alarm: a}
}

// TestWaitsGrowToAMinute, up to a fifth less; the ledger has every attempt, the log one line.
func TestWaitsGrowToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fate: func(n int, m Message) error {
			if n <= 9 {
				return errors.New("connection reset")
			}
			return nil
		}}
		var log strings.Builder
		var outcomes []string
		var latency time.Duration
		c := channels(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil)),
			Observe:   func(_, outcome string, l time.Duration) { outcomes, latency = append(outcomes, outcome), l },
			Delivered: func(m store.Message, outcome string) { outcomes = append(outcomes, m.Event+" "+outcome) }}, f)
		box := &outbox{}
		stop := start(t, c, box)
		box.put(c.Compose(event("e1", "alarm.raised", "A", "gas"), time.Now())...)
		c.Wake()
		time.Sleep(11 * time.Second)
		if s := c.Status()[0]; s.Working || s.LastError != "connection reset" || s.Pending != 1 || s.Since.IsZero() {
			t.Errorf("status %+v", s)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			want *= time.Second
			if got := f.at[i+1].Sub(f.at[i]); got > want || got < want*4/5 {
				t.Errorf("wait %d was %s, want %s or up to a fifth less", i+1, got, want)
			}
		}
		if f.got[0].Late || !f.got[9].Late || box.waiting() != 0 || len(f.got) != 10 {
			t.Errorf("late %t and %t, %d wait after %d", f.got[0].Late, f.got[9].Late, box.waiting(), len(f.got))
		}
		if len(outcomes) != 20 || outcomes[0] != "retry" || outcomes[19] != "e1 accepted" || latency < 3*time.Minute {
			t.Errorf("observed %v, %s", outcomes, latency)
		}
		if s := c.Status()[0]; !s.Working || s.LastError != "" || s.LastSuccess.IsZero() {
			t.Errorf("status %+v", s)
		}
		stop()
		if strings.Count(log.String(), "channel lost") != 1 || strings.Count(log.String(), "channel restored") != 1 {
			t.Errorf("logged\n%s", log.String())
		}
	})
}

// TestOneLostAnswerIsNoFault: a channel that fails once and then works never counted as faulty.
func TestOneLostAnswerIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fate: func(n int, m Message) error {
			if n == 1 {
				return errors.New("reset")
			}
			return nil
		}}
		c, box := channels(t, Options{}, f), &outbox{}
		box.put(store.Message{Channel: "a", Event: "e"})
		stop := start(t, c, box)
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			if s := c.Status()[0]; !s.Working {
				t.Errorf("status %+v", s)
			}
		}
		stop()
		if box.waiting() != 0 {
			t.Error("not delivered")
		}
	})
}

// TestRefusedIsNeverSentAgain, and makes the channel faulty until it works.
func TestRefusedIsNeverSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fate: func(_ int, m Message) error {
			if m.ID == "bad" {
				return &Refused{Detail: "400 Bad Request"}
			}
			return nil
		}}
		c, box := channels(t, Options{}, f), &outbox{}
		box.put(c.Compose(event("bad", "alarm.raised", "A", "gas"), time.Now())...)
		stop := start(t, c, box)
		time.Sleep(time.Hour)
		if s := c.Status()[0]; len(f.ids()) != 1 || box.waiting() != 0 || s.Working || s.LastError != "400 Bad Request" || box.ledger[0] != "never" {
			t.Errorf("sent %v, %+v, ledger %v", f.ids(), s, box.ledger)
		}
		box.put(c.Compose(event("good", "alarm.raised", "B", "gas"), time.Now())...)
		c.Wake()
		time.Sleep(time.Second)
		if s := c.Status()[0]; !s.Working {
			t.Errorf("status %+v", s)
		}
		stop()
	})
}

// TestGoneIsSilentUntilTheNextStart: nothing is sent after 410, and what comes then waits.
func TestGoneIsSilentUntilTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fate: func(n int, _ Message) error {
			if n == 1 {
				return &Refused{Detail: "410 Gone", Gone: true}
			}
			return nil
		}}
		c, box := channels(t, Options{}, f), &outbox{}
		box.put(store.Message{Channel: "a", Event: "e1"}, store.Message{Channel: "a", Event: "e2"})
		stop := start(t, c, box)
		time.Sleep(time.Hour)
		box.put(store.Message{Channel: "a", Event: "e3"})
		c.Wake()
		time.Sleep(time.Hour)
		if s := c.Status()[0]; len(f.got) != 1 || s.Working || s.Pending != 2 || !strings.Contains(s.LastError, "until the next start") {
			t.Errorf("%d sent, %+v", len(f.got), s)
		}
		stop()
		stop = start(t, channels(t, Options{}, f), box)
		time.Sleep(time.Second)
		stop()
		if len(f.got) != 3 || box.waiting() != 0 {
			t.Errorf("%d sent after the next start, %d wait", len(f.got), box.waiting())
		}
	})
}

// TestRetryAfterOfTheFarSide is obeyed, also where others are delivered meanwhile.
func TestRetryAfterOfTheFarSide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{}
		f.fate = func(n int, m Message) error {
			if m.ID == "e1" && n < 5 {
				return &Later{After: 40 * time.Second, Err: errors.New("429")}
			}
			return nil
		}
		c, box := channels(t, Options{}, f), &outbox{}
		box.put(c.Compose(event("e1", "alarm.raised", "A", "gas"), time.Now())...)
		stop := start(t, c, box)
		for i := range 8 {
			time.Sleep(5 * time.Second)
			box.put(c.Compose(event(fmt.Sprint("x", i), "alarm.raised", fmt.Sprint("X", i), "gas"), time.Now())...)
			c.Wake()
		}
		time.Sleep(time.Minute)
		stop()
		var at []time.Time
		for i, m := range f.got {
			if m.ID == "e1" {
				at = append(at, f.at[i])
			}
		}
		if len(at) != 2 || at[1].Sub(at[0]) != 40*time.Second || box.waiting() != 0 {
			t.Errorf("sent at %v, %d wait", at, box.waiting())
		}
	})
}

// TestFireFirstAndNothingOvertakes: after ten minutes without a network, fire goes first, and each alarm's end after its
// beginning, within seconds.
func TestFireFirstAndNothingOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := time.Now().Add(10 * time.Minute)
		f := &far{fate: func(int, Message) error {
			if time.Now().Before(down) {
				return errors.New("no route to host")
			}
			return nil
		}}
		c, box := channels(t, Options{}, f), &outbox{}
		stop := start(t, c, box)
		for i := range 20 {
			class := rules.Class("gas")
			if i == 13 {
				class = "fire"
			}
			of := fmt.Sprint("A", i)
			for _, kind := range []string{"alarm.raised", "alarm.cleared"} {
				box.put(c.Compose(event(of+kind, kind, of, class), time.Now())...)
				c.Wake()
				time.Sleep(10 * time.Second)
			}
		}
		time.Sleep(10 * time.Minute)
		stop()
		seen := map[string]bool{}
		var last time.Time
		for i, m := range f.got {
			if f.at[i].Before(down) {
				continue
			}
			if strings.HasSuffix(m.ID, "cleared") && !seen[m.Alarm.ID] {
				t.Errorf("%s overtook", m.ID)
			}
			if !m.Late {
				t.Errorf("%s is not marked late", m.ID)
			}
			seen[m.Alarm.ID] = true
			last = f.at[i]
		}
		if len(seen) != 20 || box.waiting() != 0 || last.Sub(down) > 61*time.Second {
			t.Errorf("%d alarms, %d wait, the last %s after the network was back", len(seen), box.waiting(), last.Sub(down))
		}
	})
}

// TestFireGoesFirst of what is due at one time.
func TestFireGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{}
		c, box := channels(t, Options{}, f), &outbox{}
		for i, class := range []rules.Class{"notice", "gas", "fire", "water", "fire"} {
			box.put(c.Compose(event(fmt.Sprint(class, i), "alarm.raised", fmt.Sprint(i), class), time.Now())...)
		}
		stop := start(t, c, box)
		time.Sleep(time.Second)
		stop()
		if got := fmt.Sprint(f.ids()); got != "[fire2 fire4 notice0 gas1 water3]" {
			t.Error(got)
		}
	})
}

// TestDeadChannelDelaysNoOther: one hangs for its timeout at each message, the other delivers at once.
func TestDeadChannelDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := &far{fate: func(int, Message) error { time.Sleep(5 * time.Second); return context.DeadlineExceeded }}
		alive := &far{}
		c, box := channels(t, Options{}, dead, alive), &outbox{}
		stop := start(t, c, box)
		began := time.Now()
		for i := range 50 {
			box.put(c.Compose(event(fmt.Sprint(i), "alarm.raised", fmt.Sprint(i), "gas"), time.Now())...)
		}
		c.Wake()
		synctest.Wait()
		if len(alive.ids()) != 50 || time.Since(began) != 0 {
			t.Errorf("%d of 50 delivered after %s", len(alive.ids()), time.Since(began))
		}
		stop()
	})
}

// TestFullDiskRepeatsNothing: what was delivered while the outbox cannot be written is not sent again, and is noted when
// it can; the others go on.
func TestFullDiskRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fate: func(_ int, m Message) error {
			if m.ID == "e2" {
				return errors.New("503")
			}
			return nil
		}}
		var log strings.Builder
		c, box := channels(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, f), &outbox{broken: true}
		for i := range 40 {
			box.put(c.Compose(event(fmt.Sprint("e", i), "alarm.raised", fmt.Sprint(i), "gas"), time.Now())...)
		}
		stop := start(t, c, box)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if got := len(f.ids()); got != 40 {
			t.Errorf("%d messages sent while the disk was full, want 40", got)
		}
		time.Sleep(10 * time.Second)
		box.mu.Lock()
		box.broken = false
		box.mu.Unlock()
		time.Sleep(10 * time.Second)
		stop()
		times := map[string]int{}
		for _, id := range f.ids() {
			times[id]++
		}
		for id, n := range times {
			if id != "e2" && n != 1 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		if times["e2"] < 2 || box.waiting() != 1 || strings.Count(log.String(), "cannot use the outbox") != 1 {
			t.Errorf("e2 was tried %d times, %d wait\n%s", times["e2"], box.waiting(), log.String())
		}
	})
}

// TestNothingIsLostAcrossRestarts: with the real store and a receiver that fails often, every message arrives though Run
// is stopped again and again, and only those under way at a stop arrive twice.
func TestNothingIsLostAcrossRestarts(t *testing.T) {
	h, s := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n%3 == 0 {
			w.WriteHeader(503)
		}
	})
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	yaml := fmt.Sprintf(`[{id: hook, webhook: {url: %q, secret: %s}}]`, s.URL, secret)
	compose := read(t, yaml, Options{})
	const total = 60
	for i := range total {
		e := event(fmt.Sprint("A", i, "/1"), "alarm.raised", fmt.Sprint("A", i), "gas")
		tx := &store.Transaction{Events: []alarm.Event{e}, Messages: compose.Compose(e, time.Now())}
		if err := st.Commit(context.Background(), tx); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func() map[string]int {
		h.mu.Lock()
		defer h.mu.Unlock()
		ids := map[string]int{}
		for i, r := range h.got {
			if (i+1)%3 != 0 {
				ids[r.header.Get("X-Embergate-Event")]++
			}
		}
		return ids
	}
	restarts := 0
	for deadline := time.Now().Add(60 * time.Second); len(arrived()) < total; restarts++ {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d arrived", len(arrived()), total)
		}
		before := h.count()
		stop := start(t, read(t, yaml, Options{}), st)
		for until := time.Now().Add(3 * time.Second); h.count() < before+17 && len(arrived()) < total && time.Now().Before(until); {
			time.Sleep(5 * time.Millisecond)
		}
		stop()
	}
	twice := 0
	for _, n := range arrived() {
		twice += n - 1
	}
	if twice > restarts {
		t.Errorf("%d repeats after %d restarts", twice, restarts)
	}
	pending, err := st.PendingMessages(context.Background())
	if err != nil || pending["hook"].Records > 1 {
		t.Errorf("%v pending, %v", pending, err)
	}
}

// TestTestMessage goes out at once, without the outbox.
func TestTestMessage(t *testing.T) {
	f := &far{}
	c := channels(t, Options{Lang: "zh"}, f)
	if err := c.Test(context.Background(), "a", noon); err != nil || len(f.got) != 1 || !strings.HasPrefix(f.got[0].Text, "测试消息") {
		t.Errorf("%v, %+v", err, f.got)
	}
	if c.Test(context.Background(), "z", noon) == nil {
		t.Error("a channel that is not there took it")
	}
}
