package gateway

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"embergate/gateway/store"
)

// TestPeopleAreToldWhileTheDiskRefuses (RE07): messages that the store did not take are delivered from memory, once, and
// those still waiting go to disk with their events.
func TestPeopleAreToldWhileTheDiskRefuses(t *testing.T) {
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	o, now := &outbox{Store: st}, time.Now()
	messages := func() []store.Message {
		return []store.Message{
			{Channel: "hook", Event: "1", Created: now, Body: []byte("{}")}, {Channel: "hook", Event: "2", Created: now, Body: []byte("{}")},
			{Channel: "sms", Event: "1", Created: now, Body: []byte("{}")},
		}
	}
	due := func(channel string) []store.Message {
		t.Helper()
		list, err := o.DueMessages(t.Context(), store.Due{Channel: channel, Now: now, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	o.hold(messages())
	if n := len(due("hook")); n != 2 {
		t.Fatalf("%d are due, want 2", n)
	}
	if err := o.SettleMessages(t.Context(), []int64{due("hook")[0].ID}, store.Accepted, "", now); err != nil {
		t.Fatal(err)
	}
	if err := o.RetryMessages(t.Context(), []int64{due("hook")[0].ID}, now.Add(time.Minute), "busy", now); err != nil {
		t.Fatal(err)
	}
	if n := len(due("hook")); n != 0 {
		t.Errorf("%d are due, want none: one is delivered, one waits", n)
	}

	// The disk works again: what was delivered is not written.
	tx := store.Transaction{Messages: o.waiting()}
	if err := st.Commit(t.Context(), &tx); err != nil {
		t.Fatal(err)
	}
	o.stored()
	now = now.Add(time.Hour)
	if got := due("hook"); len(got) != 1 || got[0].Event != "2" || got[0].ID < 0 {
		t.Errorf("hook has %+v, want event 2 from the store", got)
	}
	if got := due("sms"); len(got) != 1 {
		t.Errorf("sms has %+v, want one", got)
	}
}

func TestWhatIsToldFromMemoryKeepsItsOrder(t *testing.T) {
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	o, now := &outbox{Store: st}, time.Now()
	o.hold([]store.Message{
		{Channel: "hook", Event: "g1", Type: "alarm.raised", Alarm: "g", Class: "gas"},
		{Channel: "hook", Event: "g2", Type: "alarm.cleared", Alarm: "g", Class: "gas"},
		{Channel: "hook", Event: "f1", Type: "alarm.raised", Alarm: "f", Class: "fire"},
	})
	var got []string
	for range 3 {
		due, err := o.DueMessages(t.Context(), store.Due{Channel: "hook", Now: now, Limit: 10})
		if err != nil || len(due) == 0 {
			t.Fatal(due, err)
		}
		got = append(got, due[0].Event)
		if err := o.SettleMessages(t.Context(), []int64{due[0].ID}, store.Accepted, "", now); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"f1", "g1", "g2"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}
