package console

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

func (c *canned) Deliveries(_ context.Context, q DeliveryQuery) ([]Delivery, error) {
	return []Delivery{{
		Time: noon, Channel: "duty-group", To: "zhang,li", Event: fmt.Sprintf("%s %s %d", q.Alarm, q.Channel, q.Limit), Type: alarm.EventRaised,
		Alarm: "00000007", Outcome: "accepted", Detail: "no. 7", Latency: 0.25,
	}}, c.failing
}

func (c *canned) TestChannel(_ context.Context, channel, to string, a alarm.Act) (Delivery, error) {
	if channel == "nobody" {
		return Delivery{}, fs.ErrNotExist
	}
	return Delivery{Time: noon.Add(time.Second), Channel: channel, To: to, Type: "test", Outcome: "never", Detail: "93000"}, c.did("test", channel, a)
}

// TestTheLedgerAndTheTestOfAChannel (NO13, NO14): the ledger can be asked by alarm and channel; a test answers with its
// attempt, refused or not.
func TestTheLedgerAndTheTestOfAChannel(t *testing.T) {
	d := described(t)
	for _, test := range []struct {
		name, method, route, target, body string
		status                            int
		wants                             string
		refuse                            error
	}{
		{"all", "GET", "/api/v1/deliveries", "/api/v1/deliveries", "", 200, `"event":"  100"`, nil},
		{"of an alarm by a channel", "GET", "/api/v1/deliveries", "/api/v1/deliveries?alarm=7&channel=sms&limit=5", "", 200, `"event":"7 sms 5","type":"alarm.raised","alarm":"00000007","outcome":"accepted","detail":"no. 7","latency":0.25}`, nil},
		{"no number", "GET", "/api/v1/deliveries", "/api/v1/deliveries?limit=x", "", 400, "limit", nil},
		{"a test", "POST", "/api/v1/channels/{id}/test", "/api/v1/channels/sms/test", `{"by":"zhang","to":"li"}`, 200, `"channel":"sms","to":"li","event":"","type":"test","alarm":"","outcome":"never"`, nil},
		{"a channel that there is not", "POST", "/api/v1/channels/{id}/test", "/api/v1/channels/nobody/test", `{"by":"zhang"}`, 404, "nobody", nil},
		{"one that needs a person", "POST", "/api/v1/channels/{id}/test", "/api/v1/channels/sms/test", `{"by":"zhang"}`, 400, "whom", &alarm.Refused{Cause: alarm.ErrInput, Text: i18n.T("whom")}},
		{"a long name", "POST", "/api/v1/channels/{id}/test", "/api/v1/channels/sms/test", `{"by":"` + strings.Repeat("张", 41) + `"}`, 400, "40", nil},
		{"no JSON", "POST", "/api/v1/channels/{id}/test", "/api/v1/channels/sms/test", `{`, 400, "JSON", nil},
	} {
		c := freshEvening(i18n.English)
		c.refuse = test.refuse
		rec := ask(t, consoleOf(t, c, i18n.English), test.method, test.target, test.body)
		if rec.Code != test.status || !strings.Contains(rec.Body.String(), test.wants) {
			t.Errorf("%s: %d %s", test.name, rec.Code, rec.Body)
		}
		d.answers(t, test.route, test.method, rec)
	}
}
