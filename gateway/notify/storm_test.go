package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"

	"pgregory.net/rapid"
)

// paced gives a channel of a test the pace of a kind.
func paced(c *Channels, kind string) *Channels {
	for _, l := range c.list {
		l.pace, l.personal = paces[kind], kinds[kind].personal
	}
	return c
}

// at is an event of an alarm in a zone.
func at(zone, of, kind string, class rules.Class) alarm.Event {
	e := event(of+"/"+kind, kind, of, class)
	e.Alarm.Zone, e.Alarm.ZonePath, e.Alarm.RaisedAt = zone, zone, e.Time
	if strings.HasSuffix(kind, ".cleared") {
		e.Alarm.State, e.Alarm.ClearedAt = alarm.Returned, &e.Time
	}
	return e
}

// parts are the events that a message stands for.
func parts(m Message) []string {
	if len(m.Parts) > 0 {
		return m.Parts
	}
	return []string{m.ID}
}

// most is how many were sent at the most within any period.
func most(at []time.Time, per time.Duration) (most int) {
	for i := range at {
		n := 0
		for _, t := range at[i:] {
			if t.Sub(at[i]) < per {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// TestAStormIsMergedByZone (NO03, NO11): the first message of a zone leaves at once and alone, what follows in one message.
func TestAStormIsMergedByZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{}
		c, box := paced(channels(t, Options{Lang: "zh"}, f), "wecom"), &outbox{}
		stop := start(t, c, box)
		box.put(c.Compose(at("一层 / 厨房", "A0", "alarm.raised", "gas"), time.Now(), nil)...)
		c.Wake()
		synctest.Wait()
		for i := range 6 {
			box.put(c.Compose(at("一层 / 厨房", fmt.Sprint("A", i+1), "alarm.raised", "gas"), time.Now(), nil)...)
		}
		box.put(c.Compose(at("二层", "B", "alarm.raised", "gas"), time.Now(), nil)...)
		box.put(c.Compose(at("一层 / 厨房", "A3", "alarm.cleared", "gas"), time.Now(), nil)...)
		c.Wake()
		synctest.Wait()
		stop()
		var got []string
		for _, m := range f.got {
			got = append(got, strings.Join(parts(m), " "))
		}
		want := []string{"A0/alarm.raised",
			"A1/alarm.raised A2/alarm.raised A3/alarm.raised A3/alarm.cleared A4/alarm.raised A5/alarm.raised A6/alarm.raised",
			"B/alarm.raised"}
		if !slices.Equal(got, want) || box.waiting() != 0 || time.Since(f.at[0]) != 0 {
			t.Fatalf("sent\n%s", strings.Join(got, "\n"))
		}
		if m := f.got[1]; len(m.List) != 6 || !strings.HasPrefix(m.Text, "一层 / 厨房：7 条合为一条\n") || !strings.Contains(m.List[2], "已结束") ||
			strings.Contains(m.List[0], "一层") || !strings.Contains(m.Alarm.Name, "等") {
			t.Errorf("%s\n%+v", m.Text, m.Alarm.Name)
		}
		if fmt.Sprint(box.ledger) != "[accepted accepted accepted accepted accepted accepted accepted accepted accepted]" {
			t.Errorf("ledger %v", box.ledger)
		}
	})
}

// TestFireLeavesAloneIntoAFullChannel (NO03, NO11, AL13): where a storm has spent what ordinary messages may, the first fire
// message leaves at once and alone.
func TestFireLeavesAloneIntoAFullChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{}
		c, box := paced(channels(t, Options{}, f), "wecom"), &outbox{}
		stop := start(t, c, box)
		for i := range 300 {
			e := at(fmt.Sprint("zone-", i), fmt.Sprint("A", i), "fault.raised", "fault")
			e.Alarm.Level = rules.LevelFault
			box.put(c.Compose(e, time.Now(), nil)...)
			if i%20 == 0 {
				c.Wake()
				synctest.Wait()
			}
		}
		c.Wake()
		synctest.Wait()
		before := len(f.ids())
		if before > 13 || box.waiting() == 0 {
			t.Fatalf("%d sent, %d wait", before, box.waiting())
		}
		began := time.Now()
		box.put(c.Compose(at("zone-7", "F", "alarm.raised", "fire"), time.Now(), nil)...)
		c.Wake()
		synctest.Wait()
		all := f.sent()
		if m := all[len(all)-1]; len(all) != before+1 || m.ID != "F/alarm.raised" || m.Parts != nil || time.Since(began) != 0 {
			t.Errorf("%d sent after %d, the last %s of %d parts", len(all), before, m.ID, len(m.Parts))
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		stop()
		if box.waiting() != 0 || most(f.at, time.Minute) > 18 {
			t.Errorf("%d wait, %d in a minute", box.waiting(), most(f.at, time.Minute))
		}
	})
}

