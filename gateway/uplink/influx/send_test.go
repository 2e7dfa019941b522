package influx

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestEveryLineArrives: 2,000 readings over 100 s reach a server that fails in another way at two of three posts, and has
// a batch size limit.
// Rows SF05, SF08 and SF10.
func TestEveryLineArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := []answer{said(503, "", "Retry-After", "3"), {status: 0}, said(500, `{"code":"internal error","message":"engine: no space left on device"}`),
			said(429, "", "Retry-After", "1"), {status: 502}, said(401, `{"code":"unauthorized","message":"unauthorized access"}`), said(408, "")}
		p := &platform{t: t}
		p.answer = func(post int, l []string) (answer, []string) {
			if post%3 != 0 {
				a := failures[post%len(failures)]
				if a.status == 0 {
					return a, l // the answer is lost after the write
				}
				return a, nil
			}
			if len(l) > 100 {
				return said(413, ""), nil
			}
			return taken, l
		}
		q, j := &queue{}, &journal{}
		u := newUplink(t, standard, p, t.Output())
		stop := start(t, u, q, j)
		for n := range 2000 {
			u.Readings(meter, sample(n))
			if n%100 == 0 {
				j.add("alarm.raised", fmt.Sprint("A", n))
				u.Wake()
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(12 * time.Hour)
		stop()
		for n := range 2000 {
			if p.kept[sampleLine(n)] == 0 {
				t.Fatalf("lost: reading %d of 2000", n)
			}
		}
		events := 0
		for l := range p.kept {
			if strings.HasPrefix(l, "alarm,") {
				events++
			}
		}
		if events != 20 || len(q.dead) != 0 || q.waiting() != 0 {
			t.Errorf("%d events of 20, %d dead letters, %d batches wait", events, len(q.dead), q.waiting())
		}
		if got := u.Status(); !got.Working || got.Dropped != 0 || got.LastError != "" {
			t.Errorf("status %+v", got)
		}
	})
}

// TestWaitsGrowToAMinute: 1, 2, 4 … 60 s, up to a fifth less, whatever arrives meanwhile; one line is logged.
// Row SF10.
func TestWaitsGrowToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platform{t: t, answer: func(int, []string) (answer, []string) { return answer{}, nil }}
		log := &logged{}
		u := newUplink(t, standard, p, log)
		stop := start(t, u, &queue{}, &journal{})
		for n := range 300 {
			u.Readings(meter, sample(n))
			time.Sleep(time.Second)
		}
		if got := u.Status(); got.Working || !strings.Contains(got.LastError, "connection reset") {
			t.Errorf("status %+v", got)
		}
		stop()
		at := p.times()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			want *= time.Second
			if got := at[i+1] - at[i]; got > want || got < want*4/5 {
				t.Errorf("wait %d was %s, want %s or up to a fifth less", i+1, got, want)
			}
		}
		if n := strings.Count(log.String(), "uplink lost"); n != 1 || strings.Contains(log.String(), "s3cret") {
			t.Errorf("logged:\n%s", log)
		}
	})
}

// TestRetryAfterIsObeyed in both of its forms; a date counts by the server's clock.
// Row SF08.
func TestRetryAfterIsObeyed(t *testing.T) {
	for name, header := range map[string][]string{
		"seconds": {"Retry-After", "90"},
		"date":    {"Retry-After", "Sat, 01 Jan 2000 00:01:30 GMT", "Date", "Sat, 01 Jan 2000 00:00:00 GMT"},
		"absurd":  {"Retry-After", "2000000000"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &platform{t: t, answer: func(post int, l []string) (answer, []string) {
					if post == 1 {
						return said(429, "", header...), nil
					}
					return taken, l
				}}
				q := &queue{}
				q.put("m v=1.0 1")
				q.put("m v=2.0 2")
				stop := start(t, newUplink(t, standard, p, t.Output()), q, &journal{})
				time.Sleep(2 * time.Hour)
				stop()
				want := 90 * time.Second
				if name == "absurd" {
					want = time.Hour
				}
				if at := p.times(); len(at) != 3 || at[1] != want || q.waiting() != 0 {
					t.Errorf("posts at %v, want the second after %s", at, want)
				}
			})
		})
	}
}

// TestWhatAPersonMustMend is tried once a minute, keeps everything, and is said in the server's words.
// Row SF08.
func TestWhatAPersonMustMend(t *testing.T) {
	for name, a := range map[string]answer{
		"token":    said(401, `{"code":"unauthorized","message":"unauthorized access"}`),
		"rights":   said(403, `{"code":"forbidden","message":"insufficient permissions for write"}`),
		"bucket":   said(404, `{"code":"not found","message":"bucket \"sites\" not found"}`),
		"redirect": said(302, "", "Location", "http://portal/login", "X-Influxdb-Error", "moved"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mended := false
				p := &platform{t: t}
				p.answer = func(_ int, l []string) (answer, []string) {
					if mended {
						return taken, l
					}
					return a, nil
				}
				q := &queue{}
				q.put("m v=1.0 1")
				u := newUplink(t, standard, p, t.Output())
				stop := start(t, u, q, &journal{})
				time.Sleep(5*time.Minute + time.Second)
				synctest.Wait()
				if got := u.Status(); len(p.posts) != 6 || got.Working || !strings.HasPrefix(got.LastError, fmt.Sprint(a.status)) {
					t.Errorf("%d posts in 5 minutes, status %+v", len(p.posts), got)
				}
				p.mu.Lock()
				mended = true
				p.mu.Unlock()
				time.Sleep(time.Minute)
				if got := u.Status(); !got.Working || q.waiting() != 0 || len(q.dead) != 0 {
					t.Errorf("after it was mended: %+v, %d wait", got, q.waiting())
				}
				stop()
			})
		})
	}
}

