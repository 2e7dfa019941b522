package store

import (
	"database/sql"
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
	for _, m := range must[[]Message](t)(s.DueMessages(t.Context(), Due{Channel: channel, Now: now})) {
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
	if got := must[[]Message](t)(s.DueMessages(t.Context(), Due{Channel: "sms", Now: noon, Limit: 2})); len(got) != 2 || got[0].Alarm != "a" {
		t.Errorf("limit 2: %+v", got)
	}
}

func TestNobodyReadsRaisedAfterCleared(t *testing.T) {
	s := openAt(t, t.TempDir())
	ids := send(t, s, "sms alarm.raised a fire", "sms alarm.cleared a fire", "sms alarm.raised b fire", "hook alarm.cleared a fire")
	wantDue(t, s, "sms", noon, "a-alarm.raised b-alarm.raised")
	wantDue(t, s, "hook", noon, "a-alarm.cleared") // its raised is settled, or was never for this channel
	if err := s.RetryMessages(t.Context(), []int64{ids[0]}, noon.Add(time.Minute), "timeout", noon); err != nil {
		t.Fatal(err)
	}
	wantDue(t, s, "sms", noon, "b-alarm.raised")
	wantDue(t, s, "sms", noon.Add(time.Minute), "a-alarm.raised b-alarm.raised")
	if err := s.SettleMessages(t.Context(), []int64{ids[0]}, Accepted, "202", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	wantDue(t, s, "sms", noon.Add(time.Minute), "a-alarm.cleared b-alarm.raised")
}

func TestAnEscalationDoesNotWaitForOneThatFails(t *testing.T) {
	s := openAt(t, t.TempDir())
	ids := send(t, s, "sms alarm.raised a fire", "sms alarm.escalated a fire")
	if err := s.RetryMessages(t.Context(), []int64{ids[0]}, noon.Add(time.Hour), "li's number is blocked", noon); err != nil {
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
	check(s.RetryMessages(t.Context(), []int64{ids[0]}, noon.Add(5*time.Second), "503", noon.Add(time.Second)))
	m := must[[]Message](t)(s.DueMessages(t.Context(), Due{Channel: "sms", Now: noon.Add(5 * time.Second), Limit: 1}))[0]
	if m.Attempts != 1 || m.LastError != "503" || !m.NotBefore.Equal(noon.Add(5*time.Second)) {
		t.Errorf("after one failure: %+v", m)
	}
	check(s.SettleMessages(t.Context(), []int64{ids[0]}, Accepted, "ok", noon.Add(6*time.Second)))
	check(s.SettleMessages(t.Context(), []int64{ids[1]}, Never, "404", noon.Add(7*time.Second)))
	if err := s.SettleMessages(t.Context(), []int64{ids[1]}, Accepted, "", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("settled twice: %v, want ErrNotFound", err)
	}
	if err := s.RetryMessages(t.Context(), []int64{ids[1]}, noon, "", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("retried after it was settled: %v, want ErrNotFound", err)
	}
	s = reopen(t, s)
	var got []string
	for _, d := range must[[]Delivery](t)(s.Deliveries(t.Context(), Ledger{})) {
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
	if err := s.SettleMessages(t.Context(), []int64{id}, Retry, "", noon); err == nil {
		t.Error("a retry settled the message")
	}
	wantDue(t, s, "sms", noon, "a-alarm.raised")
}

func TestIDsAreNotUsedTwice(t *testing.T) {
	s := openAt(t, t.TempDir())
	first := send(t, s, "sms alarm.raised a fire")[0]
	if err := s.SettleMessages(t.Context(), []int64{first}, Accepted, "", noon); err != nil {
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

func TestWhatIsUrgentGoesBeforeTheRest(t *testing.T) {
	s := openAt(t, t.TempDir())
	commit(t, s, &Transaction{Messages: []Message{
		{Channel: "sms", Event: "fault", Created: noon}, {Channel: "sms", Event: "gas", Class: "gas", Urgent: true, Created: noon},
		{Channel: "sms", Event: "fire-over", Class: "fire", Created: noon}, {Channel: "sms", Event: "fire", Class: "fire", Urgent: true, Created: noon},
	}})
	wantDue(t, s, "sms", noon, "fire-over fire gas fault")
	var urgent []string
	for _, m := range must[[]Message](t)(s.DueMessages(t.Context(), Due{Channel: "sms", Now: noon, Urgent: true})) {
		urgent = append(urgent, m.Event)
	}
	if got := strings.Join(urgent, " "); got != "fire gas" {
		t.Errorf("urgent are %q", got)
	}
}

// TestEachPersonIsToldApart: where a channel reaches one person at a time, what ends an alarm waits for what the same
// person has not got, and people can be left out.
func TestEachPersonIsToldApart(t *testing.T) {
	s := openAt(t, t.TempDir())
	var list []Message
	for _, kind := range []string{"alarm.raised", "alarm.cleared"} {
		for _, to := range []string{"li", "wang"} {
			list = append(list, Message{Channel: "sms", Event: to + "-" + kind, Type: kind, To: to, Alarm: "a", Class: "fire", Created: noon})
		}
	}
	tx := &Transaction{Messages: list}
	commit(t, s, tx)
	if err := s.SettleMessages(t.Context(), []int64{tx.Messages[1].ID}, Accepted, "", noon); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		due  Due
		want string
	}{
		{Due{Apart: true}, "li-alarm.raised wang-alarm.cleared"},
		{Due{}, "li-alarm.raised"},
		{Due{Apart: true, Except: []string{"li", "nobody"}}, "wang-alarm.cleared"},
	} {
		tt.due.Channel, tt.due.Now = "sms", noon
		var got []string
		for _, m := range must[[]Message](t)(s.DueMessages(t.Context(), tt.due)) {
			got = append(got, m.Event)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: due are %v, want %s", tt.due, got, tt.want)
		}
	}
	of := must[[]Message](t)(s.MessagesOf(t.Context(), "sms", []string{"a", "b"}))
	if len(of) != 3 || of[0].Event != "li-alarm.raised" || of[2].Event != "wang-alarm.cleared" {
		t.Errorf("of the alarm are %+v", of)
	}
}

func TestTheNextMessageAndHowManyWait(t *testing.T) {
	s := openAt(t, t.TempDir())
	next := func(after, want time.Time, pending int) {
		t.Helper()
		at, n, err := s.NextDue(t.Context(), "sms", after)
		if err != nil || !at.Equal(want) || n != pending {
			t.Errorf("next at %s, %d pending, %v; want %s, %d", at, n, err, want, pending)
		}
	}
	next(noon, time.Time{}, 0)
	ids := send(t, s, "sms alarm.raised a gas", "sms alarm.cleared a gas", "hook alarm.raised a gas")
	next(noon, time.Time{}, 2)
	if err := s.RetryMessages(t.Context(), ids[:1], noon.Add(time.Minute), "503", noon); err != nil {
		t.Fatal(err)
	}
	next(noon, noon.Add(time.Minute), 2)
	next(noon.Add(time.Minute), time.Time{}, 2)
}

func TestOneAttemptForSeveralMessages(t *testing.T) {
	s := openAt(t, t.TempDir())
	ids := send(t, s, "sms alarm.raised a gas", "sms alarm.raised b gas", "sms alarm.raised c gas")
	if err := s.RetryMessages(t.Context(), ids[:2], noon.Add(time.Minute), "503", noon); err != nil {
		t.Fatal(err)
	}
	if err := s.SettleMessages(t.Context(), append(ids, 99), Accepted, "msg 7", noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if err := s.SettleMessages(t.Context(), ids, Accepted, "", noon); !errors.Is(err, ErrNotFound) {
		t.Errorf("settled twice: %v", err)
	}
	for l, want := range map[Ledger]string{
		{}:                                 "c accepted b accepted a accepted b retry a retry",
		{Alarm: "a"}:                       "a accepted a retry",
		{Channel: "sms", Limit: 1}:         "c accepted",
		{Channel: "hook"}:                  "",
		{Outcome: Retry, Channel: "sms"}:   "b retry a retry",
		{Since: noon.Add(2 * time.Second)}: "c accepted b accepted a accepted",
	} {
		var got []string
		for _, d := range must[[]Delivery](t)(s.Deliveries(t.Context(), l)) {
			got = append(got, d.Alarm+" "+string(d.Outcome))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%+v: %v, want %s", l, got, want)
		}
	}
	test := Delivery{Time: noon.Add(time.Hour), Channel: "hook", Event: "test/1", Type: "test", To: "li", Outcome: Accepted, Detail: "id 5", Latency: time.Second}
	if err := s.RecordDelivery(t.Context(), test); err != nil {
		t.Fatal(err)
	}
	if got := must[[]Delivery](t)(s.Deliveries(t.Context(), Ledger{Channel: "hook"})); len(got) != 1 || got[0] != test {
		t.Errorf("recorded %+v", got)
	}
}

// TestDeliveryIsAskedFromAnIndex: neither the next messages nor the ledger of a channel or alarm need a sort or a scan.
func TestDeliveryIsAskedFromAnIndex(t *testing.T) {
	s := openAt(t, t.TempDir())
	plan := func(query string, args ...any) string {
		t.Helper()
		rows, err := s.state.readers.Query(`EXPLAIN QUERY PLAN `+query, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var said []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			said = append(said, detail)
		}
		return strings.Join(said, "; ")
	}
	where, args := Due{Channel: "sms"}.where()
	said := plan(`SELECT * FROM messages AS m WHERE `+where+` ORDER BY `+turn+`, id`, args...)
	if !strings.Contains(said, "USING INDEX messages_by_turn") || strings.Contains(said, "TEMP B-TREE FOR ORDER BY") {
		t.Error(said)
	}
	for _, l := range []Ledger{{Channel: "sms"}, {Alarm: "a"}, {Channel: "sms", Outcome: Accepted}, {Channel: "sms", Since: noon}} {
		where, args := l.where()
		said := plan(`SELECT * FROM deliveries WHERE `+where+` ORDER BY id DESC`, args...)
		if !strings.Contains(said, "USING INDEX deliveries_by_") || strings.Contains(said, "TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%+v: %s", l, said)
		}
	}
}

// BenchmarkDueOf10000 is what a channel asks before each message, with 10,000 waiting: the next ones, when all wait for
// their time, and the time of the next.
func BenchmarkDueOf10000(b *testing.B) {
	s := openAt(b, b.TempDir())
	tx := &Transaction{}
	for i := range 10_000 {
		kind := []string{"alarm.raised", "alarm.cleared"}[i%2]
		tx.Messages = append(tx.Messages, Message{Channel: "sms", Event: fmt.Sprint(i), Type: kind, Alarm: fmt.Sprint("a", i/2), Class: "gas", Urgent: i%2 == 0,
			Created: noon, NotBefore: noon.Add(time.Hour), Body: make([]byte, 800)})
	}
	commit(b, s, tx)
	ctx := b.Context()
	b.Run("due", func(b *testing.B) {
		for b.Loop() {
			if due := must[[]Message](b)(s.DueMessages(ctx, Due{Channel: "sms", Now: noon.Add(2 * time.Hour), Limit: 200})); len(due) != 200 {
				b.Fatal(len(due))
			}
		}
	})
	b.Run("half wait for others", func(b *testing.B) {
		change := func(query string, args ...any) {
			err := s.state.write(ctx, func(tx *sql.Tx) error { _, err := tx.Exec(query, args...); return err }, nil)
			if err != nil {
				b.Fatal(err)
			}
		}
		change(`UPDATE messages SET not_before = 0 WHERE type = 'alarm.cleared'`)
		for b.Loop() {
			if due := must[[]Message](b)(s.DueMessages(ctx, Due{Channel: "sms", Now: noon, Limit: 200})); len(due) != 0 {
				b.Fatal(len(due))
			}
		}
		change(`UPDATE messages SET not_before = ?`, nanos(noon.Add(time.Hour)))
	})
	b.Run("none due", func(b *testing.B) {
		for b.Loop() {
			if due := must[[]Message](b)(s.DueMessages(ctx, Due{Channel: "sms", Now: noon, Limit: 200})); len(due) != 0 {
				b.Fatal(len(due))
			}
		}
	})
	b.Run("next", func(b *testing.B) {
		for b.Loop() {
			if next, n, err := s.NextDue(ctx, "sms", noon); err != nil || n != 10_000 || next.IsZero() {
				b.Fatal(next, n, err)
			}
		}
	})
	b.Run("settle", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if err := s.RetryMessages(ctx, []int64{tx.Messages[i%10_000].ID}, noon.Add(time.Hour), "503", noon); err != nil {
				b.Fatal(err)
			}
		}
	})
}
