package notify

import (
	"testing"

	"embergate/gateway/alarm"
)

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
