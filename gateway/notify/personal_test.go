package notify

import (
	"strings"
	"testing"
	"unicode/utf8"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// TestVariablesAreShort (NO04): a variable of a template holds at most so many characters, no address, no brackets and no
// emoji, is never empty, and says the room rather than the house.
func TestVariablesAreShort(t *testing.T) {
	long := alarmed("alarm.raised")
	long.Alarm.ZonePath, long.Alarm.DeviceName = "颐康养老院主楼 / 三层东区护理单元 / 301 房间", "独立式光电感烟火灾探测报警器"
	odd := alarmed("alarm.raised")
	odd.Alarm.ZonePath, odd.Alarm.DeviceName, odd.Alarm.Name = "【厨房】🔥", "http://10.0.0.7/x gw.example.org 192.168.1.20 v1.5", "燃气\n高报${x}"
	late, drill, taken := alarmed("alarm.raised"), alarmed("alarm.raised"), alarmed("alarm.acknowledged")
	late.Late, drill.Drill = true, true
	taken.Alarm.AcknowledgedBy = "张三"
	flat := alarmed("alarm.raised")
	flat.Alarm.ZonePath = ""
	bare := Message{Event: "alarm.raised", Time: noon, Alarm: &alarm.Alarm{}}
	for _, c := range []struct {
		m      Message
		length int
		want   string
	}{
		{alarmed("alarm.raised"), 20, "一层/厨房 厨房燃气探测器|燃气高报 报警|12:00:05|颐康养老院"},
		{alarmed("alarm.raised"), 8, "一层/厨房|燃气高报 报警|12:00:05|颐康养老院"},
		{long, 35, "颐康养老院主楼/三层东区护理单元/301 房间|燃气高报 报警|12:00:05|颐康养老院"},
		{long, 20, "三层东区护理单元/301 房间|燃气高报 报警|12:00:05|颐康养老院"},
		{long, 6, "301 房间|燃气高报…|12:00…|颐康养老院"},
		{odd, 35, "厨房 gw-example-org 192-168-1-20 v1.5|燃气 高报x 报警|12:00:05|颐康养老院"},
		{late, 20, "一层/厨房 厨房燃气探测器|燃气高报 报警|11-21 12:00 迟到|颐康养老院"},
		{drill, 20, "一层/厨房 厨房燃气探测器|演练 燃气高报 报警|12:00:05|颐康养老院"},
		{taken, 20, "一层/厨房 厨房燃气探测器|张三 已确认 燃气高报|12:00:05|颐康养老院"},
		{flat, 20, "厨房燃气探测器|燃气高报 报警|12:00:05|颐康养老院"},
		{bare, 20, "-|报警|04:00:05|-"},
		{Message{Event: "test", Time: noon, Text: "测试消息 12:00:05", Site: Site{Name: "颐康养老院"}}, 20, "颐康养老院|测试消息 12:00:05|04:00:05|颐康养老院"},
	} {
		v := variables{Names: variableNames, Length: c.length}
		got := v.values(c.m, i18n.Chinese)
		if strings.Join(got, "|") != c.want {
			t.Errorf("to %d: %s\nwant   %s", c.length, strings.Join(got, "|"), c.want)
		}
		for _, value := range got {
			if n := utf8.RuneCountInString(value); n > c.length || n == 0 || strings.ContainsAny(value, "【】🔥\n") || strings.Contains(value, "://") {
				t.Errorf("%q has %d of %d characters", value, n, c.length)
			}
		}
	}
}

func TestHidden(t *testing.T) {
	for address, want := range map[string]string{"+8613800000001": "+86138****0001", "13800000001": "138****0001", "110": "***", "zhang@example.org": "zh***@example.org", "张@x": "张***@x"} {
		if got := hidden(address); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}
