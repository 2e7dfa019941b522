package mqtt

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/gateway/alarm"
)

// Rows MQ07, MQ21 and SF17: our own status, events in order, the state of devices and the list of alarms.
func TestAPlatformIsToldOfEventsStatesAndOurselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		j.add(u, "alarm.raised")
		u.Readings(kitchen, append(number(12.5), valve(1)...))
		u.Readings(kitchen, []drivers.Reading{{Signal: "kitchen-gas.online", Time: time.Now(), Value: 1, Quality: drivers.Good}})
		u.Alarms([]alarm.Alarm{{ID: "a1", Rule: "gas-high"}})
		stop := start(t, u, j, nil)
		time.Sleep(2 * time.Second)
		if got := b.retained("status"); got != "online" {
			t.Errorf("status is %q", got)
		}
		j.add(u, "alarm.acknowledged")
		j.add(u, "alarm.cleared")
		time.Sleep(2 * time.Second)
		if got := b.take("event "); !slices.Equal(got, []string{"1 alarm.raised late=false", "2 alarm.acknowledged late=false", "3 alarm.cleared late=false"}) {
			t.Errorf("events: %q", got)
		}
		if got := b.retained("event"); got != "" {
			t.Errorf("an event is retained: %q", got)
		}
		at := time.Now().Add(-4 * time.Second).UTC().Format(time.RFC3339Nano)
		want := `{"device":"kitchen-gas","name":"厨房燃气探测器","zone":"f1-kitchen","time":"` + at + `","online":true,"signals":{` +
			`"lel":{"value":12.5,"unit":"%LEL","quality":"good","time":"` + at + `"},"valve":{"value":1,"quality":"good","time":"` + at + `"}}}`
		if got := b.retained("state/kitchen-gas"); got != want {
			t.Errorf("state is\n%s, want\n%s", got, want)
		}
		if got := b.retained("alarms"); !strings.Contains(got, `"id":"a1"`) {
			t.Errorf("alarms are %s", got)
		}
		if s := u.Status(); !s.Working || s.LastError != "" {
			t.Errorf("%+v", s)
		}
		stop()
		synctest.Wait()
		if got := b.retained("status"); got != "offline" {
			t.Errorf("after the end status is %q", got)
		}
	})
}

// Row MQ07: a gateway that is gone without a word is offline too.
func TestTheWillSaysOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		stop := start(t, u, j, nil)
		time.Sleep(time.Second)
		b.leave()
		time.Sleep(time.Second / 2)
		if got := b.retained("status"); got != "offline" {
			t.Errorf("status is %q", got)
		}
		b.come()
		time.Sleep(time.Minute)
		if got := b.retained("status"); got != "online" {
			t.Errorf("back again status is %q", got)
		}
		stop()
	})
}

// Rows MQ10, SF01, SF10 and RE02: an hour without the broker. It is tried at least every 30 s, nothing grows but the journal, and
// afterwards every event arrives once, in order, marked late, and of the device only the latest.
func TestAnHourWithoutTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, &log)
		stop := start(t, u, j, nil)
		time.Sleep(time.Second)
		b.leave()
		b.take("")
		left := time.Now()
		for n := range 900 {
			u.Readings(kitchen, number(float64(n)))
			j.add(u, "alarm.counted")
			time.Sleep(4 * time.Second)
		}
		b.mu.Lock()
		if n := len(b.dials); n < 120 || n > 170 {
			t.Errorf("%d attempts in an hour", n)
		}
		b.mu.Unlock()
		sent, oldest := u.Waiting()
		if sent != 0 || oldest.Sub(left).Abs() > 2*time.Second {
			t.Errorf("waiting since %v after event %d", oldest.Sub(left), sent)
		}
		if s := u.Status(); s.Working || !strings.Contains(s.LastError, "connection refused") {
			t.Errorf("%+v", s)
		}
		b.come()
		time.Sleep(time.Minute)
		events := b.take("event ")
		for i, e := range events {
			if want := fmt.Sprintf("%d alarm.counted late=%v", i+1, i < 895); e != want && i < 880 {
				t.Fatalf("event %d is %q", i, e)
			}
		}
		if len(events) != 900 {
			t.Errorf("%d events arrived", len(events))
		}
		if states := b.take("state/"); len(states) != 1 || !strings.Contains(states[0], `"value":899`) {
			t.Errorf("states: %q", states)
		}
		if sent, oldest = u.Waiting(); sent != 900 || !oldest.IsZero() {
			t.Errorf("still waiting since %v after event %d", oldest, sent)
		}
		stop()
		if n := strings.Count(log.String(), "\n"); n > 4 {
			t.Errorf("%d lines were logged:\n%s", n, log.String())
		}
	})
}

