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

const (
	unparsable = `{"code":"invalid","message":"unable to parse 'x': missing field value"}`
	conflict2  = `{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"v\" on measurement \"m\" is type string, already exists as type float dropped=%d"}`
	conflict18 = `{"error":"partial write: field type conflict: input field \"v\" on measurement \"m\" is type string, already exists as type float dropped=%d"}`
	retention  = `{"code":"unprocessable entity","message":"failure writing points to database: partial write: dropped %d points outside retention policy of duration 168h0m0s"}`
)

func isBad(line string) bool { return strings.HasPrefix(line, "bad") }

// sieve answers like a server that refuses bad lines: all or nothing, or keeping the others.
func sieve(lines []string, status int, body string, keepsOthers bool) (answer, []string) {
	fine := slices.DeleteFunc(slices.Clone(lines), isBad)
	switch n := len(lines) - len(fine); {
	case n == 0:
		return taken, lines
	case strings.Contains(body, "%d"):
		return said(status, fmt.Sprintf(body, n)), fine
	case keepsOthers:
		return said(status, body), fine
	default:
		return said(status, body), nil
	}
}

// TestBadLinesAreIsolated: of 300 lines the server refuses some, in every way a server is known to. All good ones
// arrive, exactly the bad ones become dead letters, and the queue is empty at the end.
func TestBadLinesAreIsolated(t *testing.T) {
	v3 := func(lines []string) (answer, []string) {
		fine := slices.DeleteFunc(slices.Clone(lines), isBad)
		if len(fine) == len(lines) {
			return taken, lines
		}
		var data []string
		for i, l := range lines {
			if isBad(l) {
				data = append(data, fmt.Sprintf(`{"original_line":"cut","line_number":%d,"error_message":"invalid column type for column 'v'"}`, i+1))
			}
		}
		return said(400, `{"error":"partial write of line protocol occurred","data":[`+strings.Join(data, ",")+`]}`), fine
	}
	cases := []struct {
		name   string
		answer func(lines []string) (answer, []string)
		most   int // posts
	}{
		{"InfluxDB 2 cannot parse and keeps nothing", func(l []string) (answer, []string) { return sieve(l, 400, unparsable, false) }, 60},
		{"InfluxDB 2 keeps the others of a type conflict", func(l []string) (answer, []string) { return sieve(l, 422, conflict2, true) }, 60},
		{"InfluxDB 1.8 keeps the others of a type conflict", func(l []string) (answer, []string) { return sieve(l, 400, conflict18, true) }, 60},
		{"points older than the retention", func(l []string) (answer, []string) { return sieve(l, 422, retention, true) }, 60},
		{"InfluxDB 3 names the lines", v3, 1},
		{"InfluxDB 3 keeps nothing and names the first", func(l []string) (answer, []string) {
			return sieve(l, 400, `{"error":"parsing failed for write_lp endpoint","data":{"original_line":"x","line_number":1,"error_message":"No fields were provided"}}`, false)
		}, 60},
		{"a body over 40 lines is too large, and one cannot be parsed", func(l []string) (answer, []string) {
			if len(l) > 40 {
				return said(413, ""), nil
			}
			return sieve(l, 400, unparsable, false)
		}, 60},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lines, bad []string
				for i := range 300 {
					line := fmt.Sprintf("m v=%d.0 %d", i, i+1)
					if i == 17 || i == 18 || i == 299 {
						line = fmt.Sprintf("bad v=%d %d", i, i+1)
						bad = append(bad, line)
					}
					lines = append(lines, line)
				}
				slices.Sort(bad)
				p := &platform{t: t, answer: func(_ int, l []string) (answer, []string) { return c.answer(l) }}
				q := &queue{}
				q.put(lines...)
				u := newUplink(t, standard, p, t.Output())
				stop := start(t, u, q, &journal{})
				time.Sleep(5 * time.Minute)
				stop()
				for _, l := range lines {
					if !isBad(l) && p.kept[l] == 0 {
						t.Errorf("lost: %s", l)
					}
				}
				if got := q.deadLines(); !slices.Equal(got, bad) {
					t.Errorf("dead letters %q, want %q", got, bad)
				}
				if q.waiting() != 0 || len(p.posts) > c.most {
					t.Errorf("%d batches wait after %d posts", q.waiting(), len(p.posts))
				}
				if got := u.Status(); got.Rejected != 3 || !got.Working {
					t.Errorf("status %+v", got)
				}
				for _, l := range q.dead {
					if l.reason == "" || strings.Contains(l.reason, "{") {
						t.Errorf("reason %q", l.reason)
					}
				}
			})
		})
	}
}

