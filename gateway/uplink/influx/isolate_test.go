package influx

import (
	"fmt"
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
// Rows SF07, SF09 and SF13.
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
		{"InfluxDB 3 keeps the others and does not say which", func(l []string) (answer, []string) {
			return sieve(l, 400, `{"code":"invalid","message":"partial write of line protocol occurred"}`, true)
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
