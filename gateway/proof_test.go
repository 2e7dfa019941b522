package gateway

import (
	"testing"
	"time"

	"embergate/gateway/console"
	"embergate/gateway/notify"
	"embergate/gateway/store"
)

func TestTheLastProofOfTheChainIsTheLatestTestOrDrill(t *testing.T) {
	nine := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	var p proof
	if p.last(nil, 2) != nil {
		t.Error("there was none")
	}
	test := func(event, channel string, made time.Time) store.Message {
		return store.Message{Event: event, Type: notify.EventTest, Channel: channel, Created: made}
	}
	p.delivered(store.Message{Event: "7/1", Type: "alarm.raised", Created: nine}, store.Accepted, nine)
	p.delivered(test("a", "sms", nine), store.Retry, nine.Add(time.Second))
	p.delivered(test("a", "sms", nine), store.Accepted, nine.Add(3*time.Second))
	p.delivered(test("a", "hook", nine), store.Accepted, nine.Add(time.Second))
	p.delivered(test("a", "hook", nine), store.Accepted, nine.Add(2*time.Second)) // once more
	p.delivered(test("old", "sms", nine.Add(-time.Hour)), store.Accepted, nine)
	if c := p.last(nil, 3); c == nil || *c != (console.Chain{At: nine, Took: 3 * time.Second, Told: 2, Of: 3}) {
		t.Errorf("%+v", c)
	}
	before, after := console.Chain{At: nine.Add(-time.Hour)}, console.Chain{At: nine.Add(time.Hour), Drill: true}
	if c := p.last(&before, 3); c.Told != 2 {
		t.Error("an older drill says more")
	}
	if c := p.last(&after, 3); !c.Drill {
		t.Error("a later drill says nothing")
	}
}

func TestTheLastTestIsRecalledFromTheLedger(t *testing.T) {
	st, err := store.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Now()
	for _, d := range []store.Delivery{
		{Time: now.Add(-time.Hour), Channel: "sms", Message: 1, Event: "old", Type: notify.EventTest, Outcome: store.Accepted, Latency: time.Second},
		{Time: now.Add(-time.Minute), Channel: "sms", Message: 2, Event: "new", Type: notify.EventTest, Outcome: store.Accepted, Latency: 2 * time.Second},
		{Time: now.Add(-time.Minute), Channel: "hook", Message: 3, Event: "new", Type: notify.EventTest, Outcome: store.Accepted, Latency: 2 * time.Second},
		{Time: now, Channel: "hook", Event: "by hand", Type: notify.EventTest, Outcome: store.Accepted},
	} {
		if err := st.RecordDelivery(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	var p proof
	if err := p.recall(t.Context(), st, now); err != nil {
		t.Fatal(err)
	}
	if c := p.last(nil, 2); c == nil || c.Told != 2 || c.Took != 2*time.Second || now.Sub(c.At) > 2*time.Minute {
		t.Errorf("%+v", c)
	}
}