// TestWholeBatchBeyondRetentionCostsOnePost: a long outage may end with thousands of lines that are too old.
func TestWholeBatchBeyondRetentionCostsOnePost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platform{t: t, answer: func(_ int, l []string) (answer, []string) { return sieve(l, 422, retention, true) }}
		q := &queue{}
		q.put("bad v=1 1", "bad v=2 2", "bad v=3 3")
		stop := start(t, newUplink(t, standard, p, t.Output()), q, &journal{})
		time.Sleep(time.Minute)
		stop()
		if len(p.posts) != 1 || len(q.dead) != 3 || q.waiting() != 0 {
			t.Errorf("%d posts, %d dead letters, %d batches wait", len(p.posts), len(q.dead), q.waiting())
		}
	})
}

// TestEveryLineArrives: 2,000 readings over 100 s reach a server that fails in another way at two of three posts, and has
// a batch size limit.
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

// TestRefusalInUnknownWords is the batch's fault only if the server takes others; a mistake in the configuration, which
// refuses everything, throws nothing away.
func TestRefusalInUnknownWords(t *testing.T) {
	const words = `{"code":"invalid","message":"no"}`
	t.Run("one line", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &platform{t: t, answer: func(_ int, l []string) (answer, []string) { return sieve(l, 400, words, false) }}
			q := &queue{}
			q.put("bad v=1 1", "m v=2.0 2")
			u := newUplink(t, standard, p, t.Output())
			stop := start(t, u, q, &journal{})
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if len(q.dead) != 0 {
				t.Errorf("given up before anything else was taken: %v", q.dead)
			}
			u.Readings(meter, sample(1))
			time.Sleep(5 * time.Minute)
			stop()
			if got := q.deadLines(); !slices.Equal(got, []string{"bad v=1 1"}) || p.kept["m v=2.0 2"] == 0 || q.waiting() != 0 {
				t.Errorf("dead letters %q, kept %v, %d wait", got, p.kept, q.waiting())
			}
		})
	})
	t.Run("everything", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &platform{t: t, answer: func(int, []string) (answer, []string) { return said(400, words), nil }}
			q := &queue{}
			u := newUplink(t, standard, p, t.Output())
			stop := start(t, u, q, &journal{})
			for n := range 600 {
				u.Readings(meter, sample(n))
				time.Sleep(time.Second)
			}
			stop()
			if got := u.Status(); got.Working || len(q.dead) != 0 || q.lines() != 600 || len(p.posts) > 30 {
				t.Errorf("%d dead letters, %d lines wait, %d posts, %+v", len(q.dead), q.lines(), len(p.posts), got)
			}
		})
	})
}

// TestOrder: events of alarms first, then the newest batch, then the backlog from its oldest; live batches pass between.
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

// TestFullDisk: data waits in memory and is sent from there; nothing is lost while it fits, and it is stored again when
// there is room.
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
		j.events = nil
		j.add("alarm.raised", "B")
		run()
		if len(p.posts) != 5 {
			t.Errorf("a new journal was not sent: %d posts", len(p.posts))
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

// TestDamagedBatchBecomesADeadLetter: InfluxDB 2.7 answers 500 to a body that is not gzip; it would be tried for ever.
func TestDamagedBatchBecomesADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{}
		q.put("m v=1.0 1")
		q.batches[0].Body[12] ^= 0xff
		q.put("m v=2.0 2")
		p := &platform{t: t}
		stop := start(t, newUplink(t, standard, p, t.Output()), q, &journal{})
		time.Sleep(time.Minute)
		stop()
		if q.waiting() != 0 || len(q.dead) != 1 || p.kept["m v=2.0 2"] != 1 {
			t.Errorf("%d wait, dead %v, kept %v", q.waiting(), q.dead, p.kept)
		}
	})
}

// TestManyBadLinesDoNotStopTheUplink: one field in each batch conflicts for ever; live data still passes each second.
func TestManyBadLinesDoNotStopTheUplink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platform{t: t, answer: func(_ int, l []string) (answer, []string) {
			time.Sleep(10 * time.Millisecond)
			return sieve(l, 422, conflict2, true)
		}}
		q := &queue{}
		u := newUplink(t, standard, p, t.Output())
		stop := start(t, u, q, &journal{})
		for n := range 60 {
			u.Readings(meter, sample(n))
			u.Point(Point{Measurement: "bad", Time: noon.Add(time.Duration(n)), Fields: []Field{Integer("n", int64(n))}})
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		stop()
		good := 0
		for l := range p.kept {
			if !isBad(l) {
				good++
			}
		}
		if good != 60 || len(q.dead) != 60 || q.waiting() != 0 {
			t.Errorf("%d good lines and %d dead letters of 60, %d wait", good, len(q.dead), q.waiting())
		}
	})
}
