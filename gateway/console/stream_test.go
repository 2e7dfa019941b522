package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// pipes is a listener whose connections hold nothing back: what one end does not read, the other cannot write. It lets
// time be synctest's.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// served runs Serve in a bubble of synctest; stop ends it and checks that it ended well and in time.
func served(t *testing.T, c *canned) (p *pipes, stop func()) {
	p = &pipes{make(chan net.Conn), make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, p, consoleOf(t, c, i18n.English), slog.New(slog.DiscardHandler)) }()
	return p, func() {
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > stopGrace {
			t.Errorf("took %v to stop", took)
		}
	}
}

// reader is one open stream.
type reader struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// open sends the request for a stream and returns the status line of the answer; headers are whole lines.
func (p *pipes) open(t *testing.T, query string, headers ...string) (*reader, string) {
	here, there := net.Pipe()
	p.conns <- there
	fmt.Fprintf(here, "GET /api/v1/stream%s HTTP/1.0\r\nHost: localhost\r\n%s\r\n", query, strings.Join(append(headers, ""), "\r\n"))
	r := &reader{t, here, bufio.NewReader(here)}
	status := r.line()
	for r.line() != "" { // headers
	}
	return r, status
}

func (r *reader) line() string {
	line, err := r.r.ReadString('\n')
	if err != nil && err != io.EOF {
		r.t.Fatal(err)
	}
	return strings.TrimRight(line, "\r\n")
}

// sent is one event of a stream.
type sent struct{ name, id, data, comment string }

// next is the next event; its name is "" at the end of the stream.
func (r *reader) next() (e sent) {
	for {
		line, err := r.r.ReadString('\n')
		if err != nil {
			return sent{}
		}
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch key {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			e.data = value
		case "retry":
		case "":
			if line == "\n" && e.name != "" {
				return e
			}
			e.comment = value
		default:
			r.t.Fatalf("a line that is not of the format: %q", line)
		}
	}
}

// until reads events up to one of a name.
func (r *reader) until(name string) sent {
	for {
		if e := r.next(); e.name == name || e.name == "" {
			return e
		}
	}
}

func event(seq int64, about *alarm.Alarm) alarm.Event {
	return alarm.Event{Seq: seq, ID: fmt.Sprint("e", seq), Time: noon, Type: alarm.EventRaised, Alarm: about}
}

func TestStreamSendsTheStateAtFirstAndThenChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := home{i18n.Chinese, noon}
		c := newCanned(h.well())
		p, stop := served(t, c)
		r, status := p.open(t, "")
		if status != "HTTP/1.0 200 OK" {
			t.Fatal(status)
		}
		for i := range 13 {
			if e := r.next(); e.name != "reading" || e.id != "40" {
				t.Fatalf("event %d is %+v", i, e)
			}
		}
		if e := r.next(); e.name != "status" || e.id != "40" || !strings.Contains(e.data, `"alarms_open":0`) {
			t.Fatalf("%+v", e)
		}
		next := h.well()
		next.Devices[1].Signals[0].Value = 31.6
		next.Alarms = h.alarms()
		c.mu.Lock()
		c.journal, next.Seq = []alarm.Event{event(41, nil), event(42, &next.Alarms[1])}, 42
		c.mu.Unlock()
		c.set(next)
		var got alarm.Event
		e := r.next()
		if err := json.Unmarshal([]byte(e.data), &got); err != nil || e.name != "alarm" || e.id != "42" || got.Alarm.ID != "00000007" {
			t.Errorf("the alarm comes first, the event without one is passed over: %+v %v", e, err)
		}
		if e := r.next(); e.name != "reading" || !strings.Contains(e.data, `"signal":"kitchen-gas.lel"`) || !strings.Contains(e.data, `"value":31.6`) {
			t.Errorf("then the one signal that changed: %+v", e)
		}
		if e := r.next(); e.name != "status" || e.id != "42" || !strings.Contains(e.data, `"alarms_open":4`) {
			t.Errorf("then the state: %+v", e)
		}
		stop()
		if e := r.next(); e.name != "" {
			t.Errorf("after the end: %+v", e)
		}
	})
}

