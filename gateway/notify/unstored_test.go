package notify

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"embergate/rules"
)

// TestUnstoredMessagesAreDelivered though the disk takes and gives nothing: fire first, tried again, nothing overtaken.
func TestUnstoredMessagesAreDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(10 * time.Second)
		f := &far{fate: func(int, Message) error {
			if time.Now().Before(back) {
				return errors.New("503")
			}
			return nil
		}}
		c := channels(t, Options{}, f)
		stop := start(t, c, &outbox{broken: true})
		for _, e := range []struct{ kind, of, class string }{
			{"alarm.raised", "A", "gas"}, {"alarm.raised", "B", "fire"}, {"alarm.cleared", "A", "gas"}, {"alarm.cleared", "B", "fire"},
		} {
			c.SendUnstored(c.Compose(event(e.of+e.kind, e.kind, e.of, rules.Class(e.class)), time.Now()))
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		stop()
		var arrived []string
		for i, m := range f.got {
			if !f.at[i].Before(back) {
				arrived = append(arrived, m.ID)
			}
		}
		place := map[string]int{}
		for i, id := range arrived {
			place[id] = i + 1
		}
		if len(arrived) != 4 || place["Aalarm.cleared"] < place["Aalarm.raised"] || place["Balarm.cleared"] < place["Balarm.raised"] {
			t.Errorf("arrived %v", arrived)
		}
	})
}

// TestUnstoredMessagesAreBounded: the oldest leave, a fire last.
func TestUnstoredMessagesAreBounded(t *testing.T) {
	c := channels(t, Options{Log: slog.New(slog.DiscardHandler)}, &far{})
	c.SendUnstored(c.Compose(event("fire", "alarm.raised", "F", "fire"), noon))
	for i := range mostUnstored + 50 {
		c.list[0].keep(c.Compose(event(fmt.Sprint(i), "alarm.raised", fmt.Sprint(i), "gas"), noon)[0])
	}
	if n := len(c.list[0].unstored); n != mostUnstored || c.list[0].unstored[0].Event != "fire" {
		t.Errorf("%d kept, first %s", n, c.list[0].unstored[0].Event)
	}
}