// TestFireDoesNotWaitBehindAMessageThatHangs (NO11): it leaves within 5 s.
func TestFireDoesNotWaitBehindAMessageThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &hanging{}
		c, box := channels(t, Options{}, &far{}), &outbox{}
		c.list[0].sender = f
		stop := start(t, c, box)
		box.put(c.Compose(event("slow", "fault.raised", "S", "fault"), time.Now(), nil)...)
		c.Wake()
		synctest.Wait()
		box.put(c.Compose(event("fire", "alarm.raised", "F", "fire"), time.Now(), nil)...)
		began := time.Now()
		c.Wake()
		for box.settled("fire") == 0 && time.Since(began) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("fire left after %s", took)
		}
		stop()
	})
}

// hanging never answers, except to fire.
type hanging struct{}

func (*hanging) Send(ctx context.Context, m Message) (string, error) {
	if m.ID == "fire" {
		return "", nil
	}
	<-ctx.Done()
	return "", ctx.Err()
}

// settled is how often messages of an event were settled.
func (o *outbox) settled(event string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.lines {
		if d.Event == event && d.Outcome != store.Retry {
			n++
		}
	}
	return n
}

// TestAThousandAlarmsInASecond (NO03): none is lost, and no kind of channel gets more than it takes in any period. Of kinds
// after the first, two hundred.
func TestAThousandAlarmsInASecond(t *testing.T) {
	for kind, pace := range paces {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &far{}
				c, box := paced(channels(t, Options{}, f), kind), &outbox{}
				stop := start(t, c, box)
				var want []string
				alarms := 200
				if kind == "wecom" {
					alarms = 1000
				}
				for i := range alarms {
					class, zone := rules.Class("gas"), fmt.Sprint("zone-", i%40)
					if i%10 == 3 {
						class = "fire"
					}
					e := at(zone, fmt.Sprint("A", i), "alarm.raised", class)
					want = append(want, e.ID)
					for _, m := range c.Compose(e, time.Now(), nil) {
						m.To = "li"
						box.put(m)
					}
					if i%20 == 0 {
						c.Wake()
					}
					time.Sleep(time.Millisecond)
				}
				c.Wake()
				time.Sleep(2 * time.Hour)
				stop()
				var got []string
				for _, m := range f.got {
					got = append(got, parts(m)...)
				}
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) || box.waiting() != 0 {
					t.Errorf("%d of %d arrived, %d wait", len(got), len(want), box.waiting())
				}
				for _, l := range pace.limits {
					if n := most(f.at, l.per); n > l.most {
						t.Errorf("%d within %s, at most %d", n, l.per, l.most)
					}
				}
				t.Logf("%d messages, the last after %s", len(f.got), f.at[len(f.at)-1].Sub(f.at[0]).Round(time.Second))
			})
		})
	}
}

