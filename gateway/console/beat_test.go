package console

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers/i18n"
)

func TestAllPagesBeatTogetherAndAnAlarmWaitsForNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCanned(home{i18n.English, time.Now()}.well())
		c.live = true
		p, stop := served(t, c)
		first, _ := p.open(t, "?events=beat")
		time.Sleep(700 * time.Millisecond) // another page is opened later
		second, _ := p.open(t, "?events=beat")
		beatOf := func(r *reader) beat {
			t.Helper()
			e := r.next()
			var b beat
			if err := json.Unmarshal([]byte(e.data), &b); e.name != "beat" || err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			return b
		}
		beatOf(first) // when it was opened
		beatOf(second)
		ticks := make(chan struct{})
		go func() { // a gateway that lives
			defer close(ticks)
			for range 12 {
				time.Sleep(time.Second)
				next := *c.Snapshot()
				next.Time = time.Now()
				c.set(&next)
			}
		}()
		for range 3 {
			a, b := beatOf(first), beatOf(second)
			if d := a.Now.Sub(b.Now).Abs(); d > time.Second {
				t.Errorf("the pages beat %v apart", d)
			}
		}
		alarmed := *c.Snapshot()
		alarmed.Seq++
		at := time.Now()
		c.set(&alarmed)
		if b := beatOf(first); b.Seq != alarmed.Seq || b.Now.After(at) {
			t.Errorf("the alarm came %v late", b.Now.Sub(at))
		}
		beatOf(second)
		first.conn.Close()
		second.conn.Close()
		<-ticks
		stop()
	})
}

func TestARenderingIsSharedForASecondButNeverOverAnAlarm(t *testing.T) {
	s := home{i18n.Chinese, noon}.well()
	w := newWeb(optionsOf(newCanned(s), i18n.Chinese))
	render := func(s *Snapshot) *byte {
		t.Helper()
		body, _, err := w.renderPage(w.nowPage(), s, &look{Now: s.Time, Lang: i18n.Chinese})
		if err != nil {
			t.Fatal(err)
		}
		return &body.plain[0]
	}
	after := func(d time.Duration, seq int64) *Snapshot {
		next := *s
		next.Time, next.Seq = s.Time.Add(d), s.Seq+seq
		return &next
	}
	first := render(s)
	if render(after(renderAgain-time.Millisecond, 0)) != first {
		t.Error("rendered anew within a second")
	}
	if render(after(time.Millisecond, 1)) == first {
		t.Error("what happened is not shown")
	}
	first = render(s)
	if render(after(renderAgain, 0)) == first {
		t.Error("an old page is shown")
	}
}
