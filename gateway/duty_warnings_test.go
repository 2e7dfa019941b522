package gateway

import (
	"log/slog"
	"strings"
	"testing"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
)

// TestWhoCannotBeToldIsWarnedOf (NO07): a person without a number in a step that rings one, at their line, once each; and a
// roster without shifts is one in which everybody is on duty.
func TestWhoCannotBeToldIsWarnedOf(t *testing.T) {
	warnings := func(config string) string {
		t.Helper()
		root := conf.Parse("home.yaml", []byte(config), conf.OS())
		g, err := New(root, Options{Protocols: map[string]func() drivers.Protocol{"script": newScript().protocol}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if p := root.Problems(); p != nil {
			t.Fatal(p)
		}
		return g.Warnings().In(i18n.English)
	}
	if got := warnings(dutyHome); got != "" {
		t.Errorf("a whole roster is warned of: %s", got)
	}
	got := warnings(strings.Replace(dutyHome, `phone: "+8613800000003", `, "", 1))
	if strings.Count(got, "王五 is told by sms") != 1 || strings.Count(got, "王五 is told by voice") != 1 || strings.Contains(got, "李四") || !strings.HasPrefix(got, "home.yaml:22:57") {
		t.Errorf("warnings are %q", got)
	}
	everybody, _, _ := strings.Cut(dutyHome, "  shifts:")
	d := newDutyStory(t, newScript(), everybody)
	d.reads("smoke.smoke", 1)
	d.told("group(li,wang) alarm.raised", "sms(li) alarm.raised", "sms(wang) alarm.raised", "voice(li) alarm.raised", "voice(wang) alarm.raised")
	if why := d.h.duty.alone(d.now()); why.Format != "" {
		t.Errorf("without shifts the banner says %q", why)
	}
}