// TestEveryMessageIsDeliveredOnceAndInOrder (NO03, NO05): whatever comes, and however the far side fails, each message is
// accepted once, alone or as a part of another; no alarm's end before its beginning; the pace is kept; the ledger has a line
// for each attempt.
func TestEveryMessageIsDeliveredOnceAndInOrder(t *testing.T) {
	type step struct {
		wait     time.Duration
		zone, of int
		kind     string
		class    rules.Class
		to       string
	}
	rapid.Check(t, func(r *rapid.T) {
		kind := rapid.SampledFrom([]string{"wecom", "feishu", "tencent_sms", "webhook"}).Draw(r, "kind")
		steps := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) step {
			return step{
				rapid.SampledFrom([]time.Duration{0, 0, 0, 0, time.Millisecond, time.Second, 20 * time.Second}).Draw(r, "wait"),
				rapid.IntRange(0, 4).Draw(r, "zone"), rapid.IntRange(0, 30).Draw(r, "alarm"),
				rapid.SampledFrom([]string{"alarm.raised", "alarm.cleared", "alarm.reminder", "test"}).Draw(r, "kind"),
				rapid.SampledFrom([]rules.Class{"fire", "gas", "fault"}).Draw(r, "class"), rapid.SampledFrom([]string{"li", "wang"}).Draw(r, "to"),
			}
		}), 1, 80).Draw(r, "steps")
		outages := rapid.SliceOfN(rapid.IntRange(0, 900), 0, 3).Draw(r, "outages")
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			f := &far{fate: func(n int, m Message) error {
				for _, from := range outages {
					if d := time.Since(began) - time.Duration(from)*time.Second; d >= 0 && d < 90*time.Second {
						return errors.New("no route to host")
					}
				}
				return nil
			}}
			c, box := paced(channels(t, Options{}, f), kind), &outbox{}
			stop := start(t, c, box)
			var ids []string
			for i, s := range steps {
				time.Sleep(s.wait)
				e := at(fmt.Sprint("z", s.zone), fmt.Sprint("A", s.of, s.to), s.kind, s.class)
				e.ID = fmt.Sprintf("%d|%s|%s", i, e.Alarm.ID, s.kind)
				if s.kind == "test" { // of no alarm
					e.ID, e.Alarm = fmt.Sprintf("%d|%d|test", i, i), nil
				}
				for _, m := range c.Compose(e, time.Now(), nil) {
					m.To = s.to
					box.put(m)
					ids = append(ids, m.Event)
				}
				c.Wake()
			}
			time.Sleep(3 * time.Hour)
			synctest.Wait()
			stop()
			wrong = accounted(f, box, ids)
		})
		if wrong != "" {
			r.Fatalf("%s: %s", kind, wrong)
		}
	})
}

// accounted says what is wrong with what arrived.
func accounted(f *far, box *outbox, ids []string) string {
	if box.waiting() != 0 {
		return fmt.Sprintf("%d of %d still wait", box.waiting(), len(ids))
	}
	var got []string
	pending := map[string][]string{} // events of an alarm, in order
	for _, id := range ids {
		of := strings.Split(id, "|")[1]
		pending[of] = append(pending[of], id)
	}
	attempts := 0
	for i, m := range f.got {
		attempts += len(parts(m))
		if f.fates[i] != nil {
			continue
		}
		got = append(got, parts(m)...)
		for _, id := range parts(m) {
			of := strings.Split(id, "|")[1]
			if strings.HasSuffix(id, "cleared") && slices.Contains(parts(m), id) {
				for _, before := range pending[of][:slices.Index(pending[of], id)] {
					if !slices.Contains(got, before) {
						return id + " before " + before
					}
				}
			}
		}
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		return fmt.Sprintf("sent %v\nwant %v", got, ids)
	}
	if len(box.lines) != attempts {
		return fmt.Sprintf("%d lines in the ledger for %d attempts", len(box.lines), attempts)
	}
	return ""
}

// TestAfterAnOutageAStormArrivesInOrder (NO05): ten minutes without a network, forty alarms of five zones that came and went:
// the robot has it all within two minutes, marked late, fire first, no end before its beginning, within its pace.
func TestAfterAnOutageAStormArrivesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(10 * time.Minute)
		f := &far{fate: func(int, Message) error {
			if time.Now().Before(back) {
				return errors.New("no route to host")
			}
			return nil
		}}
		c, box := paced(channels(t, Options{Lang: "zh"}, f), "wecom"), &outbox{}
		stop := start(t, c, box)
		var ids []string
		for i := range 40 {
			class := rules.Class("gas")
			if i == 29 {
				class = "fire"
			}
			for _, kind := range []string{"alarm.raised", "alarm.cleared"} {
				e := at(fmt.Sprint("zone-", i%5), fmt.Sprint("A", i), kind, class)
				e.ID = fmt.Sprintf("%d|A%d|%s", i, i, kind)
				ids = append(ids, e.ID)
				box.put(c.Compose(e, time.Now(), nil)...)
				c.Wake()
				time.Sleep(6 * time.Second)
			}
		}
		time.Sleep(10 * time.Minute)
		stop()
		if wrong := accounted(f, box, ids); wrong != "" {
			t.Error(wrong)
		}
		var first string
		var last time.Time
		sent := 0
		for i, m := range f.got {
			if f.fates[i] != nil {
				continue
			}
			sent++
			last = f.at[i]
			if first == "" && m.Alarm.Class == "fire" {
				first = m.ID
			}
			if first == "" && sent > 1 { // what goes at the moment may be another; fire is the next
				t.Errorf("%s before the fire", m.ID)
			}
			if !m.Late {
				t.Errorf("%s is not marked late", m.ID)
			}
		}
		if took := last.Sub(back); took > 2*time.Minute || most(f.at, time.Minute) > 18 {
			t.Errorf("all after %s, %d in a minute", took, most(f.at, time.Minute))
		}
		t.Logf("%d messages for %d, the last %s after the network was back", sent, len(ids), last.Sub(back).Round(time.Second))
	})
}