// A connection that breaks again and again among a thousand events: each arrives, in order, and only what was on its way
// comes twice.
func TestEveryEventArrivesThroughBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		stop := start(t, u, j, nil)
		breaks := 0
		for n := range 1000 {
			j.add(u, "alarm.raised")
			if n%100 == 50 {
				time.Sleep(time.Duration(n) * time.Microsecond)
				b.leave()
				b.come()
				breaks++
			}
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Minute)
		stop()
		seen, last, twice := map[string]bool{}, 0, 0
		for _, e := range b.take("event ") {
			var id int
			if _, err := fmt.Sscan(e, &id); err != nil {
				t.Fatal(err)
			}
			if seen[fmt.Sprint(id)] {
				twice++
				last = id
				continue
			}
			if id != last+1 && !seen[fmt.Sprint(id-1)] {
				t.Errorf("event %d after %d", id, last)
			}
			seen[fmt.Sprint(id)], last = true, id
		}
		if len(seen) != 1000 || twice > breaks*inFlight {
			t.Errorf("%d of 1000 arrived, %d twice after %d breaks", len(seen), twice, breaks)
		}
	})
}

// Rows SF05 and SF11: a restart goes on from its own place; a disk that fails sends nothing twice.
func TestEventsGoOnFromTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		j.add(u, "alarm.raised")
		stop := start(t, u, j, nil)
		time.Sleep(time.Second)
		stop()
		u = newUplink(t, plain, b, nil)
		j.add(u, "alarm.cleared")
		stop = start(t, u, j, nil)
		time.Sleep(time.Second)
		j.add(u, "alarm.closed")
		j.Break(true)
		time.Sleep(2 * time.Minute)
		if got := b.take("event "); !slices.Equal(got, []string{"1 alarm.raised late=false", "2 alarm.cleared late=false"}) {
			t.Errorf("before the disk works: %q", got)
		}
		j.Break(false)
		time.Sleep(5 * time.Second)
		if got := b.take("event "); !slices.Equal(got, []string{"3 alarm.closed late=true"}) {
			t.Errorf("after: %q", got)
		}
		stop()
	})
}

// Row SF06: which alarms are open now is known before a backlog is through, also where an alarm comes in the midst of it.
func TestTheOpenAlarmsGoBeforeABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		for range 1000 {
			j.add(u, "alarm.raised")
		}
		u.Alarms([]alarm.Alarm{{ID: "old"}})
		body := u.o.Body
		u.o.Body = func(e alarm.Event, late bool) []byte {
			if e.ID == "500" {
				u.Alarms([]alarm.Alarm{{ID: "old"}, {ID: "new"}})
			}
			return body(e, late)
		}
		stop := start(t, u, j, nil)
		time.Sleep(time.Minute)
		stop()
		b.mu.Lock()
		defer b.mu.Unlock()
		before := map[string]int{}
		for i, line := range b.heard {
			for _, id := range []string{"old", "new"} {
				if strings.HasPrefix(line, "home/alarms ") && strings.Contains(line, `"`+id+`"`) && before[id] == 0 {
					before[id] = i
				}
			}
		}
		if before["old"] > 3 || before["new"] < 500 || before["new"] > 600 {
			t.Errorf("of %d messages the list was %v", len(b.heard), before)
		}
	})
}

// What changes the meaning of a state is sent at once, numbers every ten seconds, and what stays the same every minute.
func TestStatesAreSentAsOftenAsTheyMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		stop := start(t, u, j, nil)
		u.Readings(kitchen, append(number(0), valve(0)...))
		time.Sleep(2*time.Second + leastGap/2) // between two looks
		b.take("state/")
		hear := func(what string, least, most int, each func(second int) []drivers.Reading) {
			t.Helper()
			for second := range 60 {
				u.Readings(kitchen, each(second))
				time.Sleep(time.Second)
			}
			time.Sleep(time.Second)
			if n := len(b.take("state/")); n < least || n > most {
				t.Errorf("%s: %d states in a minute, want %d to %d", what, n, least, most)
			}
		}
		hear("numbers that move", 5, 7, func(second int) []drivers.Reading { return number(float64(second + 1)) })
		hear("the same again", 1, 1, func(int) []drivers.Reading { return number(60) })
		hear("a state that changes", 55, 61, func(second int) []drivers.Reading { return valve(float64(second % 2)) })
		hear("a value that is lost and found", 55, 61, func(second int) []drivers.Reading {
			r := number(60)
			if second%2 == 0 {
				r[0].Value, r[0].Quality, r[0].Reason = 0, drivers.Bad, drivers.Timeout
			}
			return r
		})
		u.Readings(kitchen, number(math.NaN()))
		time.Sleep(2 * time.Second)
		if got := b.retained("state/kitchen-gas"); !strings.Contains(got, `"lel":{"quality":"bad","reason":"decode"`) {
			t.Errorf("NaN is %s", got)
		}
		stop()
	})
}

