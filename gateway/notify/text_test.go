package notify

import (
	"strings"
	"testing"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// TestAReminderSaysWhetherSomebodyHasAnswered (AL05): who was told that nobody has acknowledged must not hear it of an alarm that
// somebody has.
func TestAReminderSaysWhetherSomebodyHasAnswered(t *testing.T) {
	a := alarm.Alarm{Name: "Gas", State: alarm.Unacknowledged, RaisedAt: time.Date(2026, 11, 22, 2, 14, 0, 0, time.UTC)}
	taken := a
	taken.State, taken.AcknowledgedBy = alarm.Acknowledged, "Li"
	for _, tt := range []struct {
		e    alarm.Event
		want string
	}{
		{alarm.Event{Type: alarm.EventReminder, Alarm: &a}, "Gas nobody has acknowledged since 02:14:00"},
		{alarm.Event{Type: alarm.EventReminder, Alarm: &taken}, "Gas is still active since 02:14:00, acknowledged by Li"},
		{alarm.Event{Type: alarm.EventEscalated, Alarm: &a}, "Gas escalated, nobody has acknowledged since 02:14:00"},
		{alarm.Event{Type: alarm.EventEscalated, Alarm: &a, Note: "Li is on it since 02:15"}, "Gas escalated, open since 02:14:00: Li is on it since 02:15"},
	} {
		if got := Text(tt.e, i18n.English); !strings.HasPrefix(got, tt.want) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestTheInstructionDoesNotRepeatThePlace(t *testing.T) {
	for message, want := range map[string]string{
		"一层 / 厨房 燃气探测器 38 %LEL，开窗":        "38 %LEL，开窗",
		"一层 / 厨房 燃气探测器: open the windows": "open the windows",
		"开窗，勿动电器":                         "开窗，勿动电器",
		"燃气探测器 开窗":                        "燃气探测器 开窗",
	} {
		if got := instruction(&alarm.Alarm{ZonePath: "一层 / 厨房", DeviceName: "燃气探测器", Message: message}); got != want {
			t.Errorf("%q: got %q, want %q", message, got, want)
		}
	}
}
