package notify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"embergate/gateway/alarm"
	"embergate/gateway/store"
	"embergate/rules"
)

// items are stored messages of events, in their order.
func items(events ...alarm.Event) (batch []item) {
	c := &Channels{o: Options{Lang: "zh"}}
	c.list = append(c.list, newLine("a", "wecom", nil, c.o))
	for i, e := range events {
		for _, m := range c.Compose(e, e.Time, nil) {
			m.ID = int64(i + 1)
			batch = append(batch, item{m, Said(m)})
		}
	}
	return batch
}

// TestSeveralMessagesReadLikeThis: place first, a line for each alarm, what is over said once, what to do, and a number that
// holds where there is no room for the list.
func TestSeveralMessagesReadLikeThis(t *testing.T) {
	moment := noon.In(county)
	made := func(zone, of, kind string, class rules.Class, after time.Duration) alarm.Event {
		e := at(zone, of, kind, class)
		e.Time = moment.Add(after)
		return e
	}
	batch := items(
		made("一层 / 厨房", "A", "alarm.raised", "gas", 0),
		made("一层 / 厨房", "B", "alarm.raised", "gas", 5*time.Second),
		made("二层", "C", "alarm.raised", "gas", 6*time.Second),
		made("一层 / 厨房", "A", "alarm.cleared", "gas", 40*time.Second),
	)
	m := merged(batch, "zh")
	want := `一层 / 厨房 等另 1 处：4 条合为一条
一层 / 厨房 厨房燃气探测器 燃气高报 32.5%LEL 12:00:05 至 12:00:45，已结束
一层 / 厨房 厨房燃气探测器 燃气高报 32.5%LEL 报警 12:00:10
二层 厨房燃气探测器 燃气高报 32.5%LEL 报警 12:00:11`
	if m.Text != want {
		t.Errorf("got\n%s", m.Text)
	}
	said := say(m, "zh").text(1000)
	for _, part := range append(strings.Split(want, "\n")[1:], "燃气高报 等（另有 2 项）") {
		if !strings.Contains(said, part) {
			t.Errorf("%q is not in\n%s", part, said)
		}
	}
	if fits := fitting(batch, 130, "zh"); len(fits) != 2 || fits[1].Alarm != "A" {
		t.Errorf("%d of 4 have room, the last of %s", len(fits), fits[len(fits)-1].Alarm)
	}
	drill := items(made("一层", "A", "alarm.raised", "gas", 0), made("一层", "B", "alarm.raised", "gas", 0))
	for i := range drill {
		drill[i].said.Drill = true
	}
	if m := merged(drill, "zh"); !strings.HasPrefix(m.Text, "【演练】") || !m.Drill {
		t.Error(m.Text)
	}
}

// TestOnlyWhatFollowsWithoutAGapIsMerged: what waits for a message that is not in hand stays where it is.
func TestOnlyWhatFollowsWithoutAGapIsMerged(t *testing.T) {
	batch := items(at("z", "A", "alarm.raised", "gas"), at("z", "B", "alarm.raised", "gas"))
	pending := []store.Message{
		batch[0].Message, batch[1].Message,
		{ID: 3, Alarm: "A", Type: "alarm.cleared", Body: batch[0].Body},
		{ID: 4, Alarm: "B", Type: "alarm.reminder", Body: batch[1].Body}, // waits for its time
		{ID: 5, Alarm: "B", Type: "alarm.cleared", Body: batch[1].Body},
	}
	got := follow(batch, pending, func(m store.Message) bool { return m.ID != 4 })
	if ids := fmt.Sprint(idsOf(got)); ids != "[1 2 3]" {
		t.Error(ids)
	}
	for _, tt := range []struct {
		a, b int64
		want int
	}{{1, 2, -1}, {2, 1, 1}, {-1, -2, -1}, {-2, -1, 1}, {5, -1, -1}, {-1, 5, 1}, {3, 3, 0}} {
		if got := order(tt.a, tt.b); got != tt.want {
			t.Errorf("order of %d and %d is %d", tt.a, tt.b, got)
		}
	}
}
