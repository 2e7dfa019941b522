package notify

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/rules"
)

// alarmed is the message of a gas alarm in a kitchen, of an event.
func alarmed(event string) Message {
	return Message{Event: event, ID: "00000042-1a20060f265/1", Time: noon.In(county), Site: Site{ID: "zb-1", Name: "颐康养老院"},
		Alarm: gas(), Text: "一层 / 厨房 厨房燃气探测器 燃气高报 报警 12:00:05"}
}

// TestWordsReadLikeThis compares the lines of messages with testdata/words.txt.
func TestWordsReadLikeThis(t *testing.T) {
	late, drill, again, linked, zone := alarmed(alarm.EventRaised), alarmed(alarm.EventRaised), alarmed(alarm.EventRaised), alarmed(alarm.EventEscalated), alarmed(alarm.EventRaised)
	late.Late, drill.Drill = true, true
	again.Alarm.Count = 3
	linked.Link = "https://192.168.1.10:8443/a/Zx81"
	zone.Alarm = &alarm.Alarm{Name: "Two\nsmokes", Level: "alarm", State: alarm.Unacknowledged, ZonePath: "Floor 2", RaisedAt: noon}
	taken := alarmed(alarm.EventAcknowledged)
	taken.Alarm.State, taken.Alarm.AcknowledgedBy, taken.Note = alarm.Acknowledged, "张三", "去看"
	closed := alarmed(alarm.EventClosed)
	closed.Alarm.State, closed.By, closed.Late = alarm.Closed, "李四", true
	cleared := alarmed(alarm.EventCleared)
	cleared.Alarm.State = alarm.Returned
	fault := alarmed(alarm.EventFaultRaised)
	fault.Alarm.Level = "fault"
	test := Message{Event: "test", ID: "test/1790000000000000000", Time: noon.In(county), Text: "测试消息 12:00:05", Site: Site{Name: "颐康养老院"}}
	missed := test
	missed.Drill, missed.Late, missed.Text = true, true, "【演练】演练开始 12:00:05。二层"
	var got strings.Builder
	for _, m := range []Message{alarmed(alarm.EventRaised), late, drill, again, linked, zone, taken, closed, cleared, fault, test, missed} {
		for _, lang := range i18n.Langs {
			fmt.Fprintf(&got, "%s\n\n", say(m, lang).text(2048))
		}
	}
	if os.Getenv("GOLDEN") != "" {
		os.WriteFile("testdata/words.txt", []byte(got.String()), 0o644)
	}
	want, err := os.ReadFile("testdata/words.txt")
	if err != nil || got.String() != string(want) {
		t.Errorf("%v, got\n%s", err, got.String())
	}
}

// TestTextsAreCutBetweenCharacters (NO04): whatever the limit, the text is whole characters within it, and place, kind and
// time are there as long as there is room for them; a link is whole or not there.
func TestTextsAreCutBetweenCharacters(t *testing.T) {
	m := alarmed(alarm.EventRaised)
	m.Link = "https://192.168.1.10:8443/a/Zx81"
	for name, message := range map[string]string{
		"chinese": strings.Repeat("关阀开窗，勿动电器，", 120),
		"emoji":   strings.Repeat("👩‍🚒🔥❄️🇨🇳", 120),
		"latin":   strings.Repeat("open the windows ", 120),
		"mixed":   strings.Repeat("a关🔥é", 120),
		"broken":  strings.Repeat("\xff\xfe关", 120),
		"short":   "开窗",
	} {
		m.Alarm.Message = message
		for limit := 0; limit < 400; limit += 1 + limit/20 {
			checkCut(t, name, m, limit)
		}
		for _, limit := range []int{wecomText, wecomMarkdown, wecomText / 4, 20000} {
			checkCut(t, name, m, limit)
		}
	}
	m.Alarm.ZonePath, m.Alarm.Name = strings.Repeat("三层东区", 200), strings.Repeat("烟感", 200)
	for limit := 0; limit < 3000; limit += 1 + limit/20 {
		got := say(m, i18n.Chinese).text(limit)
		if len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("%d bytes of at most %d: %q", len(got), limit, got)
		}
		if limit >= 200 && (!strings.HasPrefix(got, "三层东区") || !strings.Contains(got, "烟感") || !strings.Contains(got, "12:00:05") || !strings.Contains(got, "42/1")) {
			t.Fatalf("place, kind or time is missing in %d bytes: %q", limit, got)
		}
	}
}

