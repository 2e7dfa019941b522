package notify

import (
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
)

// TestEveryKindCanBePreviewed (NO15): as it reads there, place first, without a network.
func TestEveryKindCanBePreviewed(t *testing.T) {
	c := read(t, `
- {id: hook, webhook: {url: "http://127.0.0.1:1/hook"}}
- {id: wecom, wecom: {key: k}}
- {id: dingtalk, dingtalk: {token: t, keyword: 消防}}
- {id: feishu, feishu: {token: t}}
- {id: sms, aliyun_sms: {access_key_id: LTAI, secret: s, sign_name: 消防值班, template: SMS_100000001}}
- {id: voice, aliyun_voice: {access_key_id: LTAI, secret: s, template: TTS_100000001}}
- {id: tencent, tencent_sms: {secret_id: i, secret: s, app_id: "1400000001", sign_name: n, template: "1000001"}}
- {id: mail, email: {server: "smtp.example.org:465", from: a@example.org, to: [b@example.org]}}
- {id: ntfy, ntfy: {topic: duty}}
- {id: bark, bark: {key: k}}
- {id: telegram, telegram: {token: t, chat_id: -1}}
- {id: am, alertmanager: {url: "http://127.0.0.1:1"}}
`, Options{Lang: "zh", Site: Site{Name: "颐康养老院"}})
	list := c.Preview(alarm.Event{ID: "00000042-1a/1", Type: alarm.EventRaised, Time: noon.In(county), Alarm: gas()}, noon.Add(time.Second))
	if len(list) != len(kinds) {
		t.Fatalf("%d previews of %d kinds", len(list), len(kinds))
	}
	for _, p := range list {
		place, kind := strings.Index(p.Text, "厨房"), strings.Index(p.Text, "燃气高报")
		if place < 0 || kind < 0 || p.Kind != "webhook" && p.Kind != "email" && place > kind || p.Channel == "" {
			t.Errorf("%s (%s):\n%s", p.Channel, p.Kind, p.Text)
		}
	}
	if !strings.Contains(list[2].Text, "消防") || !strings.Contains(list[4].Text, "place = ") || !strings.Contains(list[0].Text, `"event": "alarm.raised"`) {
		t.Errorf("%s\n\n%s\n\n%s", list[2].Text, list[4].Text, list[0].Text)
	}
}