// The state of a device that left the configuration does not stay behind.
func TestADeviceThatIsGoneLeavesNoState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		u.Readings(kitchen, number(1))
		stop := start(t, u, j, nil)
		time.Sleep(2 * time.Second)
		stop()
		u = newUplink(t, plain, b, nil)
		u.o.Devices = []string{"another"}
		stop = start(t, u, j, nil)
		time.Sleep(2 * time.Second)
		stop()
		if got := b.retained("state/kitchen-gas"); got != "" {
			t.Errorf("still there: %s", got)
		}
	})
}

// A broker that takes the connection and answers nothing holds up nobody, and is left.
func TestABrokerThatFallsSilentIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, j := newBroker(t), &journal{}
		defer b.server.Close()
		u := newUplink(t, plain, b, nil)
		deaf := &deafConn{}
		dial := u.dial
		u.dial = func(ctx context.Context, c *tls.Config) (net.Conn, error) {
			raw, err := dial(ctx, c)
			if err == nil && deaf.Conn == nil {
				deaf.Conn = raw
				return deaf, nil
			}
			return raw, err
		}
		stop := start(t, u, j, nil)
		time.Sleep(time.Second)
		deaf.silent.Store(true)
		j.add(u, "alarm.raised")
		began := time.Now()
		for range 1000 {
			u.Readings(kitchen, number(1))
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("readings waited %v", took)
		}
		time.Sleep(replyTimeout + 10*time.Second)
		if got := b.take("event "); !slices.Contains(got, "1 alarm.raised late=false") {
			t.Errorf("events: %q", got)
		}
		stop()
		synctest.Wait()
		got := slices.Compact(b.take("status ")) // the will may follow our own word
		if !slices.Equal(got, []string{"online", "offline", "online", "offline"}) {
			t.Errorf("status was %q", got)
		}
	})
}

// deafConn is a connection on which nothing more arrives.
type deafConn struct {
	net.Conn
	silent atomic.Bool
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.silent.Load() {
			return n, err
		}
	}
}

// acts records what it is asked for.
type acts struct{ done []string }

func (a *acts) act(name, id string, by alarm.Act) error {
	a.done = append(a.done, fmt.Sprintf("%s %s by %s via %s: %s", name, id, by.By, by.Via, by.Note))
	if id == "nobody" {
		return alarm.ErrNotFound
	}
	return nil
}

func (a *acts) Acknowledge(_ context.Context, id string, by alarm.Act) error {
	return a.act("ack", id, by)
}
func (a *acts) Silence(_ context.Context, id string, by alarm.Act) error {
	return a.act("silence", id, by)
}
func (a *acts) Reset(_ context.Context, id string, by alarm.Act) error { return a.act("reset", id, by) }

// Commands are obeyed with commands: true only; one that the broker kept from before is not.
func TestCommandsAreOffUnlessAskedFor(t *testing.T) {
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b, j, a := newBroker(t), &journal{}, &acts{}
			defer b.server.Close()
			if err := b.server.Publish("home/command/reset", []byte(`{"id":"a0","by":"x"}`), true, 1); err != nil {
				t.Fatal(err)
			}
			u := newUplink(t, fmt.Sprintf(`{url: "mqtt://broker.example.org", topic: home, commands: %v}`, on), b, nil)
			stop := start(t, u, j, a)
			time.Sleep(time.Second)
			for act, body := range map[string]string{"ack": `{"id":"a1","by":"王","note":"上门"}`, "open": `{"id":"a1"}`, "silence": `{"id":"nobody","by":"李"}`, "reset": `no JSON`} {
				if err := b.server.Publish("home/command/"+act, []byte(body), false, 1); err != nil {
					t.Fatal(err)
				}
			}
			huge := fmt.Sprintf(`{"id":"a1","by":"%01000000d"}`, 0)
			if err := b.server.Publish("home/command/ack", []byte(huge), false, 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			stop()
			answers := b.take("answer ")
			slices.Sort(answers)
			slices.Sort(a.done)
			if !on {
				if len(a.done)+len(answers) > 0 {
					t.Errorf("without commands: %q, %q", a.done, answers)
				}
				return
			}
			if want := []string{"ack a1 by 王 via uplink: 上门", "silence nobody by 李 via uplink: "}; !slices.Equal(a.done, want) {
				t.Errorf("done: %q", a.done)
			}
			if len(answers) != 5 || answers[0] != `{"command":"ack","id":"","done":false,"error":"a command has 64 KiB at most"}` ||
				answers[1] != `{"command":"ack","id":"a1","done":true}` || !strings.Contains(answers[4], `"no such alarm"`) {
				t.Errorf("answers: %q", answers)
			}
		})
	}
}