// TestAListIsCutByLines: a digest keeps its first lines whole, and its foot; no line of it can become markup.
func TestAListIsCutByLines(t *testing.T) {
	m := alarmed(alarm.EventRaised)
	m.List = slices.Repeat([]string{"二层 <烟感> 报警 12:00:05"}, 200)
	for limit := 200; limit < 9000; limit += 197 {
		got := say(m, i18n.Chinese).wide().containing("消防").text(limit)
		lines := strings.Split(got, "\n")
		if len(got) > limit || lines[0] != "一层 / 厨房 厨房燃气探测器 燃气高报 报警" || lines[len(lines)-1] != "颐康养老院 编号 42/1 消防" {
			t.Fatalf("to %d: %s", limit, got)
		}
		for _, line := range lines[2 : len(lines)-1] {
			if line != "二层 ＜烟感＞ 报警 12:00:05" && line != "阀门已切断，开窗，勿动电器" {
				t.Fatalf("to %d: %s", limit, line)
			}
		}
	}
}

func checkCut(t *testing.T, name string, m Message, limit int) {
	t.Helper()
	got := say(m, i18n.Chinese).text(limit)
	if len(got) > limit || !utf8.ValidString(got) {
		t.Fatalf("%s: %d bytes of at most %d: %q", name, len(got), limit, got)
	}
	if limit > 130 && !strings.HasPrefix(got, "一层 / 厨房 厨房燃气探测器 燃气高报 报警\n12:00:05 32.5%LEL\n") {
		t.Fatalf("%s: place, kind or time is missing in %d bytes: %q", name, limit, got)
	}
	if strings.Contains(got, "https") != strings.Contains(got, m.Link) {
		t.Fatalf("%s: a part of the link in %d bytes: %q", name, limit, got)
	}
	if strings.Contains(got, "\u200d…") {
		t.Fatalf("%s: cut within a joined sign: %q", name, got)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"烟感报警", 12, "烟感报警"}, {"烟感报警", 11, "烟感…"}, {"烟感报警", 9, "烟感…"}, {"烟感报警", 8, "烟…"}, {"烟感报警", 5, "…"}, {"烟感报警", 2, ""},
		{"烟感报警", -1, ""}, {"abc", 3, "abc"}, {"abcd", 3, "…"}, {"🔥🔥", 7, "🔥…"}, {"", 0, ""}, {"a bcdef", 5, "a…"},
	} {
		if got := cut(c.text, c.limit); got != c.want {
			t.Errorf("%q to %d is %q, want %q", c.text, c.limit, got, c.want)
		}
	}
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{{"烟感报警", 4, "烟感报警"}, {"烟感报警", 3, "烟感…"}, {"🔥🔥🔥", 2, "🔥…"}, {"烟", 0, "…"}} {
		if got := cutRunes(c.text, c.limit); got != c.want {
			t.Errorf("%q to %d is %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func TestShortIDs(t *testing.T) {
	for id, want := range map[string]string{
		"00000042-1a20060f265/1": "42/1", "00000042-1a20060f265": "42", "A1/1": "A1/1", "test/1790000000000000000": "0000000000",
		"test/1790000012345678901": "2345678901", "": "",
	} {
		if got := shortID(id); got != want {
			t.Errorf("%q is %q, want %q", id, got, want)
		}
	}
}

// TestSeverity: an alarm is danger, what is over is good, and what is not known is danger.
func TestSeverity(t *testing.T) {
	for event, want := range map[string]severity{
		"alarm.raised": danger, "alarm.reminder": danger, "alarm.escalated": danger, "alarm.acknowledged": good, "alarm.cleared": good, "alarm.reset": good,
		"alarm.closed": good, "fault.cleared": good, "test": notice, "drill.started": notice, "drill.ended": good, "duty.check": trouble, "duty.missed": trouble,
	} {
		if got := alarmed(event).severity(); got != want {
			t.Errorf("%s is %d, want %d", event, got, want)
		}
	}
	for level, want := range map[string]severity{"alarm": danger, "prealarm": prealarm, "fault": trouble, "notice": notice, "?": danger} {
		m := alarmed("alarm.raised")
		m.Alarm.Level = rules.Level(level)
		if got := m.severity(); got != want {
			t.Errorf("%s is %d, want %d", level, got, want)
		}
	}
	if (Message{Event: "alarm.raised"}).severity() != danger || (Message{Event: "fault.raised"}).severity() != trouble {
		t.Error("a message without an alarm wants too little attention")
	}
}
