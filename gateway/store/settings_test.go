package store_test

import (
	"log/slog"
	"maps"
	"testing"
	"time"

	"embergate/gateway/store"
)

// TestATransactionHoldsSettingsAndWithdrawals (NO06): who is to be told next is on disk with what was told, or neither is;
// and an answer takes back the reminders that wait, in the same transaction.
func TestATransactionHoldsSettingsAndWithdrawals(t *testing.T) {
	st, err := store.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	commit := func(tx store.Transaction) {
		t.Helper()
		if err := st.Commit(t.Context(), &tx); err != nil {
			t.Fatal(err)
		}
	}
	settings := func() map[string]string {
		t.Helper()
		all, err := st.Settings(t.Context(), "duty/")
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	message := func(alarm, kind string) store.Message {
		return store.Message{Channel: "sms", Alarm: alarm, Type: kind, Created: time.Now()}
	}
	commit(store.Transaction{
		Settings: []store.Setting{{Key: "duty/1", Value: "one"}, {Key: "duty/2", Value: "two"}, {Key: "other", Value: "x"}},
		Messages: []store.Message{message("1", "alarm.raised"), message("1", "alarm.reminder"), message("1", "alarm.escalated"), message("2", "alarm.reminder"), message("", "alarm.reminder")},
	})
	if got, want := settings(), map[string]string{"1": "one", "2": "two"}; !maps.Equal(got, want) {
		t.Errorf("settings are %v, want %v", got, want)
	}
	commit(store.Transaction{
		Settings: []store.Setting{{Key: "duty/1"}, {Key: "duty/2", Value: "more"}}, Withdrawn: []string{"1", ""},
		Messages: []store.Message{message("1", "alarm.escalated")},
	})
	if got, want := settings(), map[string]string{"2": "more"}; !maps.Equal(got, want) {
		t.Errorf("settings are %v, want %v", got, want)
	}
	pending, err := st.PendingMessages(t.Context())
	if err != nil || pending["sms"].Records != 4 { // raised, the one that came with it, and those of others
		t.Errorf("%d wait, want 4: %v", pending["sms"].Records, err)
	}
}