// TestOrder: events of alarms first, then the newest batch, then the backlog from its oldest; live batches pass between.
// Rows SF06 and SF17.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, j := &queue{}, &journal{}
		for i := range 50 {
			q.put(fmt.Sprintf("old v=%d.0 %d", i, i+1))
		}
		j.add("alarm.raised", "A")
		p := &platform{t: t, answer: func(_ int, l []string) (answer, []string) {
			time.Sleep(200 * time.Millisecond)
			return taken, l
		}}
		u := newUplink(t, standard, p, t.Output())
		stop := start(t, u, q, j)
		time.Sleep(2100 * time.Millisecond)
		u.Readings(meter, sample(1))
		j.add("alarm.cleared", "A")
		u.Wake()
		arrived := time.Now()
		time.Sleep(time.Minute)
		stop()
		var order []string
		for _, lines := range p.bodies {
			order = append(order, strings.Join(lines, ""))
		}
		if !strings.HasPrefix(order[0], "alarm,") || !strings.HasPrefix(order[1], "old v=49.0") || !strings.HasPrefix(order[2], "old v=0.0") {
			t.Errorf("began with %q", order[:3])
		}
		if len(order) != 53 || q.waiting() != 0 {
			t.Errorf("%d posts, %d wait", len(order), q.waiting())
		}
		var old []int
		for i, o := range order {
			var n int
			if _, err := fmt.Sscanf(o, "old v=%d.0", &n); err == nil && i != 1 {
				old = append(old, n)
			}
			late := p.posts[i].Sub(arrived)
			if strings.Contains(o, "alarm.cleared") && late > 400*time.Millisecond {
				t.Errorf("the event waited %s behind the backlog", late)
			}
			if strings.HasPrefix(o, "electrical,") && late > 1400*time.Millisecond {
				t.Errorf("the live batch waited %s behind the backlog", late)
			}
		}
		if !slices.IsSorted(old) {
			t.Errorf("backlog out of order: %v", old)
		}
		// The backlog rests as long as it sends.
		if i := slices.IndexFunc(order, func(o string) bool { return strings.HasPrefix(o, "old v=1.0") }); p.posts[i].Sub(p.posts[i-1]) != 400*time.Millisecond {
			t.Errorf("the backlog is not throttled: %s", p.posts[i].Sub(p.posts[i-1]))
		}
	})
}

// TestOneBatchThatBreaksTheServer holds up neither live data nor the rest of the backlog, and is not given up.
func TestOneBatchThatBreaksTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		p := &platform{t: t}
		p.answer = func(_ int, l []string) (answer, []string) {
			if broken && isBad(l[0]) {
				return said(500, `{"code":"internal error","message":"panic"}`), nil
			}
			return taken, l
		}
		q := &queue{}
		q.put("bad v=0 1")
		for i := range 10 {
			q.put(fmt.Sprintf("old v=%d.0 %d", i, i+1))
		}
		u := newUplink(t, standard, p, t.Output())
		stop := start(t, u, q, &journal{})
		for n := range 600 {
			u.Readings(meter, sample(n))
			time.Sleep(time.Second)
			if n == 598 && q.waiting() > 2 {
				t.Errorf("%d batches wait behind one", q.waiting())
			}
		}
		synctest.Wait()
		if len(p.posts) > 650 || len(q.dead) > 0 {
			t.Errorf("%d posts, %d dead letters", len(p.posts), len(q.dead))
		}
		p.mu.Lock()
		broken = false
		p.mu.Unlock()
		time.Sleep(3 * time.Minute)
		stop()
		if q.waiting() != 0 || p.kept["bad v=0 1"] == 0 {
			t.Errorf("%d batches wait, the broken one was kept %d times", q.waiting(), p.kept["bad v=0 1"])
		}
	})
}

// TestWebPageIsNoDatabase: success with a page for people is a portal in between; nothing is removed for it.
func TestWebPageIsNoDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platform{t: t, answer: func(int, []string) (answer, []string) {
			return answer{200, "<html>log in</html>", http.Header{"Content-Type": {"text/html; charset=utf-8"}}}, nil
		}}
		q := &queue{}
		q.put("m v=1.0 1")
		u := newUplink(t, standard, p, t.Output())
		stop := start(t, u, q, &journal{})
		time.Sleep(time.Minute)
		stop()
		if got := u.Status(); q.waiting() != 1 || got.Working || !strings.Contains(got.LastError, "web page") {
			t.Errorf("%d wait, %+v", q.waiting(), got)
		}
	})
}