func TestStreamGoesOnWhereTheViewerWas(t *testing.T) {
	for _, test := range []struct {
		name, last string
		first      string // id of the first event of the journal that is sent; "" for none
		events     int
	}{
		{"who comes for the first time starts at the present", "", "", 0},
		{"who comes back misses nothing", "Last-Event-ID: 57", "58", 193},
		{"who was there all the time gets nothing twice", "Last-Event-ID: 250", "", 0},
		{"a number of another journal means nothing", "Last-Event-ID: 251", "", 0},
		{"nor does a word", "Last-Event-ID: now", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := home{i18n.Chinese, noon}
				c := newCanned(h.well())
				about := h.alarms()[0]
				for seq := range int64(250) {
					c.journal = append(c.journal, event(seq+1, &about))
				}
				c.now.Seq = 250
				p, stop := served(t, c)
				headers := []string{}
				if test.last != "" {
					headers = append(headers, test.last)
				}
				r, _ := p.open(t, "?events=alarm,status", headers...)
				events, first := 0, ""
				e := r.next()
				for ; e.name == "alarm"; e = r.next() {
					if events++; first == "" {
						first = e.id
					}
				}
				if events != test.events || first != test.first || e.name != "status" || e.id != "250" {
					t.Errorf("%d events from %q on, then %+v", events, first, e)
				}
				stop()
				r.conn.Close()
			})
		})
	}
}

func TestStreamGivesASignOfLifeForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCanned(home{i18n.Chinese, noon}.well())
		p, stop := served(t, c)
		r, _ := p.open(t, "?events=status")
		r.until("status")
		for began := time.Now(); time.Since(began) < 2*time.Hour; {
			last := time.Now()
			e := r.next()
			if e.name != "status" || e.comment != "alive" || time.Since(last) > 3*time.Second {
				t.Fatalf("after %v: %+v, %v after the one before", time.Since(began), e, time.Since(last))
			}
		}
		stop()
		r.conn.Close()
	})
}

func TestStreamDropsWhoDoesNotReadAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCanned(home{i18n.Chinese, noon}.well())
		p, stop := served(t, c)
		var slow []net.Conn
		for range maxStreams - 1 { // they ask, and then read nothing at all
			here, there := net.Pipe()
			p.conns <- there
			fmt.Fprint(here, "GET /api/v1/stream HTTP/1.0\r\nHost: localhost\r\n\r\n")
			slow = append(slow, here)
		}
		synctest.Wait()
		good, status := p.open(t, "?events=status")
		if status != "HTTP/1.0 200 OK" || good.next().name != "status" {
			t.Fatal("the viewer beside the slow ones:", status)
		}
		if _, status := p.open(t, ""); status != "HTTP/1.0 503 Service Unavailable" {
			t.Error("one stream more than can be:", status)
		}
		began := time.Now()
		for time.Since(began) < writeTimeout+time.Second {
			last := time.Now()
			if e := good.next(); e.name != "status" || time.Since(last) > heartbeat {
				t.Errorf("%+v after %v", e, time.Since(last))
			}
		}
		again, status := p.open(t, "?events=status")
		if status != "HTTP/1.0 200 OK" {
			t.Error("the slow ones still hold their places:", status)
		}
		stop()
		for _, conn := range append(slow, good.conn, again.conn) {
			conn.Close()
		}
	})
}

func TestStreamEndsWhenTheViewerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stop := served(t, newCanned(home{i18n.Chinese, noon}.well()))
		for range 3 * maxStreams { // more than could be open together
			r, status := p.open(t, "?events=status")
			if status != "HTTP/1.0 200 OK" {
				t.Fatal(status)
			}
			r.next()
			r.conn.Close()
			synctest.Wait()
		}
		stop()
	})
}

func TestServeLetsAnActEndAndReportsAListenerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, stop := served(t, newCanned(home{i18n.Chinese, noon}.well()))
		here, there := net.Pipe()
		p.conns <- there
		fmt.Fprint(here, "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
		answer, _ := io.ReadAll(here)
		if !strings.HasSuffix(string(answer), "\r\n\r\nok\n") {
			t.Errorf("%q", answer)
		}
		stop()
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := newCanned(nil)
	if err := Serve(t.Context(), l, consoleOf(t, c, i18n.English), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a closed listener is no error")
	}
}