// TestAnOutageDoesNotSpendTheReserve (NO11): a fire in the moment in which the network is back leaves within 5 s, however
// much was tried in vain.
func TestAnOutageDoesNotSpendTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(5 * time.Minute)
		f := &far{fate: func(int, Message) error {
			if time.Now().Before(back) {
				return errors.New("no route to host")
			}
			return nil
		}}
		c, box := paced(channels(t, Options{}, f), "wecom"), &outbox{}
		stop := start(t, c, box)
		for i := 0; time.Now().Before(back); i++ {
			box.put(c.Compose(at(fmt.Sprint("zone-", i), fmt.Sprint("A", i), "alarm.raised", "gas"), time.Now(), nil)...)
			c.Wake()
			time.Sleep(2 * time.Second)
		}
		box.put(c.Compose(at("hall", "F", "alarm.raised", "fire"), time.Now(), nil)...)
		c.Wake()
		began := time.Now()
		for box.settled("F/alarm.raised") == 0 && time.Since(began) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("fire left after %s", took)
		}
		stop()
		if most(f.at, time.Minute) > 18 {
			t.Errorf("%d in a minute", most(f.at, time.Minute))
		}
	})
}

// TestARefusedDigestIsTriedPieceByPiece: one message that the far side does not take harms no other; where each piece is
// refused it is the channel, and all have failed at once (row NO02).
func TestARefusedDigestIsTriedPieceByPiece(t *testing.T) {
	for _, broken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := &far{fate: func(n int, m Message) error {
				if n > 1 && (broken || slices.Contains(parts(m), "A3/alarm.raised")) {
					return &Refused{Detail: "content not allowed"}
				}
				return nil
			}}
			var failed []string
			c, box := paced(channels(t, Options{Failed: func(m store.Message, why string) { failed = append(failed, m.Event) }}, f), "wecom"), &outbox{}
			stop := start(t, c, box)
			synctest.Wait() // it waits to be woken
			for i := range 8 {
				box.put(c.Compose(at("z", fmt.Sprint("A", i), "alarm.raised", "gas"), time.Now(), nil)...)
			}
			c.Wake()
			synctest.Wait()
			stop()
			if want := map[bool]string{false: "[A3/alarm.raised]"}[broken]; !broken && fmt.Sprint(failed) != want {
				t.Errorf("failed %v, want %s", failed, want)
			}
			if broken && (len(failed) != 7 || len(f.got) != 4) {
				t.Errorf("%v failed after %d attempts", failed, len(f.got))
			}
			if box.waiting() != 0 || c.Status()[0].Working == broken {
				t.Errorf("%d wait, %+v", box.waiting(), c.Status()[0])
			}
		})
	}
}

// TestOnePersonHoldsUpNoOther: where a channel reaches one person at a time, the storm of one is not that of another.
func TestOnePersonHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{}
		c, box := paced(channels(t, Options{}, f), "tencent_sms"), &outbox{}
		stop := start(t, c, box)
		synctest.Wait() // it waits to be woken
		for i := range 500 {
			for _, m := range c.Compose(at("z", fmt.Sprint("A", i), "alarm.raised", "gas"), time.Now(), nil) {
				m.To = "li"
				box.put(m)
			}
		}
		c.Wake()
		synctest.Wait()
		for _, m := range c.Compose(at("z", "W", "alarm.raised", "gas"), time.Now(), nil) {
			m.To = "wang"
			box.put(m)
		}
		c.Wake()
		synctest.Wait()
		stop()
		if last := f.got[len(f.got)-1]; last.ID != "W/alarm.raised" || len(f.got) != 2 {
			t.Errorf("%d sent, the last %s", len(f.got), last.ID)
		}
	})
}

