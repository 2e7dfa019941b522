package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/rules"
)

// unguard drops what keeps the journal from changing.
func unguard(t testing.TB, s *Store) *Store {
	t.Helper()
	tamper(t, s, `DROP TRIGGER events_never_change; DROP TRIGGER events_never_leave`)
	return s
}

// tamper changes the journal behind the store's back.
func tamper(t testing.TB, s *Store, query string, args ...any) {
	t.Helper()
	if _, err := s.state.conn.ExecContext(context.Background(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func journalOf(t testing.TB, n int) *Store {
	t.Helper()
	s := openAt(t, t.TempDir())
	for i := range n {
		e := raised(fmt.Sprintf("a%d", i), noon.Add(time.Duration(i)*time.Second))
		e.By, e.Via, e.Note = "张三", "console", "厨房"
		commit(t, s, &Transaction{Events: []alarm.Event{e}})
	}
	return s
}

func wantMisfit(t testing.TB, s *Store, what string, seq int64) {
	t.Helper()
	_, err := s.VerifyJournal(context.Background())
	var broken *ChainError
	if !errors.As(err, &broken) || broken.Seq != seq {
		t.Errorf("%s: verify says %v, want event %d", what, err, seq)
	}
}

func TestTheJournalRefusesToChange(t *testing.T) {
	s := journalOf(t, 2)
	for _, q := range []string{`UPDATE events SET type = 'x' WHERE seq = 1`, `DELETE FROM events WHERE seq = 2`} {
		_, err := s.state.conn.ExecContext(t.Context(), q)
		if err == nil {
			t.Errorf("%s went through", q)
		}
	}
	if n, err := s.VerifyJournal(t.Context()); n != 2 || err != nil {
		t.Errorf("verify: %d, %v", n, err)
	}
}

// Every single byte of every column of a row in the middle, and one in ten of the last row.
func TestVerifyNamesTheRowOfAnyChangedByte(t *testing.T) {
	s := unguard(t, journalOf(t, 4))
	for seq, step := range map[int64]int{2: 1, 4: 10} {
		for _, column := range []string{"id", "type", "alarm", "device", "class", "body", "hash"} {
			var whole []byte
			query := fmt.Sprintf(`SELECT CAST(%s AS BLOB) FROM events WHERE seq = ?`, column)
			if err := s.state.readers.QueryRowContext(t.Context(), query, seq).Scan(&whole); err != nil {
				t.Fatal(err)
			}
			kind := "TEXT"
			if column == "body" || column == "hash" {
				kind = "BLOB"
			}
			set := fmt.Sprintf(`UPDATE events SET %s = CAST(? AS %s) WHERE seq = ?`, column, kind)
			for i := 0; i < len(whole); i += step {
				changed := append([]byte(nil), whole...)
				changed[i] ^= 1
				tamper(t, s, set, changed, seq)
				wantMisfit(t, s, fmt.Sprintf("byte %d of %s of %d", i, column, seq), seq)
			}
			tamper(t, s, set, whole, seq)
		}
		for bit := 0; bit < 63; bit += step {
			tamper(t, s, `UPDATE events SET time = (time | ?) - (time & ?) WHERE seq = ?`, int64(1)<<bit, int64(1)<<bit, seq)
			wantMisfit(t, s, fmt.Sprintf("bit %d of time of %d", bit, seq), seq)
			tamper(t, s, `UPDATE events SET time = ? WHERE seq = ?`, noon.Add(time.Duration(seq-1)*time.Second).UnixNano(), seq)
		}
	}
	if n, err := s.VerifyJournal(t.Context()); n != 4 || err != nil {
		t.Errorf("restored, verify says %d, %v", n, err)
	}
}

func TestVerifyNamesTheFirstEventThatDoesNotFit(t *testing.T) {
	for _, test := range []struct {
		name, query string
		want        int64
	}{
		{"the first removed", `DELETE FROM events WHERE seq = 1`, 1},
		{"one in the middle removed", `DELETE FROM events WHERE seq = 3`, 3},
		{"the last removed", `DELETE FROM events WHERE seq = 5`, 5},
		{"all removed", `DELETE FROM events`, 1},
		{"one renumbered", `UPDATE events SET seq = 9 WHERE seq = 3`, 3},
		{"bodies and hashes of two swapped", `UPDATE events SET (body, hash) = (SELECT body, hash FROM events AS o WHERE o.seq = 6 - events.seq) WHERE seq IN (2, 4)`, 2},
		{"one copied to the end", `INSERT INTO events SELECT 6, id, time, type, alarm, device, class, body, hash FROM events WHERE seq = 5`, 6},
		{"the head changed", `UPDATE head SET hash = zeroblob(32)`, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := unguard(t, journalOf(t, 5))
			tamper(t, s, test.query)
			wantMisfit(t, s, test.name, test.want)
		})
	}
}

func TestTextThatIsNotUTF8DoesNotBreakTheChain(t *testing.T) {
	s := openAt(t, t.TempDir())
	e := raised("a\xff\xfe", noon)
	e.ID, e.Note = "\xffid\xff\xff", "\xc3("
	e.Time = time.Date(2026, 11, 21, 12, 0, 0, 7, time.FixedZone("odd", 8*3600+343))
	commit(t, s, &Transaction{Events: []alarm.Event{e}})
	if n, err := s.VerifyJournal(t.Context()); n != 1 || err != nil {
		t.Errorf("verify: %d, %v", n, err)
	}
}

// fill writes n events straight into the tables, each of its own alarm.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	for start := 0; start < n; start += 5000 {
		tx := &Transaction{}
		for i := start; i < min(n, start+5000); i++ {
			e := raised(fmt.Sprintf("alarm-%d", i), noon.Add(time.Duration(i)*time.Second))
			e.Alarm.Device = fmt.Sprintf("device-%d", i%200)
			e.Alarm.Class = []rules.Class{"fire", "gas", "electrical", "fault"}[i%4]
			tx.Events = append(tx.Events, e)
		}
		commit(t, s, tx)
	}
}

