package console

import (
	"strings"
	"testing"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
)

// TestACauseHasOneName (AL08): whoever chose a verdict on the page finds the same words in the report of the month.
func TestACauseHasOneName(t *testing.T) {
	for _, c := range verdictWords {
		cause, ok := strings.CutPrefix(c.Text.Format, "false: ")
		if !ok {
			continue
		}
		if got, want := i18n.Chinese.Say(c.Text.Format), i18n.Chinese.Say("false: %s", i18n.Chinese.Say(cause)); got != want {
			t.Errorf("%s: %s on the page, %s in the report", c.Value, got, want)
		}
	}
}

// TestWhoActedIsSaidInWords (AL15): also where it was a camera or a platform.
func TestWhoActedIsSaidInWords(t *testing.T) {
	for _, via := range []string{"console", "api", "cli", "link", "uplink", ViaCamera} {
		if h := happenedIn(alarm.Event{Type: alarm.EventNoted, By: "x", Via: via}, noon, i18n.Chinese); h.Via == "" || h.Via == via {
			t.Errorf("%s: %q", via, h.Via)
		}
	}
}
