package notify

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

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
		got := c.Compose(alarm.Event{ID: "e", Type: kind, Alarm: gas(), Time: noon}, noon, nil)
		if want == "" && len(got) != 0 || want != "" && (len(got) != 2 || got[0].Type != want || Said(got[1]).Event != want || got[1].Channel != "b") {
			t.Errorf("%s made %+v", kind, got)
		}
	}
	nan, a := math.NaN(), gas()
	a.Value = &nan
	if m := c.Compose(alarm.Event{ID: "e", Type: "alarm.raised", Alarm: a, Time: noon}, noon, nil); Said(m[0]).Alarm == nil || Said(m[0]).Text == "" {
		t.Errorf("an alarm without a value that JSON can say made %s", m[0].Body)
	}
	if m := Said(store.Message{Body: []byte("{"), Event: "e", Type: "alarm.raised"}); m.ID != "e" || m.Text == "" {
		t.Errorf("a damaged message says %+v", m)
	}
}

// TestAMessageIsForThoseAddressed: only the channels named, and where a channel reaches one person at a time, one for each.
func TestAMessageIsForThoseAddressed(t *testing.T) {
	c := read(t, `
- {id: hook, webhook: {url: "http://h"}}
- {id: sms, aliyun_sms: {access_key_id: LTAI, secret: s, sign_name: n, template: SMS_1}}
- {id: group, wecom: {key: k}}
`, Options{})
	raised := alarm.Event{ID: "e", Type: "alarm.raised", Alarm: gas(), Time: noon}
	for _, tt := range []struct {
		to   []Address
		want string
	}{
		{nil, "hook() sms() group()"},
		{[]Address{}, ""},
		{[]Address{{"sms", []string{"li", "wang"}}, {"group", []string{"li", "wang"}}}, "sms(li) sms(wang) group(li,wang)"},
		{[]Address{{"gone", []string{"li"}}, {"hook", nil}}, "hook()"},
	} {
		var got []string
		for _, m := range c.Compose(raised, noon, tt.to) {
			got = append(got, fmt.Sprintf("%s(%s)", m.Channel, m.To))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("to %v went %v, want %s", tt.to, got, tt.want)
		}
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
		`[{id: a, aliyun_voice: {access_key_id: i, secret: s, template: t, play_times: 4}}]`:                          `a call is played 1 to 3 times`,
		`[{id: a, tencent_sms: {secret_id: i, secret: s, sign_name: n, template: t}}]`:                                `app_id is needed`,
		`[{id: a, aliyun_sms: {access_key_id: i, secret: s, sign_name: n, template: t, variables: [plac]}}]`:          `[0].aliyun_sms.variables[0]: "plac" is not known; allowed: place, kind, time, site; did you mean place?`,
		`[{id: a, tencent_sms: {secret_id: i, secret: s, app_id: a, sign_name: n, template: t, variable_length: 5}}]`: `a variable of a template has 6 to 35 characters`,
		`[{id: a, wecom: {key: k, url: "qyapi.weixin.qq.com"}}]`:                                                      `url begins with http://`,
		`[{id: a, email: {server: "mail:0", from: "a@b"}}]`:                                                           `the mail server is host:port`,
		`[{id: a, email: {server: mail, from: "a@b"}}]`:                                                               `the mail server is host:port`,
		`[{id: a, email: {server: "mail:465", from: "a@b", to: [c]}}]`:                                                `"c" is not a mail address`,
		`[{id: a, email: {server: "mail:465", from: "a@b", username: u}}]`:                                            `username and password come together`,
		`[{id: a, ntfy: {topic: t, token: x, username: u}}]`:                                                          `a token or a username, not both`,
		`[{id: a, bark: {key: k, level: loud}}]`:                                                                      `"loud" is not known; allowed: active`,
		`[{id: a, telegram: {token: t}}]`:                                                                             `chat_id is needed`,
		`[{id: a, alertmanager: {}}]`:                                                                                 `url begins with http://`,
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

// TestEveryKindIsAcceptedWhole: all keys of each kind.
func TestEveryKindIsAcceptedWhole(t *testing.T) {
	c := read(t, `
- {id: hook, webhook: {url: "http://127.0.0.1:18086/hook", secret: s, timeout: 2s}}
- {id: wecom, wecom: {key: k, mention: ["@all"]}}
- {id: dingtalk, dingtalk: {token: t, secret: SEC1, keyword: 消防, mention: ["13800000001"]}}
- {id: feishu, feishu: {token: t, secret: s, keyword: 消防, lark: true, mention: ["@all"]}}
- {id: sms, aliyun_sms: {url: "https://dysmsapi.example.org", access_key_id: LTAI, secret: s, sign_name: 消防值班, template: SMS_100000001, region: cn-hangzhou, variables: [site, place, kind], variable_length: 35}}
- {id: voice, aliyun_voice: {access_key_id: LTAI, secret: s, template: TTS_100000001, show_number: "05331", play_times: 3}}
- {id: tencent, tencent_sms: {secret_id: i, secret: s, app_id: "1400000001", sign_name: n, template: "1000001", region: ap-beijing, variables: [kind]}}
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
	if len(read(t, `[]`, Options{}).IDs()) != 0 {
		t.Error("no channels are some")
	}
}