func TestFindEvents(t *testing.T) {
	s := openAt(t, t.TempDir())
	fill(t, s, 400)
	at := func(i int) time.Time { return noon.Add(time.Duration(i) * time.Second) }
	for _, test := range []struct {
		name string
		q    EventQuery
		want int
		last string // the newest
	}{
		{"all", EventQuery{}, 400, "alarm-399"},
		{"a span, to exclusive", EventQuery{From: at(10), To: at(20)}, 10, "alarm-19"},
		{"a device", EventQuery{Device: "device-7"}, 2, "alarm-207"},
		{"a class", EventQuery{Class: "gas"}, 100, "alarm-397"},
		{"a device and a span", EventQuery{Device: "device-7", To: at(207)}, 1, "alarm-7"},
		{"a device and its class", EventQuery{Device: "device-8", Class: "fire"}, 2, "alarm-208"},
		{"a device and another class", EventQuery{Device: "device-8", Class: "gas"}, 0, ""},
		{"limited", EventQuery{Class: "gas", Limit: 3}, 3, "alarm-397"},
		{"two types, of which one is there", EventQuery{To: at(10), Types: []string{"drill.ended", "alarm.raised"}}, 10, "alarm-9"},
		{"a type that is not there", EventQuery{Types: []string{"drill.ended"}}, 0, ""},
	} {
		got := must[[]alarm.Event](t)(s.FindEvents(t.Context(), test.q))
		last := ""
		if len(got) > 0 {
			last = got[0].Alarm.ID
		}
		if len(got) != test.want || last != test.last {
			t.Errorf("%s: %d events, newest %q; want %d, %q", test.name, len(got), last, test.want, test.last)
		}
	}
}

// A query that is answered from an index stays fast whatever the journal holds; a scan or a sort does not.
func TestQueriesAreAnsweredFromAnIndex(t *testing.T) {
	s := openAt(t, t.TempDir())
	for _, table := range []struct{ name, column string }{{"events", "time"}, {"alarms", "raised"}} {
		for name, q := range map[string]EventQuery{
			"time": {From: noon, To: noon}, "device": {Device: "d"}, "class": {Class: "fire"},
			"device and time": {Device: "d", From: noon}, "class and time": {Class: "fire", To: noon},
			"device, class and time": {Device: "d", Class: "fire", From: noon},
		} {
			where, args := conditions(table.column, q.From, q.To, q.Device, q.Class)
			rows, err := s.state.readers.Query(fmt.Sprintf(`EXPLAIN QUERY PLAN SELECT body FROM %s %s ORDER BY %s DESC, seq DESC LIMIT 100`,
				table.name, where, table.column), args...)
			if err != nil {
				t.Fatal(err)
			}
			var plan []string
			for rows.Next() {
				var id, parent, unused int
				var detail string
				rows.Scan(&id, &parent, &unused, &detail)
				plan = append(plan, detail)
			}
			rows.Close()
			said := strings.Join(plan, "; ")
			if !strings.Contains(said, "USING INDEX "+table.name+"_by_") || strings.Contains(said, "TEMP B-TREE FOR ORDER BY") {
				t.Errorf("%s by %s: %s", table.name, name, said)
			}
		}
	}
}
