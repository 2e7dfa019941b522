package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/rules"
)

// send commits messages written as "channel type alarm class", and returns their ids.
func send(t testing.TB, s *Store, lines ...string) []int64 {
	t.Helper()
	tx := &Transaction{}
	for _, line := range lines {
		f := strings.Fields(line)
		tx.Messages = append(tx.Messages, Message{Channel: f[0], Event: f[2] + "-" + f[1], Type: f[1], Alarm: f[2], Class: rules.Class(f[3]), Created: noon})
	}
	commit(t, s, tx)
	var ids []int64
	for _, m := range tx.Messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func due(t testing.TB, s *Store, channel string, now time.Time) string {
	t.Helper()
	var events []string
	for _, m := range must[[]Message](t)(s.DueMessages(t.Context(), channel, now, 0)) {
		events = append(events, m.Event)
	}
	return strings.Join(events, " ")
}

func wantDue(t testing.TB, s *Store, channel string, now time.Time, want string) {
	t.Helper()
	if got := due(t, s, channel, now); got != want {
		t.Errorf("due for %s at %s: %q, want %q", channel, now.Sub(noon), got, want)
	}
}

func TestFireGoesFirstThenTheOrderOfCommit(t *testing.T) {
	s := openAt(t, t.TempDir())
	send(t, s, "sms alarm.raised g gas", "sms fault.raised f fault", "sms alarm.raised a fire", "hook alarm.raised g gas", "sms alarm.raised b fire")
	wantDue(t, s, "sms", noon, "a-alarm.raised b-alarm.raised g-alarm.raised f-fault.raised")
	wantDue(t, s, "hook", noon, "g-alarm.raised")
	wantDue(t, s, "voice", noon, "")
	if got := must[[]Message](t)(s.DueMessages(t.Context(), "sms", noon, 2)); len(got) != 2 || got[0].Alarm != "a" {
		t.Errorf("limit 2: %+v", got)
	}
}

func TestNobodyReadsRaisedAfterCleared(t *testing.T) {
	s := openAt(t, t.TempDir())
	ids := send(t, s, "sms alarm.raised a fire", "sms alarm.cleared a fire", "sms alarm.raised b fire", "hook alarm.cleared a fire")
	wantDue(t, s, "sms", noon, "a-alarm.raised b-alarm.raised")
	wantDue(t, s, "hook", noon, "a-alarm.cleared") // its raised is settled, or was never for this channel
	if err := s.RetryMessage(t.Context(), ids[0], noon.Add(time.Minute), "timeout", noon); err != nil {
		t.Fatal(err)
	}
	wantDue(t, s, "sms", noon, "b-alarm.raised")
	wantDue(t, s, "sms", noon.Add(time.Minute), "a-alarm.raised b-alarm.raised")
	if err := s.SettleMessage(t.Context(), ids[0], Accepted, "202", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	wantDue(t, s, "sms", noon.Add(time.Minute), "a-alarm.cleared b-alarm.raised")
}

func TestAnEscalationDoesNotWaitForOneThatFails(t *testing.T) {
	s := openAt(t, t.TempDir())
	ids := send(t, s, "sms alarm.raised a fire", "sms alarm.escalated a fire")
	if err := s.RetryMessage(t.Context(), ids[0], noon.Add(time.Hour), "li's number is blocked", noon); err != nil {
		t.Fatal(err)
	}
	wantDue(t, s, "sms", noon, "a-alarm.escalated")
}

func TestAMessageWaitsForItsTime(t *testing.T) {
	s := openAt(t, t.TempDir())
	commit(t, s, &Transaction{Messages: []Message{{Channel: "sms", Event: "later", Created: noon, NotBefore: noon.Add(time.Hour)}}})
	wantDue(t, s, "sms", noon.Add(59*time.Minute), "")
	wantDue(t, s, "sms", noon.Add(time.Hour), "later")
	wantDue(t, s, "sms", noon.Add(-time.Second), "")       // two clocks in one box may differ by so much
	wantDue(t, s, "sms", noon.Add(-24*time.Hour), "later") // the clock was set back: late is worse than early
}

func TestTheLedgerHoldsEveryAttempt(t *testing.T) {
	s := openAt(t, t.TempDir())
	ids := send(t, s, "sms alarm.raised a fire", "hook alarm.raised a fire")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.RetryMessage(t.Context(), ids[0], noon.Add(5*time.Second), "503", noon.Add(time.Second)))
	m := must[[]Message](t)(s.DueMessages(t.Context(), "sms", noon.Add(5*time.Second), 1))[0]
	if m.Attempts != 1 || m.LastError != "503" || !m.NotBefore.Equal(noon.Add(5*time.Second)) {
		t.Errorf("after one failure: %+v", m)
	}
	check(s.SettleMessage(t.Context(), ids[0], Accepted, "ok", noon.Add(6*time.Second)))
	check(s.SettleMessage(t.Context(), ids[1], Never, "404", noon.Add(7*time.Second)))
	if err := s.SettleMessage(t.Context(), ids[1], Accepted, "", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("settled twice: %v, want ErrNotFound", err)
	}
	if err := s.RetryMessage(t.Context(), ids[1], noon, "", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("retried after it was settled: %v, want ErrNotFound", err)
	}
	s = reopen(t, s)
	var got []string
	for _, d := range must[[]Delivery](t)(s.Deliveries(t.Context(), 0)) {
		got = append(got, fmt.Sprintf("%s %s %s %s %s", d.Channel, d.Event, d.Outcome, d.Detail, d.Latency))
	}
	want := "hook a-alarm.raised never 404 7s\nsms a-alarm.raised accepted ok 6s\nsms a-alarm.raised retry 503 1s"
	if strings.Join(got, "\n") != want {
		t.Errorf("ledger\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	wantDue(t, s, "sms", noon.Add(time.Hour), "")
}

func TestOnlyAcceptedAndNeverSettle(t *testing.T) {
	s := openAt(t, t.TempDir())
	id := send(t, s, "sms alarm.raised a fire")[0]
	if err := s.SettleMessage(t.Context(), id, Retry, "", noon); err == nil {
		t.Error("a retry settled the message")
	}
	wantDue(t, s, "sms", noon, "a-alarm.raised")
}

func TestIDsAreNotUsedTwice(t *testing.T) {
	s := openAt(t, t.TempDir())
	first := send(t, s, "sms alarm.raised a fire")[0]
	if err := s.SettleMessage(t.Context(), first, Accepted, "", noon); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if second := send(t, s, "sms alarm.raised b fire")[0]; second <= first {
		t.Errorf("id %d after %d: a late answer would settle the wrong message", second, first)
	}
}

func TestPendingMessages(t *testing.T) {
	s := openAt(t, t.TempDir())
	commit(t, s, &Transaction{Messages: []Message{
		{Channel: "sms", Created: noon.Add(time.Second), Body: []byte("123")}, {Channel: "sms", Created: noon, Body: []byte("45")}, {Channel: "hook", Created: noon},
	}})
	got := must[map[string]QueueStats](t)(s.PendingMessages(t.Context()))
	if want := (QueueStats{Records: 2, Bytes: 5, Oldest: noon}); len(got) != 2 || got["sms"] != want || got["hook"].Records != 1 {
		t.Errorf("got %+v", got)
	}
}
