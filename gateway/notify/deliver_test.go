package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

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
		box.put(c.Compose(event("e1", "alarm.raised", "A", "gas"), time.Now(), nil)...)
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
		box.put(c.Compose(event("bad", "alarm.raised", "A", "gas"), time.Now(), nil)...)
		stop := start(t, c, box)
		time.Sleep(time.Hour)
		if s := c.Status()[0]; len(f.ids()) != 1 || box.waiting() != 0 || s.Working || s.LastError != "400 Bad Request" || box.ledger[0] != "never" {
			t.Errorf("sent %v, %+v, ledger %v", f.ids(), s, box.ledger)
		}
		box.put(c.Compose(event("good", "alarm.raised", "B", "gas"), time.Now(), nil)...)
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
		box.put(c.Compose(event("e1", "alarm.raised", "A", "gas"), time.Now(), nil)...)
		stop := start(t, c, box)
		for i := range 8 {
			time.Sleep(5 * time.Second)
			box.put(c.Compose(event(fmt.Sprint("x", i), "alarm.raised", fmt.Sprint("X", i), "gas"), time.Now(), nil)...)
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
				box.put(c.Compose(event(of+kind, kind, of, class), time.Now(), nil)...)
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
			box.put(c.Compose(event(fmt.Sprint(class, i), "alarm.raised", fmt.Sprint(i), class), time.Now(), nil)...)
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
			box.put(c.Compose(event(fmt.Sprint(i), "alarm.raised", fmt.Sprint(i), "gas"), time.Now(), nil)...)
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
			box.put(c.Compose(event(fmt.Sprint("e", i), "alarm.raised", fmt.Sprint(i), "gas"), time.Now(), nil)...)
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
		tx := &store.Transaction{Events: []alarm.Event{e}, Messages: compose.Compose(e, time.Now(), nil)}
		if err := st.Commit(context.Background(), tx); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func() map[string]int {
		ids := map[string]int{}
		for i, r := range h.requests() {
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

// TestATestMessageProvesThatAChannelWorks (NO13): it goes out at once, its line for the ledger has the receipt, and the
// channel stands by it.
func TestATestMessageProvesThatAChannelWorks(t *testing.T) {
	f := &far{fate: func(n int, _ Message) error {
		return []error{nil, &Refused{Detail: "93000 invalid key"}, errors.New("reset"), nil}[n-1]
	}}
	c := channels(t, Options{Lang: "zh"}, f)
	for i, want := range []struct {
		outcome store.Outcome
		detail  string
		works   bool
	}{{store.Accepted, "", true}, {store.Never, "93000 invalid key", false}, {store.Retry, "reset", false}, {store.Accepted, "", true}} {
		d, err := c.Test(t.Context(), "a", []string{"li"}, noon)
		if err != nil || d.Outcome != want.outcome || d.Detail != want.detail || d.To != "li" || d.Channel != "a" || d.Type != "test" {
			t.Errorf("test %d: %+v, %v", i+1, d, err)
		}
		if s := c.Status()[0]; s.Working != want.works || s.LastError != want.detail || s.LastSuccess.IsZero() {
			t.Errorf("after test %d: %+v", i+1, s)
		}
	}
	if !strings.HasPrefix(f.got[0].Text, "测试消息") {
		t.Error(f.got[0].Text)
	}
	if _, err := c.Test(t.Context(), "z", nil, noon); err == nil {
		t.Error("a channel that is not there took it")
	}
}
