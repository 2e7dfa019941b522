package influx

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestFullDisk: data waits in memory and is sent from there; nothing is lost while it fits, and it is stored again when
// there is room.
// Row SF04.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		p := &platform{t: t}
		p.answer = func(_ int, l []string) (answer, []string) {
			if down {
				return answer{}, nil
			}
			return taken, l
		}
		q := &queue{}
		q.put("old v=1.0 1") // sent, and cannot be taken out
		q.full, q.stuck = true, true
		log := &logged{}
		u := newUplink(t, standard, p, log)
		stop := start(t, u, q, &journal{})
		for n := range 100 {
			if n == 50 {
				p.mu.Lock()
				down = true
				p.mu.Unlock()
			}
			u.Readings(meter, sample(n))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if len(p.kept) < 49 {
			t.Errorf("%d of 50 lines sent from memory", len(p.kept))
		}
		q.mu.Lock()
		q.full, q.stuck = false, false
		q.mu.Unlock()
		time.Sleep(2 * time.Second)
		if q.lines() < 48 {
			t.Errorf("%d lines stored when there was room", q.lines())
		}
		p.mu.Lock()
		down = false
		p.mu.Unlock()
		time.Sleep(3 * time.Minute)
		stop()
		if len(p.kept) != 101 || p.kept["old v=1.0 1"] != 1 || q.waiting() != 0 || u.Status().Dropped != 0 || strings.Count(log.String(), "queue cannot be written") != 1 {
			t.Errorf("%d lines of 100, %+v, log:\n%s", len(p.kept), u.Status(), log)
		}
	})
}

// TestMemoryIsBounded: with neither disk nor server, the oldest leave, and are counted.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platform{t: t, answer: func(int, []string) (answer, []string) { return answer{}, nil }}
		u := newUplink(t, standard, p, t.Output())
		words := strings.Repeat("0123456789abcdef", 400)
		for n := range 4000 { // 26 MB before the first second is over
			u.Point(Point{Measurement: "m", Time: noon, Fields: []Field{String("f", fmt.Sprint(n, words)), Integer("n", int64(n))}})
		}
		if got := u.Status().Dropped; got < 1000 || u.memory.raw > maxRaw {
			t.Errorf("%d lines dropped, %d bytes held", got, u.memory.raw)
		}
		for range 20 {
			u.memory.hold(batchOf(1 << 20))
		}
		if len(u.memory.held) > 8 || u.memory.heldLen > maxHeld {
			t.Errorf("%d batches held, %d bytes", len(u.memory.held), u.memory.heldLen)
		}
	})
}

// TestStopBetweenPostAndRemove: what was sent and not yet removed is sent again, the same points, and nothing else.
// Row SF05.
func TestStopBetweenPostAndRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platform{t: t}
		q, j := &queue{stuck: true}, &journal{}
		u := newUplink(t, standard, p, t.Output())
		stop := start(t, u, q, j)
		for n := range 5 {
			u.Readings(meter, sample(n))
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(p.posts) != 1 {
			t.Errorf("%d posts while the batch could not be removed, want 1", len(p.posts))
		}
		stop()
		u.Readings(meter, sample(5)) // after the end nobody takes it
		q.stuck = false
		second := newUplink(t, standard, p, t.Output())
		stop = start(t, second, q, j)
		second.Readings(meter, sample(6))
		time.Sleep(10 * time.Second)
		stop()
		for n, want := range []int{2, 2, 2, 2, 2, 0, 1} {
			if got := p.kept[sampleLine(n)]; got != want {
				t.Errorf("line %d was kept %d times, want %d", n, got, want)
			}
		}
		if q.waiting() != 0 {
			t.Errorf("%d batches wait", q.waiting())
		}
	})
}

// TestStopKeepsWhatIsInMemory: the readings of the last second are in the queue after Run.
func TestStopKeepsWhatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		u := newUplink(t, standard, &platform{t: t}, t.Output())
		stop := start(t, u, q, &journal{})
		time.Sleep(300 * time.Millisecond)
		u.Readings(meter, sample(1))
		stop()
		if q.waiting() != 1 {
			t.Errorf("%d batches in the queue, want 1", q.waiting())
		}
	})
}

// TestEventsGoOnFromTheirCursor: after a restart only what was not sent, and from the first where the journal is a new one.
// Rows SF11 and SF17.
func TestEventsGoOnFromTheirCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platform{t: t}
		j := &journal{}
		for i := range 1200 {
			j.add("alarm.raised", fmt.Sprint("A", i))
		}
		run := func() {
			stop := start(t, newUplink(t, standard, p, t.Output()), &queue{}, j)
			time.Sleep(time.Second)
			stop()
		}
		run()
		if len(p.kept) != 1200 || len(p.posts) != 3 {
			t.Errorf("%d events in %d posts", len(p.kept), len(p.posts))
		}
		run()
		j.add("alarm.cleared", "A3")
		run()
		if len(p.posts) != 4 || len(p.bodies[3]) != 1 {
			t.Errorf("%d posts after the restarts", len(p.posts))
		}
		j.Lose()
		j.add("alarm.raised", "B")
		run()
		if len(p.posts) != 5 {
			t.Errorf("a new journal was not sent: %d posts", len(p.posts))
		}

		// Set aside while it runs, and longer than before by the time the uplink looks.
		u := newUplink(t, standard, p, t.Output())
		stop := start(t, u, &queue{}, j)
		defer stop()
		time.Sleep(time.Second)
		j.Lose()
		j.add("alarm.raised", "C")
		j.add("alarm.raised", "D")
		u.Wake()
		time.Sleep(time.Second)
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.posts); n != 6 || len(p.bodies[5]) != 2 {
			t.Errorf("the journal that replaced another was not sent whole: %d posts", n)
		}
	})
}