// TestARestartStaysWithinThePace: what was sent before a restart still counts, and so does the last success.
func TestARestartStaysWithinThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, box := &far{}, &outbox{}
		for run := range 6 {
			c := paced(channels(t, Options{}, f), "wecom")
			stop := start(t, c, box)
			for i := range 10 {
				box.put(c.Compose(at(fmt.Sprint("z", run, i), fmt.Sprint("A", run, i), "alarm.raised", "gas"), time.Now(), nil)...)
				c.Wake()
				time.Sleep(time.Millisecond)
			}
			stop()
			if s := c.Status()[0]; run > 0 && s.LastSuccess.IsZero() {
				t.Errorf("%+v", s)
			}
		}
		if n := len(f.ids()); n > 18 {
			t.Errorf("%d sent", n)
		}
		last := box.lines[len(box.lines)-1].Time
		time.Sleep(time.Hour)
		c := paced(channels(t, Options{}, f), "wecom")
		box.messages = nil
		stop := start(t, c, box)
		synctest.Wait()
		if s := c.Status()[0]; !s.LastSuccess.Equal(last) {
			t.Errorf("last success %s, want %s", s.LastSuccess, last)
		}
		stop()
	})
}

// TestAFarSideThatCountsIsLeftAlone: after "too many" nothing goes until the time it named.
func TestAFarSideThatCountsIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fate: func(n int, _ Message) error {
			if n == 1 {
				return &Later{After: 10 * time.Minute, Err: errors.New("130101 send too fast")}
			}
			return nil
		}}
		c, box := paced(channels(t, Options{}, f), "dingtalk"), &outbox{}
		stop := start(t, c, box)
		for i := range 20 {
			box.put(c.Compose(at("z", fmt.Sprint("A", i), "alarm.raised", "gas"), time.Now(), nil)...)
			c.Wake()
			time.Sleep(20 * time.Second)
		}
		time.Sleep(20 * time.Minute)
		stop()
		if wait := f.at[1].Sub(f.at[0]); wait != 10*time.Minute || box.waiting() != 0 {
			t.Errorf("sent again after %s, %d wait", wait, box.waiting())
		}
	})
}

// TestAPanicInAChannelIsAFault: the process lives, the message is tried again, and the channel does not count as working.
func TestAPanicInAChannelIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{}
		f.fate = func(n int, _ Message) error {
			if n < 3 {
				panic("a bug")
			}
			return nil
		}
		c, box := channels(t, Options{}, f, &far{}), &outbox{}
		stop := start(t, c, box)
		box.put(c.Compose(event("e", "alarm.raised", "A", "gas"), time.Now(), nil)...)
		c.Wake()
		synctest.Wait()
		if s := c.Status(); s[0].Working || !strings.Contains(s[0].LastError, "a bug") || !s[1].Working {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Minute)
		if s := c.Status()[0]; !s.Working || box.waiting() != 0 {
			t.Errorf("%+v, %d wait", s, box.waiting())
		}
		stop()
	})
}

// TestWhatNeverArrivesIsTold at once, also while the channel is gone.
func TestWhatNeverArrivesIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &far{fate: func(int, Message) error { return &Refused{Detail: "410 Gone", Gone: true} }}
		var failed []string
		c, box := channels(t, Options{Failed: func(m store.Message, why string) { failed = append(failed, m.Event+": "+why) }}, f), &outbox{}
		stop := start(t, c, box)
		for i := range 3 {
			box.put(c.Compose(event(fmt.Sprint("e", i), "alarm.raised", fmt.Sprint("A", i), "gas"), time.Now(), nil)...)
			c.Wake()
			synctest.Wait()
		}
		time.Sleep(time.Hour)
		stop()
		if got := fmt.Sprint(failed); got != "[e0: 410 Gone e1: silent until the next start e2: silent until the next start]" || len(f.got) != 1 {
			t.Errorf("failed %s", got)
		}
	})
}
