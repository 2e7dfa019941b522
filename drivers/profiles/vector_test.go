package profiles_test

import (
	"fmt"
	"testing"

	"embergate/drivers"
	"embergate/drivers/i18n"
	"embergate/drivers/profiles"
)

func TestCheckSaysWhatDiffers(t *testing.T) {
	v := profiles.Vector{Readings: map[string]profiles.Want{
		"good": {Value: 230.1}, "off": {Value: 1}, "gone": {Value: 2}, "broken": {Reason: drivers.Sentinel}, "doubtful": {Value: 3},
	}}
	got := v.Check([]drivers.Reading{
		{Signal: "good", Value: 230.10000610351562, Quality: drivers.Good},
		{Signal: "off", Value: 1.001, Quality: drivers.Good},
		{Signal: "broken", Value: 64250, Quality: drivers.Good},
		{Signal: "doubtful", Value: 3, Quality: drivers.Uncertain, Reason: drivers.Stale},
	})
	want := []string{
		"broken: 64250, want bad: sentinel",
		"doubtful: 3, uncertain: stale, want 3",
		"gone: no reading, want 2",
		"off: 1.001, want 1",
	}
	if fmt.Sprintf("%s", got) != fmt.Sprintf("%s", want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if zh := i18n.Chinese.Say(got[0].Format, got[0].Args...); zh != "broken：64250，应为 无读数：sentinel" {
		t.Error(zh)
	}
}
